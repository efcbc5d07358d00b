//! XML of any vocabulary.

use super::ooxml::{next, reader, resolve};
use super::{Certainty, Format, Input, is_plain, opening};
use crate::builder::{Gap, RenditionBuilder};
use crate::decode::decode;
use crate::error::ExtractError;
use crate::room::Room;
use crate::table::{Grid, Heading, squeeze};
use carrel_domain::text::Rendition;
use encoding_rs::Encoding;
use quick_xml::events::{BytesStart, Event};

/// XML (1.0) of any vocabulary.
///
/// Keeps the text of every element and the values of attributes. Documents (JATS, DocBook, TEI and what uses their
/// names) give paragraphs, titles as sections, and tables (one row a line, cells with their headings); in data every
/// value stands after the name of its element: `price: 12`, and the elements of a record share a line. Drops comments,
/// processing instructions, document types; entities that the file defines are never expanded.
pub(super) struct Xml;

/// Elements whose content is a paragraph of prose and whose name says nothing.
const PROSE: &[&str] = &[
    "p",
    "para",
    "simpara",
    "ab",
    "abstract",
    "body",
    "listitem",
    "li",
    "caption",
    "quote",
    "disp-quote",
    "div",
    "td",
    "th",
    "mixed-citation",
    "verse-line",
];
/// Elements that only mark words within a paragraph, even where such words stand alone.
const INLINE: &[&str] = &[
    "b",
    "i",
    "u",
    "em",
    "emph",
    "emphasis",
    "strong",
    "bold",
    "italic",
    "sub",
    "sup",
    "sc",
    "span",
    "hi",
    "a",
    "xref",
    "ext-link",
    "link",
    "ulink",
    "code",
    "tt",
    "monospace",
    "named-content",
    "styled-content",
    "ref",
    "underline",
];
/// Elements that hold a title.
const TITLES: &[&str] = &["title", "article-title", "head", "book-title"];
/// Elements whose titles lie a level deeper.
const PARTS: &[&str] = &[
    "sec",
    "section",
    "sect1",
    "sect2",
    "sect3",
    "sect4",
    "chapter",
    "div",
    "appendix",
    "part",
    "ref-list",
    "fig",
    "table-wrap",
];
/// A record gets no further value in its line once it has this many characters.
const LINE_CHARS: usize = 900;

impl Format for Xml {
    fn name(&self) -> &'static str {
        "xml"
    }

    fn media_type(&self) -> &'static str {
        "application/xml"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        let head = opening(decode(&input.bytes[..input.bytes.len().min(2048)], None).text.as_bytes());
        if head.starts_with("<?xml") {
            return Certainty::Content;
        }
        let named = matches!(
            input.extension().as_str(),
            "xml" | "nxml" | "xsd" | "xsl" | "xslt" | "svg" | "rss" | "atom" | "tei" | "dbk" | "kml" | "gpx" | "wsdl"
        );
        if named && head.starts_with('<') && is_plain(input.bytes) { Certainty::Named } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        let mut builder = RenditionBuilder::new(&room.limits);
        let decoded = decode(input.bytes, declared_encoding(input.bytes));
        if let Some(warning) = decoded.warning {
            builder.warn(warning);
        }
        let mut walk = Walk {
            builder: &mut builder,
            path: Vec::new(),
            text: String::new(),
            record: String::new(),
            depth_of_parts: 0,
            table: None,
            title: None,
            gap: Gap::Paragraph,
        };
        let mut reader = reader(&decoded.text);
        loop {
            match next(&mut reader) {
                Ok(Event::Start(element)) => walk.start(&element)?,
                Ok(Event::Empty(element)) => {
                    walk.start(&element)?;
                    walk.end()?;
                }
                Ok(Event::End(_)) => walk.end()?,
                Ok(Event::Text(text)) => walk.text.push_str(&text),
                Ok(Event::CData(text)) => walk.text.push_str(&text),
                Ok(Event::GeneralRef(reference)) => match resolve(&reference) {
                    Some(text) => walk.text.push_str(&text),
                    None => walk.builder.leave_out_entity(),
                },
                Ok(Event::Eof) => break,
                Ok(_) => {}
                Err(error) if walk.builder.is_empty() && walk.record.is_empty() => return Err(error),
                Err(_) => {
                    walk.builder.warn("it is malformed; what follows the fault was left out");
                    break;
                }
            }
        }
        while !walk.path.is_empty() {
            walk.end()?;
        }
        walk.end_record()?;
        let title = walk.title;
        builder.finish(self.media_type(), title)
    }
}

