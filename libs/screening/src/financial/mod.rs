//! Bank accounts, payment cards and routing numbers.

pub(crate) mod card;
pub(crate) mod iban;

use crate::checks::{one_digit_only, two, weighted};

/// ABA routing numbers: weights 3, 7, 1 and the ranges of the Federal Reserve's districts.
pub(crate) fn is_aba_routing(digits: &[u8]) -> bool {
    digits.len() == 9
        && matches!(two(digits, 0), 0..=12 | 21..=32 | 61..=72 | 80)
        && weighted(digits, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10)
        && !one_digit_only(digits)
}
