//! Anchors: a quote that can be found again.

use crate::char_index::CharIndex;
use carrel_domain::text::Span;
use serde::{Deserialize, Serialize};

/// Code points kept before and after a quote.
pub const CONTEXT_CHARS: u32 = 32;

/// A quote with its surroundings and its position: the text quote and text position selectors of the W3C Web
/// Annotation Data Model (sections 4.2.4 and 4.2.5).
///
/// ```
/// use carrel_domain::text::Span;
/// use carrel_text::Anchor;
///
/// let text = "The cat sat. The cat ran.";
/// let anchor = Anchor::of(text, Span::new(17, 20).unwrap()).unwrap();
/// assert_eq!(anchor.exact, "cat");
/// assert_eq!(anchor.find("Look: The cat sat. The cat ran."), Span::new(23, 26));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// The quoted text.
    pub exact: String,
    /// Up to [`CONTEXT_CHARS`] code points before it.
    pub prefix: String,
    /// Up to [`CONTEXT_CHARS`] code points after it.
    pub suffix: String,
    /// Where it was quoted from.
    pub span: Span,
}

impl Anchor {
    /// The anchor of `span` in `text`; `None` when the span is empty or reaches past the end.
    pub fn of(text: &str, span: Span) -> Option<Self> {
        Self::with_index(&CharIndex::new(text), span)
    }

    /// Like [`Anchor::of`], for many anchors in one text.
    pub fn with_index(index: &CharIndex<'_>, span: Span) -> Option<Self> {
        if span.is_empty() {
            return None;
        }
        let exact = index.slice(span)?;
        let prefix = index.slice(Span::new(span.start.saturating_sub(CONTEXT_CHARS), span.start)?)?;
        let suffix = index.slice(Span::new(span.end, span.end.saturating_add(CONTEXT_CHARS).min(index.len()))?)?;
        Some(Self { exact: exact.to_owned(), prefix: prefix.to_owned(), suffix: suffix.to_owned(), span })
    }

    /// Where the quote is in `text`, which may be another version: its old place when the text and its
    /// surroundings are still there; else the occurrence whose surroundings agree most, the nearest of equals.
    /// `None` when the exact words are gone.
    pub fn find(&self, text: &str) -> Option<Span> {
        if self.exact.is_empty() {
            return None;
        }
        let index = CharIndex::new(text);
        let best_possible = self.prefix.chars().count() + self.suffix.chars().count();
        if index.slice(self.span) == Some(&self.exact) {
            let (start, end) = (index.byte_of(self.span.start)?, index.byte_of(self.span.end)?);
            if self.agreement(&text[..start], &text[end..]) == best_possible {
                return Some(self.span);
            }
        }
        let length = self.exact.chars().count() as u32;
        let mut best: Option<(usize, u32, Span)> = None;
        // Overlapping occurrences count too, so the search resumes one character after each start.
        let first_char = self.exact.chars().next().map_or(1, char::len_utf8);
        let mut from = 0;
        let mut seen = 0;
        while let Some(found) = text[from..].find(&self.exact) {
            let byte = from + found;
            let start = index.char_of(byte)?;
            let agreement = self.agreement(&text[..byte], &text[byte + self.exact.len()..]);
            let distance = start.abs_diff(self.span.start);
            if best.is_none_or(|(a, d, _)| agreement > a || (agreement == a && distance < d)) {
                best = Some((agreement, distance, Span::new(start, start + length)?));
            }
            seen += 1;
            // A long quote in a text that repeats one character would make overlapping search quadratic.
            from = byte + if seen < 1000 { first_char } else { self.exact.len() };
        }
        best.map(|(_, _, span)| span)
    }

    /// Code points of the surroundings that agree, counted outwards from the quote.
    fn agreement(&self, before: &str, after: &str) -> usize {
        let prefix = self.prefix.chars().rev().zip(before.chars().rev()).take_while(|(a, b)| a == b).count();
        let suffix = self.suffix.chars().zip(after.chars()).take_while(|(a, b)| a == b).count();
        prefix + suffix
    }
}

#[cfg(test)]
mod tests {
    use super::Anchor;
    use carrel_domain::text::Span;
    use proptest::prelude::*;

    #[test]
    fn a_quote_that_is_gone_is_not_found() {
        let anchor = Anchor::of("one two three", Span::new(4, 7).unwrap()).unwrap();
        assert_eq!(anchor.find("one 2 three"), None);
        assert_eq!(Anchor::of("one", Span::new(1, 9).unwrap()), None);
        assert_eq!(Anchor::of("one", Span::new(1, 1).unwrap()), None);
    }

    #[test]
    fn surroundings_decide_between_equal_quotes() {
        let anchor = Anchor::of("für 2023: 40 Mio. für 2024: 40 Mio.", Span::new(28, 30).unwrap()).unwrap();
        assert_eq!(anchor.exact, "40");
        assert_eq!(anchor.find("für 2024: 40 Mio. für 2023: 40 Mio."), Span::new(10, 12));
    }

    #[test]
    fn repeated_text_is_searched_in_linear_time() {
        let text = "a".repeat(1_000_000);
        let mut anchor = Anchor::of(&text, Span::new(5, 100_005).unwrap()).unwrap();
        anchor.prefix = "b".into();
        assert!(anchor.find(&text).is_some());
    }

    proptest! {
        #[test]
        fn every_quote_is_found_where_it_was_taken(text in "[ab ß世]{1,80}", start in 0u32..80, length in 1u32..20) {
            if let Some(anchor) = Anchor::of(&text, Span::new(start, start + length).unwrap()) {
                prop_assert_eq!(anchor.find(&text), Some(anchor.span));
            }
        }
    }
}
