//! Romania, Bulgaria, Ukraine, Russia, Kazakhstan.

use super::{Belief, Spec, spec};
use crate::checks::{digit, is_date, number, one_digit_only, two, weighted};

pub(super) const SPECS: &[Spec] = &[
    spec("national_id.ro.cnp", "RO", "9999999999999", Belief::Always, &["cnp", "cod numeric personal"], cnp),
    spec("national_id.bg.egn", "BG", "9999999999", Belief::Named, &["egn", "егн", "единен граждански"], egn),
    spec(
        "national_id.ua.rnokpp",
        "UA",
        "9999999999",
        Belief::Named,
        &["rnokpp", "рнокпп", "іпн", "ідентифікаційний", "ipn"],
        rnokpp,
    ),
    spec(
        "national_id.ru.snils",
        "RU",
        "999-999-999 99|99999999999|999-999-999-99",
        Belief::Written,
        &["snils", "снилс"],
        snils,
    ),
    spec("national_id.ru.inn", "RU", "9999999999|999999999999", Belief::Named, &["инн", "inn"], inn),
    spec("national_id.kz.iin", "KZ", "999999999999", Belief::Named, &["иин", "жсн", "iin", "жеке сәйкестендіру"], iin),
];

fn cnp(id: &[u8]) -> bool {
    let check = weighted(id, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
    let check = if check == 10 { 1 } else { check };
    let county = two(id, 7);
    id[0] != b'0'
        && is_date(two(id, 1), two(id, 3), two(id, 5))
        && (matches!(county, 1..=48 | 51 | 52 | 70 | 80..=83))
        && check == digit(id[12])
}

/// The month carries the century: 18xx +20, 20xx +40.
fn egn(id: &[u8]) -> bool {
    let check = weighted(id, &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10;
    is_date(two(id, 0), two(id, 2) % 20, two(id, 4)) && check == digit(id[9])
}

fn rnokpp(id: &[u8]) -> bool {
    let sum: i32 =
        id[..9].iter().zip([-1, 5, 7, 9, 4, 6, 10, 5, 7]).map(|(byte, weight)| digit(*byte) as i32 * weight).sum();
    sum.rem_euclid(11) % 10 == digit(id[9]) as i32 && !one_digit_only(id)
}

fn snils(id: &[u8]) -> bool {
    let sum = weighted(id, &[9, 8, 7, 6, 5, 4, 3, 2, 1]) % 101 % 100;
    number(&id[9..]) == Some(u64::from(sum)) && !one_digit_only(id)
}

fn inn(id: &[u8]) -> bool {
    let check = |weights: &[u32]| weighted(id, weights) % 11 % 10;
    if id.len() == 10 {
        return check(&[2, 4, 10, 3, 5, 9, 4, 6, 8]) == digit(id[9]) && !one_digit_only(id);
    }
    check(&[7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) == digit(id[10])
        && check(&[3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) == digit(id[11])
}

fn iin(id: &[u8]) -> bool {
    let mut check = weighted(id, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]) % 11;
    if check == 10 {
        check = weighted(id, &[3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2]) % 11;
    }
    is_date(two(id, 0), two(id, 2), two(id, 4)) && check == digit(id[11])
}

#[cfg(test)]
mod tests {
    use crate::identity::is_valid;
    use crate::kind::Kind;

    #[test]
    fn published_specimens_are_valid_and_changed_ones_are_not() {
        for (kind, valid, invalid) in [
            ("ro.cnp", "1800101221144", "1800101221145"),
            ("bg.egn", "7523169263", "7523169264"),
            ("ua.rnokpp", "1759013776", "1759013777"),
            ("ru.snils", "112-233-445 95", "112-233-445 96"),
            ("ru.inn", "7707083893", "7707083894"),
            ("ru.inn", "500100732259", "500100732250"),
        ] {
            let kind = Kind::parse(&format!("national_id.{kind}")).unwrap();
            assert!(is_valid(kind, valid), "{kind} {valid}");
            assert!(!is_valid(kind, invalid), "{kind} {invalid}");
        }
    }
}
