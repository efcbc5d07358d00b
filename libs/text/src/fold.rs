//! Folding of letters that writers and searchers use for each other.

use crate::script::{is_arabic, is_latin};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Arabic letters in one form: no vowel marks nor elongation, bare alef, final ya and ta marbuta as writers
/// type them, and the Persian forms of ya and kaf as the Arabic ones. (The rules of Lucene's Arabic and Persian
/// normalisers.)
pub(crate) fn fold_arabic(word: &str) -> String {
    word.chars()
        .filter(|c| !matches!(c, '\u{064B}'..='\u{0652}' | '\u{0670}' | '\u{0640}' | '\u{0656}'..='\u{065F}'))
        .map(|c| match c {
            'آ' | 'أ' | 'إ' | 'ٱ' => 'ا',
            'ى' | 'ی' | 'ے' => 'ي',
            'ة' | 'ۀ' | 'ہ' | 'ە' => 'ه',
            'ک' => 'ك',
            _ => c,
        })
        .collect()
}

/// True when [`fold_arabic`] may change the word.
pub(crate) fn is_arabic_word(word: &str) -> bool {
    word.chars().any(is_arabic)
}

/// Latin and Greek letters without their marks, so that `resume` finds `résumé`; other scripts unchanged,
/// because there a mark makes another letter.
pub(crate) fn fold_marks(word: &str) -> Option<String> {
    let foldable = |c: char| is_latin(c) || matches!(c as u32, 0x0370..=0x03FF | 0x1F00..=0x1FFF);
    if word.is_ascii() || !word.chars().any(|c| foldable(c) && !c.is_ascii()) {
        return None;
    }
    let mut folded = String::with_capacity(word.len());
    for c in word.chars() {
        match c {
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' | 'ð' => folded.push('d'),
            'ı' => folded.push('i'),
            'ς' => folded.push('σ'),
            _ if foldable(c) => folded.extend(std::iter::once(c).nfd().filter(|&c| !is_combining_mark(c))),
            _ => folded.push(c),
        }
    }
    Some(folded)
}

#[cfg(test)]
mod tests {
    use super::{fold_arabic, fold_marks};

    #[test]
    fn marks_are_folded_where_they_only_decorate() {
        assert_eq!(fold_marks("résumé").as_deref(), Some("resume"));
        assert_eq!(fold_marks("straße").as_deref(), Some("strasse"));
        assert_eq!(fold_marks("άλφα").as_deref(), Some("αλφα"));
        assert_eq!(fold_marks("plain"), None);
        assert_eq!(fold_marks("район"), None);
    }

    #[test]
    fn arabic_letters_take_one_form() {
        assert_eq!(fold_arabic("أَحْمَد"), "احمد");
        assert_eq!(fold_arabic("مدرسة"), "مدرسه");
        assert_eq!(fold_arabic("كتـــاب"), "كتاب");
    }
}
