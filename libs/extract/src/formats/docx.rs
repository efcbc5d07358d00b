//! Word documents (Office Open XML, ECMA-376).

mod parts;

use super::ooxml::{Relations, attribute, core_title, main_part, next, part, reader, resolve};
use super::{Certainty, Format, Input, image};
use crate::archive::Archive;
use crate::builder::{Gap, RenditionBuilder};
use crate::container::Container;
use crate::error::ExtractError;
use crate::limits::Limits;
use crate::room::Room;
use crate::table::{Grid, Heading};
use carrel_domain::text::Rendition;
use parts::{Styles, styles};
use quick_xml::events::{BytesStart, Event};
use std::collections::BTreeMap;

/// Word documents (.docx, .docm, .dotx).
///
/// Keeps paragraphs, headings (by style, as sections), lists, tables (one row a line, cells with their
/// headings), text boxes, formulas' letters, and at the end footnotes, endnotes and the distinct headers and footers.
/// Files embedded in it become documents of their own. Drops pictures (those of a document without any text are read by
/// character recognition), comments, deleted and hidden text, macros and all links' addresses.
pub(super) struct Docx;

impl Format for Docx {
    fn name(&self) -> &'static str {
        "docx"
    }

    fn media_type(&self) -> &'static str {
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        match input.container() {
            Container::Docx | Container::Encrypted => Certainty::Content,
            _ => Certainty::No,
        }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        // A document with a password is an OLE compound file with an `EncryptedPackage` stream (MS-OFFCRYPTO 2.3.1).
        if input.container() == Container::Encrypted {
            return Err(ExtractError::Encrypted);
        }
        let limits = &room.limits.clone();
        let mut archive = Archive::open(input.bytes, limits)?;
        let mut builder = RenditionBuilder::new(limits);
        let body_name = main_part(&mut archive, "word/document.xml")?;
        let Some(body) = part(&mut archive, &body_name)? else {
            return Err(ExtractError::damaged("the main part is missing"));
        };
        let related = Relations::load(&mut archive, &body_name)?;
        let style_part = related.of_type("styles").next().map(str::to_owned);
        let known = match style_part {
            Some(name) => part(&mut archive, &name)?.map(|xml| styles(&xml)).unwrap_or_default(),
            None => Styles::default(),
        };
        walk(&mut builder, &body, &known, limits)?;
        for kind in ["footnotes", "endnotes"] {
            for name in related.of_type(kind) {
                if let Some(xml) = part(&mut archive, name)? {
                    walk(&mut builder, &xml, &known, limits)?;
                }
            }
        }
        let mut seen = Vec::new();
        for name in related.of_type("header").chain(related.of_type("footer")).take(100) {
            let Some(xml) = part(&mut archive, name)? else { continue };
            let mut margin = RenditionBuilder::new(limits);
            walk(&mut margin, &xml, &Styles::default(), limits)?;
            let Ok(margin) = margin.finish(self.media_type(), None) else { continue };
            if !seen.contains(&margin.text) {
                builder.block(&margin.text, Gap::Paragraph)?;
                seen.push(margin.text);
            }
        }
        image::embedded(&mut archive, "word/", &mut builder, room)?;
        let title = core_title(&mut archive)?;
        builder.finish(self.media_type(), title)
    }
}

