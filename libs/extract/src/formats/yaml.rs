//! YAML.

use super::{Certainty, Format, Input, is_plain, opening};
use crate::builder::{Gap, RenditionBuilder};
use crate::decode::decode;
use crate::error::ExtractError;
use crate::room::Room;
use carrel_domain::text::Rendition;

/// YAML.
///
/// Keeps the text as it is written, comments included, with the outermost keys as sections. Nothing is parsed, so that
/// nothing can be expanded: an alias stays an alias.
pub(super) struct Yaml;

impl Format for Yaml {
    fn name(&self) -> &'static str {
        "yaml"
    }

    fn media_type(&self) -> &'static str {
        "application/yaml"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        if opening(input.bytes).starts_with("%yaml ") && is_plain(input.bytes) {
            return Certainty::Content;
        }
        let named = matches!(input.extension().as_str(), "yaml" | "yml");
        if named && is_plain(input.bytes) { Certainty::Named } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        let mut builder = RenditionBuilder::new(&room.limits);
        let decoded = decode(input.bytes, None);
        if let Some(warning) = decoded.warning {
            builder.warn(warning);
        }
        let text = carrel_text::normalise(&decoded.text);
        let text = text.trim_start_matches('\n');
        if let Some(start) = builder.block(text, Gap::Paragraph)? {
            let mut position = start;
            for line in text.split_inclusive('\n') {
                if let Some(key) = outer_key(line) {
                    builder.mark_heading(1, key, position);
                }
                position += line.chars().count() as u32;
            }
        }
        builder.finish(self.media_type(), None)
    }
}

/// The key of a line that opens a part of the document.
fn outer_key(line: &str) -> Option<&str> {
    let (key, value) = line.split_once(':')?;
    let value = value.trim();
    let opens = value.is_empty() || value.starts_with(['#', '|', '>', '&']);
    let is_key = !key.is_empty() && !key.starts_with([' ', '\t', '-', '#', '%', '?', '{', '[']);
    (opens && is_key).then(|| key.trim().trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use crate::{Limits, extract_in_process};

    #[test]
    fn keys_are_sections_and_aliases_stay() {
        let yaml = "# settings\nname: x\nserver:\n  port: 1 # why\n\"paths\": &p\n  - a\nmore: *p\n";
        let rendition = extract_in_process(yaml.as_bytes(), Some("a.yml"), &Limits::default()).unwrap();
        assert_eq!(rendition.text, yaml.trim_end());
        assert_eq!(rendition.media_type, "application/yaml");
        let found: Vec<_> = rendition
            .map
            .sections
            .iter()
            .map(|s| (s.heading.as_str(), s.span.slice(&rendition.text).unwrap()))
            .collect();
        assert_eq!(found[0], ("server", "server:\n  port: 1 # why\n"));
        assert!(found[1].1.starts_with("\"paths\": &p"));
    }
}
