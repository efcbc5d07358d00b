//! Which writing a character belongs to, as far as splitting and searching must know it.

/// Writing without spaces between words, searched by pairs of characters.
pub(crate) fn is_unspaced(c: char) -> bool {
    is_cjk(c) || matches!(c as u32, 0x0E01..=0x0E4E | 0x0E80..=0x0ECE | 0x1000..=0x104F | 0x1780..=0x17D3)
}

/// Han, kana, bopomofo or Hangul: one character carries about as much as two or three Latin ones.
pub(crate) fn is_cjk(c: char) -> bool {
    is_han(c) || is_kana(c) || is_hangul(c) || matches!(c as u32, 0x3100..=0x312F)
}

/// A Chinese character, in whatever language.
pub(crate) fn is_han(c: char) -> bool {
    matches!(c as u32, 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF | 0x3005 | 0x3007)
}

/// Hiragana or katakana.
pub(crate) fn is_kana(c: char) -> bool {
    matches!(c as u32, 0x3041..=0x3096 | 0x309D..=0x309F | 0x30A1..=0x30FA | 0x30FC..=0x30FF | 0x31F0..=0x31FF | 0xFF66..=0xFF9F)
}

/// Korean syllables and letters.
pub(crate) fn is_hangul(c: char) -> bool {
    matches!(c as u32, 0xAC00..=0xD7A3 | 0x1100..=0x11FF | 0x3131..=0x318E | 0xA960..=0xA97C | 0xD7B0..=0xD7FB)
}

/// A letter of the Arabic script.
pub(crate) fn is_arabic(c: char) -> bool {
    matches!(c as u32, 0x0600..=0x06FF | 0x0750..=0x077F | 0x08A0..=0x08FF | 0xFB50..=0xFDFF | 0xFE70..=0xFEFC)
}

/// A letter of the Latin script.
pub(crate) fn is_latin(c: char) -> bool {
    c.is_ascii_alphabetic()
        || (c.is_alphabetic() && matches!(c as u32, 0x00AA..=0x024F | 0x1E00..=0x1EFF | 0xFF21..=0xFF5A))
}
