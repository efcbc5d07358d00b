//! Positions in text, languages, and the map of a rendition.
//!
//! Every span in Carrel counts Unicode code points of the rendition, from 0, end excluded. Bytes are an
//! implementation detail of whoever slices.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A half-open range `[start, end)` of Unicode code points in a rendition's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// First code point.
    pub start: u32,
    /// One past the last code point.
    pub end: u32,
}

impl Span {
    /// A span; `None` when `end` lies before `start`.
    pub fn new(start: u32, end: u32) -> Option<Self> {
        (start <= end).then_some(Self { start, end })
    }

    /// Number of code points covered.
    pub fn len(self) -> u32 {
        self.end - self.start
    }

    /// True when nothing is covered.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// True when at least one code point lies in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// The covered part of `text`; `None` when the span reaches past its end.
    pub fn slice(self, text: &str) -> Option<&str> {
        let mut offsets = text.char_indices().map(|(byte, _)| byte).chain([text.len()]);
        let start = offsets.nth(self.start as usize)?;
        if self.is_empty() {
            return Some(&text[start..start]);
        }
        let end = offsets.nth((self.len() - 1) as usize)?;
        Some(&text[start..end])
    }
}

/// A language as its ISO 639-1 code (`en`, `de`, `zh`), or ISO 639-3 where there is no shorter one.
/// `und` when it could not be told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Language([u8; 3]);

impl Language {
    /// Undetermined (ISO 639-2 `und`).
    pub const UNDETERMINED: Self = Self(*b"und");
    /// English.
    pub const ENGLISH: Self = Self(*b"en\0");

    /// Reads two or three ASCII letters of either case.
    pub fn parse(code: &str) -> Option<Self> {
        if !(2..=3).contains(&code.len()) || !code.bytes().all(|b| b.is_ascii_alphabetic()) {
            return None;
        }
        let mut bytes = [0; 3];
        bytes[..code.len()].copy_from_slice(code.to_ascii_lowercase().as_bytes());
        Some(Self(bytes))
    }

    /// The code in lower case.
    pub fn as_str(&self) -> &str {
        let length = if self.0[2] == 0 { 2 } else { 3 };
        std::str::from_utf8(&self.0[..length]).unwrap_or("und")
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Language {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Language {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&code).ok_or_else(|| serde::de::Error::custom("a language is two or three letters (ISO 639)"))
    }
}

/// The derived text of an original, with the map from text back to pages and sections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendition {
    /// Media type that the content was found to be (never what the name promised).
    pub media_type: String,
    /// Normalised UTF-8 text: NFC, `\n` line ends, no NUL and no other control character but tab.
    pub text: String,
    /// Title found inside the document, when there is one.
    pub title: Option<String>,
    /// Pages and sections, in order of their start.
    pub map: TextMap,
    /// What was lost or repaired, in plain words (for the job's log and the document page).
    pub warnings: Vec<String>,
}

/// Where pages and sections lie in a rendition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextMap {
    /// Pages in order; empty when the format has none.
    pub pages: Vec<PageSpan>,
    /// Headings in order of their position.
    pub sections: Vec<SectionSpan>,
}

/// One page of a paged format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageSpan {
    /// Page number as a reader counts, from 1.
    pub number: u32,
    /// Text of the page.
    pub span: Span,
}

/// One heading and the text it governs, up to the next heading of the same or a higher level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionSpan {
    /// 1 for the highest heading, up to 6.
    pub level: u8,
    /// The heading's words.
    pub heading: String,
    /// The heading's line and all that follows in its section.
    pub span: Span,
}

impl TextMap {
    /// The page on which `position` lies.
    pub fn page_at(&self, position: u32) -> Option<u32> {
        let after = self.pages.partition_point(|page| page.span.start <= position);
        after.checked_sub(1).map(|index| self.pages[index].number)
    }

    /// The headings above `position`, outermost first.
    pub fn headings_at(&self, position: u32) -> Vec<&str> {
        self.sections
            .iter()
            .filter(|section| section.span.start <= position && position < section.span.end)
            .map(|section| section.heading.as_str())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Language, Span};

    #[test]
    fn spans_count_code_points() {
        let text = "Grüße, 世界";
        assert_eq!(Span::new(2, 5).unwrap().slice(text), Some("üße"));
        assert_eq!(Span::new(7, 9).unwrap().slice(text), Some("世界"));
        assert_eq!(Span::new(9, 9).unwrap().slice(text), Some(""));
        assert_eq!(Span::new(7, 10).unwrap().slice(text), None);
        assert_eq!(Span::new(3, 2), None);
    }

    #[test]
    fn languages_keep_two_or_three_letters() {
        assert_eq!(Language::parse("EN"), Some(Language::ENGLISH));
        assert_eq!(Language::parse("yue").unwrap().as_str(), "yue");
        assert_eq!(Language::parse("e"), None);
        assert_eq!(Language::parse("e1"), None);
    }
}