fn walk(builder: &mut RenditionBuilder, xml: &str, styles: &Styles, limits: &Limits) -> Result<(), ExtractError> {
    let mut reader = reader(xml);
    let mut walk = Walk {
        builder,
        styles,
        limits,
        paragraph: Paragraph::default(),
        outer: Vec::new(),
        tables: Vec::new(),
        in_text: false,
        skipped: 0,
        tight: false,
        note: None,
    };
    loop {
        match next(&mut reader)? {
            Event::Start(element) => walk.start(&element, false)?,
            Event::Empty(element) => walk.start(&element, true)?,
            Event::End(element) => walk.end(element.local_name().as_ref())?,
            Event::Text(text) if walk.in_text && walk.skipped == 0 => walk.paragraph.text.push_str(&text),
            Event::CData(text) if walk.in_text && walk.skipped == 0 => walk.paragraph.text.push_str(&text),
            Event::GeneralRef(reference) if walk.in_text && walk.skipped == 0 => match resolve(&reference) {
                Some(text) => walk.paragraph.text.push_str(&text),
                None => walk.builder.leave_out_entity(),
            },
            Event::Eof => break,
            _ => {}
        }
    }
    walk.end_paragraph()?;
    while !walk.tables.is_empty() {
        walk.end_cell()?;
        walk.end_table()?;
    }
    Ok(())
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

/// A table being read.
struct Table {
    grid: Grid,
    /// The open cell: its text, the columns that it covers, and whether it goes on from the row above.
    cell: Option<(String, usize, bool)>,
    /// Where the open cell stands.
    column: usize,
    /// What the cell above says, by column, for cells that go on.
    above: BTreeMap<usize, String>,
    heading: Heading,
}

struct Walk<'b> {
    builder: &'b mut RenditionBuilder,
    styles: &'b Styles,
    limits: &'b Limits,
    paragraph: Paragraph,
    /// Paragraphs that hold the text box being read.
    outer: Vec<Paragraph>,
    /// The open tables, the innermost last.
    tables: Vec<Table>,
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
            "vanish" if !is_off(element) => {
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
            "tbl" if !empty => self.tables.push(Table {
                grid: Grid::new(self.limits),
                cell: None,
                column: 0,
                above: BTreeMap::new(),
                heading: Heading::No,
            }),
            "tr" if !empty => {
                if let Some(table) = self.tables.last_mut() {
                    table.grid.start_row()?;
                    (table.column, table.heading) = (0, Heading::No);
                }
            }
            "tblHeader" if !is_off(element) => {
                if let Some(table) = self.tables.last_mut() {
                    table.heading = Heading::Yes;
                }
            }
            "tc" if !empty => {
                if let Some(table) = self.tables.last_mut() {
                    table.cell = Some((String::new(), 1, false));
                }
            }
            "gridSpan" => {
                let columns = attribute(element, "val").and_then(|value| value.parse().ok());
                if let (Some(cell), Some(columns)) = (self.cell(), columns) {
                    cell.1 = columns;
                }
            }
            "vMerge" if attribute(element, "val").as_deref() != Some("restart") => {
                if let Some(cell) = self.cell() {
                    cell.2 = true;
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
            "tc" => {
                self.end_paragraph()?;
                self.end_cell()?;
            }
            "tbl" => {
                self.end_paragraph()?;
                self.end_cell()?;
                self.end_table()?;
            }
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
        if let Some((cell, ..)) = self.cell() {
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

    /// The open cell of the innermost table.
    fn cell(&mut self) -> Option<&mut (String, usize, bool)> {
        self.tables.last_mut().and_then(|table| table.cell.as_mut())
    }

    fn end_cell(&mut self) -> Result<(), ExtractError> {
        let Some(table) = self.tables.last_mut() else { return Ok(()) };
        let Some((mut text, columns, goes_on)) = table.cell.take() else { return Ok(()) };
        if goes_on {
            text = table.above.get(&table.column).cloned().unwrap_or_default();
        }
        table.grid.cell(&text, columns, 1, table.heading)?;
        table.above.insert(table.column, text);
        table.column = table.column.saturating_add(columns.max(1));
        Ok(())
    }

    fn end_table(&mut self) -> Result<(), ExtractError> {
        let Some(table) = self.tables.pop() else { return Ok(()) };
        self.tight = false;
        let Some((cell, ..)) = self.cell() else { return table.grid.finish(self.builder) };
        for line in table.grid.into_lines()? {
            if !cell.is_empty() {
                cell.push_str("; ");
            }
            cell.push_str(&line);
        }
        Ok(())
    }
}

/// A property that is there but turned off.
fn is_off(element: &BytesStart<'_>) -> bool {
    matches!(attribute(element, "val").as_deref(), Some("0" | "false"))
}
