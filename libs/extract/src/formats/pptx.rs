//! Presentations (Office Open XML, ECMA-376).

use super::ooxml::{Relations, attribute, core_title, main_part, next, part, reader, resolve};
use super::{Certainty, Format, Input, image};
use crate::archive::Archive;
use crate::builder::{Gap, RenditionBuilder};
use crate::container::Container;
use crate::error::ExtractError;
use crate::room::Room;
use crate::table::{Grid, Heading};
use carrel_domain::text::Rendition;
use quick_xml::events::{BytesStart, Event};

/// Presentations (.pptx, .pptm, .ppsx, .potx).
///
/// Keeps the slides in their order (as pages), their titles (as sections), paragraphs, tables (one row a line, cells
/// with their headings), the words of diagrams, and the speaker's notes after each slide. Files embedded in it become
/// documents of their own. Drops pictures (those of a presentation without any text are read by character recognition),
/// charts, comments, animations, slide numbers, dates and footers of the layout.
pub(super) struct Pptx;

impl Format for Pptx {
    fn name(&self) -> &'static str {
        "pptx"
    }

    fn media_type(&self) -> &'static str {
        "application/vnd.openxmlformats-officedocument.presentationml.presentation"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        if input.container() == Container::Pptx { Certainty::Content } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        let limits = room.limits;
        let mut archive = Archive::open(input.bytes, &limits)?;
        let mut builder = RenditionBuilder::new(&limits);
        let main = main_part(&mut archive, "ppt/presentation.xml")?;
        let Some(presentation) = part(&mut archive, &main)? else {
            return Err(ExtractError::damaged("the main part is missing"));
        };
        let related = Relations::load(&mut archive, &main)?;
        let mut first_title = None;
        for (number, id) in (1..).zip(slide_ids(&presentation)?) {
            builder.page(number)?;
            let Some(name) = related.of_id(&id) else { continue };
            let Some(xml) = part(&mut archive, name)? else {
                builder.warn("a slide is missing");
                continue;
            };
            let title = Walk::of(&mut builder, &xml, Kind::Slide)?;
            first_title = first_title.or(title);
            let of_slide = Relations::load(&mut archive, name)?;
            for diagram in of_slide.of_type("diagramData") {
                if let Some(xml) = part(&mut archive, diagram)? {
                    Walk::of(&mut builder, &xml, Kind::Diagram)?;
                }
            }
            for notes in of_slide.of_type("notesSlide") {
                if let Some(xml) = part(&mut archive, notes)? {
                    Walk::of(&mut builder, &xml, Kind::Notes)?;
                }
            }
        }
        image::embedded(&mut archive, "ppt/", &mut builder, room)?;
        let title = core_title(&mut archive)?;
        // What the program calls a new presentation says nothing.
        let title = title.filter(|title| title.trim() != "PowerPoint Presentation").or(first_title);
        builder.finish(self.media_type(), title)
    }
}

/// Relation ids of the slides, in their order.
fn slide_ids(presentation: &str) -> Result<Vec<String>, ExtractError> {
    let mut ids = Vec::new();
    let mut reader = reader(presentation);
    loop {
        match next(&mut reader)? {
            Event::Start(element) | Event::Empty(element) if element.local_name().as_ref() == "sldId" => {
                // Two attributes are named id; the relation's has a prefix.
                let relation =
                    element.attributes().with_checks(false).flatten().find(|attribute| {
                        attribute.key.local_name().as_ref() == "id" && attribute.key.prefix().is_some()
                    });
                ids.extend(relation.map(|attribute| attribute.value.as_ref().to_owned()));
            }
            Event::Eof => return Ok(ids),
            _ => {}
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Slide,
    Diagram,
    Notes,
}

/// What a shape is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Title,
    Body,
    /// Slide numbers, dates, footers, and on pages of notes all but the notes.
    Left,
}

struct Walk<'b> {
    builder: &'b mut RenditionBuilder,
    kind: Kind,
    place: Place,
    paragraph: String,
    level: usize,
    in_text: bool,
    in_field: bool,
    /// The next paragraph follows one of the same shape.
    tight: bool,
    table: Option<Grid>,
    cell: Option<(String, usize, usize)>,
    title: Option<String>,
    skipped: usize,
}

