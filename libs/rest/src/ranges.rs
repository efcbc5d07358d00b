//! Conditional and range requests (RFC 9110 sections 13 and 14) and file names (RFC 6266).

use crate::problem::{Problem, RANGE_NOT_SATISFIABLE};
use axum::http::header::{CONTENT_RANGE, IF_NONE_MATCH, IF_RANGE, RANGE};
use axum::http::{HeaderMap, HeaderValue};
use http_range_header::{EndPosition, StartPosition, SyntacticallyCorrectRange};
use std::fmt::Write;
use std::ops::Range;

/// What of the bytes is wanted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of them.
    Whole,
    /// These.
    Range(Range<u64>),
}

/// True when the client holds these bytes already.
pub(crate) fn not_modified(headers: &HeaderMap, etag: &str) -> bool {
    let Some(known) = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()) else { return false };
    known.split(',').any(|tag| matches!(tag.trim(), "*") || tag.trim().trim_start_matches("W/") == etag)
}

/// The range that is asked for. A header that cannot be read, more than one range, or an `If-Range` of other bytes ask
/// for the whole, as the standard has it.
pub(crate) fn requested(headers: &HeaderMap, etag: &str, size: u64) -> Result<Part, Problem> {
    let Some(header) = headers.get(RANGE).and_then(|value| value.to_str().ok()) else { return Ok(Part::Whole) };
    if headers.get(IF_RANGE).is_some_and(|value| value.as_bytes() != etag.as_bytes()) {
        return Ok(Part::Whole);
    }
    let Ok(parsed) = http_range_header::parse_range_header(header) else { return Ok(Part::Whole) };
    match parsed.ranges.as_slice() {
        // The last so many bytes of fewer are all of them (RFC 9110 section 14.1.3).
        [SyntacticallyCorrectRange { start: StartPosition::FromLast(length), .. }] if *length > size && size > 0 => {
            return Ok(Part::Range(0..size));
        }
        // A range that ends before it begins is none (section 14.1.1).
        [SyntacticallyCorrectRange { start: StartPosition::Index(first), end: EndPosition::Index(last) }]
            if last < first =>
        {
            return Ok(Part::Whole);
        }
        _ => {}
    }
    match parsed.validate(size) {
        Ok(ranges) => match ranges.as_slice() {
            [range] => Ok(Part::Range(*range.start()..range.end() + 1)),
            _ => Ok(Part::Whole),
        },
        Err(_) => {
            let value = HeaderValue::from_str(&format!("bytes */{size}"));
            let problem = Problem::new(RANGE_NOT_SATISFIABLE, format!("the original has {size} bytes"));
            Err(match value {
                Ok(value) => problem.with_header(CONTENT_RANGE, value),
                Err(_) => problem,
            })
        }
    }
}

/// `Content-Disposition` for saving under `name`.
pub(crate) fn attachment(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_ ".contains(c) { c } else { '_' }).collect();
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::{Part, attachment, not_modified, requested};
    use axum::http::header::{IF_NONE_MATCH, IF_RANGE, RANGE};
    use axum::http::{HeaderMap, HeaderValue};

    fn range(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(RANGE, HeaderValue::from_static(value))])
    }

    #[test]
    fn one_range_is_honoured() {
        assert_eq!(requested(&range("bytes=0-9"), "e", 100).unwrap(), Part::Range(0..10));
        assert_eq!(requested(&range("bytes=90-"), "e", 100).unwrap(), Part::Range(90..100));
        assert_eq!(requested(&range("bytes=-5"), "e", 100).unwrap(), Part::Range(95..100));
        assert_eq!(requested(&range("bytes=-500"), "e", 100).unwrap(), Part::Range(0..100));
        assert_eq!(requested(&range("bytes=0-9,20-29"), "e", 100).unwrap(), Part::Whole);
        assert_eq!(requested(&range("bytes=9-1"), "e", 100).unwrap(), Part::Whole);
        assert_eq!(requested(&range("lines=1-2"), "e", 100).unwrap(), Part::Whole);
        assert!(requested(&range("bytes=100-"), "e", 100).is_err());
    }

    #[test]
    fn conditions_compare_the_entity_tag() {
        let mut headers = range("bytes=0-9");
        headers.insert(IF_RANGE, HeaderValue::from_static("\"other\""));
        assert_eq!(requested(&headers, "\"e\"", 100).unwrap(), Part::Whole);
        headers.insert(IF_NONE_MATCH, HeaderValue::from_static("\"a\", W/\"e\""));
        assert!(not_modified(&headers, "\"e\""));
        assert!(!not_modified(&headers, "\"f\""));
    }

    #[test]
    fn file_names_cannot_break_the_header() {
        let value = attachment("Grüße\"\r\n.pdf");
        assert!(HeaderValue::from_str(&value).is_ok());
        assert!(value.contains("filename*=UTF-8''Gr%C3%BC%C3%9Fe%22%0D%0A.pdf"), "{value}");
    }
}
