//! Word documents (Office Open XML, ECMA-376).

mod parts;

use super::{Certainty, Format, Input, find};
use crate::archive::Archive;
use crate::builder::{Gap, RenditionBuilder};
use crate::decode::decode;
use crate::error::ExtractError;
use crate::limits::Limits;
use carrel_domain::text::Rendition;
use parts::{Relations, Styles, core_title, relations, styles};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Word documents (.docx, .docm, .dotx).
///
/// Keeps paragraphs, headings (by style, as sections), lists, tables (one row a line, cells divided by ` | `),
/// text boxes, formulas' letters, and at the end footnotes, endnotes and the distinct headers and footers. Drops
/// pictures, comments, deleted and hidden text, macros and all links' addresses.
pub(super) struct Docx;

/// The first bytes of the older container in which Office wraps encrypted documents.
const COMPOUND_FILE: &[u8] = &[0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1];

impl Format for Docx {
    fn name(&self) -> &'static str {
        "docx"
    }

    fn media_type(&self) -> &'static str {
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        let document = input.bytes.starts_with(b"PK\x03\x04") && find(input.bytes, b"word/document").is_some();
        if document || is_encrypted_office(input.bytes) { Certainty::Content } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, limits: &Limits) -> Result<Rendition, ExtractError> {
        if is_encrypted_office(input.bytes) {
            return Err(ExtractError::Encrypted);
        }
        let mut archive = Archive::open(input.bytes, limits)?;
        let mut builder = RenditionBuilder::new(limits);
        let body_name = match part(&mut archive, "_rels/.rels")? {
            Some(xml) => relations(&xml, "").of_type("officeDocument").next().map(str::to_owned),
            None => None,
        }
        .unwrap_or_else(|| "word/document.xml".to_owned());
        let Some(body) = part(&mut archive, &body_name)? else {
            return Err(ExtractError::damaged("the main part is missing"));
        };
        let (folder, file) = body_name.rsplit_once('/').unwrap_or(("", &body_name));
        let related = match part(&mut archive, &format!("{folder}/_rels/{file}.rels"))? {
            Some(xml) => relations(&xml, folder),
            None => Relations::default(),
        };
        let style_part = related.of_type("styles").next().map(str::to_owned);
        let known = match style_part {
            Some(name) => part(&mut archive, &name)?.map(|xml| styles(&xml)).unwrap_or_default(),
            None => Styles::default(),
        };
        walk(&mut builder, &body, &known)?;
        for kind in ["footnotes", "endnotes"] {
            for name in related.of_type(kind) {
                if let Some(xml) = part(&mut archive, name)? {
                    walk(&mut builder, &xml, &known)?;
                }
            }
        }
        let mut seen = Vec::new();
        for name in related.of_type("header").chain(related.of_type("footer")).take(100) {
            let Some(xml) = part(&mut archive, name)? else { continue };
            let mut margin = RenditionBuilder::new(limits);
            walk(&mut margin, &xml, &Styles::default())?;
            let Ok(margin) = margin.finish(self.media_type(), None) else { continue };
            if !seen.contains(&margin.text) {
                builder.block(&margin.text, Gap::Paragraph)?;
                seen.push(margin.text);
            }
        }
        let title = part(&mut archive, "docProps/core.xml")?.and_then(|xml| core_title(&xml));
        builder.finish(self.media_type(), title)
    }
}

/// A document with a password: an OLE compound file with an `EncryptedPackage` stream (MS-OFFCRYPTO 2.3.1).
fn is_encrypted_office(bytes: &[u8]) -> bool {
    let name: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    bytes.starts_with(COMPOUND_FILE) && find(bytes, &name).is_some()
}

fn part(archive: &mut Archive<'_>, name: &str) -> Result<Option<String>, ExtractError> {
    Ok(archive.member(name)?.map(|bytes| decode(&bytes, None).text.into_owned()))
}

