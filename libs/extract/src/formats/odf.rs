//! OpenDocument texts, sheets and presentations (OASIS OpenDocument 1.3).

mod walk;

use super::ooxml::{element_text, part};
use super::{Certainty, Format, Input, image};
use crate::archive::Archive;
use crate::builder::RenditionBuilder;
use crate::container::Container;
use crate::error::ExtractError;
use crate::room::Room;
use carrel_domain::text::Rendition;

/// Texts (.odt, .ott and those of OpenOffice 1).
///
/// Keeps paragraphs, headings (as sections), lists, tables (one row a line, cells with their headings), text boxes,
/// and footnotes in brackets where they are referred to. Drops pictures (those of a document without any text are read
/// by character recognition), comments, deleted text, macros, headers and footers.
pub(super) struct Odt;

/// Sheets (.ods).
///
/// Keeps every sheet (as a page and a section) and its rows as they are shown (one a line, cells with their headings;
/// empty rows divide tables). Drops formulas, charts, pictures, comments, macros.
pub(super) struct Ods;

/// Presentations and drawings (.odp, .odg).
///
/// Keeps the slides (as pages), their titles (as sections), paragraphs, lists, tables, and the speaker's notes after
/// each slide. Drops pictures (as [`Odt`] does), animations, comments, page numbers and dates.
pub(super) struct Odp;

impl Format for Odt {
    fn name(&self) -> &'static str {
        "odt"
    }

    fn media_type(&self) -> &'static str {
        "application/vnd.oasis.opendocument.text"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        if input.container() == Container::Odt { Certainty::Content } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        read(input, room, self.media_type())
    }
}

impl Format for Ods {
    fn name(&self) -> &'static str {
        "ods"
    }

    fn media_type(&self) -> &'static str {
        "application/vnd.oasis.opendocument.spreadsheet"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        if input.container() == Container::Ods { Certainty::Content } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        read(input, room, self.media_type())
    }
}

impl Format for Odp {
    fn name(&self) -> &'static str {
        "odp"
    }

    fn media_type(&self) -> &'static str {
        "application/vnd.oasis.opendocument.presentation"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        if input.container() == Container::Odp { Certainty::Content } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        read(input, room, self.media_type())
    }
}

fn read(input: &Input<'_>, room: &mut Room<'_>, media_type: &str) -> Result<Rendition, ExtractError> {
    let limits = room.limits;
    let mut archive = Archive::open(input.bytes, &limits)?;
    // Part 2, section 4: what is encrypted says so in the manifest.
    if part(&mut archive, "META-INF/manifest.xml")?.is_some_and(|manifest| manifest.contains("encryption-data")) {
        return Err(ExtractError::Encrypted);
    }
    let Some(content) = part(&mut archive, "content.xml")? else {
        return Err(ExtractError::damaged("the main part is missing"));
    };
    let mut builder = RenditionBuilder::new(&limits);
    walk::push(&mut builder, &content, &limits)?;
    image::embedded(&mut archive, "", &mut builder, room)?;
    let title = part(&mut archive, "meta.xml")?.and_then(|xml| element_text(&xml, "title"));
    builder.finish(media_type, title)
}
