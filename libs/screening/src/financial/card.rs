//! Payment cards: issuer's range and length (ISO/IEC 7812), Luhn's sum.

use crate::checks::{luhn, number, one_digit_only};

/// The scheme whose range holds this number of this length; the sum is not looked at.
pub(crate) fn scheme(digits: &[u8]) -> Option<&'static str> {
    let six = number(digits.get(..6)?)? as u32;
    let length = digits.len();
    let is = |lengths: std::ops::RangeInclusive<usize>| lengths.contains(&length);
    let name = match six {
        // Uruguay's and Argentina's schemes and Brazil's Elo lie inside the larger ranges.
        400_000..=499_999 if matches!(length, 13 | 16 | 19) => "Visa",
        510_000..=559_999 | 222_100..=272_099 if length == 16 => "Mastercard",
        340_000..=349_999 | 370_000..=379_999 if length == 15 => "American Express",
        300_000..=305_999 | 309_500..=309_599 | 360_000..=369_999 | 380_000..=399_999 if is(14..=19) => "Diners Club",
        // 3528 to 3589 are given out today; a neighbour masked by mistake costs less than a card that is missed.
        350_000..=359_999 if is(16..=19) => "JCB",
        213_100..=213_199 | 180_000..=180_099 if length == 15 => "JCB",
        100_000..=199_999 if length == 15 => "UATP",
        601_100..=601_199 | 644_000..=659_999 if is(16..=19) => "Discover",
        620_000..=629_999 | 810_000..=817_199 if is(16..=19) => "UnionPay",
        220_000..=220_499 if is(16..=19) => "Mir",
        979_200..=979_289 if length == 16 => "Troy",
        506_099..=506_198 | 650_002..=650_027 if is(16..=19) => "Verve",
        508_500..=508_999 | 606_985..=607_984 | 608_001..=608_500 | 817_200..=820_199 if length == 16 => "RuPay",
        500_000..=509_999 | 560_000..=589_999 | 600_000..=699_999 if is(12..=19) => "Maestro",
        _ => return None,
    };
    Some(name)
}

/// True for a number of a known issuer whose sum is right.
pub(crate) fn is_card(digits: &[u8]) -> bool {
    (12..=19).contains(&digits.len()) && scheme(digits).is_some() && luhn(digits) && !one_digit_only(digits)
}

/// True for groups as cards are printed: all fours, or 4-6-5, 4-6-4 and their like.
pub(crate) fn is_card_grouping(groups: &[u8]) -> bool {
    match groups {
        [_] | [4, 6, 3..=5] | [4, 5, 6] | [4, 3, 3, 4] | [6, 10 | 13] | [8, 8] => true,
        [fours @ .., last] => fours.iter().all(|group| *group == 4) && (1..=4).contains(last) && fours.len() >= 2,
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_card, is_card_grouping, scheme};

    #[test]
    fn test_numbers_of_the_schemes() {
        for (number, name) in [
            ("4111111111111111", "Visa"),
            ("5555555555554444", "Mastercard"),
            ("2223003122003222", "Mastercard"),
            ("378282246310005", "American Express"),
            ("30569309025904", "Diners Club"),
            ("6011111111111117", "Discover"),
            ("3530111333300000", "JCB"),
            ("6240008631401148", "UnionPay"),
            ("6759649826438453", "Maestro"),
        ] {
            assert_eq!(scheme(number.as_bytes()), Some(name));
            assert!(is_card(number.as_bytes()), "{number}");
        }
        assert!(!is_card(b"4111111111111112") && !is_card(b"9111111111111111") && !is_card(b"0000000000000000"));
    }

    #[test]
    fn groups_as_printed() {
        assert!(is_card_grouping(&[4, 4, 4, 4]) && is_card_grouping(&[4, 6, 5]) && is_card_grouping(&[16]));
        assert!(!is_card_grouping(&[3, 3, 3, 3]) && !is_card_grouping(&[2, 14]));
    }
}
