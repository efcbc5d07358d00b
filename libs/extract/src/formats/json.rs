//! JSON and JSON lines.

mod node;

use super::{Certainty, Format, Input, is_plain, opening};
use crate::builder::{Gap, RenditionBuilder};
use crate::decode::decode;
use crate::error::ExtractError;
use crate::room::Room;
use carrel_domain::text::Rendition;
use node::{Lines, Node};

/// JSON (RFC 8259).
///
/// Keeps every name and value: an object is a line of `name: value | name: value`, opened by the path that leads to it
/// (`users[2].address`), in the order of the file. Drops empty values and the quotes. What is not valid JSON is kept as
/// plain text, with a warning.
pub(super) struct Json;

/// JSON lines (.ndjson, .jsonl).
///
/// Keeps what [`Json`] does, with each line's document on a line (or more) of its own; invalid lines as they are.
pub(super) struct Ndjson;

/// Lines of a JSON lines file that are looked at to recognise it.
const SAMPLED_LINES: usize = 5;

impl Format for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn media_type(&self) -> &'static str {
        "application/json"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        if opens_as_json(&opening(input.bytes)) && is_plain(input.bytes) { Certainty::Content } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        let mut builder = RenditionBuilder::new(&room.limits);
        let decoded = decode(input.bytes, None);
        if let Some(warning) = decoded.warning {
            builder.warn(warning);
        }
        let Ok(node) = serde_json::from_str::<Node>(&decoded.text) else {
            builder.warn("it is not valid JSON and was read as plain text");
            builder.block(&decoded.text, Gap::Paragraph)?;
            return builder.finish("text/plain", None);
        };
        Lines::new(&mut builder).push(&node)?;
        builder.finish(self.media_type(), None)
    }
}

impl Format for Ndjson {
    fn name(&self) -> &'static str {
        "ndjson"
    }

    fn media_type(&self) -> &'static str {
        "application/x-ndjson"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        let named = matches!(input.extension().as_str(), "ndjson" | "jsonl" | "ldjson");
        if !opens_as_json(&opening(input.bytes)) || !is_plain(input.bytes) {
            return Certainty::No;
        }
        if named || is_lines(input.bytes) { Certainty::Exact } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        let mut builder = RenditionBuilder::new(&room.limits);
        let decoded = decode(input.bytes, None);
        if let Some(warning) = decoded.warning {
            builder.warn(warning);
        }
        for (number, line) in (1..).zip(decoded.text.lines()) {
            if line.trim().is_empty() {
                continue;
            }
            if let Ok(node) = serde_json::from_str::<Node>(line) {
                Lines::following(&mut builder).push(&node)?;
            } else {
                builder.warn(format!("line {number} is not valid JSON"));
                builder.block(line, Gap::Line)?;
            }
        }
        builder.finish(self.media_type(), None)
    }
}

/// What stands at the start of an object or an array. `[section]` of a configuration file does not.
fn opens_as_json(head: &str) -> bool {
    let mut rest = head.trim_start();
    loop {
        if let Some(inner) = rest.strip_prefix('{') {
            return inner.trim_start().starts_with(['"', '}']);
        }
        let Some(inner) = rest.strip_prefix('[') else { return false };
        let inner = inner.trim_start();
        if inner.starts_with(['"', ']', '-']) || inner.starts_with(|c: char| c.is_ascii_digit()) {
            return true;
        }
        if ["true", "false", "null"].iter().any(|word| inner.starts_with(word)) {
            return !inner.trim_start_matches(char::is_alphabetic).starts_with(']') || inner.contains(',');
        }
        rest = inner;
    }
}

/// Several lines, each of which is an object or array by itself.
fn is_lines(bytes: &[u8]) -> bool {
    let lines: Vec<&[u8]> =
        bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).take(SAMPLED_LINES).collect();
    lines.len() >= 2
        && lines.iter().all(|line| {
            line.trim_ascii().starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
        })
}

#[cfg(test)]
mod tests {
    use crate::{Limits, extract_in_process};

    fn read(text: &str) -> (String, String) {
        let rendition = extract_in_process(text.as_bytes(), None, &Limits::default()).unwrap();
        (rendition.media_type, rendition.text)
    }

    #[test]
    fn values_keep_their_names() {
        let json = r#"{"title":"Plan","zeta":1,"users":[{"name":"Ada","age":36,"tags":["a","b"]},{"name":"Bob","address":{"city":"Rome"}}],"none":null,"n":[[1,2],[3]]}"#;
        let text = "title: Plan | zeta: 1\nusers[0] | name: Ada | age: 36 | tags: a, b\nusers[1] | name: Bob\n\
            users[1].address | city: Rome\nn[0]: 1, 2\nn[1]: 3";
        assert_eq!(read(json), ("application/json".into(), text.into()));
        assert_eq!(read("[{\"a\":1},{\"a\":true}]").1, "a: 1\na: true");
        assert_eq!(read("[\"a\", 12345678901234567890, 1.50]").1, "a, 12345678901234567890, 1.5");
    }

    #[test]
    fn lines_are_documents() {
        let (kind, text) = read("{\"a\":1,\"b\":{\"c\":2}}\n{\"a\":2}\n");
        assert_eq!((kind.as_str(), text.as_str()), ("application/x-ndjson", "a: 1\nb | c: 2\na: 2"));
    }

    #[test]
    fn what_is_not_valid_is_text() {
        for text in ["{\"a\": 1,}", "[1, 2", "[section]\nkey = 1"] {
            assert_eq!(read(text), ("text/plain".into(), text.into()));
        }
        let deep = "[".repeat(100_000);
        assert_eq!(read(&deep).0, "text/plain");
    }
}
