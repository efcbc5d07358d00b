//! Bytes of text to characters.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use std::borrow::Cow;

/// Bytes looked at to tell text from other things.
const PROBE_BYTES: usize = 64 * 1024;

/// Text of unknown encoding, with what had to be repaired.
pub(crate) struct Decoded<'b> {
    pub(crate) text: Cow<'b, str>,
    pub(crate) warning: Option<String>,
}

/// True when `bytes` read as text in some encoding: few control characters, and NUL only as UTF-16 has it.
pub(crate) fn looks_like_text(bytes: &[u8]) -> bool {
    if Encoding::for_bom(bytes).is_some() || utf16_without_mark(bytes).is_some() {
        return true;
    }
    let probe = &bytes[..bytes.len().min(PROBE_BYTES)];
    // A stray control byte or two is a printer's or a terminal's, a rare NUL a crashed logger's; compressed data
    // has one in eight.
    let (mut zeros, mut controls) = (0, 0);
    for byte in probe {
        match byte {
            0 => zeros += 1,
            0x01..=0x08 | 0x0E..=0x1A | 0x1C..=0x1F | 0x7F => controls += 1,
            _ => {}
        }
    }
    zeros * 1000 <= probe.len() && (controls <= 2 || controls * 50 <= probe.len())
}

/// Decodes by `hint` (a declared encoding), else by mark, by being UTF-8, or by statistics. Never fails: what
/// is invalid becomes U+FFFD and is reported.
pub(crate) fn decode<'b>(bytes: &'b [u8], hint: Option<&'static Encoding>) -> Decoded<'b> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return decode_as(encoding, &bytes[mark..], false);
    }
    if let Some(encoding) = utf16_without_mark(bytes) {
        return decode_as(encoding, bytes, true);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => return Decoded { text: Cow::Borrowed(text), warning: None },
        Err(error) if error.error_len().is_none() => {
            // Only the last character is cut off.
            return decode_as(UTF_8, bytes, false);
        }
        Err(_) if mostly_utf8(bytes) => return decode_as(UTF_8, bytes, false),
        Err(_) => {}
    }
    if let Some(encoding) = hint.filter(|encoding| *encoding != UTF_8) {
        return decode_as(encoding, bytes, false);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(&bytes[..bytes.len().min(1 << 20)], true);
    decode_as(detector.guess(None, Utf8Detection::Deny), bytes, true)
}

fn decode_as<'b>(encoding: &'static Encoding, bytes: &'b [u8], guessed: bool) -> Decoded<'b> {
    let (text, malformed) = encoding.decode_without_bom_handling(bytes);
    let name = encoding.name();
    let warning = match (malformed, guessed) {
        (true, _) => Some(format!("invalid {name} was repaired; some characters are lost")),
        (false, true) => Some(format!("the encoding is not declared; {name} was assumed")),
        (false, false) => None,
    };
    Decoded { text, warning }
}

/// Multi-byte characters are there, and few bytes are not part of any.
fn mostly_utf8(bytes: &[u8]) -> bool {
    let mut valid = 0;
    let mut invalid = 0;
    for chunk in bytes[..bytes.len().min(1 << 20)].utf8_chunks() {
        valid += chunk.valid().bytes().filter(|b| *b >= 0xC0).count();
        invalid += usize::from(!chunk.invalid().is_empty());
    }
    valid >= invalid * 2
}

/// UTF-16 of mostly Latin text betrays itself by a NUL in every other byte.
fn utf16_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    let probe = &bytes[..bytes.len().min(4096) & !1];
    if probe.len() < 8 {
        return None;
    }
    let (mut even, mut odd) = (0, 0);
    for pair in probe.chunks_exact(2) {
        even += usize::from(pair[0] == 0);
        odd += usize::from(pair[1] == 0);
    }
    let half = probe.len() / 4;
    match (even > half && odd == 0, odd > half && even == 0) {
        (true, false) => Some(UTF_16BE),
        (false, true) => Some(UTF_16LE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, looks_like_text};

    #[test]
    fn encodings_are_told_apart() {
        let decoded = decode(&[0xFF, 0xFE, b'a', 0, 0xAC, 0x20], None);
        assert_eq!((decoded.text.as_ref(), decoded.warning), ("a€", None));
        assert_eq!(
            decode("plain text".encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>().as_slice(), None).text,
            "plain text"
        );
        assert_eq!(
            decode(b"Gr\xFC\xDFe aus M\xFCnchen, sch\xF6ne T\xE4ler", None).text,
            "Grüße aus München, schöne Täler"
        );
        let (sjis, _, _) = encoding_rs::SHIFT_JIS.encode("これは日本語の文章です。文字化けしません。");
        assert_eq!(decode(&sjis, None).text, "これは日本語の文章です。文字化けしません。");
    }

    #[test]
    fn broken_utf8_is_repaired_not_guessed() {
        let mut bytes = "Grüße, schöne Grüße, 世界".as_bytes().to_vec();
        bytes.insert(5, 0xFF);
        let decoded = decode(&bytes, None);
        assert!(decoded.text.contains("schöne") && decoded.text.contains('\u{FFFD}'));
        assert!(decoded.warning.is_some());
    }

    #[test]
    fn binary_is_not_text() {
        assert!(looks_like_text(b"a\tb\r\n\x1b[0mc"));
        assert!(!looks_like_text(b"ab\0cd\0\0"));
        assert!(!looks_like_text(
            &(0..=255).cycle().skip(1).step_by(7).take(5000).filter(|b| *b != 0).collect::<Vec<u8>>()
        ));
    }
}
