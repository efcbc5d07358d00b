//! International bank account numbers (ISO 13616): length of the country, MOD 97-10.

use crate::Kind;
use crate::checks::mod97;
use crate::matching::Match;

/// Countries of the registry, and those that use the form without being in it, with the whole length; sorted.
const LENGTHS: [(&[u8; 2], u8); 110] = [
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AO", 25),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BF", 28),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BJ", 28),
    (b"BR", 29),
    (b"BY", 28),
    (b"CF", 27),
    (b"CG", 27),
    (b"CH", 21),
    (b"CI", 28),
    (b"CM", 27),
    (b"CR", 22),
    (b"CV", 25),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"DZ", 26),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GA", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GQ", 27),
    (b"GR", 27),
    (b"GT", 28),
    (b"GW", 25),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IR", 26),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KM", 27),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MA", 28),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MG", 27),
    (b"MK", 19),
    (b"ML", 28),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"MZ", 25),
    (b"NE", 28),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SN", 28),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TD", 27),
    (b"TG", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
];

/// Characters of a number of this country.
pub(crate) fn length_of(country: [u8; 2]) -> Option<usize> {
    let at = LENGTHS.binary_search_by(|(code, _)| (*code).cmp(&country)).ok()?;
    Some(usize::from(LENGTHS[at].1))
}

/// The number that begins at byte `start` (the first letter of a word). A known country and the right length
/// with wrong check digits is reported too, unvalidated: a mistyped account number is still one.
pub(crate) fn at(text: &[u8], start: usize) -> Option<Match> {
    let head = text.get(start..start + 4)?;
    if !head[0].is_ascii_alphabetic() || !head[1].is_ascii_alphabetic() || !head[2].is_ascii_digit() {
        return None;
    }
    let length = length_of([head[0].to_ascii_uppercase(), head[1].to_ascii_uppercase()])?;
    let mut compact = [0u8; 34];
    let (mut read, mut at, mut gap, mut upper, mut lower) = (0, start, 0, false, false);
    while read < length {
        let byte = *text.get(at)?;
        if byte.is_ascii_alphanumeric() {
            upper |= byte.is_ascii_uppercase();
            lower |= byte.is_ascii_lowercase();
            compact[read] = byte.to_ascii_uppercase();
            read += 1;
            gap = 0;
        } else if (byte == b' ' || byte == b'-') && gap == 0 && read >= 4 {
            gap = 1;
        } else {
            return None;
        }
        at += 1;
    }
    let compact = &compact[..length];
    if text.get(at).is_some_and(u8::is_ascii_alphanumeric)
        || !compact[2..4].iter().all(u8::is_ascii_digit)
        || upper && lower
    {
        return None;
    }
    let validated = is_valid_compact(compact);
    // What has the shape alone must look like an account: mostly digits.
    let digits = compact[4..].iter().filter(|byte| byte.is_ascii_digit()).count();
    if !validated && digits * 2 < length - 4 {
        return None;
    }
    Some(Match { kind: Kind::IBAN, start, end: at, confidence: if validated { 99 } else { 60 }, validated })
}

fn is_valid_compact(compact: &[u8]) -> bool {
    mod97(compact[4..].iter().chain(&compact[..4])) == Some(1)
}

#[cfg(test)]
mod tests {
    use super::{LENGTHS, at};

    fn is_iban(value: &str) -> bool {
        at(value.as_bytes(), 0).is_some_and(|found| found.validated && found.end == value.len())
    }

    #[test]
    fn examples_of_the_registry() {
        for valid in [
            "GB82 WEST 1234 5698 7654 32",
            "DE89370400440532013000",
            "NO9386011117947",
            "MT84MALT011000012345MTLCAST001S",
            "gb82west12345698765432",
        ] {
            assert!(is_iban(valid), "{valid}");
        }
        for invalid in ["GB82 WEST 1234 5698 7654 33", "DE8937040044053201300", "XX89370400440532013000", "GB82 WEST"] {
            assert!(!is_iban(invalid), "{invalid}");
        }
    }

    #[test]
    fn countries_are_sorted_for_the_search() {
        assert!(LENGTHS.is_sorted_by_key(|(code, _)| *code));
    }
}
