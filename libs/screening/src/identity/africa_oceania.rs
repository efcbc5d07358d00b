//! South Africa, Australia, New Zealand.

use super::{Belief, Spec, spec};
use crate::checks::{digit, luhn, number, one_digit_only, starts_with_yymmdd, weighted};

pub(super) const SPECS: &[Spec] = &[
    spec(
        "national_id.za.id",
        "ZA",
        "9999999999999|999999 9999 999|999999 9999 99 9",
        Belief::Named,
        &["id number", "identity number", "south african id", "rsa id", "identiteitsnommer", "refugee id"],
        |id| starts_with_yymmdd(id) && matches!(id[10], b'0'..=b'2') && luhn(id),
    ),
    spec(
        "national_id.au.tfn",
        "AU",
        "999999999|999 999 999|99999999|999-999-999",
        Belief::Named,
        &["tfn", "tax file number"],
        tfn,
    ),
    spec(
        "national_id.au.medicare",
        "AU",
        "9999999999|9999 99999 9|99999999999|9999 99999 9 9",
        Belief::Named,
        &["medicare"],
        medicare,
    ),
    spec("national_id.au.abn", "AU", "99 999 999 999|99999999999", Belief::Named, &["abn", "australian business"], abn),
    spec("national_id.au.acn", "AU", "999 999 999|999999999", Belief::Named, &["acn", "australian company"], acn),
    spec(
        "national_id.nz.ird",
        "NZ",
        "99-999-999|999-999-999|99999999|999999999",
        Belief::Named,
        &["ird", "inland revenue"],
        ird,
    ),
];

fn tfn(id: &[u8]) -> bool {
    let sum = if id.len() == 9 {
        weighted(id, &[1, 4, 3, 7, 5, 8, 6, 9, 10])
    } else {
        weighted(id, &[10, 7, 8, 4, 6, 3, 5, 1])
    };
    sum.is_multiple_of(11) && !one_digit_only(id)
}

fn medicare(id: &[u8]) -> bool {
    (b'2'..=b'6').contains(&id[0]) && weighted(id, &[1, 3, 7, 9, 1, 3, 7, 9]) % 10 == digit(id[8])
}

/// One is taken from the first digit before the weights apply (Australian Business Register).
fn abn(id: &[u8]) -> bool {
    let sum = weighted(id, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
    id[0] != b'0' && (sum - 10).is_multiple_of(89)
}

fn acn(id: &[u8]) -> bool {
    (10 - weighted(id, &[8, 7, 6, 5, 4, 3, 2, 1]) % 10) % 10 == digit(id[8])
}

fn ird(id: &[u8]) -> bool {
    let Some(whole) = number(id) else { return false };
    if !(10_000_000..=150_000_000).contains(&whole) {
        return false;
    }
    let mut digits = [b'0'; 9];
    digits[9 - id.len()..].copy_from_slice(id);
    let check = |weights: &[u32]| (11 - weighted(&digits, weights) % 11) % 11;
    let first = check(&[3, 2, 7, 6, 5, 4, 3, 2]);
    let found = if first == 10 { check(&[7, 4, 3, 2, 5, 2, 7, 6]) } else { first };
    found == digit(digits[8])
}

#[cfg(test)]
mod tests {
    use crate::identity::is_valid;
    use crate::kind::Kind;

    #[test]
    fn published_specimens_are_valid_and_changed_ones_are_not() {
        for (kind, valid, invalid) in [
            ("za.id", "8001015009087", "8001015009088"),
            ("au.tfn", "876 543 210", "876 543 211"),
            ("au.medicare", "2123 45670 1", "2123 45671 1"),
            ("au.abn", "51 824 753 556", "52 824 753 556"),
            ("au.acn", "004 085 616", "004 085 617"),
            ("nz.ird", "49-091-850", "49-091-851"),
        ] {
            let kind = Kind::parse(&format!("national_id.{kind}")).unwrap();
            assert!(is_valid(kind, valid), "{kind} {valid}");
            assert!(!is_valid(kind, invalid), "{kind} {invalid}");
        }
    }
}
