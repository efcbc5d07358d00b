//! Identifiers that states give to people and firms, with their check digits; one file per group of countries.
//!
//! A [`Spec`] names its forms (`9` a digit, `A` a letter, anything else itself) and the arithmetic behind them.
//! A number of nine to eleven digits passes some country's sum nine times out of ten, so most are believed only
//! beside a word that names them ([`Belief`]).

mod africa_oceania;
mod americas;
mod asia;
mod central_europe;
mod eastern_europe;
mod northern_europe;
mod southern_europe;
mod western_europe;

use crate::kind::{Category, Kind};

/// When a value with the right form and sum is believed without a word beside it that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Belief {
    /// Letters or two checks make accidents rare.
    Always,
    /// When it is written with its separators.
    Written,
    /// Only beside such a word (or below such a heading).
    Named,
}

/// One kind of identifier.
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    /// ISO 3166 code of the country.
    pub(crate) country: &'static str,
    /// Ways of writing it, separated by `|`.
    pub(crate) forms: &'static str,
    /// Words that announce it, lower case.
    pub(crate) words: &'static [&'static str],
    pub(crate) belief: Belief,
    /// Takes the upper-case letters and digits without separators.
    pub(crate) check: fn(&[u8]) -> bool,
    /// Where numbers without check digits were given out or are often mistyped: what is reported, unvalidated,
    /// beside a word that names it.
    pub(crate) plausible: Option<fn(&[u8]) -> bool>,
}

impl Spec {
    const fn or_plausible(mut self, plausible: fn(&[u8]) -> bool) -> Self {
        self.plausible = Some(plausible);
        self
    }
}

const fn spec(
    id: &'static str,
    country: &'static str,
    forms: &'static str,
    belief: Belief,
    words: &'static [&'static str],
    check: fn(&[u8]) -> bool,
) -> Spec {
    Spec { kind: Kind::new(id, Category::NationalId), country, forms, words, belief, check, plausible: None }
}

/// All of them, in the order in which they are tried.
pub(crate) fn specs() -> impl Iterator<Item = &'static Spec> {
    [
        western_europe::SPECS,
        southern_europe::SPECS,
        northern_europe::SPECS,
        central_europe::SPECS,
        eastern_europe::SPECS,
        americas::SPECS,
        asia::SPECS,
        africa_oceania::SPECS,
    ]
    .into_iter()
    .flatten()
}

/// Countries with at least one identifier, sorted.
pub fn countries() -> Vec<&'static str> {
    let set: std::collections::BTreeSet<_> = specs().map(|spec| spec.country).collect();
    set.into_iter().collect()
}

/// True when `value`, written with or without its separators, is a well-formed identifier of this kind whose
/// check digits agree; `false` for kinds that are no identifiers.
///
/// ```
/// use carrel_screening::{Kind, identity};
///
/// let nif = Kind::parse("national_id.es.nif").unwrap();
/// assert!(identity::is_valid(nif, "12345678Z"));
/// assert!(!identity::is_valid(nif, "12345678A"));
/// ```
pub fn is_valid(kind: Kind, value: &str) -> bool {
    let value = value.trim();
    let mut compact = [0u8; 42];
    let Some(length) = compact_into(value.as_bytes(), &mut compact) else { return false };
    let compact = &compact[..length];
    let shape = shape_of(value.as_bytes());
    specs().filter(|spec| spec.kind == kind).any(|spec| {
        let fits = |form: &str| shape.is_some() && shape == shape_of(form.as_bytes());
        spec.forms.split('|').any(fits) && (spec.check)(compact)
    })
}

/// Copies letters (upper case) and digits; `None` when they do not fit or the value is not ASCII.
pub(crate) fn compact_into(value: &[u8], compact: &mut [u8; 42]) -> Option<usize> {
    let mut length = 0;
    for byte in value {
        if byte.is_ascii_alphanumeric() {
            *compact.get_mut(length)? = byte.to_ascii_uppercase();
            length += 1;
        } else if !byte.is_ascii() && !matches!(byte, 0xc2 | 0xa0) {
            return None;
        }
    }
    Some(length)
}

/// The form of a text in three bits a character, so that one number stands for `99-A`; `None` above 42
/// characters or with a character that no identifier has.
pub(crate) fn shape_of(text: &[u8]) -> Option<u128> {
    let mut shape = 0;
    let mut length = 0;
    for byte in text {
        // The first byte of a no-break space adds nothing, its second is a space.
        if *byte == 0xc2 {
            continue;
        }
        length += 1;
        shape = shape << 3 | shape_of_byte(*byte)?;
    }
    (length <= 42).then_some(shape)
}

pub(crate) fn shape_of_byte(byte: u8) -> Option<u128> {
    Some(match byte {
        b'0'..=b'9' => 1,
        b'A'..=b'Z' | b'a'..=b'z' => 2,
        b'-' => 3,
        b' ' | 0xa0 => 4,
        b'.' => 5,
        b'/' => 6,
        b'+' | b'(' | b')' | b'_' => 7,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{countries, shape_of, specs};

    #[test]
    fn at_least_fifteen_countries_are_known() {
        assert!(countries().len() >= 40, "{}", countries().len());
    }

    #[test]
    fn every_form_has_a_shape_and_every_spec_words() {
        for spec in specs() {
            assert!(spec.forms.split('|').all(|form| shape_of(form.as_bytes()).is_some()), "{}", spec.kind);
            assert!(!spec.words.is_empty(), "{}", spec.kind);
            assert!(spec.words.iter().all(|word| *word == word.to_lowercase()), "{}", spec.kind);
        }
    }

    #[test]
    fn no_check_panics_on_any_text_of_its_shape() {
        for spec in specs() {
            for form in spec.forms.split('|') {
                for (digit, letter) in [('0', 'A'), ('9', 'Z'), ('1', 'X'), ('5', 'O')] {
                    let text: String = form
                        .chars()
                        .filter(char::is_ascii_alphanumeric)
                        .map(|c| if c == '9' { digit } else { letter })
                        .collect();
                    let _ = (spec.check)(text.as_bytes());
                }
            }
        }
    }
}