/// The encoding that the declaration names.
fn declared_encoding(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = opening(bytes);
    let declaration = head.strip_prefix("<?xml")?.split_once("?>")?.0.to_owned();
    let (_, label) = declaration.split_once("encoding")?;
    let label = label.trim_start_matches([' ', '=', '"', '\'']);
    Encoding::for_label(label.split(['"', '\'']).next()?.as_bytes())
}

struct Element {
    name: String,
    /// It holds other elements than marks within text.
    has_children: bool,
    attributes: String,
}

struct Walk<'b> {
    builder: &'b mut RenditionBuilder,
    path: Vec<Element>,
    text: String,
    /// Values of one record, on one line.
    record: String,
    depth_of_parts: u8,
    table: Option<Grid>,
    title: Option<String>,
    gap: Gap,
}

impl Walk<'_> {
    fn start(&mut self, element: &BytesStart<'_>) -> Result<(), ExtractError> {
        let name = element.local_name().as_ref().to_owned();
        if self.table.is_some() {
            if matches!(name.as_str(), "tr" | "row") {
                self.text.clear();
                if let Some(table) = &mut self.table {
                    table.start_row()?;
                }
            }
            self.path.push(Element { name, has_children: false, attributes: attributes(element) });
            return Ok(());
        }
        // Marks within a paragraph, titles included, change nothing.
        let within_text = !self.text.trim().is_empty() && self.path.last().is_some_and(|parent| is_prose(&parent.name));
        if INLINE.contains(&name.as_str()) && !self.path.is_empty() || within_text {
            if within_text && !INLINE.contains(&name.as_str()) {
                self.text.push(' ');
            }
            self.path.push(Element { name, has_children: true, attributes: INLINE_MARK.to_owned() });
            return Ok(());
        }
        self.flush()?;
        if let Some(parent) = self.path.last_mut() {
            parent.has_children = true;
        }
        self.depth_of_parts += u8::from(PARTS.contains(&name.as_str()) && self.depth_of_parts < 100);
        if matches!(name.as_str(), "table" | "tgroup") {
            self.end_record()?;
            self.table = Some(Grid::new(&self.builder.limits()));
        }
        self.path.push(Element { name, has_children: false, attributes: attributes(element) });
        Ok(())
    }

    fn end(&mut self) -> Result<(), ExtractError> {
        let Some(element) = self.path.last() else { return Ok(()) };
        if element.attributes == INLINE_MARK {
            self.path.pop();
            return Ok(());
        }
        let name = element.name.clone();
        if let Some(table) = &mut self.table {
            match name.as_str() {
                "td" | "th" | "entry" => {
                    let in_head = self.path.iter().any(|open| open.name == "thead");
                    let heading = if name == "th" || in_head { Heading::Yes } else { Heading::No };
                    let span = |of: &str| number_after(&self.path.last()?.attributes, of);
                    let text = std::mem::take(&mut self.text);
                    table.cell(&text, span("colspan: ").unwrap_or(1), span("rowspan: ").unwrap_or(1), heading)?;
                }
                "table" | "tgroup" => {
                    if let Some(table) = self.table.take() {
                        table.finish(self.builder)?;
                    }
                    self.text.clear();
                    self.gap = Gap::Paragraph;
                }
                _ => self.text.push(' '),
            }
            self.path.pop();
            return Ok(());
        }
        self.flush()?;
        self.depth_of_parts -= u8::from(PARTS.contains(&name.as_str()) && self.depth_of_parts > 0);
        let closed = self.path.pop();
        // A record ends with the element that holds its values.
        if closed.is_some_and(|closed| closed.has_children) {
            self.end_record()?;
        }
        Ok(())
    }

    /// Writes the text of the innermost element.
    fn flush(&mut self) -> Result<(), ExtractError> {
        let text = squeeze(&std::mem::take(&mut self.text));
        let Some(element) = self.path.last_mut() else { return Ok(()) };
        let mut attributes = std::mem::take(&mut element.attributes);
        // In documents they serve programs; in data they are values.
        if PARTS.contains(&element.name.as_str()) || is_prose(&element.name) {
            attributes.clear();
        }
        if text.is_empty() && attributes.is_empty() {
            return Ok(());
        }
        let name = element.name.clone();
        if TITLES.contains(&name.as_str()) && !text.is_empty() {
            self.end_record()?;
            if self.title.is_none() {
                self.title = Some(text.clone());
            }
            self.gap = Gap::Paragraph;
            let level = self.depth_of_parts.saturating_add(1).min(6);
            return self.builder.heading(level, &text);
        }
        if is_prose(&name) || element.has_children {
            self.end_record()?;
            if !text.is_empty() {
                self.builder.block(&text, Gap::Paragraph)?;
                self.gap = Gap::Paragraph;
            }
            return Ok(());
        }
        let value = match (text.is_empty(), attributes.is_empty()) {
            (true, _) => format!("{name} {attributes}"),
            (_, true) => format!("{name}: {text}"),
            _ => format!("{name}: {text} ({attributes})"),
        };
        if self.record.len() > LINE_CHARS {
            self.end_record()?;
        }
        if !self.record.is_empty() {
            self.record.push_str(" | ");
        }
        self.record.push_str(&value);
        Ok(())
    }

    fn end_record(&mut self) -> Result<(), ExtractError> {
        let record = std::mem::take(&mut self.record);
        if !record.is_empty() {
            self.builder.block(&record, self.gap)?;
            self.gap = Gap::Line;
        }
        Ok(())
    }
}

