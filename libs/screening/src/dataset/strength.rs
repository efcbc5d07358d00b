//! How well a password withstands guessing.
//!
//! zxcvbn needs a tenth of a millisecond and more for each password, so a set's passwords are judged by it up to
//! [`SAMPLES`], after the first thousand every sixty-fourth row; the others by length and variety.

use serde::Serialize;

/// Passwords of one set that zxcvbn judges.
const SAMPLES: u64 = 3000;
/// Of these, how many come first; the rest are one row in sixty-four.
const FIRST: u64 = 1000;
/// Longer passwords are judged by their beginning.
const LONGEST: usize = 72;

/// Score of zxcvbn, 0 (guessed at once) to 4 (very strong); below 3 is weak.
///
/// ```
/// use carrel_screening::dataset::strength;
///
/// assert!(strength("hunter2", &[]) < 3);
/// assert!(strength("plinth-orbit-kazoo-quilt-93", &[]) >= 3);
/// ```
pub fn strength(password: &str, of_the_user: &[&str]) -> u8 {
    let end = password.char_indices().nth(LONGEST).map_or(password.len(), |(byte, _)| byte);
    u8::from(zxcvbn::zxcvbn(&password[..end], of_the_user).score())
}

/// How strong a set's passwords are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StrengthReport {
    /// Passwords seen.
    pub passwords: u64,
    /// Of these, weak.
    pub weak: u64,
    /// Judged by zxcvbn; the others by length and variety.
    pub estimated: u64,
    /// Judged by zxcvbn, by score 0 to 4.
    pub scores: [u64; 5],
    /// Known to be breached, where a service was asked.
    pub breached: u64,
}

impl StrengthReport {
    /// Judges one password; true when it is weak. `row` decides whether it is among the samples.
    pub(super) fn judge(&mut self, password: &str, row: u64) -> bool {
        self.passwords += 1;
        let chosen = self.estimated < FIRST || self.estimated < SAMPLES && row.is_multiple_of(64);
        let weak = if chosen {
            let score = strength(password, &[]);
            self.estimated += 1;
            self.scores[usize::from(score).min(4)] += 1;
            score < 3
        } else {
            is_plainly_weak(password)
        };
        self.weak += u64::from(weak);
        weak
    }
}

/// Too short, or of one or two sorts of characters only.
fn is_plainly_weak(password: &str) -> bool {
    let length = password.chars().count();
    let sorts = [
        password.bytes().any(|byte| byte.is_ascii_lowercase()),
        password.bytes().any(|byte| byte.is_ascii_uppercase()),
        password.bytes().any(|byte| byte.is_ascii_digit()),
        password.bytes().any(|byte| !byte.is_ascii_alphanumeric()),
    ];
    let sorts = sorts.into_iter().filter(|sort| *sort).count();
    length < 10 || sorts == 1 && length < 16 || sorts == 2 && length < 12
}

#[cfg(test)]
mod tests {
    use super::StrengthReport;

    #[test]
    fn only_samples_are_estimated() {
        let mut report = StrengthReport::default();
        for number in 0..1100 {
            report.judge("123456", number * 2 + 1);
        }
        assert_eq!((report.passwords, report.weak, report.estimated), (1100, 1100, 1000));
        assert!(!report.judge("v8#Lq!29zRw_tP", 1));
    }
}
