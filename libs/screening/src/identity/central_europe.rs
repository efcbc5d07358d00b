//! Poland, Czechia, Slovakia, Hungary, Slovenia, Croatia.

use super::{Belief, Spec, spec};
use crate::checks::{digit, is_date, mod11_10, number, one_digit_only, two, weighted};

pub(super) const SPECS: &[Spec] = &[
    spec("national_id.pl.pesel", "PL", "99999999999", Belief::Named, &["pesel"], pesel),
    spec(
        "national_id.pl.nip",
        "PL",
        "9999999999|999-999-99-99|999-99-99-999",
        Belief::Written,
        &["nip", "numer identyfikacji podatkowej"],
        nip,
    ),
    spec(
        "national_id.pl.id_card",
        "PL",
        "AAA999999|AAA 999999",
        Belief::Named,
        &["dowód osobisty", "dowodu osobistego", "dowód", "id card", "seria i numer"],
        polish_card,
    ),
    spec(
        "national_id.cz.rodne_cislo",
        "CZ",
        "999999/9999|9999999999|999999/999|999999999",
        Belief::Written,
        &["rodné číslo", "rodne cislo", "rč", "birth number", "rodné č"],
        birth_number,
    ),
    spec(
        "national_id.sk.rodne_cislo",
        "SK",
        "999999/9999|9999999999|999999/999|999999999",
        Belief::Named,
        &["rodné číslo", "rodne cislo", "rodného čísla"],
        birth_number,
    ),
    spec(
        "national_id.hu.tax",
        "HU",
        "9999999999",
        Belief::Named,
        &["adóazonosító", "adoazonosito", "adóazonosító jel"],
        hungarian_tax,
    ),
    spec(
        "national_id.hu.personal",
        "HU",
        "9-999999-9999|99999999999",
        Belief::Named,
        &["személyi szám", "szemelyi szam", "személyi azonosító"],
        hungarian_personal,
    ),
    spec("national_id.hu.taj", "HU", "999999999|999 999 999", Belief::Named, &["taj", "taj szám", "taj-szám"], taj),
    spec(
        "national_id.si.emso",
        "SI",
        "9999999999999",
        Belief::Named,
        &["emšo", "emso", "jmbg", "матични број", "matični broj"],
        jmbg,
    ),
    spec(
        "national_id.si.tax",
        "SI",
        "99999999",
        Belief::Named,
        &["davčna številka", "davcna stevilka", "davčna"],
        slovene_tax,
    ),
    spec("national_id.hr.oib", "HR", "99999999999", Belief::Named, &["oib", "osobni identifikacijski"], mod11_10),
];

/// The century hides in the month: 19xx +0, 20xx +20, 21xx +40, 22xx +60, 18xx +80.
fn pesel(id: &[u8]) -> bool {
    let sum = weighted(id, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]);
    is_date(two(id, 0), two(id, 2) % 20, two(id, 4)) && (10 - sum % 10) % 10 == digit(id[10])
}

fn nip(id: &[u8]) -> bool {
    weighted(id, &[6, 5, 7, 2, 3, 4, 5, 6, 7]) % 11 == digit(id[9]) && !one_digit_only(id)
}

/// Weights 7, 3, 1, 9, 7, 3, 1, 7, 3 with letters from 10; the sum ends in 0.
fn polish_card(id: &[u8]) -> bool {
    let sum: u32 = id
        .iter()
        .zip([7, 3, 1, 9, 7, 3, 1, 7, 3])
        .map(|(byte, weight)| weight * if byte.is_ascii_digit() { digit(*byte) } else { u32::from(byte - b'A') + 10 })
        .sum();
    sum.is_multiple_of(10)
}

/// Divisible by 11 since 1954; nine digits before have no check. Women add 50 to the month, 20 when numbers run out.
fn birth_number(id: &[u8]) -> bool {
    let month = two(id, 2) % 50;
    let month = if month > 20 { month - 20 } else { month };
    let Some(whole) = number(id) else { return false };
    // Until 1985 a remainder of 10 was written as 0.
    let sum = whole.is_multiple_of(11) || id.len() == 10 && whole / 10 % 11 == 10 && whole % 10 == 0;
    is_date(two(id, 0), month, two(id, 4)) && (id.len() == 9 && two(id, 0) < 54 || id.len() == 10 && sum)
}

fn hungarian_tax(id: &[u8]) -> bool {
    id[0] == b'8' && weighted(id, &[1, 2, 3, 4, 5, 6, 7, 8, 9]) % 11 == digit(id[9])
}

fn hungarian_personal(id: &[u8]) -> bool {
    let rising = weighted(id, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) % 11;
    let falling = weighted(id, &[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]) % 11;
    is_date(two(id, 1), two(id, 3), two(id, 5)) && (rising == digit(id[10]) || falling == digit(id[10]))
}

fn taj(id: &[u8]) -> bool {
    weighted(id, &[3, 7, 3, 7, 3, 7, 3, 7]) % 10 == digit(id[8]) && !one_digit_only(id)
}

/// The number of Yugoslavia, kept by its successors.
fn jmbg(id: &[u8]) -> bool {
    let check = (11 - weighted(id, &[7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    is_date(two(id, 5), two(id, 2), two(id, 0)) && check == digit(id[12])
}

fn slovene_tax(id: &[u8]) -> bool {
    let check = (11 - weighted(id, &[8, 7, 6, 5, 4, 3, 2]) % 11) % 10;
    id[0] != b'0' && check == digit(id[7]) && !one_digit_only(id)
}

#[cfg(test)]
mod tests {
    use crate::identity::is_valid;
    use crate::kind::Kind;

    #[test]
    fn published_specimens_are_valid_and_changed_ones_are_not() {
        for (kind, valid, invalid) in [
            ("pl.pesel", "44051401359", "44051401358"),
            ("pl.nip", "123-456-32-18", "123-456-32-19"),
            ("pl.id_card", "ABA300000", "ABA300001"),
            ("cz.rodne_cislo", "710319/2745", "710319/2746"),
            ("hu.tax", "8071592153", "8071592154"),
            ("si.emso", "0101006500006", "0101006500007"),
            ("hr.oib", "33392005961", "33392005962"),
        ] {
            let kind = Kind::parse(&format!("national_id.{kind}")).unwrap();
            assert!(is_valid(kind, valid), "{kind} {valid}");
            assert!(!is_valid(kind, invalid), "{kind} {invalid}");
        }
    }
}