/// Stands for the attributes of an element that only marks words.
const INLINE_MARK: &str = "\0";

fn is_prose(name: &str) -> bool {
    PROSE.contains(&name)
}

/// The attributes as `name: value`, without those that only serve programs.
fn attributes(element: &BytesStart<'_>) -> String {
    let mut shown = Vec::new();
    for attribute in element.attributes().with_checks(false).flatten().take(50) {
        let name = attribute.key.as_ref();
        if name.starts_with("xmlns") || name.starts_with("xsi:") || name.starts_with("xml:") {
            continue;
        }
        if let Ok(value) = quick_xml::escape::unescape(&attribute.value) {
            let value = squeeze(&value);
            if !value.is_empty() {
                shown.push(format!("{}: {value}", attribute.key.local_name().as_ref()));
            }
        }
    }
    shown.join(", ")
}

fn number_after(attributes: &str, name: &str) -> Option<usize> {
    let (_, value) = attributes.split_once(name)?;
    value.split(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use crate::{Limits, extract_in_process};

    fn read(xml: &str) -> carrel_domain::text::Rendition {
        extract_in_process(xml.as_bytes(), Some("a.xml"), &Limits::default()).unwrap()
    }

    #[test]
    fn data_keeps_its_names() {
        let xml = "<?xml version=\"1.0\"?><shop xmlns=\"x\"><item id=\"7\"><name>Tea &amp; milk</name><price currency=\"EUR\">2</price></item>\
            <item id=\"8\"><name>Rum</name></item><empty/></shop>";
        assert_eq!(read(xml).text, "item id: 7 | name: Tea & milk | price: 2 (currency: EUR)\nitem id: 8 | name: Rum");
        assert_eq!(read(xml).media_type, "application/xml");
    }

    #[test]
    fn documents_have_sections_and_paragraphs() {
        let xml = "<article><front><article-title>On <italic>ink</italic></article-title></front><body><sec><title>Aims</title>\
            <p>First <bold>bold</bold> words<xref>1</xref>.</p><table-wrap><table><thead><tr><th>a</th><th>b</th></tr></thead>\
            <tr><td>1</td><td><p>2</p></td></tr></table></table-wrap></sec></body></article>";
        let rendition = read(xml);
        assert_eq!(rendition.text, "On ink\n\nAims\n\nFirst bold words1.\n\na: 1 | b: 2");
        assert_eq!(rendition.title.as_deref(), Some("On ink"));
        let found: Vec<_> = rendition.map.sections.iter().map(|s| (s.level, s.heading.as_str())).collect();
        assert_eq!(found, [(1, "On ink"), (2, "Aims")]);
    }

    #[test]
    fn a_billion_laughs_are_none() {
        let mut xml = String::from("<?xml version=\"1.0\"?><!DOCTYPE lolz [<!ENTITY lol0 \"lol\">");
        for level in 1..10 {
            let inner = format!("&lol{};", level - 1).repeat(10);
            xml.extend(["<!ENTITY lol", &level.to_string(), " \"", &inner, "\">"]);
        }
        xml.push_str("<!ENTITY file SYSTEM \"file:///etc/passwd\">]><lolz><name>words &lol9;&file;</name></lolz>");
        assert_eq!(read(&xml).text, "name: words");
    }

    #[test]
    fn deep_nesting_is_harmless() {
        assert_eq!(read(&format!("<?xml version=\"1.0\"?>{}deep", "<a>".repeat(200_000))).text, "a: deep");
    }
}
