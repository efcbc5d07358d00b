//! Documents of Word 97 to 2003 (MS-DOC), a compound file read by `cfb`.

use super::{Certainty, Format, Input};
use crate::builder::{Gap, RenditionBuilder};
use crate::container::Container;
use crate::error::ExtractError;
use crate::room::Room;
use crate::table::{Grid, Heading};
use carrel_domain::text::Rendition;
use std::io::{Cursor, Read};

/// Documents of Word 97 to 2003 (.doc).
///
/// Keeps the paragraphs, the rows of tables (one a line, cells with their headings), footnotes and endnotes at the end,
/// the results of fields. Drops styles and with them headings' levels, pictures, comments, headers and footers, deleted
/// text's marks (the text stays), macros. Files of Word 95 and older are [`ExtractError::UnsupportedType`].
pub(super) struct Doc;

/// Most pieces that a text may be made of.
const MOST_PIECES: usize = 1_000_000;

impl Format for Doc {
    fn name(&self) -> &'static str {
        "doc"
    }

    fn media_type(&self) -> &'static str {
        "application/msword"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        if input.container() == Container::Doc { Certainty::Content } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        let mut file = cfb::CompoundFile::open(Cursor::new(input.bytes)).map_err(|_| damaged())?;
        let mut stream = |name: &str| {
            let mut bytes = Vec::new();
            file.open_stream(name).ok()?.take(room.limits.input_bytes).read_to_end(&mut bytes).ok()?;
            Some(bytes)
        };
        let document = stream("/WordDocument").ok_or_else(damaged)?;
        let flags = word(&document, 10).ok_or_else(damaged)?;
        if flags & 0x0100 != 0 {
            return Err(ExtractError::Encrypted);
        }
        if word(&document, 2).is_none_or(|version| version < 0xC1) {
            return Err(ExtractError::UnsupportedType { found: "application/msword; version=95".into() });
        }
        let table = if flags & 0x0200 != 0 { "/1Table" } else { "/0Table" };
        let table = stream(table).ok_or_else(damaged)?;
        let text = pieces(&document, &table, room.limits.output_bytes).ok_or_else(damaged)?;
        let mut builder = RenditionBuilder::new(&room.limits);
        push(&mut builder, &text)?;
        builder.finish(self.media_type(), None)
    }
}

fn damaged() -> ExtractError {
    ExtractError::damaged("its structure is invalid")
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?) as usize)
}

/// The text of the document and its notes, put together from the piece table (MS-DOC, section 2.8.35).
fn pieces(document: &[u8], table: &[u8], limit: u64) -> Option<String> {
    // FibRgLw97: lengths of the main text, the footnotes, the headers, (macros,) the comments, the endnotes.
    let length_of = |index: usize| long(document, 0x4C + index * 4);
    let (main, notes, headers) = (length_of(0)?, length_of(1)?, length_of(2)?);
    let (comments, endnotes) = (length_of(4)?, length_of(5)?);
    let wanted = [(0, main + notes), (main + notes + headers + comments, main + notes + headers + comments + endnotes)];
    let (clx, clx_length) = (long(document, 0x01A2)?, long(document, 0x01A6)?);
    let mut clx = table.get(clx..clx.checked_add(clx_length)?)?;
    // Before the pieces may stand properties, each with its length.
    while let [1, low, high, rest @ ..] = clx {
        clx = rest.get(usize::from(u16::from_le_bytes([*low, *high]))..)?;
    }
    let plc = match clx {
        [2, rest @ ..] => rest.get(4..4 + long(rest, 0)?)?,
        _ => return None,
    };
    let count = plc.len().checked_sub(4)? / 12;
    let mut text = String::new();
    for piece in 0..count.min(MOST_PIECES) {
        let (start, end) = (long(plc, piece * 4)?, long(plc, piece * 4 + 4)?);
        let place = long(plc, (count + 1) * 4 + piece * 8 + 2)?;
        let is_narrow = place & 0x4000_0000 != 0;
        let place = place & 0x3FFF_FFFF;
        for (from, to) in wanted {
            let (from, to) = (from.max(start), to.min(end));
            if from >= to {
                continue;
            }
            let (skip, length) = (from - start, to - from);
            if is_narrow {
                let at = (place / 2).checked_add(skip)?;
                let bytes = document.get(at..at.checked_add(length)?)?;
                text.push_str(&encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0);
            } else {
                let at = place.checked_add(skip.checked_mul(2)?)?;
                let bytes = document.get(at..at.checked_add(length.checked_mul(2)?)?)?;
                text.push_str(&encoding_rs::UTF_16LE.decode_without_bom_handling(bytes).0);
            }
            if text.len() as u64 > limit.saturating_mul(2) {
                return Some(text);
            }
        }
    }
    Some(text)
}

/// Paragraphs end with a carriage return, cells and rows with a bell; fields are code, separator, result.
fn push(builder: &mut RenditionBuilder, text: &str) -> Result<(), ExtractError> {
    let mut line = String::new();
    let mut cells: Vec<String> = Vec::new();
    let mut grid: Option<Grid> = None;
    let mut codes = 0_u32;
    for c in text.chars() {
        match c {
            '\u{13}' => codes += 1,
            '\u{14}' | '\u{15}' => codes = codes.saturating_sub(1),
            _ if codes > 0 => {}
            '\u{7}' if line.trim().is_empty() && !cells.is_empty() && cells.last().is_some_and(|_| line.is_empty()) => {
                let limits = builder.limits();
                let table = grid.get_or_insert_with(|| Grid::new(&limits));
                table.start_row()?;
                for cell in cells.drain(..) {
                    table.cell(&cell, 1, 1, Heading::No)?;
                }
                table.relieve(builder)?;
            }
            '\u{7}' => cells.push(std::mem::take(&mut line)),
            '\r' | '\u{C}' if cells.is_empty() => {
                if let Some(table) = grid.take_if(|_| !line.trim().is_empty()) {
                    table.finish(builder)?;
                }
                builder.block(line.trim(), Gap::Paragraph)?;
                line.clear();
            }
            '\r' | '\u{C}' => line.push(' '),
            '\u{B}' => line.push('\n'),
            '\u{1E}' => line.push('-'),
            // Pictures, notes' marks, soft hyphens.
            '\u{1}'..='\u{8}' | '\u{1F}' => {}
            _ => line.push(c),
        }
    }
    if let Some(table) = grid {
        table.finish(builder)?;
    }
    cells.push(line);
    builder.block(&cells.join(" | "), Gap::Paragraph)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::push;
    use crate::builder::RenditionBuilder;
    use crate::limits::Limits;

    #[test]
    fn marks_become_paragraphs_and_rows() {
        let mut builder = RenditionBuilder::new(&Limits::default());
        let text = "One\rsee \u{13} HYPERLINK x \u{14}link\u{15}.\rItem\u{7}Price\u{7}\u{7}Tea\u{7}2\u{7}\u{7}Milk\u{7}3\u{7}\u{7}end\r";
        push(&mut builder, text).unwrap();
        assert_eq!(
            builder.finish("x", None).unwrap().text,
            "One\n\nsee link.\n\nItem: Tea | Price: 2\nItem: Milk | Price: 3\n\nend"
        );
    }
}
