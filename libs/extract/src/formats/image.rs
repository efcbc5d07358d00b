//! Pictures of text, by character recognition; and what lies embedded in Office packages.

use super::{Certainty, Format, Input};
use crate::archive::Archive;
use crate::builder::{Gap, RenditionBuilder};
use crate::error::ExtractError;
use crate::room::Room;
use carrel_domain::text::Rendition;
use std::io::{Cursor, Read};

/// Pictures: PNG, JPEG, TIFF (also of several pages), WebP, GIF, BMP.
///
/// Keeps the words that the optional program `tesseract` recognises, in lines and paragraphs, and the pages of a TIFF.
/// Drops what is no text, words of which recognition is unsure, and the picture's properties. Without the program it is
/// [`ExtractError::NeedsOcr`]; a picture without words is [`ExtractError::NoText`].
pub(super) struct Image;

impl Format for Image {
    fn name(&self) -> &'static str {
        "image"
    }

    fn media_type(&self) -> &'static str {
        "image/png"
    }

    fn media_type_of(&self, input: &Input<'_>) -> String {
        kind(input.bytes).unwrap_or_else(|| self.media_type()).to_owned()
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        if kind(input.bytes).is_some() { Certainty::Content } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        if !room.ocr.is_there() {
            return Err(ExtractError::NeedsOcr);
        }
        let Some(pages) = room.ocr.read(input.bytes) else {
            return Err(ExtractError::damaged("the picture cannot be opened"));
        };
        let mut builder = RenditionBuilder::new(&room.limits);
        let several = pages.len() > 1;
        for (number, page) in (1..).zip(&pages) {
            if several {
                builder.page(number)?;
            }
            builder.block(&page.text, Gap::Paragraph)?;
        }
        if builder.is_empty() {
            return Err(ExtractError::NoText);
        }
        builder.warn(RECOGNISED);
        if pages.iter().any(|page| page.doubtful) {
            builder.warn(DOUBTFUL);
        }
        builder.finish(&self.media_type_of(input), None)
    }
}

/// Said of every text that was recognised.
pub(super) const RECOGNISED: &str = "the text was read by character recognition and may have errors";
/// Said of text that has many errors.
pub(super) const DOUBTFUL: &str = "character recognition was unsure of many words";

fn kind(bytes: &[u8]) -> Option<&'static str> {
    // Two letters open a BMP, as they open many a text.
    let is_bitmap = bytes.starts_with(b"BM") && bytes.get(6..10) == Some(&[0; 4]);
    let kind = infer::get(bytes)?.mime_type();
    match kind {
        "image/bmp" => is_bitmap.then_some(kind),
        "image/png" | "image/jpeg" | "image/tiff" | "image/webp" | "image/gif" => Some(kind),
        _ => None,
    }
}

/// Hands on the files embedded in a package under `folder`; reads its pictures when the package has no text.
pub(super) fn embedded(
    archive: &mut Archive<'_>,
    folder: &str,
    builder: &mut RenditionBuilder,
    room: &mut Room<'_>,
) -> Result<(), ExtractError> {
    for name in archive.names_in(&format!("{folder}embeddings/")) {
        if room.enter().is_err() {
            builder.warn("files embedded in it lie too deep and were left out");
            break;
        }
        let Some(bytes) = archive.member(&name)? else { continue };
        let file = name.rsplit('/').next().unwrap_or(&name);
        if !file.to_lowercase().ends_with(".bin") {
            room.child(file, &bytes)?;
        } else if let Some((inner, bytes)) = unwrap_object(&bytes) {
            room.child(&inner, &bytes)?;
        } else {
            builder.warn("an embedded object is of a kind that cannot be read and was left out");
        }
    }
    let pictures = [archive.names_in(&format!("{folder}media/")), archive.names_in("Pictures/")].concat();
    if builder.is_empty() && !pictures.is_empty() {
        if !room.ocr.is_there() {
            return Err(ExtractError::NeedsOcr);
        }
        for name in pictures {
            if !room.ocr.has_time() {
                builder.warn("there was no time to read all of its pictures");
                break;
            }
            let Some(bytes) = archive.member(&name)? else { continue };
            if kind(&bytes).is_none() {
                continue;
            }
            for page in room.ocr.read(&bytes).unwrap_or_default() {
                builder.block(&page.text, Gap::Paragraph)?;
            }
        }
        if builder.is_empty() {
            return Err(ExtractError::NoText);
        }
        builder.warn(RECOGNISED);
    }
    Ok(())
}

/// The file in an OLE object: its name and content.
fn unwrap_object(bytes: &[u8]) -> Option<(String, Vec<u8>)> {
    let mut file = cfb::CompoundFile::open(Cursor::new(bytes)).ok()?;
    let mut stream = |name: &str| {
        let mut content = Vec::new();
        file.open_stream(name).ok()?.take(bytes.len() as u64).read_to_end(&mut content).ok()?;
        Some(content)
    };
    if let Some(native) = stream("/\u{1}Ole10Native") {
        return ole_native(&native);
    }
    if let Some(content) = stream("/Package").or_else(|| stream("/CONTENTS")) {
        return Some(("embedded".to_owned(), content));
    }
    // The object itself is an old Office document.
    ["/WordDocument", "/Workbook", "/PowerPoint Document"]
        .iter()
        .any(|name| file.is_stream(name))
        .then(|| ("embedded".to_owned(), bytes.to_vec()))
}

/// The stream that Windows' packager writes: size, flags, label, path, two more fields, the temporary path, content.
fn ole_native(stream: &[u8]) -> Option<(String, Vec<u8>)> {
    let text = |from: usize| {
        let rest = stream.get(from..)?;
        let length = rest.iter().position(|byte| *byte == 0)?;
        Some((String::from_utf8_lossy(&rest[..length]).into_owned(), from + length + 1))
    };
    let (label, next) = text(6)?;
    let (_, next) = text(next)?;
    let size = |from: usize| Some(u32::from_le_bytes(stream.get(from..from + 4)?.try_into().ok()?) as usize);
    let after_path = (next + 8).checked_add(size(next + 4)?)?;
    let from = after_path.checked_add(4)?;
    let content = stream.get(from..from.checked_add(size(after_path)?)?)?;
    Some((label, content.to_vec()))
}
