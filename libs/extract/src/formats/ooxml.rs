//! What the formats made of XML parts in a zip package share: parts, relations, attributes, properties.

use crate::archive::Archive;
use crate::decode::decode;
use crate::error::ExtractError;
use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// The part `name` as text.
pub(super) fn part(archive: &mut Archive<'_>, name: &str) -> Result<Option<String>, ExtractError> {
    Ok(archive.member(name)?.map(|bytes| decode(&bytes, None).text.into_owned()))
}

/// A reader that goes on where elements are not closed in order.
pub(super) fn reader(xml: &str) -> Reader<&[u8]> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = false;
    reader.config_mut().allow_unmatched_ends = true;
    reader
}

/// The reader's next event.
pub(super) fn next<'x>(reader: &mut Reader<&'x [u8]>) -> Result<Event<'x>, ExtractError> {
    reader
        .read_event()
        .map_err(|_| ExtractError::damaged(format!("its XML is malformed at byte {}", reader.error_position())))
}

/// The value of the attribute `name`, whatever its prefix.
pub(super) fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = element.attributes().with_checks(false).flatten().find(|a| a.key.local_name().as_ref() == name)?;
    quick_xml::escape::unescape(&attribute.value).map(std::borrow::Cow::into_owned).ok()
}

/// The character or text that `&name;` stands for. Entities that a document defines itself are never expanded.
pub(super) fn resolve(reference: &BytesRef<'_>) -> Option<String> {
    if let Ok(Some(c)) = reference.resolve_char_ref() {
        return Some(c.to_string());
    }
    quick_xml::escape::resolve_predefined_entity(reference).map(str::to_owned)
}

struct Relation {
    id: String,
    kind: String,
    target: String,
}

/// Related parts: kind and name within the archive.
#[derive(Default)]
pub(super) struct Relations(Vec<Relation>);

impl Relations {
    /// Those of the part `of`, which lie beside it.
    pub(super) fn load(archive: &mut Archive<'_>, of: &str) -> Result<Self, ExtractError> {
        let (folder, file) = of.rsplit_once('/').unwrap_or(("", of));
        let name = if folder.is_empty() { format!("_rels/{file}.rels") } else { format!("{folder}/_rels/{file}.rels") };
        Ok(part(archive, &name)?.map(|xml| relations(&xml, folder)).unwrap_or_default())
    }

    /// Names of the parts whose relation's type ends in `/kind`.
    pub(super) fn of_type<'r>(&'r self, kind: &'r str) -> impl Iterator<Item = &'r str> {
        self.0.iter().filter(move |relation| relation.kind == kind).map(|relation| relation.target.as_str())
    }

    /// The name of the part with this relation.
    pub(super) fn of_id(&self, id: &str) -> Option<&str> {
        self.0.iter().find(|relation| relation.id == id).map(|relation| relation.target.as_str())
    }
}

/// Reads a `.rels` part whose targets are relative to `folder`. External targets are left out.
pub(super) fn relations(xml: &str, folder: &str) -> Relations {
    let mut relations = Relations::default();
    let mut reader = reader(xml);
    while let Ok(event) = reader.read_event() {
        match event {
            Event::Start(element) | Event::Empty(element) if element.local_name().as_ref() == "Relationship" => {
                if attribute(&element, "TargetMode").is_some_and(|mode| mode == "External") {
                    continue;
                }
                let kind = attribute(&element, "Type").unwrap_or_default();
                let kind = kind.rsplit('/').next().unwrap_or_default().to_owned();
                let Some(target) = attribute(&element, "Target") else { continue };
                let id = attribute(&element, "Id").unwrap_or_default();
                relations.0.push(Relation { id, kind, target: join(folder, &target) });
            }
            Event::Eof => break,
            _ => {}
        }
    }
    relations
}

/// A target relative to a folder of the package, as a name of a member.
pub(super) fn join(folder: &str, target: &str) -> String {
    let target = target.split(['#', '?']).next().unwrap_or_default();
    let mut parts: Vec<&str> = if target.starts_with('/') { Vec::new() } else { folder.split('/').collect() };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.join("/")
}

/// The text of the first element `name`, such as the title in the properties.
pub(super) fn element_text(xml: &str, name: &str) -> Option<String> {
    let mut text = String::new();
    let mut inside = false;
    let mut reader = reader(xml);
    while let Ok(event) = reader.read_event() {
        match event {
            Event::Start(element) if element.local_name().as_ref() == name => inside = true,
            Event::End(element) if inside && element.local_name().as_ref() == name => break,
            Event::Text(piece) if inside => text.push_str(&piece),
            Event::GeneralRef(reference) if inside => text.extend(resolve(&reference)),
            Event::Eof => break,
            _ => {}
        }
    }
    (!text.trim().is_empty()).then_some(text)
}

/// The title in the core properties of an Office package.
pub(super) fn core_title(archive: &mut Archive<'_>) -> Result<Option<String>, ExtractError> {
    Ok(part(archive, "docProps/core.xml")?.and_then(|xml| element_text(&xml, "title")))
}

/// The main part of an Office package, or `usual` where its relations do not say.
pub(super) fn main_part(archive: &mut Archive<'_>, usual: &str) -> Result<String, ExtractError> {
    let named = match part(archive, "_rels/.rels")? {
        Some(xml) => relations(&xml, "").of_type("officeDocument").next().map(str::to_owned),
        None => None,
    };
    Ok(named.unwrap_or_else(|| usual.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::join;

    #[test]
    fn targets_stay_in_the_package() {
        assert_eq!(join("ppt/slides", "../media/a.png"), "ppt/media/a.png");
        assert_eq!(join("ppt", "/word/document.xml#x"), "word/document.xml");
        assert_eq!(join("", "../../etc/passwd"), "etc/passwd");
        assert_eq!(join("OPS", "text/a.xhtml?b"), "OPS/text/a.xhtml");
    }
}
