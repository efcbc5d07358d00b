//! E-mail addresses (RFC 5321 limits, RFC 6531 letters): found around an `@`.

use crate::Kind;
use crate::matching::Match;

/// Longest local part (RFC 5321, section 4.5.3.1.1).
const LOCAL: usize = 64;
/// Longest domain.
const DOMAIN: usize = 253;

/// The address whose `@` stands at byte `at`.
pub(crate) fn around(text: &[u8], at: usize) -> Option<Match> {
    let start = local_start(text, at)?;
    let end = domain_end(text, at + 1)?;
    Some(Match { kind: Kind::EMAIL, start, end, confidence: 94, validated: true })
}

/// True when the whole value is one address.
pub(crate) fn is_email(value: &str) -> bool {
    let text = value.as_bytes();
    let Some(at) = memchr::memrchr(b'@', text) else { return false };
    around(text, at).is_some_and(|found| found.start == 0 && found.end == text.len())
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte)
}

fn local_start(text: &[u8], at: usize) -> Option<usize> {
    // A quoted local part: everything between the quotes.
    if at >= 2 && text[at - 1] == b'"' {
        let open = text[at.saturating_sub(LOCAL + 2)..at - 1].iter().rposition(|byte| *byte == b'"')?;
        let start = at.saturating_sub(LOCAL + 2) + open;
        let body = &text[start + 1..at - 1];
        return (!body.is_empty() && !body.contains(&b'\n')).then_some(start);
    }
    let mut start = at;
    while start > 0 && at - start <= LOCAL * 2 {
        let mut before = start - 1;
        while before > 0 && text[before] & 0xc0 == 0x80 {
            before -= 1;
        }
        let accepted = if text[before] < 0x80 { is_local(text[before]) } else { is_letter_above_ascii(text, before) };
        if !accepted {
            break;
        }
        start = before;
    }
    // Punctuation of the sentence or of code around the address is no part of it.
    while start < at && (b"'`/=?&{|}.,*!#$%^~".contains(&text[start])) && !text[start].is_ascii_alphanumeric() {
        start += 1;
    }
    // `mailto=ann@…`, `user=ann@…`, `https://…/ann@…`: the address begins behind the last of these.
    if let Some(cut) = text[start..at].iter().rposition(|byte| b"=/|`".contains(byte)) {
        start += cut + 1;
    }
    while start < at && text[start] & 0xc0 == 0x80 {
        start += 1;
    }
    let local = &text[start..at];
    let dots =
        local.last() == Some(&b'.') || local.first() == Some(&b'.') || local.windows(2).any(|pair| pair == b"..");
    let characters = local.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    (!local.is_empty() && characters <= LOCAL && !dots).then_some(start)
}

fn domain_end(text: &[u8], from: usize) -> Option<usize> {
    let mut end = from;
    while end < text.len() && end - from <= DOMAIN * 2 {
        let byte = text[end];
        if !(byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.' || is_letter_above_ascii(text, end)) {
            break;
        }
        end += 1;
    }
    while end > from && matches!(text[end - 1], b'.' | b'-') {
        end -= 1;
    }
    // A character of several bytes that was cut is given back.
    while end > from && end < text.len() && text[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    let domain = &text[from..end];
    if domain.len() > DOMAIN {
        return None;
    }
    let mut labels = 0;
    let mut last: &[u8] = &[];
    for label in domain.split(|byte| *byte == b'.') {
        if label.is_empty() || label.len() > 63 || label[0] == b'-' || label[label.len() - 1] == b'-' {
            return None;
        }
        labels += 1;
        last = label;
    }
    let tld = last.starts_with(b"xn--") || last.iter().all(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80);
    (labels >= 2 && last.len() >= 2 && tld).then_some(end)
}

/// Punctuation of other scripts ends a domain; their letters belong to it (RFC 5890).
fn is_letter_above_ascii(text: &[u8], at: usize) -> bool {
    let byte = text[at];
    if byte < 0x80 {
        return false;
    }
    // U+0080..U+00BF (signs), U+2000..U+2FFF and U+3000..U+303F (punctuation), U+FF00.. (full width).
    !matches!((byte, text.get(at + 1)), (0xc2 | 0xe2 | 0xef, _) | (0xe3, Some(0x80)))
}

#[cfg(test)]
mod tests {
    use super::is_email;

    #[test]
    fn forms_of_the_standard() {
        for valid in [
            "a@b.co",
            "first.last+tag@sub.example.org",
            "josé@exämple.de",
            "москва@пример.рф",
            "\"a b\"@example.org",
            "x@xn--80ak6aa92e.com",
        ] {
            assert!(is_email(valid), "{valid}");
        }
        for invalid in ["a@b", "a..b@c.de", ".a@c.de", "a@-b.de", "a@b..de", "a@b.123", "@b.de", "a b@c.de", "a@b.c"] {
            assert!(!is_email(invalid), "{invalid}");
        }
    }
}
