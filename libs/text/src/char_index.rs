//! From code points to bytes and back, without walking the text each time.

use carrel_domain::text::Span;

/// Code points between two entries of the table.
const STRIDE: usize = 64;

/// Finds code points in one text: building is one pass, a look-up walks at most 64 characters.
///
/// ```
/// use carrel_domain::text::Span;
/// use carrel_text::CharIndex;
///
/// let index = CharIndex::new("Grüße, 世界");
/// assert_eq!(index.slice(Span::new(7, 9).unwrap()), Some("世界"));
/// assert_eq!(index.byte_of(3), Some(4));
/// assert_eq!(index.char_of(4), Some(3));
/// ```
#[derive(Clone, Debug)]
pub struct CharIndex<'t> {
    text: &'t str,
    /// Byte of every `STRIDE`-th code point; `None` for ASCII, where both counts agree.
    bytes: Option<Vec<u32>>,
    chars: u32,
}

impl<'t> CharIndex<'t> {
    /// Indexes `text` (at most 4 GiB).
    pub fn new(text: &'t str) -> Self {
        if text.is_ascii() {
            return Self { text, bytes: None, chars: text.len() as u32 };
        }
        let mut bytes = Vec::with_capacity(text.len() / STRIDE / 2 + 1);
        let mut chars = 0;
        for (byte, _) in text.char_indices() {
            if chars % STRIDE == 0 {
                bytes.push(byte as u32);
            }
            chars += 1;
        }
        Self { text, bytes: Some(bytes), chars: chars as u32 }
    }

    /// The indexed text.
    pub fn text(&self) -> &'t str {
        self.text
    }

    /// Number of code points.
    pub fn len(&self) -> u32 {
        self.chars
    }

    /// True when the text is empty.
    pub fn is_empty(&self) -> bool {
        self.chars == 0
    }

    /// Byte at which the code point `position` starts; the text's length for the position after the last;
    /// `None` beyond that.
    pub fn byte_of(&self, position: u32) -> Option<usize> {
        if position >= self.chars {
            return (position == self.chars).then_some(self.text.len());
        }
        let Some(bytes) = &self.bytes else {
            return Some(position as usize);
        };
        let start = *bytes.get(position as usize / STRIDE)? as usize;
        let (within, _) = self.text[start..].char_indices().nth(position as usize % STRIDE)?;
        Some(start + within)
    }

    /// The code point that contains the byte `byte`; the count of code points for the text's length; `None`
    /// beyond that.
    pub fn char_of(&self, byte: usize) -> Option<u32> {
        if byte >= self.text.len() {
            return (byte == self.text.len()).then_some(self.chars);
        }
        let Some(bytes) = &self.bytes else {
            return Some(byte as u32);
        };
        let block = bytes.partition_point(|&start| start as usize <= byte).checked_sub(1)?;
        let start = bytes[block] as usize;
        // Continuation bytes start no code point, so the first byte is counted and the rest only when they start one.
        let starts = self.text.as_bytes()[start + 1..=byte].iter().filter(|&&b| b & 0xC0 != 0x80).count();
        Some((block * STRIDE + starts) as u32)
    }

    /// The covered part of the text; `None` when `span` reaches past its end.
    pub fn slice(&self, span: Span) -> Option<&'t str> {
        let start = self.byte_of(span.start)?;
        let end = self.byte_of(span.end)?;
        self.text.get(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::CharIndex;
    use carrel_domain::text::Span;
    use proptest::prelude::*;

    #[test]
    fn an_empty_text_has_one_position() {
        let index = CharIndex::new("");
        assert!(index.is_empty());
        assert_eq!(index.byte_of(0), Some(0));
        assert_eq!(index.char_of(0), Some(0));
        assert_eq!(index.byte_of(1), None);
        assert_eq!(index.slice(Span::new(0, 0).unwrap()), Some(""));
    }

    proptest! {
        #[test]
        fn look_ups_agree_with_walking(text in "[a-zß世🦀\n]{0,400}", start in 0u32..400, length in 0u32..200) {
            let index = CharIndex::new(&text);
            let span = Span::new(start, start + length).unwrap();
            prop_assert_eq!(index.slice(span), span.slice(&text));
            for (position, (byte, c)) in text.char_indices().enumerate() {
                prop_assert_eq!(index.byte_of(position as u32), Some(byte));
                for inside in byte..byte + c.len_utf8() {
                    prop_assert_eq!(index.char_of(inside), Some(position as u32));
                }
            }
        }
    }
}
