//! The walk through the content of an OpenDocument file.

use super::super::ooxml::{attribute, next, reader, resolve};
use crate::builder::{Gap, RenditionBuilder};
use crate::error::ExtractError;
use crate::limits::Limits;
use crate::sheet::Sheet;
use crate::table::{Grid, Guess, Heading, squeeze};
use quick_xml::events::{BytesStart, Event};

/// Most times that a row or cell with something in it is repeated. Empty ones are repeated a million times to fill the
/// sheet, and are left out.
const MOST_REPEATED: usize = 1000;
/// Spaces that one element may stand for.
const MOST_SPACES: usize = 100;

/// Adds the content of a text, a sheet or a presentation.
pub(super) fn push(builder: &mut RenditionBuilder, xml: &str, limits: &Limits) -> Result<(), ExtractError> {
    let mut walk = Walk {
        builder,
        limits,
        paragraphs: Vec::new(),
        lists: 0,
        mark: None,
        tight: false,
        tables: Vec::new(),
        skipped: 0,
        page: 0,
        in_title: false,
        in_notes: false,
        body: Body::Text,
        sheet: None,
    };
    let mut reader = reader(xml);
    loop {
        match next(&mut reader)? {
            Event::Start(element) => walk.start(&element, false)?,
            Event::Empty(element) => {
                walk.start(&element, true)?;
                if walk.skipped == 0 {
                    walk.end(element.local_name().as_ref())?;
                }
            }
            Event::End(element) if walk.skipped > 0 => {
                walk.skipped -= 1;
                let _ = element;
            }
            Event::End(element) => walk.end(element.local_name().as_ref())?,
            Event::Text(text) if walk.skipped == 0 => walk.text(&text),
            Event::CData(text) if walk.skipped == 0 => walk.text(&text),
            Event::GeneralRef(reference) if walk.skipped == 0 => {
                if let Some(text) = resolve(&reference) {
                    walk.text(&text);
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    while !walk.paragraphs.is_empty() {
        walk.end_paragraph()?;
    }
    while !walk.tables.is_empty() {
        walk.end_cell()?;
        walk.end_table()?;
    }
    walk.end_sheet()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    Text,
    Sheets,
    Slides,
}

#[derive(Default)]
struct Paragraph {
    text: String,
    level: Option<u8>,
}

struct Table {
    grid: Grid,
    cell: Option<Cell>,
    in_head: bool,
}

#[derive(Default)]
struct Cell {
    text: String,
    columns: usize,
    rows: usize,
    repeated: usize,
}

/// A sheet being read: its rows, and how often the open one is repeated.
struct Rows {
    finished: Vec<(Vec<String>, usize)>,
    row: Vec<String>,
    /// Empty cells since the last one with something in it.
    gap: usize,
    repeated: usize,
    cell: Option<Cell>,
}

struct Walk<'b> {
    builder: &'b mut RenditionBuilder,
    limits: &'b Limits,
    /// Open paragraphs: a text box or a note lies in the paragraph that holds it.
    paragraphs: Vec<Paragraph>,
    lists: usize,
    mark: Option<String>,
    tight: bool,
    tables: Vec<Table>,
    skipped: usize,
    page: u32,
    in_title: bool,
    in_notes: bool,
    body: Body,
    sheet: Option<Rows>,
}

impl Walk<'_> {
    fn text(&mut self, text: &str) {
        let Some(paragraph) = self.paragraphs.last_mut() else { return };
        // White space collapses (part 3, section 6.1.2).
        for c in text.chars() {
            if matches!(c, ' ' | '\t' | '\n' | '\r') {
                if !paragraph.text.is_empty() && !paragraph.text.ends_with([' ', '\n', '\t']) {
                    paragraph.text.push(' ');
                }
            } else {
                paragraph.text.push(c);
            }
        }
    }

    fn start(&mut self, element: &BytesStart<'_>, empty: bool) -> Result<(), ExtractError> {
        if self.skipped > 0 {
            self.skipped += usize::from(!empty);
            return Ok(());
        }
        let number = |name: &str| attribute(element, name).and_then(|value| value.parse::<usize>().ok());
        match element.local_name().as_ref() {
            // Comments, deleted text, styles, scripts, and what stands for itself on every slide.
            "annotation" | "tracked-changes" | "automatic-styles" | "font-face-decls" | "scripts" | "forms"
            | "page-number" | "date-time" | "footer" | "desc" | "event-listeners" | "note-citation" | "shapes"
                if !empty =>
            {
                self.skipped = 1;
            }
            "spreadsheet" => self.body = Body::Sheets,
            "presentation" | "drawing" => self.body = Body::Slides,
            "p" | "h" => {
                let level = number("outline-level").map(|level| level.clamp(1, 6) as u8);
                let is_heading = element.local_name().as_ref() == "h";
                self.paragraphs.push(Paragraph { text: String::new(), level: is_heading.then(|| level.unwrap_or(1)) });
            }
            "s" => self.space(&" ".repeat(number("c").unwrap_or(1).min(MOST_SPACES))),
            "tab" | "tab-stop" => self.space("\t"),
            "line-break" => self.space("\n"),
            "note-body" => self.space("["),
            "list" => {
                if self.lists == 0 {
                    self.tight = false;
                }
                self.lists += 1;
            }
            "list-item" | "list-header" => {
                self.mark = Some(format!("{}- ", "  ".repeat(self.lists.saturating_sub(1).min(16))));
            }
            "page" if self.body == Body::Slides => {
                self.page += 1;
                self.tight = false;
                self.builder.page(self.page)?;
            }
            "frame" => {
                self.in_title |= attribute(element, "class").as_deref() == Some("title");
                if self.body == Body::Slides {
                    self.tight = false;
                }
            }
            "notes" => {
                self.in_notes = true;
                self.mark = Some("Notes: ".to_owned());
            }
            "table" if self.body == Body::Sheets && self.sheet.is_none() => {
                self.page += 1;
                self.builder.page(self.page)?;
                self.builder.heading(1, &attribute(element, "name").unwrap_or_default())?;
                self.sheet = Some(Rows { finished: Vec::new(), row: Vec::new(), gap: 0, repeated: 1, cell: None });
            }
            "table" => {
                self.tables.push(Table { grid: Grid::new(self.limits), cell: None, in_head: false });
            }
            "table-header-rows" => {
                if let Some(table) = self.tables.last_mut() {
                    table.in_head = true;
                }
            }
            "table-row" => match (self.tables.last_mut(), &mut self.sheet) {
                (Some(table), _) => table.grid.start_row()?,
                (None, Some(sheet)) => {
                    sheet.repeated = number("number-rows-repeated").unwrap_or(1);
                    sheet.row.clear();
                    sheet.gap = 0;
                }
                (None, None) => {}
            },
            name @ ("table-cell" | "covered-table-cell") => {
                let cell = Cell {
                    text: String::new(),
                    columns: number("number-columns-spanned").unwrap_or(1),
                    rows: number("number-rows-spanned").unwrap_or(1),
                    repeated: number("number-columns-repeated").unwrap_or(1),
                };
                match (self.tables.last_mut(), &mut self.sheet) {
                    // What another cell covers is filled by that cell.
                    (Some(table), _) => table.cell = (name == "table-cell").then_some(cell),
                    (None, Some(sheet)) => sheet.cell = Some(cell),
                    (None, None) => {}
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, name: &str) -> Result<(), ExtractError> {
        match name {
            "p" | "h" => self.end_paragraph()?,
            "note-body" => self.space("]"),
            "list" => {
                self.lists = self.lists.saturating_sub(1);
                self.tight &= self.lists > 0;
                self.mark = None;
            }
            "frame" => self.in_title = false,
            "notes" => self.in_notes = false,
            "table-header-rows" => {
                if let Some(table) = self.tables.last_mut() {
                    table.in_head = false;
                }
            }
            "table-cell" | "covered-table-cell" => self.end_cell()?,
            "table-row" if self.tables.is_empty() => self.end_sheet_row()?,
            "table" if self.tables.is_empty() => self.end_sheet()?,
            "table" => self.end_table()?,
            _ => {}
        }
        Ok(())
    }

    fn space(&mut self, space: &str) {
        if let Some(paragraph) = self.paragraphs.last_mut() {
            paragraph.text.push_str(space);
        }
    }

    fn end_paragraph(&mut self) -> Result<(), ExtractError> {
        let Some(paragraph) = self.paragraphs.pop() else { return Ok(()) };
        let text = paragraph.text.trim();
        if text.is_empty() {
            return Ok(());
        }
        // A note or a text box.
        if let Some(outer) = self.paragraphs.last_mut() {
            if !outer.text.is_empty() && !outer.text.ends_with(['[', ' ', '\n']) {
                outer.text.push(' ');
            }
            outer.text.push_str(text);
            return Ok(());
        }
        let cell = match (self.tables.last_mut(), &mut self.sheet) {
            (Some(table), _) => table.cell.as_mut(),
            (None, Some(sheet)) => sheet.cell.as_mut(),
            (None, None) => None,
        };
        if let Some(cell) = cell {
            if !cell.text.is_empty() {
                cell.text.push(' ');
            }
            cell.text.push_str(text);
            return Ok(());
        }
        // Headers of sheets and the like.
        if self.sheet.is_some() || !self.tables.is_empty() {
            return Ok(());
        }
        if self.in_title && !self.in_notes {
            self.tight = false;
            return self.builder.heading(1, text);
        }
        if let Some(level) = paragraph.level {
            self.tight = false;
            self.mark = None;
            return self.builder.heading(level, text);
        }
        let is_list = self.lists > 0;
        let gap = if self.tight { Gap::Line } else { Gap::Paragraph };
        self.tight = is_list || self.body == Body::Slides;
        let mark = self.mark.take().unwrap_or_default();
        self.builder.block(&format!("{mark}{text}"), gap)?;
        Ok(())
    }

    fn end_cell(&mut self) -> Result<(), ExtractError> {
        if let Some(table) = self.tables.last_mut() {
            let Some(cell) = table.cell.take() else { return Ok(()) };
            let heading = if table.in_head { Heading::Yes } else { Heading::No };
            let times = if cell.text.is_empty() { cell.repeated.min(1) } else { cell.repeated.min(MOST_REPEATED) };
            for _ in 0..times.max(1) {
                table.grid.cell(&cell.text, cell.columns, cell.rows, heading)?;
            }
            return Ok(());
        }
        let Some(sheet) = &mut self.sheet else { return Ok(()) };
        let Some(cell) = sheet.cell.take() else { return Ok(()) };
        if cell.text.is_empty() {
            sheet.gap = sheet.gap.saturating_add(cell.repeated);
            return Ok(());
        }
        let wanted = sheet.row.len().saturating_add(sheet.gap).saturating_add(cell.repeated);
        if wanted > self.limits.columns as usize {
            return Err(ExtractError::too_many("columns of a table", self.limits.columns));
        }
        sheet.row.resize(sheet.row.len() + std::mem::take(&mut sheet.gap), String::new());
        sheet.row.resize(wanted, squeeze(&cell.text));
        Ok(())
    }

    fn end_sheet_row(&mut self) -> Result<(), ExtractError> {
        let Some(sheet) = &mut self.sheet else { return Ok(()) };
        let row = std::mem::take(&mut sheet.row);
        let times = if row.is_empty() { 1 } else { sheet.repeated.min(MOST_REPEATED) };
        sheet.finished.push((row, times));
        if sheet.finished.len() as u64 > self.limits.output_bytes {
            return Err(ExtractError::TooLarge { what: "the sheet".into(), limit: self.limits.output_bytes });
        }
        Ok(())
    }

    fn end_sheet(&mut self) -> Result<(), ExtractError> {
        let Some(rows) = self.sheet.take() else { return Ok(()) };
        let mut sheet = Sheet::new(self.builder, self.limits, Guess::Careful);
        for (row, times) in rows.finished {
            for _ in 0..times {
                sheet.row(row.clone())?;
            }
        }
        sheet.finish()
    }

    fn end_table(&mut self) -> Result<(), ExtractError> {
        let Some(table) = self.tables.pop() else { return Ok(()) };
        self.tight = false;
        let Some(outer) = self.tables.last_mut() else { return table.grid.finish(self.builder) };
        let Some(cell) = &mut outer.cell else { return Ok(()) };
        for line in table.grid.into_lines()? {
            if !cell.text.is_empty() {
                cell.text.push_str("; ");
            }
            cell.text.push_str(&line);
        }
        Ok(())
    }
}
