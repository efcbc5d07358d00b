//! Labels: what their codes say, and how they look on paper.
//!
//! A code is `CARREL1:` and, in base 32 (RFC 4648 section 6, no padding), the document's id and a mark that only this
//! instance can make for this document of this workspace. All of it lies in the alphanumeric set of QR codes, which keeps
//! the picture small (version 3, ISO/IEC 18004).

use crate::OperationError;
use carrel_domain::DocumentId;
use carrel_domain::archive::Document;
use qrcode::{Color, EcLevel, QrCode};
use std::fmt::Write;
use uuid::Uuid;

/// Bytes of a mark.
pub(crate) const MARK: usize = 12;
const PREFIX: &str = "CARREL1:";
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The code of a document's label.
pub(crate) fn code(document: DocumentId, mark: &[u8; MARK]) -> String {
    let mut bytes = document.0.as_bytes().to_vec();
    bytes.extend(mark);
    format!("{PREFIX}{}", encode(&bytes))
}

/// Reads a code; `None` when it is no label's.
pub(crate) fn read(code: &str) -> Option<(DocumentId, [u8; MARK])> {
    let code = code.trim().to_ascii_uppercase();
    let bytes = decode(code.strip_prefix(PREFIX)?)?;
    let (id, mark) = bytes.split_at_checked(16)?;
    Some((DocumentId(Uuid::from_slice(id).ok()?), mark.try_into().ok()?))
}

fn encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    let (mut waiting, mut bits) = (0_u16, 0);
    for byte in bytes {
        waiting = waiting << 8 | u16::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            out.push(char::from(ALPHABET[usize::from(waiting >> bits & 31)]));
        }
        waiting &= (1 << bits) - 1;
    }
    if bits > 0 {
        out.push(char::from(ALPHABET[usize::from(waiting << (5 - bits) & 31)]));
    }
    out
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut waiting, mut bits) = (0_u16, 0);
    for byte in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == byte)?;
        waiting = waiting << 5 | u16::try_from(value).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            out.push((waiting >> bits) as u8);
            waiting &= (1 << bits) - 1;
        }
    }
    // Left-over bits say nothing and must be zero, so that every code has one spelling.
    (bits < 5 && waiting == 0).then_some(out)
}

/// Draws a label of 62 by 29 millimetres, a common size of label printers.
pub(crate) fn draw(code: &str, document: &Document) -> Result<String, OperationError> {
    let drawn = QrCode::with_error_correction_level(code.as_bytes(), EcLevel::M);
    let drawn = drawn.map_err(|error| OperationError::Internal(error.to_string()))?;
    let width = drawn.width();
    let mut squares = String::new();
    for (at, colour) in drawn.to_colors().into_iter().enumerate() {
        if colour == Color::Dark {
            // Writing to a String cannot fail.
            let _ = write!(squares, "M{} {}h1v1h-1z", at % width, at / width);
        }
    }
    // The quiet zone is four modules wide on each side.
    let scale = 27.0 / (width + 8) as f64;
    let title = document.latest.title.as_deref().unwrap_or(&document.name);
    let lines = wrap(title, 20, 3);
    let mut text = String::new();
    for (row, line) in lines.iter().enumerate() {
        let y = 5.5 + row as f64 * 3.6;
        let _ = write!(text, r#"<text x="29" y="{y:.1}" font-size="2.9" font-weight="bold">{}</text>"#, escape(line));
    }
    let sha256 = document.latest.digests.sha256.to_string();
    let name: String = document.external_id.chars().take(24).collect();
    Ok(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="62mm" height="29mm" viewBox="0 0 62 29" font-family="sans-serif"><title>{}</title><desc>{code}</desc><rect width="62" height="29" fill="#fff"/><g transform="translate(1 1) scale({scale:.4}) translate(4 4)"><path d="{squares}" fill="#000" shape-rendering="crispEdges"/></g>{text}<text x="29" y="18.5" font-size="2.3">{}</text><text x="29" y="22.2" font-size="2.3" font-family="monospace">version {} · {}</text><text x="29" y="25.8" font-size="1.7" font-family="monospace">{}</text></svg>"##,
        escape(title),
        escape(&name),
        document.latest.number,
        &sha256[..12],
        document.id,
    ))
}

/// Cuts a text into lines of at most `wide` characters.
fn wrap(text: &str, wide: usize, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let word: String = word.chars().take(wide).collect();
        let current = lines.last().map_or(0, |line| line.chars().count());
        if current > 0 && current + 1 + word.chars().count() > wide {
            if lines.len() == most {
                if let Some(line) = lines.last_mut() {
                    line.push('…');
                }
                break;
            }
            lines.push(word);
        } else if let Some(line) = lines.last_mut() {
            if current > 0 {
                line.push(' ');
            }
            line.push_str(&word);
        }
    }
    lines
}

/// Text in XML 1.0, which has no control characters.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // Not characters of XML, or such that turn what follows around.
            c if c.is_control()
                || matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                out.push('\u{fffd}');
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{MARK, code, decode, encode, escape, read, wrap};
    use carrel_domain::DocumentId;
    use uuid::Uuid;

    #[test]
    fn codes_survive_and_have_one_spelling() {
        let id = DocumentId(Uuid::from_u128(0x0197_a3c2_5f10_7c44_9a51_0000_0000_0002));
        let written = code(id, &[7; MARK]);
        assert_eq!(written.len(), 53, "{written}");
        assert!(written.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b':'));
        assert_eq!(read(&written), Some((id, [7; MARK])));
        assert_eq!(read(&format!(" {} ", written.to_lowercase())), Some((id, [7; MARK])));
        for bad in ["", "CARREL1:", "https://x", &written[..52], &format!("{written}A"), &written.replace('1', "2")] {
            assert_eq!(read(bad), None, "{bad}");
        }
        // RFC 4648 section 10, without padding.
        for (plain, coded) in [("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foobar", "MZXW6YTBOI")] {
            assert_eq!(encode(plain.as_bytes()), coded);
            assert_eq!(decode(coded).unwrap(), plain.as_bytes());
        }
        assert_eq!(decode("MZ"), None, "bits that say nothing are zero");
    }

    #[test]
    fn text_is_cut_and_harmless() {
        assert_eq!(
            wrap("the gate manual of the outer harbour lock", 20, 2),
            ["the gate manual of", "the outer harbour…"]
        );
        assert_eq!(escape("<script>\u{1}\u{202e}&"), "&lt;script&gt;\u{fffd}\u{fffd}&amp;");
    }
}
