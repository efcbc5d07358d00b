//! The styles of a document, which say what its headings are.

use super::super::ooxml::attribute;
use quick_xml::Reader;
use quick_xml::events::Event;
use std::collections::HashMap;

/// What the paragraphs of a style are.
#[derive(Clone, Debug, Default)]
pub(super) struct Style {
    name: String,
    based_on: Option<String>,
    outline: Option<u8>,
    /// Level of the headings set in it.
    pub(super) level: Option<u8>,
}

/// Styles by their id.
pub(super) type Styles = HashMap<String, Style>;

/// Reads `styles.xml`; what is malformed in it is left out.
pub(super) fn styles(xml: &str) -> Styles {
    let mut styles = Styles::new();
    let mut open: Option<(String, Style)> = None;
    let mut reader = Reader::from_str(xml);
    while let Ok(event) = reader.read_event() {
        match event {
            Event::Start(element) if element.local_name().as_ref() == "style" => {
                open = attribute(&element, "styleId").map(|id| (id, Style::default()));
            }
            Event::Start(element) | Event::Empty(element) => {
                let Some((_, style)) = &mut open else { continue };
                match element.local_name().as_ref() {
                    "name" => style.name = attribute(&element, "val").unwrap_or_default().to_lowercase(),
                    "basedOn" => style.based_on = attribute(&element, "val"),
                    "outlineLvl" => {
                        let level = attribute(&element, "val").and_then(|value| value.parse::<u8>().ok());
                        style.outline = level.filter(|level| *level < 6).map(|level| level + 1);
                    }
                    _ => {}
                }
            }
            Event::End(element) if element.local_name().as_ref() == "style" => {
                if let Some((id, style)) = open.take() {
                    styles.insert(id, style);
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    let levels: Vec<(String, u8)> = styles.keys().filter_map(|id| Some((id.clone(), level(&styles, id)?))).collect();
    for (id, level) in levels {
        if let Some(style) = styles.get_mut(&id) {
            style.level = Some(level);
        }
    }
    styles
}

/// The level of a style, its own or of those that it is based on.
fn level(styles: &Styles, id: &str) -> Option<u8> {
    let mut id = id;
    // Styles may be based on each other in a circle.
    for _ in 0..16 {
        let style = styles.get(id)?;
        if let Some(level) = style.outline.or_else(|| level_by_name(&style.name)) {
            return Some(level);
        }
        id = style.based_on.as_deref()?;
    }
    None
}

/// The built-in names are the same in every language of Word.
fn level_by_name(name: &str) -> Option<u8> {
    if name == "title" {
        return Some(1);
    }
    let number = name.strip_prefix("heading ")?;
    number.parse().ok().filter(|level| (1..=9).contains(level))
}
