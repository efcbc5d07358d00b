//! Words of a text, read forwards and backwards from a place.

/// Longest word in bytes; what is longer is no part of a name.
const LONGEST: usize = 60;

/// A run of letters with the apostrophes and hyphens inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<'t> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) text: &'t str,
}

impl Word<'_> {
    /// Begins with a capital letter.
    pub(super) fn is_capital(&self) -> bool {
        self.text.chars().next().is_some_and(char::is_uppercase)
    }

    /// A capital letter and small ones, or capitals alone.
    pub(super) fn is_name_like(&self) -> bool {
        let mut characters = self.text.chars();
        characters.next().is_some_and(char::is_uppercase) && characters.next().is_some()
    }

    /// One capital letter: an initial when a dot follows.
    pub(super) fn is_initial(&self) -> bool {
        let mut characters = self.text.chars();
        characters.next().is_some_and(char::is_uppercase) && characters.next().is_none()
    }

    /// Two letters or more, none of them small.
    pub(super) fn is_shouted(&self) -> bool {
        self.text.len() > 1 && !self.text.chars().any(char::is_lowercase)
    }
}

/// True for marks that join letters to one word.
fn joins(character: char) -> bool {
    matches!(character, '\'' | '’' | '-' | '\u{2010}' | '\u{2011}')
}

/// Letters and the signs that are written on them (vowels of Arabic, Hebrew and Indian scripts, combining accents).
fn is_letter(character: char) -> bool {
    character.is_alphabetic() || unicode_normalization::char::is_combining_mark(character)
}

/// The word that begins at byte `at`.
pub(super) fn word_at(text: &str, at: usize) -> Option<Word<'_>> {
    let rest = text.get(at..)?;
    let mut end = 0;
    let mut characters = rest.char_indices().peekable();
    while let Some((place, character)) = characters.next() {
        let inside = joins(character)
            && place > 0
            && place == end
            && characters.peek().is_some_and(|(_, next)| next.is_alphabetic());
        if !is_letter(character) && !inside || place > LONGEST {
            break;
        }
        end = place + character.len_utf8();
    }
    // The apostrophe of a genitive is no part of the name.
    let word = &rest[..end];
    let word = ["'s", "’s", "'S", "’S"].into_iter().find_map(|genitive| word.strip_suffix(genitive)).unwrap_or(word);
    (!word.is_empty() && end <= LONGEST).then(|| Word { start: at, end: at + word.len(), text: word })
}

/// The word that ends at byte `end`.
pub(super) fn word_before(text: &str, end: usize) -> Option<Word<'_>> {
    let before = text.get(..end)?;
    let mut start = end;
    for (place, character) in before.char_indices().rev() {
        let inside =
            joins(character) && start < end && before[..place].chars().next_back().is_some_and(char::is_alphabetic);
        if !is_letter(character) && !inside || end - place > LONGEST {
            break;
        }
        start = place;
    }
    (start < end && end - start < LONGEST).then(|| Word { start, end, text: &text[start..end] })
}

/// Behind up to two spaces, tabulators or no-break spaces.
pub(super) fn skip_blank(text: &str, mut at: usize) -> usize {
    for _ in 0..2 {
        match text.as_bytes().get(at..) {
            Some([b' ' | b'\t', ..]) => at += 1,
            Some([0xc2, 0xa0, ..]) => at += 2,
            _ => break,
        }
    }
    at
}

/// Before up to two spaces, tabulators or no-break spaces.
pub(super) fn skip_blank_back(text: &str, mut at: usize) -> usize {
    for _ in 0..2 {
        match text.as_bytes().get(..at) {
            Some([.., b' ' | b'\t']) => at -= 1,
            Some([.., 0xc2, 0xa0]) => at -= 2,
            _ => break,
        }
    }
    at
}

/// True when no letter or digit touches byte `at` from the left.
pub(super) fn is_free_before(text: &str, at: usize) -> bool {
    text.get(..at).and_then(|before| before.chars().next_back()).is_none_or(|c| !c.is_alphanumeric() && c != '_')
}

/// True when no letter or digit stands at byte `at`.
pub(super) fn is_free_at(text: &str, at: usize) -> bool {
    text.get(at..).and_then(|rest| rest.chars().next()).is_none_or(|c| !c.is_alphanumeric() && c != '_')
}

#[cfg(test)]
mod tests {
    use super::{skip_blank, skip_blank_back, word_at, word_before};

    #[test]
    fn words_hold_their_apostrophes_and_lose_their_genitive() {
        for (text, word) in [
            ("O'Connor said", "O'Connor"),
            ("Jean-Luc,", "Jean-Luc"),
            ("Doe's", "Doe"),
            ("Šťastný ", "Šťastný"),
            ("d’Or", "d’Or"),
            ("محمد علي", "محمد"),
        ] {
            assert_eq!(word_at(text, 0).unwrap().text, word);
        }
        assert_eq!(word_at("-a", 0), None);
        assert_eq!(word_at(&"a".repeat(500), 0), None);
        assert_eq!(word_before("in Jean-Luc", 11).unwrap().text, "Jean-Luc");
        assert_eq!(word_before("12", 2), None);
        assert_eq!((skip_blank("a\u{a0} b", 1), skip_blank_back("a\u{a0} b", 4)), (4, 1));
    }
}
