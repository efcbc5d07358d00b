//! The formats that Carrel reads. Adding one is a file in this folder and a line in [`FORMATS`].

mod csv;
mod doc;
mod docx;
mod eml;
mod epub;
mod html;
mod image;
mod json;
mod markdown;
mod mbox;
mod msg;
mod odf;
mod ooxml;
mod pdf;
mod pdftotext;
mod ppt;
mod pptx;
mod rtf;
mod scan;
mod source;
mod spreadsheet;
mod tar;
mod text;
mod xml;
mod yaml;
mod zip;

use crate::children::Children;
use crate::container::Container;
use crate::decode::{decode, looks_like_text};
use crate::error::ExtractError;
use crate::limits::Limits;
use crate::ocr::{Ocr, OcrConfig};
use crate::room::Room;
use carrel_domain::text::Rendition;
use std::cell::OnceCell;

/// The registry. The order only matters between equally certain formats: the first wins.
const FORMATS: &[&dyn Format] = &[
    &pdf::Pdf,
    &docx::Docx,
    &pptx::Pptx,
    &spreadsheet::Xlsx,
    &spreadsheet::Xls,
    &odf::Odt,
    &odf::Ods,
    &odf::Odp,
    &epub::Epub,
    &msg::Msg,
    &doc::Doc,
    &ppt::Ppt,
    &zip::Zip,
    &tar::Tar,
    &image::Image,
    &rtf::Rtf,
    &mbox::Mbox,
    &eml::Eml,
    &html::Html,
    &xml::Xml,
    &json::Json,
    &json::Ndjson,
    &yaml::Yaml,
    &csv::Csv,
    &markdown::Markdown,
    &source::Source,
    &text::Text,
];

/// The formats, in the order in which they are asked.
pub fn formats() -> &'static [&'static dyn Format] {
    FORMATS
}

/// A file to extract.
#[derive(Debug)]
pub struct Input<'b> {
    /// Its content.
    pub bytes: &'b [u8],
    /// The name it came with, which may promise anything.
    pub name: Option<&'b str>,
    container: OnceCell<Container>,
}

impl<'b> Input<'b> {
    /// A file with the name it came with.
    pub fn new(bytes: &'b [u8], name: Option<&'b str>) -> Self {
        Self { bytes, name, container: OnceCell::new() }
    }

    /// The name's extension in lower case; empty when there is none.
    pub fn extension(&self) -> String {
        let name = self.name.unwrap_or_default();
        name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default()
    }

    /// What the file holds if it is a container; looked up once.
    pub(crate) fn container(&self) -> Container {
        *self.container.get_or_init(|| Container::of(self.bytes))
    }
}

/// How sure a format is that a file is one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// It is not.
    No,
    /// It can be read this way when nobody knows better.
    Fallback,
    /// The content allows it and the name says so.
    Named,
    /// The content shows it.
    Content,
    /// The content shows it to be a special case of another format that would also read it.
    Exact,
}

/// One kind of file.
pub trait Format: Sync {
    /// Short name, for metrics and logs.
    fn name(&self) -> &'static str;

    /// Media type of the renditions made from it (RFC 6838).
    fn media_type(&self) -> &'static str;

    /// How sure it is that `input` is of this format. Cheap: looks, does not parse.
    fn detect(&self, input: &Input<'_>) -> Certainty;

    /// Media type of the rendition made from `input`, for formats that read several types.
    fn media_type_of(&self, _input: &Input<'_>) -> String {
        self.media_type().to_owned()
    }

    /// The rendition of `input`; documents inside of it go to `room`. What a format keeps and drops is written at
    /// its type.
    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError>;
}

/// The format of `input` among [`formats`] and `extra`.
///
/// # Errors
/// [`ExtractError::Empty`] for no bytes, [`ExtractError::UnsupportedType`] when no format reads it.
pub fn detect<'f>(input: &Input<'_>, extra: &[&'f dyn Format]) -> Result<&'f dyn Format, ExtractError> {
    if input.bytes.is_empty() {
        return Err(ExtractError::Empty);
    }
    let mut best: (Certainty, Option<&'f dyn Format>) = (Certainty::No, None);
    for &format in extra.iter().chain(FORMATS) {
        let certainty = format.detect(input);
        if certainty > best.0 {
            best = (certainty, Some(format));
        }
    }
    best.1.ok_or_else(|| ExtractError::UnsupportedType { found: foreign_type(input.bytes) })
}

/// Extracts in this process, without limits on time and memory: for tests, and for the child itself.
///
/// # Errors
/// Any [`ExtractError`] but those of the sandbox. A hostile file may still make this call slow, abort or panic.
pub fn extract_in_process(bytes: &[u8], name: Option<&str>, limits: &Limits) -> Result<Rendition, ExtractError> {
    let mut room = Room {
        limits: *limits,
        depth: 0,
        children: Children::new(limits, None),
        ocr: Ocr::new(&OcrConfig { enabled: false, ..OcrConfig::default() }),
    };
    extract_with(&Input::new(bytes, name), &mut room, &[])
}

pub(crate) fn extract_with(
    input: &Input<'_>,
    room: &mut Room<'_>,
    extra: &[&dyn Format],
) -> Result<Rendition, ExtractError> {
    if input.bytes.len() as u64 > room.limits.input_bytes {
        return Err(ExtractError::TooLarge { what: "the file".into(), limit: room.limits.input_bytes });
    }
    let mut rendition = detect(input, extra)?.extract(input, room)?;
    if room.children.renamed() {
        rendition.warnings.push("names of files inside were unsafe and were changed".into());
    }
    Ok(rendition)
}

/// Bytes from which the kind of a text is told.
const SAMPLE_BYTES: usize = 64 * 1024;

/// The media type of a file that is none of ours.
pub(crate) fn foreign_type(bytes: &[u8]) -> String {
    infer::get(bytes).map_or("application/octet-stream", |kind| kind.mime_type()).to_owned()
}

/// Text in some encoding that is not a known type of another kind (RTF, PostScript and the like are text too).
fn is_plain(bytes: &[u8]) -> bool {
    if !looks_like_text(bytes) {
        return false;
    }
    // Some kinds are known by two letters, with which many a text begins.
    let is_telling = |kind: &str| {
        !kind.starts_with("text/") && !matches!(kind, "image/bmp" | "application/vnd.microsoft.portable-executable")
    };
    !infer::get(bytes).is_some_and(|kind| is_telling(kind.mime_type()))
}

/// The first bytes without a mark and white space, in lower case.
fn opening(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(1024)];
    let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    String::from_utf8_lossy(head).trim_start().to_ascii_lowercase()
}

/// Where `needle` first occurs.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let (&first, rest) = needle.split_first()?;
    let mut from = 0;
    // The search for one byte is fast; comparing windows is not.
    while let Some(at) = haystack.get(from..)?.iter().position(|byte| *byte == first) {
        let after = from + at + 1;
        if haystack.get(after..)?.starts_with(rest) {
            return Some(after - 1);
        }
        from = after;
    }
    None
}

/// The first characters of a text file, decoded.
fn sample(bytes: &[u8]) -> String {
    decode(&bytes[..bytes.len().min(SAMPLE_BYTES)], None).text.into_owned()
}
