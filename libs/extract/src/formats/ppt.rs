//! Presentations of PowerPoint 97 to 2003 (MS-PPT), a compound file read by `cfb`.

use super::{Certainty, Format, Input};
use crate::builder::{Gap, RenditionBuilder};
use crate::container::Container;
use crate::error::ExtractError;
use crate::room::Room;
use carrel_domain::text::Rendition;
use std::io::{Cursor, Read};

/// Presentations of PowerPoint 97 to 2003 (.ppt).
///
/// Keeps the text of every slide (as pages), the first line of a slide's title placeholder as a section. Drops notes,
/// the text of masters, pictures, charts, and the order of text that was set outside of placeholders.
pub(super) struct Ppt;

/// Records (MS-PPT, section 2.13.24).
mod record {
    pub(super) const SLIDE: u16 = 0x03EE;
    pub(super) const MAIN_MASTER: u16 = 0x03F8;
    pub(super) const NOTES: u16 = 0x03F0;
    pub(super) const HANDOUT: u16 = 0x0FC9;
    pub(super) const SLIDE_LIST: u16 = 0x0FF0;
    pub(super) const SLIDE_PLACE: u16 = 0x03F3;
    pub(super) const TEXT_HEADER: u16 = 0x0F9F;
    pub(super) const TEXT_CHARS: u16 = 0x0FA0;
    pub(super) const TEXT_BYTES: u16 = 0x0FA8;
    pub(super) const CRYPT: u16 = 0x2F14;
}

/// Containers deeper than this are left out.
const MOST_DEPTH: usize = 32;

impl Format for Ppt {
    fn name(&self) -> &'static str {
        "ppt"
    }

    fn media_type(&self) -> &'static str {
        "application/vnd.ms-powerpoint"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        if input.container() == Container::Ppt { Certainty::Content } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        let damaged = || ExtractError::damaged("its structure is invalid");
        let mut file = cfb::CompoundFile::open(Cursor::new(input.bytes)).map_err(|_| damaged())?;
        let mut stream = Vec::new();
        file.open_stream("/PowerPoint Document")
            .and_then(|content| content.take(room.limits.input_bytes).read_to_end(&mut stream))
            .map_err(|_| damaged())?;
        let mut slides = Slides::default();
        slides.read(&stream, Part::Nothing, 0);
        if slides.encrypted {
            return Err(ExtractError::Encrypted);
        }
        let mut builder = RenditionBuilder::new(&room.limits);
        let count = slides.outline.len().max(slides.drawn.len());
        let mut first_title = None;
        for index in 0..count {
            builder.page(index as u32 + 1)?;
            // The outline has what stands in placeholders; what was drawn has the rest, and repeats nothing of it.
            let texts = [slides.outline.get(index), slides.drawn.get(index)];
            let mut seen: Vec<&str> = Vec::new();
            for (is_title, text) in texts.into_iter().flatten().flatten() {
                if seen.contains(&text.as_str()) {
                    continue;
                }
                seen.push(text);
                if *is_title {
                    builder.heading(1, text)?;
                    first_title = first_title.or_else(|| Some(crate::table::squeeze(text)));
                } else {
                    builder.block(text, Gap::Paragraph)?;
                }
            }
        }
        builder.finish(self.media_type(), first_title)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Nothing,
    Outline,
    Slide,
}

/// Texts by slide; true when one is the slide's title.
#[derive(Default)]
struct Slides {
    outline: Vec<Vec<(bool, String)>>,
    drawn: Vec<Vec<(bool, String)>>,
    kind: u32,
    encrypted: bool,
}

impl Slides {
    fn read(&mut self, mut stream: &[u8], part: Part, depth: usize) {
        while let Some((head, rest)) = stream.split_first_chunk::<8>() {
            let version = u16::from_le_bytes([head[0], head[1]]);
            let kind = u16::from_le_bytes([head[2], head[3]]);
            let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
            let Some((body, after)) = rest.split_at_checked(length) else { return };
            stream = after;
            match kind {
                record::CRYPT => self.encrypted = true,
                record::SLIDE if depth < MOST_DEPTH => {
                    self.drawn.push(Vec::new());
                    self.read(body, Part::Slide, depth + 1);
                }
                // Instance 0 is the list of slides; 1 is that of masters, 2 of notes.
                record::SLIDE_LIST if version >> 4 == 0 && depth < MOST_DEPTH => {
                    self.read(body, Part::Outline, depth + 1);
                }
                record::SLIDE_LIST | record::MAIN_MASTER | record::NOTES | record::HANDOUT => {}
                record::SLIDE_PLACE if part == Part::Outline => self.outline.push(Vec::new()),
                record::TEXT_HEADER => {
                    self.kind = body.first_chunk().map_or(4, |kind| u32::from_le_bytes(*kind));
                }
                record::TEXT_CHARS => self.text(part, &encoding_rs::UTF_16LE.decode_without_bom_handling(body).0),
                record::TEXT_BYTES => self.text(part, &encoding_rs::WINDOWS_1252.decode_without_bom_handling(body).0),
                _ if version & 0xF == 0xF && depth < MOST_DEPTH => self.read(body, part, depth + 1),
                _ => {}
            }
        }
    }

    fn text(&mut self, part: Part, text: &str) {
        let slides = match part {
            Part::Outline => &mut self.outline,
            Part::Slide => &mut self.drawn,
            Part::Nothing => return,
        };
        let text = text.replace(['\r', '\u{B}'], "\n");
        // Kinds 0 and 6 are titles (TextTypeEnum).
        let is_title = matches!(self.kind, 0 | 6);
        if let Some(slide) = slides.last_mut().filter(|_| !text.trim().is_empty() && text.trim() != "*") {
            slide.push((is_title, text.trim().to_owned()));
        }
    }
}
