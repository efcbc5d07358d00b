//! Check digits: the arithmetic behind identifiers. Every function takes ASCII; a byte that is no digit fails.

/// The value of an ASCII digit; 0 for anything else (callers have checked the shape).
pub(crate) fn digit(byte: u8) -> u32 {
    u32::from(byte.wrapping_sub(b'0')) * u32::from(byte.is_ascii_digit())
}

/// The number written by ASCII digits (at most 19 of them); `None` when another byte is among them.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |sum, byte| {
        byte.is_ascii_digit().then(|| sum.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')))
    })
}

/// True when all digits are the same, as in `000-00-0000`: valid for many sums, given to nobody.
pub(crate) fn one_digit_only(digits: &[u8]) -> bool {
    digits.windows(2).all(|pair| pair[0] == pair[1])
}

/// The sum of digits times weights; the shorter of both decides the length.
pub(crate) fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(byte, weight)| digit(*byte) * weight).sum()
}

/// ISO/IEC 7812-1 annex B: doubles every second digit from the right; the sum must end in 0.
pub(crate) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let value = digit(*byte) << (place & 1);
            value - 9 * u32::from(value > 9)
        })
        .sum();
    !digits.is_empty() && sum.is_multiple_of(10)
}

/// ISO/IEC 7064 MOD 97-10 over digits and letters (`A` = 10 … `Z` = 35), as IBAN uses it.
pub(crate) fn mod97<'a>(characters: impl IntoIterator<Item = &'a u8>) -> Option<u32> {
    characters.into_iter().try_fold(0u32, |rest, byte| match byte {
        b'0'..=b'9' => Some((rest * 10 + u32::from(byte - b'0')) % 97),
        b'A'..=b'Z' => Some((rest * 100 + u32::from(byte - b'A') + 10) % 97),
        _ => None,
    })
}

/// ISO/IEC 7064 MOD 11,10, check digit last (German tax numbers, Croatian OIB).
pub(crate) fn mod11_10(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let mut product = 10;
    for byte in body {
        let sum = match (digit(*byte) + product) % 10 {
            0 => 10,
            sum => sum,
        };
        product = sum * 2 % 11;
    }
    (11 - product) % 10 == digit(*check)
}

/// ISO/IEC 7064 MOD 11-2, last character a digit or `X` (Chinese resident numbers, ISNI).
pub(crate) fn mod11_2(characters: &[u8]) -> bool {
    let Some((check, body)) = characters.split_last() else { return false };
    let rest = body.iter().fold(0, |rest, byte| (rest + digit(*byte)) * 2 % 11);
    let expected = (12 - rest) % 11;
    if expected == 10 { *check == b'X' } else { check.is_ascii_digit() && digit(*check) == expected }
}

/// Verhoeff's dihedral check (1969), check digit last (Aadhaar, Luxembourg).
pub(crate) fn verhoeff(digits: &[u8]) -> bool {
    const PERMUTATION: [[u8; 10]; 8] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
        [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
        [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
        [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
        [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
        [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
        [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
    ];
    // Multiplication in the dihedral group of order ten: rotations 0 to 4, reflections 5 to 9.
    fn multiply(a: u8, b: u8) -> u8 {
        match (a < 5, b < 5) {
            (true, true) => (a + b) % 5,
            (true, false) => (a + b - 5) % 5 + 5,
            (false, true) => (a - 5 + 5 - b) % 5 + 5,
            (false, false) => (a + 5 - b) % 5,
        }
    }
    digits
        .iter()
        .rev()
        .enumerate()
        .fold(0, |sum, (place, byte)| multiply(sum, PERMUTATION[place % 8][digit(*byte) as usize]))
        == 0
}

/// True for a day that exists; a two-digit `year` is read as 20xx, so 29 February counts in 00, 04, ….
pub(crate) fn is_date(year: u32, month: u32, day: u32) -> bool {
    let year = if year < 100 { 2000 + year } else { year };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    (1..=days).contains(&day)
}

/// Two digits at `at` as a number.
pub(crate) fn two(digits: &[u8], at: usize) -> u32 {
    digit(digits[at]) * 10 + digit(digits[at + 1])
}

/// True when digits 0..6 are a day as `YYMMDD`.
pub(crate) fn starts_with_yymmdd(digits: &[u8]) -> bool {
    is_date(two(digits, 0), two(digits, 2), two(digits, 4))
}

/// True when digits 0..6 are a day as `DDMMYY`.
pub(crate) fn starts_with_ddmmyy(digits: &[u8]) -> bool {
    is_date(two(digits, 4), two(digits, 2), two(digits, 0))
}

#[cfg(test)]
mod tests {
    use super::{is_date, luhn, mod11_2, mod11_10, mod97, verhoeff};

    #[test]
    fn published_examples_pass_and_their_neighbours_fail() {
        // The examples of the standards' own texts and of Wikipedia's articles on them.
        assert!(luhn(b"79927398713") && !luhn(b"79927398710"));
        assert_eq!(mod97(b"WEST12345698765432GB82"), Some(1));
        assert!(mod11_10(b"07945") && !mod11_10(b"07946"));
        assert!(mod11_2(b"07940"));
        assert!(mod11_2(b"11010519491231002X") && !mod11_2(b"110105194912310021"));
        assert!(verhoeff(b"2363") && !verhoeff(b"2364"));
        assert!(!luhn(b""));
    }

    #[test]
    fn every_single_error_and_swap_is_found_by_verhoeff() {
        let valid = b"234123412346";
        assert!(verhoeff(valid));
        for place in 0..valid.len() {
            for other in b'0'..=b'9' {
                let mut changed = *valid;
                changed[place] = other;
                assert_eq!(verhoeff(&changed), other == valid[place]);
            }
        }
    }

    #[test]
    fn days_follow_the_calendar() {
        assert!(is_date(2024, 2, 29) && !is_date(2023, 2, 29) && !is_date(1900, 2, 29));
        assert!(is_date(0, 2, 29) && !is_date(99, 13, 1) && !is_date(99, 1, 0));
    }
}