impl Walk<'_> {
    /// Adds the words of a part; answers the title of a slide.
    fn of(builder: &mut RenditionBuilder, xml: &str, kind: Kind) -> Result<Option<String>, ExtractError> {
        let place = if kind == Kind::Notes { Place::Left } else { Place::Body };
        let mut walk = Walk {
            builder,
            kind,
            place,
            paragraph: String::new(),
            level: 0,
            in_text: false,
            in_field: false,
            tight: false,
            table: None,
            cell: None,
            title: None,
            skipped: 0,
        };
        let mut reader = reader(xml);
        loop {
            match next(&mut reader)? {
                Event::Start(element) => walk.start(&element, false)?,
                Event::Empty(element) => walk.start(&element, true)?,
                Event::End(element) => walk.end(element.local_name().as_ref())?,
                Event::Text(text) if walk.in_text => walk.paragraph.push_str(&text),
                Event::CData(text) if walk.in_text => walk.paragraph.push_str(&text),
                Event::GeneralRef(reference) if walk.in_text => walk.paragraph.extend(resolve(&reference)),
                Event::Eof => break,
                _ => {}
            }
        }
        walk.end_paragraph()?;
        walk.end_table()?;
        Ok(walk.title)
    }

    fn start(&mut self, element: &BytesStart<'_>, empty: bool) -> Result<(), ExtractError> {
        let local = element.local_name();
        if self.skipped > 0 {
            self.skipped += usize::from(!empty);
            return Ok(());
        }
        match local.as_ref() {
            // What Choice holds, in another form.
            "Fallback" if !empty => self.skipped = 1,
            "sp" | "graphicFrame" if !empty => {
                self.place = if self.kind == Kind::Notes { Place::Left } else { Place::Body };
                self.tight = false;
            }
            "ph" => {
                let kind = attribute(element, "type").unwrap_or_default();
                self.place = match (self.kind, kind.as_str()) {
                    (Kind::Notes, "body") | (Kind::Slide, "subTitle" | "body" | "obj" | "") => Place::Body,
                    (Kind::Slide, "title" | "ctrTitle") => Place::Title,
                    (Kind::Notes, _) | (_, "sldNum" | "dt" | "ftr" | "hdr") => Place::Left,
                    _ => Place::Body,
                };
            }
            "pPr" => self.level = attribute(element, "lvl").and_then(|level| level.parse().ok()).unwrap_or(0),
            "fld" => self.in_field = attribute(element, "type").is_some_and(|kind| kind == "slidenum"),
            "t" => self.in_text = !empty && !self.in_field,
            "br" => self.paragraph.push('\n'),
            "tbl" if !empty => {
                self.table = Some(Grid::new(&self.builder.limits()));
            }
            "tr" if !empty => {
                if let Some(table) = &mut self.table {
                    table.start_row()?;
                }
            }
            // Cells that another one covers are there, and empty.
            "tc" if !empty => {
                let covered =
                    ["hMerge", "vMerge"].iter().any(|name| attribute(element, name).is_some_and(|value| is_on(&value)));
                let span =
                    |name: &str| attribute(element, name).and_then(|value| value.parse().ok()).unwrap_or(1_usize);
                self.cell = (!covered).then(|| (String::new(), span("gridSpan"), span("rowSpan")));
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
            "fld" => self.in_field = false,
            "p" => self.end_paragraph()?,
            "tc" => {
                if let (Some((text, columns, rows)), Some(table)) = (self.cell.take(), &mut self.table) {
                    table.cell(&text, columns, rows, Heading::No)?;
                }
            }
            "tbl" => self.end_table()?,
            _ => {}
        }
        Ok(())
    }

    fn end_table(&mut self) -> Result<(), ExtractError> {
        self.cell = None;
        self.table.take().map_or(Ok(()), |table| table.finish(self.builder))
    }

    fn end_paragraph(&mut self) -> Result<(), ExtractError> {
        let paragraph = std::mem::take(&mut self.paragraph);
        let level = std::mem::take(&mut self.level).min(8);
        let text = paragraph.trim();
        if text.is_empty() || self.place == Place::Left {
            return Ok(());
        }
        if let Some((cell, ..)) = &mut self.cell {
            if !cell.is_empty() {
                cell.push(' ');
            }
            cell.push_str(text);
            return Ok(());
        }
        if self.table.is_some() {
            return Ok(());
        }
        if self.place == Place::Title {
            let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            self.builder.heading(1, &line)?;
            self.title.get_or_insert(line);
            return Ok(());
        }
        let gap = if self.tight { Gap::Line } else { Gap::Paragraph };
        let mark = match (self.kind, self.tight, level) {
            (Kind::Notes, false, _) => "Notes: ".to_owned(),
            (_, _, 0) => String::new(),
            (_, _, level) => format!("{}- ", "  ".repeat(level - 1)),
        };
        self.tight = true;
        self.builder.block(&format!("{mark}{text}"), gap)?;
        Ok(())
    }
}

fn is_on(value: &str) -> bool {
    value == "1" || value == "true"
}
