//! The one form in which every rendition's text is kept.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::{IsNormalized, is_nfc_quick};

/// Blank lines that may follow each other.
const MAX_BLANK_LINES: usize = 2;

/// The text in NFC (Unicode Standard Annex 15) with `\n` line ends; without NUL, other control characters but
/// tab, byte order marks, soft hyphens, zero-width and bidirectional formatting characters and tags (which hide
/// text from readers but not from a search or a model); without spaces at line ends; with at most two blank
/// lines in a row and none at either end.
///
/// A zero-width joiner or non-joiner stays between characters that are not ASCII, where Indic scripts, Persian
/// and emoji need it. Normalising twice changes nothing.
///
/// ```
/// assert_eq!(carrel_text::normalise("a\u{AD}b \r\ncafe\u{301}\0\u{FEFF}"), "ab\ncafé");
/// ```
pub fn normalise(text: &str) -> String {
    // Twice, because singletons must be resolved before joiners are judged by their neighbours, and dropping
    // characters can bring a base and its mark together.
    let cleaned = if is_nfc_quick(text.chars()) == IsNormalized::Yes {
        clean(text.chars(), text.len())
    } else {
        clean(text.nfc(), text.len())
    };
    if is_nfc_quick(cleaned.chars()) == IsNormalized::Yes { cleaned } else { cleaned.nfc().collect() }
}

fn clean(characters: impl Iterator<Item = char>, length: usize) -> String {
    let mut characters = characters.peekable();
    let mut out = Output { text: String::with_capacity(length), newlines: 0, spaces: String::new(), joiner: None };
    while let Some(c) = characters.next() {
        match c {
            '\r' => {
                // CR LF is one line end.
                if characters.peek() != Some(&'\n') {
                    out.newline();
                }
            }
            '\n' | '\u{B}' | '\u{C}' | '\u{85}' | '\u{2028}' | '\u{2029}' => out.newline(),
            '\u{200C}' | '\u{200D}' => out.joiner = Some(c),
            _ if is_dropped(c) => {}
            _ if c.is_whitespace() => out.space(c),
            _ => out.push(c),
        }
    }
    out.text
}

/// True for what no reader sees.
fn is_dropped(c: char) -> bool {
    if c == '\t' {
        return false;
    }
    c.is_control()
        || matches!(
            c as u32,
            0x00AD | 0x034F | 0x061C | 0x180E | 0x200B | 0x200E | 0x200F | 0x202A..=0x202E | 0x2060..=0x206F
                | 0xFEFF | 0xFFF9..=0xFFFB | 0xFFFE | 0xFFFF | 0xE0000..=0xE007F
        )
}

struct Output {
    text: String,
    /// Line ends seen since the last character.
    newlines: usize,
    /// White space seen since the last character or line end.
    spaces: String,
    joiner: Option<char>,
}

impl Output {
    fn newline(&mut self) {
        self.newlines += 1;
        self.spaces.clear();
        self.joiner = None;
    }

    fn space(&mut self, c: char) {
        self.spaces.push(c);
        self.joiner = None;
    }

    fn push(&mut self, c: char) {
        if !self.text.is_empty() {
            self.text.extend(std::iter::repeat_n('\n', self.newlines.min(MAX_BLANK_LINES + 1)));
        }
        if let Some(joiner) = self.joiner.take() {
            let joins = self.newlines == 0
                && self.spaces.is_empty()
                && self.text.chars().next_back().is_some_and(|before| !before.is_ascii());
            if joins && !c.is_ascii() {
                self.text.push(joiner);
            }
        }
        self.newlines = 0;
        self.text.push_str(&self.spaces);
        self.spaces.clear();
        self.text.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::normalise;
    use proptest::prelude::*;

    #[test]
    fn line_ends_and_blank_lines_are_evened_out() {
        assert_eq!(normalise("\u{FEFF}\r\n a \t\r\rb\n\n \n\n\nc\u{C}d\n\n"), " a\n\nb\n\n\nc\nd");
        assert_eq!(normalise(" \n\t\r\n"), "");
        assert_eq!(normalise(""), "");
    }

    #[test]
    fn what_no_reader_sees_is_dropped() {
        assert_eq!(normalise("a\0b\u{7}c\u{200B}d\u{202E}e\u{E0041}f\u{2060}g\u{FFFE}"), "abcdefg");
        assert_eq!(normalise("co\u{AD}operate\tnow"), "cooperate\tnow");
    }

    #[test]
    fn joiners_stay_where_a_script_needs_them() {
        assert_eq!(normalise("می\u{200C}خواهم"), "می\u{200C}خواهم");
        assert_eq!(normalise("👩\u{200D}🔬"), "👩\u{200D}🔬");
        assert_eq!(normalise("a\u{200D}b\u{200C} c"), "ab c");
    }

    #[test]
    fn marks_compose_even_across_what_is_dropped() {
        assert_eq!(normalise("e\u{200B}\u{301}"), "é");
        assert_eq!(normalise("\u{212A}"), "K");
    }

    #[test]
    fn ten_megabytes_of_marks_take_linear_time() {
        let text = "a".to_owned() + &"\u{301}\u{323}".repeat(2_500_000);
        let started = std::time::Instant::now();
        assert!(!normalise(&text).is_empty());
        assert!(started.elapsed().as_secs() < 20);
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "(\\PC|[\u{0}-\u{20}\u{200B}-\u{200F}\u{301}\u{212A}\u{AD}\r\n]){0,60}") {
            let once = normalise(&text);
            prop_assert_eq!(normalise(&once), once.clone());
            prop_assert!(!once.contains('\0') && !once.contains('\r') && !once.contains("\n\n\n\n"));
        }
    }
}
