//! United Kingdom, Ireland, France, Belgium, Netherlands, Luxembourg, Germany, Austria, Switzerland.

use super::{Belief, Spec, spec};
use crate::checks::{digit, is_date, luhn, mod11_10, number, one_digit_only, two, verhoeff, weighted};

pub(super) const SPECS: &[Spec] = &[
    spec(
        "national_id.gb.nino",
        "GB",
        "AA999999A|AA 99 99 99 A|AA 999999 A|AA 999999A|AA-99-99-99-A|AA 999 999 A",
        Belief::Always,
        &["nino", "national insurance", "ni number", "insurance number"],
        nino,
    ),
    spec(
        "national_id.gb.nhs",
        "GB",
        "9999999999|999 999 9999|999-999-9999",
        Belief::Named,
        &["nhs", "national health service"],
        nhs,
    ),
    spec(
        "national_id.ie.pps",
        "IE",
        "9999999A|9999999AA",
        Belief::Named,
        &["pps", "ppsn", "personal public service"],
        pps,
    ),
    spec(
        "national_id.fr.nir",
        "FR",
        "999999999999999|9 99 99 99 999 999 99|9 99 99 99 999 999|99999A999999999|9 99 99 9A 999 999 99",
        Belief::Always,
        &["nir", "sécurité sociale", "securite sociale", "insee", "numéro de sécu", "ssn"],
        nir,
    ),
    spec(
        "national_id.fr.tax",
        "FR",
        "9999999999999|99 99 999 999 999",
        Belief::Named,
        &["numéro fiscal", "numero fiscal", "spi", "référence fiscale"],
        french_tax,
    ),
    spec(
        "national_id.be.national",
        "BE",
        "99999999999|99.99.99-999.99|99 99 99 999 99|99.99.99.999.99",
        Belief::Written,
        &["rijksregisternummer", "registre national", "national number", "nationaal nummer", "niss", "insz"],
        belgian,
    ),
    spec(
        "national_id.nl.bsn",
        "NL",
        "999999999|9999.99.999|999 999 999",
        Belief::Named,
        &["bsn", "burgerservicenummer", "sofinummer", "citizen service number"],
        bsn,
    ),
    spec(
        "national_id.lu.matricule",
        "LU",
        "9999999999999|9999 9999 999 99",
        Belief::Named,
        &["matricule", "numéro d'identification", "cns", "sozialversicherungsnummer"],
        matricule,
    ),
    spec(
        "national_id.de.tax",
        "DE",
        "99999999999|99 999 999 999|99/999/999/999",
        Belief::Named,
        &[
            "steuer-id",
            "steuerid",
            "steueridentifikationsnummer",
            "steuer-identifikationsnummer",
            "idnr",
            "steuerliche",
        ],
        german_tax,
    )
    .or_plausible(german_tax_sum),
    spec(
        "national_id.de.pension",
        "DE",
        "99999999A999|99 999999 A 999|99 999999 A999|99999999 A 999",
        Belief::Always,
        &["rentenversicherungsnummer", "rvnr", "sozialversicherungsnummer", "versicherungsnummer", "sv-nummer", "svnr"],
        german_pension,
    ),
    spec(
        "national_id.de.id_card",
        "DE",
        "A99999999|AA9999999|A9A999999|A99A99999|A999A9999|A9999A999|A99999A99|AA9AA9999|AA9A99999|AAA999999|A9999999999|AAAAAAAAA9|A999999999|AA99999999",
        Belief::Named,
        &["personalausweis", "ausweisnummer", "reisepass", "passnummer", "id card", "passport", "pass-nr"],
        german_card,
    ),
    spec(
        "national_id.de.health",
        "DE",
        "A999999999",
        Belief::Named,
        &[
            "krankenversichertennummer",
            "kvnr",
            "krankenversicherung",
            "krankenkasse",
            "versichertennummer",
            "health insurance",
        ],
        german_health,
    ),
    spec(
        "national_id.at.social",
        "AT",
        "9999999999|9999 999999|9999-999999",
        Belief::Named,
        &["sozialversicherungsnummer", "svnr", "sv-nummer", "versicherungsnummer"],
        austrian_social,
    ),
    spec(
        "national_id.at.tax",
        "AT",
        "999999999|99-999/9999|99 999 9999",
        Belief::Named,
        &["steuernummer", "abgabenkontonummer"],
        luhn,
    ),
    spec(
        "national_id.ch.ahv",
        "CH",
        "9999999999999|999.9999.9999.99|999 9999 9999 99",
        Belief::Always,
        &["ahv", "avs", "ahv-nummer", "numéro avs", "oasi"],
        ahv,
    ),
];

