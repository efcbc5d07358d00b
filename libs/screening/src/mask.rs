//! Masks: for eyes a short hint of the value, for models and the index dots of the same length.

use crate::ScreeningError;
use crate::detection::Detection;
use crate::kind::{Category, Kind};
use aho_corasick::{AhoCorasick, MatchKind};
use carrel_domain::text::Span;
use std::collections::BTreeSet;

/// What stands for a hidden character.
pub const DOT: char = '•';

/// The value for human eyes: enough to recognise one's own, too little to use.
///
/// ```
/// use carrel_screening::{Kind, mask};
///
/// assert_eq!(mask::display(Kind::CARD, "4111 1111 1111 1111"), "•••• •••• •••• 1111");
/// assert_eq!(mask::display(Kind::EMAIL, "ann@example.org"), "a••@•••••••.org");
/// assert_eq!(mask::display(Kind::PASSWORD, "hunter2"), "••••••••");
/// ```
pub fn display(kind: Kind, value: &str) -> String {
    match kind {
        Kind::EMAIL => email(value),
        Kind::CARD => keep_last(value, 4),
        Kind::PHONE => keep_last(value, 2),
        Kind::IBAN => {
            // The country and the last two characters.
            let mut masked = keep_last(value, 2);
            let country: String = value.chars().take(2).collect();
            let rest: String = masked.chars().skip(2).collect();
            masked = country + &rest;
            masked
        }
        Kind::IPV4 | Kind::IPV6 | Kind::MAC => network(value),
        kind => match kind.category() {
            // Not even the length of a secret is shown; the mark of its service is public.
            Category::Credential => format!("{}••••••••", mark(value)),
            Category::PasswordHash => format!("{}••••••••", if value.starts_with('$') { hash_mark(value) } else { "" }),
            Category::Wallet => {
                let first: String = value.chars().take(3).collect();
                format!("{first}••••••••")
            }
            _ => keep_last(value, 0),
        },
    }
}

fn dots(text: &str) -> String {
    text.chars().map(|c| if c.is_alphanumeric() { DOT } else { c }).collect()
}

/// All letters and digits but the last `kept` become dots; short values become dots whole.
fn keep_last(value: &str, kept: usize) -> String {
    let total = value.chars().filter(|c| c.is_alphanumeric()).count();
    let hidden = if total >= kept * 3 { total - kept } else { total };
    let mut seen = 0;
    value
        .chars()
        .map(|c| {
            seen += usize::from(c.is_alphanumeric());
            if c.is_alphanumeric() && seen <= hidden { DOT } else { c }
        })
        .collect()
}

fn email(value: &str) -> String {
    let Some((local, domain)) = value.rsplit_once('@') else { return dots(value) };
    let mut masked = String::new();
    let mut characters = local.chars();
    let many = local.chars().count() > 2;
    if let Some(first) = characters.next() {
        masked.push(if many { first } else { DOT });
    }
    masked.extend(characters.map(|_| DOT));
    masked.push('@');
    match domain.rsplit_once('.') {
        Some((name, top)) => {
            masked.push_str(&dots(name));
            masked.push('.');
            masked.push_str(top);
        }
        None => masked.push_str(&dots(domain)),
    }
    masked
}

/// The first part of an address: the network, not the machine.
fn network(value: &str) -> String {
    let end = value.find(['.', ':', '-']).unwrap_or(0);
    format!("{}{}", &value[..end], dots(&value[end..]))
}

/// A public mark such as `ghp_` or `sk_live_`.
fn mark(value: &str) -> &str {
    const MARKS: [&str; 22] = [
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat_",
        "glpat-",
        "sk_live_",
        "sk_test_",
        "rk_live_",
        "xoxb-",
        "xoxp-",
        "AKIA",
        "ASIA",
        "AIza",
        "sk-ant-",
        "sk-",
        "npm_",
        "pypi-",
        "SG.",
        "hvs.",
        "-----BEGIN",
    ];
    MARKS.into_iter().find(|mark| value.starts_with(mark)).unwrap_or("")
}

fn hash_mark(value: &str) -> &str {
    value[1..].find('$').map_or("", |end| &value[..end + 2])
}

/// The text with every detection's characters replaced by [`DOT`].
///
/// The result has exactly as many code points as `text`, so every span of the original is a span of the masked
/// text: the index may see the mask and a passage found in it still points at its place. White space stays, so
/// that lines and pages keep their breaks.
///
/// ```
/// use carrel_screening::{Options, Scanner, WorkspaceKey, mask};
///
/// let scanner = Scanner::new(Options::default()).unwrap();
/// let text = "Ask ann@example.org today";
/// let found = scanner.detect(text, &WorkspaceKey::new([0; 32]));
/// assert_eq!(mask::text(text, &found), "Ask ••••••••••••••• today");
/// ```
pub fn text<'d>(text: &str, detections: impl IntoIterator<Item = &'d Detection>) -> String {
    spans(text, detections.into_iter().map(|found| found.span))
}

/// [`text`] for spans in any order; they may overlap.
pub(crate) fn spans(text: &str, spans: impl IntoIterator<Item = Span>) -> String {
    let mut spans: Vec<Span> = spans.into_iter().collect();
    spans.sort_unstable();
    let mut masked = String::with_capacity(text.len());
    let mut next = 0;
    let mut until = 0;
    for (place, character) in text.chars().enumerate() {
        let place = place as u32;
        while next < spans.len() && spans[next].start <= place {
            until = until.max(spans[next].end);
            next += 1;
        }
        masked.push(if place < until && !character.is_whitespace() { DOT } else { character });
    }
    masked
}

