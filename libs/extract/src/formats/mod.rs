//! The formats that Carrel reads. Adding one is a file in this folder and a line in [`FORMATS`].

mod docx;
mod html;
mod markdown;
mod pdf;
mod pdftotext;
mod text;

use crate::decode::looks_like_text;
use crate::error::ExtractError;
use crate::limits::Limits;
use carrel_domain::text::Rendition;

/// The registry. The order only matters between equally certain formats: the first wins.
const FORMATS: &[&dyn Format] = &[&pdf::Pdf, &docx::Docx, &html::Html, &markdown::Markdown, &text::Text];

/// The formats, in the order in which they are asked.
pub fn formats() -> &'static [&'static dyn Format] {
    FORMATS
}

/// A file to extract.
#[derive(Clone, Copy, Debug)]
pub struct Input<'b> {
    /// Its content.
    pub bytes: &'b [u8],
    /// The name it came with, which may promise anything.
    pub name: Option<&'b str>,
}

impl Input<'_> {
    /// The name's extension in lower case; empty when there is none.
    pub fn extension(&self) -> String {
        let name = self.name.unwrap_or_default();
        name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default()
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
}

/// One kind of file.
pub trait Format: Sync {
    /// Short name, for metrics and logs.
    fn name(&self) -> &'static str;

    /// Media type of the renditions made from it (RFC 6838).
    fn media_type(&self) -> &'static str;

    /// How sure it is that `input` is of this format. Cheap: looks, does not parse.
    fn detect(&self, input: &Input<'_>) -> Certainty;

    /// The rendition of `input`. What a format keeps and drops is written at its type.
    fn extract(&self, input: &Input<'_>, limits: &Limits) -> Result<Rendition, ExtractError>;
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
    extract_with(&Input { bytes, name }, limits, &[])
}

pub(crate) fn extract_with(
    input: &Input<'_>,
    limits: &Limits,
    extra: &[&dyn Format],
) -> Result<Rendition, ExtractError> {
    if input.bytes.len() as u64 > limits.input_bytes {
        return Err(ExtractError::TooLarge { what: "the file".into(), limit: limits.input_bytes });
    }
    detect(input, extra)?.extract(input, limits)
}

/// The media type of a file that is none of ours.
fn foreign_type(bytes: &[u8]) -> String {
    infer::get(bytes).map_or("application/octet-stream", |kind| kind.mime_type()).to_owned()
}

/// Text in some encoding that is not a known type of another kind (RTF, PostScript and the like are text too).
fn is_plain(bytes: &[u8]) -> bool {
    let foreign = infer::get(bytes).is_some_and(|kind| !kind.mime_type().starts_with("text/"));
    !foreign && looks_like_text(bytes)
}

/// The first bytes without a mark and white space, in lower case.
fn opening(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(1024)];
    let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    String::from_utf8_lossy(head).trim_start().to_ascii_lowercase()
}

/// Where `needle` first occurs.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
