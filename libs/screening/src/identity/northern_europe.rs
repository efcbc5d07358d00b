//! Sweden, Norway, Denmark, Finland, Iceland, Estonia, Latvia, Lithuania.

use super::{Belief, Spec, spec};
use crate::checks::{digit, is_date, luhn, number, one_digit_only, starts_with_ddmmyy, two, weighted};

pub(super) const SPECS: &[Spec] = &[
    spec(
        "national_id.se.personnummer",
        "SE",
        "999999-9999|99999999-9999|9999999999|999999999999|999999+9999|99999999+9999",
        Belief::Written,
        &["personnummer", "samordningsnummer", "swedish id", "personal identity number", "swedish national"],
        personnummer,
    ),
    spec(
        "national_id.se.organisation",
        "SE",
        "999999-9999|9999999999",
        Belief::Named,
        &["organisationsnummer", "orgnr", "org.nr", "org nr", "org.nummer"],
        |id| luhn(id) && id[2] >= b'2' && id[0] != b'0',
    ),
    spec(
        "national_id.no.fodselsnummer",
        "NO",
        "99999999999|999999 99999|999999-99999",
        Belief::Always,
        &["fødselsnummer", "fodselsnummer", "fnr", "personnummer", "d-nummer"],
        norwegian,
    ),
    spec(
        "national_id.dk.cpr",
        "DK",
        "999999-9999|9999999999",
        Belief::Named,
        &["cpr", "cpr-nummer", "personnummer"],
        cpr,
    ),
    spec(
        "national_id.fi.hetu",
        "FI",
        "999999-999A|999999-9999|999999A999A|999999A9999|999999+999A|999999+9999",
        Belief::Always,
        &["hetu", "henkilötunnus", "henkilotunnus", "personbeteckning"],
        hetu,
    ),
    spec("national_id.is.kennitala", "IS", "999999-9999|9999999999", Belief::Named, &["kennitala", "kt."], kennitala),
    spec(
        "national_id.ee.isikukood",
        "EE",
        "99999999999",
        Belief::Named,
        &["isikukood", "personal code", "estonian"],
        |id| baltic(id) && (b'1'..=b'8').contains(&id[0]),
    ),
    spec(
        "national_id.lt.asmens_kodas",
        "LT",
        "99999999999",
        Belief::Named,
        &["asmens kodas", "personal code", "lithuanian"],
        |id| baltic(id) && (b'1'..=b'6').contains(&id[0]),
    ),
    spec(
        "national_id.lv.personas_kods",
        "LV",
        "999999-99999|99999999999",
        Belief::Named,
        &["personas kods", "personal code", "latvian"],
        latvian,
    ),
];

/// Luhn over the ten digits without the century; coordination numbers add 60 to the day.
fn personnummer(id: &[u8]) -> bool {
    let (century, ten) = id.split_at(id.len() - 10);
    let day = two(ten, 4);
    let day = if day > 60 { day - 60 } else { day };
    let century = century.is_empty() || matches!(century, b"18" | b"19" | b"20");
    century && is_date(two(ten, 0), two(ten, 2), day) && luhn(ten)
}

/// Two control digits; D-numbers add 40 to the day, test numbers add 80 to the month.
fn norwegian(id: &[u8]) -> bool {
    let day = two(id, 0) % 40;
    let month = two(id, 2) % 40;
    let first = (11 - weighted(id, &[3, 7, 6, 1, 8, 9, 4, 5, 2]) % 11) % 11;
    let second = (11 - weighted(id, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    is_date(two(id, 4), month, day) && first == digit(id[9]) && second == digit(id[10])
}

/// The sum modulo 11 has not been kept since 2007, so a date must do; the word beside it carries the rest.
fn cpr(id: &[u8]) -> bool {
    starts_with_ddmmyy(id)
}

fn hetu(id: &[u8]) -> bool {
    // Only the letters that stand for a century may stand between date and number.
    let (date, rest) = id.split_at(6);
    let rest = match rest {
        [b'A'..=b'F' | b'U'..=b'Y', rest @ ..] if rest.len() == 4 => rest,
        _ => rest,
    };
    if rest.len() != 4 {
        return false;
    }
    let (Some(first), Some(second)) = (number(date), number(&rest[..3])) else { return false };
    let letters = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    second >= 2 && starts_with_ddmmyy(date) && letters[((first * 1000 + second) % 31) as usize] == rest[3]
}

fn kennitala(id: &[u8]) -> bool {
    // Firms add 40 to the day.
    let day = two(id, 0) % 40;
    let check = (11 - weighted(id, &[3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    is_date(two(id, 4), two(id, 2), day) && check == digit(id[8]) && matches!(id[9], b'0' | b'8' | b'9')
}

/// Two rounds of weights; what is 10 twice becomes 0.
fn baltic(id: &[u8]) -> bool {
    let mut check = weighted(id, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11;
    if check == 10 {
        check = weighted(id, &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11 % 10;
    }
    is_date(two(id, 1), two(id, 3), two(id, 5)) && check == digit(id[10])
}

/// Numbers since 2017 begin with 32 and say nothing of the birthday.
fn latvian(id: &[u8]) -> bool {
    let sum = weighted(id, &[1, 6, 3, 7, 9, 10, 5, 8, 4, 2]);
    let check = (1 + 11 * 100 - sum) % 11;
    (id.starts_with(b"32") || is_date(two(id, 4), two(id, 2), two(id, 0)) && check == digit(id[10]))
        && !one_digit_only(id)
}

#[cfg(test)]
mod tests {
    use crate::identity::is_valid;
    use crate::kind::Kind;

    #[test]
    fn published_specimens_are_valid_and_changed_ones_are_not() {
        for (kind, valid, invalid) in [
            ("se.personnummer", "640823-3234", "640823-3235"),
            ("se.organisation", "556703-7485", "556703-7486"),
            ("no.fodselsnummer", "29029600013", "29029600014"),
            ("dk.cpr", "070761-4285", "320761-4285"),
            ("fi.hetu", "131052-308T", "131052-308U"),
            ("is.kennitala", "120174-3399", "120174-3389"),
            ("ee.isikukood", "37605030299", "37605030298"),
            ("lv.personas_kods", "161175-19997", "161175-19998"),
        ] {
            let kind = Kind::parse(&format!("national_id.{kind}")).unwrap();
            assert!(is_valid(kind, valid), "{kind} {valid}");
            assert!(!is_valid(kind, invalid), "{kind} {invalid}");
        }
    }
}