/// HMRC: no check digit, but prefixes that were never given out.
fn nino(id: &[u8]) -> bool {
    const NEVER: [&[u8]; 7] = [b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"];
    !b"DFIQUV".contains(&id[0])
        && !b"DFIOQUV".contains(&id[1])
        && !NEVER.contains(&&id[..2])
        && (b'A'..=b'D').contains(&id[8])
        && !one_digit_only(&id[2..8])
}

fn nhs(id: &[u8]) -> bool {
    let check = (11 - weighted(id, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    check == digit(id[9]) && !one_digit_only(id)
}

/// Mod 23 over seven digits and, for numbers since 2013, the second letter.
fn pps(id: &[u8]) -> bool {
    let second = id.get(8).map_or(0, |letter| match letter {
        b'W' => 0,
        letter => u32::from(letter - b'A' + 1),
    });
    let sum = weighted(id, &[8, 7, 6, 5, 4, 3, 2]) + second * 9;
    id[7] == b"WABCDEFGHIJKLMNOPQRSTUV"[(sum % 23) as usize]
}

/// Key = 97 - number mod 97; Corsica's departments 2A and 2B count as 19 and 18.
fn nir(id: &[u8]) -> bool {
    if id.len() != 15 || !matches!(id[0], b'1' | b'2' | b'3' | b'4' | b'7' | b'8') {
        return false;
    }
    let mut body = [0u8; 13];
    body.copy_from_slice(&id[..13]);
    match &id[5..7] {
        b"2A" => body[5..7].copy_from_slice(b"19"),
        b"2B" => body[5..7].copy_from_slice(b"18"),
        _ => {}
    }
    let (Some(body), Some(key)) = (number(&body), number(&id[13..])) else { return false };
    let month = two(id, 3);
    (matches!(month, 1..=12 | 20 | 30..=42 | 50..=99)) && 97 - body % 97 == key
}

fn french_tax(id: &[u8]) -> bool {
    let (Some(body), Some(key)) = (number(&id[..10]), number(&id[10..])) else { return false };
    id[0] <= b'3' && body % 511 == key
}

/// Key = 97 - number mod 97; who is born since 2000 has a 2 before the number.
fn belgian(id: &[u8]) -> bool {
    let (Some(body), Some(key)) = (number(&id[..9]), number(&id[9..])) else { return false };
    // Numbers for people without a birth certificate add 20 or 40 to the month.
    let month = two(id, 2) % 20;
    (month == 0 || is_date(2000, month, two(id, 4).clamp(1, 29)))
        && two(id, 4) <= 31
        && (97 - body % 97 == key || 97 - (2_000_000_000 + body) % 97 == key)
        && !one_digit_only(id)
}

fn bsn(id: &[u8]) -> bool {
    let sum = weighted(id, &[9, 8, 7, 6, 5, 4, 3, 2]);
    (sum + 11 * 10 - digit(id[8])).is_multiple_of(11) && !one_digit_only(id)
}

fn matricule(id: &[u8]) -> bool {
    let mut second = [0u8; 12];
    second[..11].copy_from_slice(&id[..11]);
    second[11] = id[12];
    is_date(number(&id[..4]).unwrap_or(0) as u32, two(id, 4), two(id, 6)) && luhn(&id[..12]) && verhoeff(&second)
}

/// One digit appears twice or three times among the first ten, the others at most once.
fn german_tax(id: &[u8]) -> bool {
    let repeated = tally(&id[..10]).iter().filter(|times| **times > 1).count();
    repeated == 1 && german_tax_sum(id)
}

/// As specimens are printed: the sum is right, the repetition is missing.
fn german_tax_sum(id: &[u8]) -> bool {
    let most = tally(&id[..10]).into_iter().max().unwrap_or(0);
    id[0] != b'0' && most <= 3 && mod11_10(id)
}

fn tally(digits: &[u8]) -> [u8; 10] {
    let mut count = [0; 10];
    for byte in digits {
        count[digit(*byte) as usize] += 1;
    }
    count
}

fn german_pension(id: &[u8]) -> bool {
    let letter = id[8].wrapping_sub(b'A') + 1;
    let mut digits = [0u8; 12];
    digits[..8].copy_from_slice(&id[..8]);
    digits[8] = b'0' + letter / 10;
    digits[9] = b'0' + letter % 10;
    digits[10..].copy_from_slice(&id[9..11]);
    let weights = [2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1];
    let sum: u32 = digits
        .iter()
        .zip(weights)
        .map(|(byte, weight)| {
            let product = digit(*byte) * weight;
            product / 10 + product % 10
        })
        .sum();
    let day = two(id, 2);
    // Women's and later numbers of one day add 50 to it.
    let day = if day > 50 { day - 50 } else { day };
    is_date(2000, two(id, 4).clamp(1, 12), day.clamp(1, 29))
        && day <= 31
        && two(id, 4) <= 12
        && sum % 10 == digit(id[11])
}

/// ICAO 9303 weights 7, 3, 1 over the serial number; the check digit may be missing.
fn german_card(id: &[u8]) -> bool {
    let value = |byte: u8| if byte.is_ascii_digit() { digit(byte) } else { u32::from(byte - b'A') + 10 };
    let first = b"CFGHJKLMNPRTVWXYZ".contains(&id[0]);
    let letters = id[..9].iter().all(|byte| byte.is_ascii_digit() || b"CFGHJKLMNPRTVWXYZ".contains(byte));
    if !first && id[0] != b'T' || !letters {
        return false;
    }
    let Some(check) = id.get(9) else { return true };
    let sum: u32 = id[..9].iter().zip([7, 3, 1].iter().cycle()).map(|(byte, weight)| value(*byte) * weight).sum();
    sum % 10 == digit(*check)
}

/// The letter counts as two digits; weights 1, 2 with cross sums.
fn german_health(id: &[u8]) -> bool {
    let letter = id[0].wrapping_sub(b'A') + 1;
    let mut digits = vec![b'0' + letter / 10, b'0' + letter % 10];
    digits.extend_from_slice(&id[1..9]);
    let sum: u32 = digits
        .iter()
        .enumerate()
        .map(|(place, byte)| {
            let product = digit(*byte) * (1 + (place as u32 & 1));
            product / 10 + product % 10
        })
        .sum();
    sum % 10 == digit(id[9])
}

fn austrian_social(id: &[u8]) -> bool {
    let sum = weighted(id, &[3, 7, 9, 0, 5, 8, 4, 2, 1, 6]);
    let month = two(id, 6);
    id[0] != b'0' && sum % 11 == digit(id[3]) && (1..=15).contains(&month) && (1..=31).contains(&two(id, 4))
}

/// EAN-13 over a number that begins with Switzerland's 756.
fn ahv(id: &[u8]) -> bool {
    let sum = weighted(id, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3]);
    id.starts_with(b"756") && (10 - sum % 10) % 10 == digit(id[12])
}

#[cfg(test)]
mod tests {
    use crate::identity::is_valid;
    use crate::kind::Kind;

    #[test]
    fn published_specimens_are_valid_and_changed_ones_are_not() {
        for (kind, valid, invalid) in [
            ("gb.nino", "AB 12 34 56 C", "BG 12 34 56 C"),
            ("gb.nhs", "943 476 5919", "943 476 5918"),
            ("ie.pps", "1234567T", "1234567A"),
            ("fr.nir", "2 55 08 14 168 025 38", "2 55 08 14 168 025 39"),
            ("be.national", "85.07.30-033.28", "85.07.30-033.29"),
            ("nl.bsn", "111222333", "111222334"),
            ("de.tax", "86095742719", "86095742718"),
            ("de.pension", "65 180539 W 001", "65 180539 W 002"),
            ("de.health", "A123456780", "A123456781"),
            ("at.social", "1237 010180", "1238 010180"),
            ("ch.ahv", "756.9217.0769.85", "756.9217.0769.84"),
        ] {
            let kind = Kind::parse(&format!("national_id.{kind}")).unwrap();
            assert!(is_valid(kind, valid), "{kind} {valid}");
            assert!(!is_valid(kind, invalid), "{kind} {invalid}");
        }
    }
}