/// The value of the attribute `name`, whatever its prefix.
fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = element.attributes().with_checks(false).flatten().find(|a| a.key.local_name().as_ref() == name)?;
    quick_xml::escape::unescape(&attribute.value).map(std::borrow::Cow::into_owned).ok()
}

/// The character or text that `&name;` stands for. Entities that a document defines itself are never expanded.
fn resolve(reference: &quick_xml::events::BytesRef<'_>) -> Option<String> {
    if let Ok(Some(c)) = reference.resolve_char_ref() {
        return Some(c.to_string());
    }
    quick_xml::escape::resolve_predefined_entity(reference).map(str::to_owned)
}

fn walk(builder: &mut RenditionBuilder, xml: &str, styles: &Styles) -> Result<(), ExtractError> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = false;
    reader.config_mut().allow_unmatched_ends = true;
    let mut walk = Walk {
        builder,
        styles,
        paragraph: Paragraph::default(),
        outer: Vec::new(),
        rows: Vec::new(),
        in_text: false,
        skipped: 0,
        tight: false,
        note: None,
    };
    loop {
        let event = reader
            .read_event()
            .map_err(|_| ExtractError::damaged(format!("its XML is malformed at byte {}", reader.error_position())))?;
        match event {
            Event::Start(element) => walk.start(&element, false)?,
            Event::Empty(element) => walk.start(&element, true)?,
            Event::End(element) => walk.end(element.local_name().as_ref())?,
            Event::Text(text) if walk.in_text && walk.skipped == 0 => walk.paragraph.text.push_str(&text),
            Event::CData(text) if walk.in_text && walk.skipped == 0 => walk.paragraph.text.push_str(&text),
            Event::GeneralRef(reference) if walk.in_text && walk.skipped == 0 => {
                if let Some(text) = resolve(&reference) {
                    walk.paragraph.text.push_str(&text);
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    walk.end_paragraph()
}

#[derive(Default)]
struct Paragraph {
    text: String,
    style: Option<String>,
    outline: Option<u8>,
    /// Depth in a list, from 0.
    list: Option<usize>,
    /// The run being read is hidden.
    hidden_from: Option<usize>,
}

struct Walk<'b> {
    builder: &'b mut RenditionBuilder,
    styles: &'b Styles,
    paragraph: Paragraph,
    /// Paragraphs that hold the text box being read.
    outer: Vec<Paragraph>,
    /// Cells of the open rows, the innermost last.
    rows: Vec<Vec<String>>,
    in_text: bool,
    /// Open elements whose content is left out.
    skipped: usize,
    tight: bool,
    /// Label of the open footnote.
    note: Option<String>,
}

impl Walk<'_> {
    fn start(&mut self, element: &BytesStart<'_>, empty: bool) -> Result<(), ExtractError> {
        let local = element.local_name();
        let name = local.as_ref();
        if self.skipped > 0 {
            self.skipped += usize::from(!empty);
            return Ok(());
        }
        match name {
            // Fallback repeats what Choice holds; del is deleted text; separators divide notes from the page.
            "Fallback" | "del" | "moveFrom" | "instrText" | "delText" | "pict" if !empty => {
                self.skipped = usize::from(name != "pict");
            }
            "footnote" | "endnote" if !empty => {
                if attribute(element, "type").is_some_and(|kind| kind != "normal") {
                    self.skipped = 1;
                } else {
                    self.note = attribute(element, "id");
                }
            }
            "p" => {
                if empty {
                    return Ok(());
                }
                if !self.paragraph.text.is_empty() && self.paragraph.style.is_some() {
                    self.end_paragraph()?;
                }
                self.paragraph = Paragraph::default();
            }
            "txbxContent" if !empty => self.outer.push(std::mem::take(&mut self.paragraph)),
            "pStyle" => self.paragraph.style = attribute(element, "val"),
            "outlineLvl" => {
                let level = attribute(element, "val").and_then(|value| value.parse::<u8>().ok());
                self.paragraph.outline = level.filter(|level| *level < 6).map(|level| level + 1);
            }
            "numPr" => self.paragraph.list = Some(0),
            "numId" if attribute(element, "val").as_deref() == Some("0") => self.paragraph.list = None,
            "ilvl" => {
                let depth = attribute(element, "val").and_then(|value| value.parse::<usize>().ok()).unwrap_or(0);
                self.paragraph.list = Some(depth.min(16));
            }
            "vanish" if !matches!(attribute(element, "val").as_deref(), Some("0" | "false")) => {
                self.paragraph.hidden_from = Some(self.paragraph.text.len());
            }
            "t" => self.in_text = !empty,
            "tab" if self.paragraph.hidden_from.is_none() && attribute(element, "pos").is_none() => {
                self.paragraph.text.push('\t');
            }
            "br" | "cr" => self.paragraph.text.push('\n'),
            "noBreakHyphen" => self.paragraph.text.push('-'),
            "footnoteReference" | "endnoteReference" => {
                if let Some(id) = attribute(element, "id") {
                    self.paragraph.text.extend(["[", &id, "]"]);
                }
            }
            "tbl" if self.rows.is_empty() => self.tight = false,
            "tr" if !empty => self.rows.push(Vec::new()),
            "tc" if !empty => {
                if let Some(row) = self.rows.last_mut() {
                    row.push(String::new());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, name: &str) -> Result<(), ExtractError> {
        if self.skipped > 0 {
            self.skipped -= 1;
            return Ok(());
        }
        match name {
            "t" => self.in_text = false,
            "r" => {
                if let Some(from) = self.paragraph.hidden_from.take() {
                    self.paragraph.text.truncate(from);
                }
            }
            "p" => self.end_paragraph()?,
            "txbxContent" => {
                self.end_paragraph()?;
                self.paragraph = self.outer.pop().unwrap_or_default();
            }
            "tr" => self.end_row()?,
            "tbl" => self.tight &= !self.rows.is_empty(),
            "footnote" | "endnote" => self.note = None,
            _ => {}
        }
        Ok(())
    }

    fn end_paragraph(&mut self) -> Result<(), ExtractError> {
        let paragraph = std::mem::take(&mut self.paragraph);
        let text = paragraph.text.trim();
        if text.is_empty() {
            return Ok(());
        }
        if let Some(cell) = self.rows.last_mut().and_then(|row| row.last_mut()) {
            if !cell.is_empty() {
                cell.push(' ');
            }
            cell.push_str(&text.replace('\n', " "));
            return Ok(());
        }
        let style = paragraph.style.as_deref().and_then(|id| self.styles.get(id));
        let level = paragraph.outline.or(style.and_then(|style| style.level));
        if let Some(level) = level {
            self.tight = false;
            return self.builder.heading(level, text);
        }
        let gap = if self.tight && paragraph.list.is_some() { Gap::Line } else { Gap::Paragraph };
        self.tight = paragraph.list.is_some();
        let mark = match (paragraph.list, self.note.take()) {
            (Some(depth), _) => format!("{}- ", "  ".repeat(depth)),
            (None, Some(label)) => format!("[{label}] "),
            (None, None) => String::new(),
        };
        self.builder.block(&format!("{mark}{text}"), gap)?;
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), ExtractError> {
        self.end_paragraph()?;
        let Some(row) = self.rows.pop() else { return Ok(()) };
        if row.iter().all(String::is_empty) {
            return Ok(());
        }
        let line = row.join(" | ");
        if let Some(cell) = self.rows.last_mut().and_then(|row| row.last_mut()) {
            if !cell.is_empty() {
                cell.push(' ');
            }
            cell.push_str(&line);
            return Ok(());
        }
        let gap = if self.tight { Gap::Line } else { Gap::Paragraph };
        self.tight = true;
        self.builder.block(&line, gap)?;
        Ok(())
    }
}