/// Finds values that a text hides in other texts. It holds the values, so it neither prints nor lives longer than the
/// screening of one document.
pub struct Redactor(Option<AhoCorasick>);

/// Shorter values would blot out parts of ordinary words.
const SHORTEST_REPEATED: usize = 4;

impl Redactor {
    pub(crate) fn new(text: &str, spans: impl IntoIterator<Item = Span>) -> Result<Self, ScreeningError> {
        let mut spans: Vec<Span> = spans.into_iter().collect();
        spans.sort_unstable();
        let mut values = BTreeSet::new();
        let mut offsets = text.char_indices().map(|(byte, _)| byte).chain([text.len()]);
        let (mut place, mut byte) = (0, offsets.next().unwrap_or(0));
        let mut last_end = 0;
        for span in spans {
            // Detections do not overlap; what does is inside of one that was taken already.
            if span.start < last_end || span.is_empty() {
                continue;
            }
            last_end = span.end;
            let mut seek = |target: u32| {
                while place < target {
                    byte = offsets.next().unwrap_or(text.len());
                    place += 1;
                }
                byte
            };
            let (start, end) = (seek(span.start), seek(span.end));
            let value = text.get(start..end).unwrap_or_default();
            if value.chars().count() >= SHORTEST_REPEATED {
                values.insert(value);
            }
        }
        if values.is_empty() {
            return Ok(Self(None));
        }
        let search = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(values);
        search.map(|search| Self(Some(search))).map_err(|_| ScreeningError::Table { rule: "redaction" })
    }

    /// `text` with every hidden value as [`DOT`]s.
    pub fn redact(&self, text: &str) -> String {
        let Some(search) = &self.0 else { return text.to_owned() };
        let mut redacted = String::with_capacity(text.len());
        let mut from = 0;
        for found in search.find_iter(text) {
            redacted.push_str(&text[from..found.start()]);
            redacted.extend(text[found.range()].chars().map(|c| if c.is_whitespace() { c } else { DOT }));
            from = found.end();
        }
        redacted.push_str(&text[from..]);
        redacted
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor(…)")
    }
}

/// True when both texts are the same but for what one of them hides: of one length, and equal wherever neither has a
/// [`DOT`]. Then a span means the same place in both.
pub fn agree(one: &str, other: &str) -> bool {
    let mut others = other.chars();
    one.chars().all(|a| others.next().is_some_and(|b| a == b || a == DOT || b == DOT)) && others.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::{Redactor, agree, display, spans};
    use crate::Kind;
    use carrel_domain::text::Span;

    #[test]
    fn hints_show_little() {
        assert_eq!(display(Kind::PHONE, "+49 30 901820"), "+•• •• ••••20");
        assert_eq!(display(Kind::IBAN, "DE89370400440532013000"), "DE••••••••••••••••••00");
        assert_eq!(display(Kind::IPV4, "192.168.17.4"), "192.•••.••.•");
        assert_eq!(display(Kind::EMAIL, "a@b.de"), "•@•.de");
        assert_eq!(display(Kind::GENERIC_KEY, "ghp_abc"), "ghp_••••••••");
    }

    #[test]
    fn masks_keep_the_number_of_code_points() {
        let text = "aé 世\nb";
        let masked = spans(text, [Span { start: 3, end: 6 }, Span { start: 1, end: 4 }]);
        assert_eq!(masked, "a• •\n•");
    }

    #[test]
    fn what_is_hidden_is_hidden_wherever_it_is_repeated() {
        let text = "é token ghp_abc, again";
        let redactor = Redactor::new(text, [Span { start: 8, end: 15 }]).unwrap();
        assert_eq!(redactor.redact("About ghp_abc (é)"), "About ••••••• (é)");
        assert!(!format!("{redactor:?}").contains("ghp"));
        assert_eq!(Redactor::new(text, []).unwrap().redact("ghp_abc"), "ghp_abc");
    }

    #[test]
    fn texts_agree_when_only_masks_differ() {
        assert!(agree("a•c", "abc") && agree("abc", "a•c") && agree("", ""));
        assert!(!agree("abc", "abcd") && !agree("abcd", "abc") && !agree("abc", "axc"));
    }

    proptest::proptest! {
        #[test]
        fn masking_keeps_every_span_valid(
            text in "[a-zé世 \n]{0,80}",
            places in proptest::collection::vec((0u32..90, 0u32..20), 0..8),
        ) {
            let length = text.chars().count() as u32;
            let places: Vec<Span> = places
                .into_iter()
                .map(|(start, long)| Span { start: start.min(length), end: start.saturating_add(long).min(length) })
                .collect();
            let masked = spans(&text, places.clone());
            proptest::prop_assert_eq!(masked.chars().count() as u32, length);
            proptest::prop_assert!(agree(&text, &masked));
            for (place, (before, after)) in text.chars().zip(masked.chars()).enumerate() {
                let inside = places.iter().any(|span| span.start <= place as u32 && (place as u32) < span.end);
                let hidden = inside && !before.is_whitespace();
                proptest::prop_assert_eq!(after, if hidden { super::DOT } else { before });
            }
        }
    }
}
