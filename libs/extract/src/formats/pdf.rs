//! PDF.

mod layout;
mod outline;

use super::{Certainty, Format, Input, find, image, pdftotext, scan};
use crate::builder::{Gap, RenditionBuilder};
use crate::child::STACK_BYTES;
use crate::error::ExtractError;
use crate::limits::Limits;
use crate::room::Room;
use carrel_domain::text::Rendition;
use layout::Block;
use pdf_oxide::{Destination, OutlineItem, PdfDocument};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

/// Most bookmarks that become sections.
const MAX_BOOKMARKS: usize = 2000;
/// Most threads that read one document, and the fewest pages that are worth one.
const MAX_THREADS: usize = 4;
const PAGES_PER_THREAD: usize = 4;

/// PDF with text in it.
///
/// Keeps the text of every page in reading order (as pages), the rows of tables (cells divided by ` | `), and as
/// sections the bookmarks that are found on their page, or else the lines set as headings. The values of a form
/// follow its page. Drops pictures, comments, attachments and all active content, which is never run. A page whose
/// text looks wrong (unmapped glyphs, right-to-left or East Asian writing) is read by `pdftotext` where that is installed. Pages that are pictures are drawn by `pdftoppm` and read by `tesseract` where both are
/// installed; those that are not read are named in a warning, and when all are, it is [`ExtractError::NeedsOcr`].
pub(super) struct Pdf;

impl Format for Pdf {
    fn name(&self) -> &'static str {
        "pdf"
    }

    fn media_type(&self) -> &'static str {
        "application/pdf"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        // Readers accept the header within the first kilobyte (ISO 32000-1, annex H.3.4.1).
        match find(&input.bytes[..input.bytes.len().min(1024)], b"%PDF-") {
            Some(0) => Certainty::Content,
            // A text about PDFs is no PDF.
            Some(_) if find(&input.bytes[input.bytes.len().saturating_sub(2048)..], b"%%EOF").is_some() => {
                Certainty::Content
            }
            _ => Certainty::No,
        }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        let limits = &room.limits;
        let mut builder = RenditionBuilder::new(limits);
        let own = read(input.bytes, limits);
        let document = match own {
            Ok(document) if !document.pages.iter().any(Page::looks_wrong) => document,
            Err(error @ ExtractError::TooLarge { .. }) => return Err(error),
            own => second_opinion(input.bytes, limits, own, &mut builder)?,
        };
        if document.failed > 0 {
            builder.warn(format!("{} pages are damaged and were left out", document.failed));
        }
        let repeated = repeated_headings(&document.pages);
        let mut blank: Vec<u32> =
            (1..).zip(&document.pages).filter(|(_, page)| page.is_blank()).map(|(number, _)| number).collect();
        let scan = scan::pages(input.bytes, &blank, &room.ocr);
        let can_draw = scan.is_some();
        let scan::Scan { drawn, read: recognised } = scan.unwrap_or_default();
        for (number, page) in (1..).zip(&document.pages) {
            builder.page(number)?;
            let mut lines = Vec::new();
            for block in &page.blocks {
                let heading =
                    block.heading.filter(|_| document.bookmarks.is_empty() && !repeated.contains(&block.text));
                if let Some(level) = heading {
                    builder.heading(level, &block.text)?;
                    continue;
                }
                let gap = if block.tight { Gap::Line } else { Gap::Paragraph };
                if let Some(start) = builder.block(&block.text, gap)? {
                    lines.extend(lines_of(&block.text, start));
                }
            }
            if let Some(page) = recognised.get(&number).filter(|page| !page.text.is_empty()) {
                builder.block(&page.text, Gap::Paragraph)?;
                builder.warn(image::RECOGNISED);
                if page.doubtful {
                    builder.warn(image::DOUBTFUL);
                }
                blank.retain(|other| *other != number);
            }
            mark_bookmarks(&mut builder, document.bookmarks.get(&number), &lines);
        }
        if builder.is_empty() {
            return Err(if document.failed > 0 || document.pages.is_empty() || can_draw && drawn == 0 {
                ExtractError::damaged("no page can be read")
            } else if can_draw {
                ExtractError::NoText
            } else {
                ExtractError::NeedsOcr
            });
        }
        if let [first, ..] = blank[..] {
            builder.warn(format!(
                "{} pages without text, the first is page {first}; scans need character recognition",
                blank.len()
            ));
        }
        builder.finish(self.media_type(), document.title)
    }
}

/// What was read of a page.
#[derive(Default)]
struct Page {
    blocks: Vec<Block>,
}

impl Page {
    fn of_text(text: String) -> Self {
        Self { blocks: vec![Block { text, heading: None, tight: false }] }
    }

    fn bytes(&self) -> u64 {
        self.blocks.iter().map(|block| block.text.len() as u64 + 2).sum()
    }

    fn is_blank(&self) -> bool {
        self.blocks.iter().all(|block| block.text.trim().is_empty())
    }

    /// True when the built-in reader may have misread it.
    fn looks_wrong(&self) -> bool {
        self.is_blank() || self.is_unmapped() || is_other_order(self.blocks.iter().map(|block| block.text.as_str()))
    }

    /// Many glyphs without a character, or private ones.
    fn is_unmapped(&self) -> bool {
        let (mut visible, mut bad) = (0, 0);
        for block in &self.blocks {
            let (of_block, bad_of_block) = unmapped(&block.text);
            visible += of_block;
            bad += bad_of_block;
        }
        bad * 50 > visible
    }
}

/// What was read of a document.
#[derive(Default)]
struct Pages {
    pages: Vec<Page>,
    /// Pages that could not be read.
    failed: usize,
    /// Level and title by page.
    bookmarks: BTreeMap<u32, Vec<(u8, String)>>,
    title: Option<String>,
}

/// Reads with the built-in reader.
fn read(bytes: &[u8], limits: &Limits) -> Result<Pages, ExtractError> {
    // The reader is young: a page that makes it panic must not cost the other pages.
    let document =
        guarded(|| PdfDocument::from_bytes(bytes.to_vec()))?.map_err(|error| ExtractError::damaged(kind_of(&error)))?;
    if document.is_encrypted() && !guarded(|| document.authenticate(b"").unwrap_or(false))? {
        return Err(ExtractError::Encrypted);
    }
    let count = guarded(|| document.page_count())?.map_err(|error| ExtractError::damaged(kind_of(&error)))?;
    if count as u64 > u64::from(limits.pages) {
        return Err(ExtractError::too_many("pages", limits.pages));
    }
    let has_form = guarded(|| document.catalog()).is_ok_and(|catalog| {
        catalog.is_ok_and(|c| c.as_dict().is_some_and(|entries| entries.contains_key("AcroForm")))
    });
    let read = read_pages(&document, count, has_form, limits.output_bytes)?;
    let failed = read.iter().filter(|page| page.is_none()).count();
    let mut pages =
        Pages { pages: read.into_iter().map(Option::unwrap_or_default).collect(), failed, ..Pages::default() };
    if guarded(|| outline::ends(&document)).unwrap_or(false)
        && let Ok(Ok(Some(outline))) = guarded(|| document.get_outline())
    {
        let mut left = MAX_BOOKMARKS;
        collect_bookmarks(&document, &outline, 1, &mut left, &mut pages.bookmarks);
    }
    pages.title = guarded(|| info_title(&document)).ok().flatten();
    Ok(pages)
}

/// Every page in its order, `None` for one that cannot be read. Long documents are read by several threads.
fn read_pages(
    document: &PdfDocument,
    count: usize,
    has_form: bool,
    limit: u64,
) -> Result<Vec<Option<Page>>, ExtractError> {
    let (next, bytes_read) = (AtomicUsize::new(0), AtomicU64::new(0));
    let take = || {
        let mut read = Vec::new();
        while bytes_read.load(Ordering::Relaxed) <= limit {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                break;
            }
            let page = guarded(|| read_page(document, index, has_form)).ok().flatten();
            bytes_read.fetch_add(page.as_ref().map_or(0, Page::bytes), Ordering::Relaxed);
            read.push((index, page));
        }
        read
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let helpers = cores.min(MAX_THREADS).min(count / PAGES_PER_THREAD).saturating_sub(1);
    let read = thread::scope(|scope| {
        // A thread that cannot be had is one that does not help.
        let started: Vec<_> = (0..helpers)
            .filter_map(|_| thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, take).ok())
            .collect();
        let mut read = take();
        read.extend(started.into_iter().filter_map(|helper| helper.join().ok()).flatten());
        read
    });
    if bytes_read.into_inner() > limit {
        return Err(ExtractError::TooLarge { what: "the text of the file".into(), limit });
    }
    let mut pages: Vec<Option<Page>> = (0..count).map(|_| None).collect();
    for (index, page) in read {
        pages[index] = page;
    }
    Ok(pages)
}

/// The blocks of a page; `None` when it cannot be read.
fn read_page(document: &PdfDocument, index: usize, has_form: bool) -> Option<Page> {
    let spans = document.extract_spans(index).ok()?;
    let turned = document.get_page_rotation(index).is_ok_and(|rotation| rotation != 0);
    // The library knows more of turned pages and of right-to-left and vertical writing than our layout does.
    if turned || is_other_order(spans.iter().map(|span| span.text.as_str())) {
        return document.extract_text(index).ok().map(Page::of_text);
    }
    let mut page = Page { blocks: layout::blocks(&spans) };
    if has_form || page.is_blank() {
        add_what_is_missing(&mut page, &document.extract_text(index).ok()?);
    }
    Some(page)
}

/// Adds the lines of the library's own reading whose words ours lacks: the values of forms stand in none of the
/// pieces.
fn add_what_is_missing(page: &mut Page, text: &str) {
    let words = |text: &str| text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase).collect::<Vec<_>>();
    let known: HashSet<String> = page.blocks.iter().flat_map(|block| words(&block.text)).collect();
    let is_missing = |line: &&str| {
        let words: Vec<String> = words(line).into_iter().filter(|word| !word.is_empty()).collect();
        words.iter().filter(|word| !known.contains(*word)).count() * 2 > words.len()
    };
    let missing: Vec<&str> = text.lines().filter(is_missing).collect();
    if !missing.is_empty() {
        page.blocks.push(Block { text: missing.join("\n"), heading: None, tight: false });
    }
}

/// Lines that look like headings on several pages are the pages' headers.
fn repeated_headings(pages: &[Page]) -> Vec<String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for block in pages.iter().flat_map(|page| &page.blocks).filter(|block| block.heading.is_some()) {
        *counts.entry(&block.text).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count >= 3).map(|(text, _)| text.to_owned()).collect()
}

/// Replaces what looks wrong by poppler's reading of it.
fn second_opinion(
    bytes: &[u8],
    limits: &Limits,
    own: Result<Pages, ExtractError>,
    builder: &mut RenditionBuilder,
) -> Result<Pages, ExtractError> {
    let Some(other) = pdftotext::pages(bytes, limits.output_bytes) else {
        if own.as_ref().is_ok_and(|own| own.pages.iter().any(Page::is_unmapped)) {
            builder.warn("some glyphs have no known character; installing pdftotext (poppler) may help");
        }
        return own;
    };
    let mut document = match own {
        Ok(own) => own,
        Err(error) => {
            if other.iter().all(|page| page.trim().is_empty()) {
                return Err(error);
            }
            builder.warn("the file is damaged and was repaired");
            return Ok(Pages { pages: other.into_iter().map(Page::of_text).collect(), ..Pages::default() });
        }
    };
    let mut replaced = 0;
    if other.len() == document.pages.len() {
        for (page, other) in document.pages.iter_mut().zip(other.into_iter().map(Page::of_text)) {
            if page.looks_wrong() && !other.is_blank() && (!other.is_unmapped() || page.is_unmapped()) {
                *page = other;
                replaced += 1;
            }
        }
    }
    if replaced > 0 {
        document.failed = document.failed.saturating_sub(replaced);
    }
    Ok(document)
}

/// Mostly right-to-left, East Asian or Indic writing.
fn is_other_order<'t>(texts: impl Iterator<Item = &'t str>) -> bool {
    let (mut letters, mut other_order) = (0, 0);
    for c in texts.flat_map(str::chars) {
        letters += usize::from(c.is_alphabetic());
        // Hebrew to Arabic extended, presentation forms; CJK; Indic and Thai.
        other_order += usize::from(matches!(
            c as u32,
            0x0590..=0x08FF | 0xFB1D..=0xFDFF | 0xFE70..=0xFEFC | 0x0900..=0x0EFF | 0x3040..=0x30FF | 0x3400..=0x9FFF | 0xAC00..=0xD7A3
        ));
    }
    other_order * 5 > letters
}

/// Visible characters, and those of them that are none or private.
fn unmapped(text: &str) -> (usize, usize) {
    let (mut visible, mut unmapped) = (0, 0);
    for c in text.chars() {
        visible += usize::from(!c.is_whitespace());
        unmapped += usize::from(matches!(c as u32, 0xFFFD | 0xE000..=0xF8FF | 0x00..=0x08));
    }
    (visible, unmapped)
}

fn collect_bookmarks(
    document: &PdfDocument,
    items: &[OutlineItem],
    level: u8,
    left: &mut usize,
    bookmarks: &mut BTreeMap<u32, Vec<(u8, String)>>,
) {
    if level > 6 {
        return;
    }
    for item in items {
        if *left == 0 {
            return;
        }
        *left -= 1;
        let page = match &item.dest {
            Some(Destination::PageIndex(index)) => Some(*index),
            Some(Destination::Named(name)) => {
                guarded(|| document.resolve_named_destination(name)).ok().and_then(Result::ok).flatten()
            }
            None => None,
        };
        if let Some(page) = page {
            bookmarks.entry(page as u32 + 1).or_default().push((level, item.title.clone()));
        }
        collect_bookmarks(document, &item.children, level + 1, left, bookmarks);
    }
}

/// Where each line of a block starts, and its letters and digits.
fn lines_of(block: &str, start: u32) -> Vec<(u32, String)> {
    let mut offset = start;
    let mut lines = Vec::new();
    for line in carrel_text::normalise(block).split_inclusive('\n') {
        lines.push((offset, squeezed(line)));
        offset += line.chars().count() as u32;
    }
    lines
}

/// Turns the bookmarks of a page into headings where their words stand at the start of a line of it.
fn mark_bookmarks(builder: &mut RenditionBuilder, bookmarks: Option<&Vec<(u8, String)>>, lines: &[(u32, String)]) {
    let Some(bookmarks) = bookmarks else { return };
    let mut from = 0;
    for (level, title) in bookmarks {
        let wanted = squeezed(title);
        if wanted.is_empty() {
            continue;
        }
        let found = (from..lines.len()).find(|&at| {
            let line = &lines[at].1;
            !line.is_empty()
                && (line.starts_with(&wanted) || (wanted.starts_with(line.as_str()) && line.len() * 2 > wanted.len()))
        });
        if let Some(at) = found {
            builder.mark_heading(*level, title.trim(), lines[at].0);
            from = at + 1;
        }
    }
}

/// Letters and digits only, in lower case.
fn squeezed(line: &str) -> String {
    line.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The title of the document information dictionary.
fn info_title(document: &PdfDocument) -> Option<String> {
    let info = document.trailer().as_dict()?.get("Info")?;
    let object = match info.as_reference() {
        Some(reference) => document.load_object(reference).ok()?,
        None => info.clone(),
    };
    let bytes = object.as_dict()?.get("Title")?.as_string()?.to_vec();
    // Text strings are UTF-16 with a mark, UTF-8 with a mark, or PDFDocEncoding, which is near Latin-1.
    let title = match bytes.strip_prefix(&[0xFE, 0xFF]) {
        Some(utf16) => encoding_rs::UTF_16BE.decode_without_bom_handling(utf16).0.into_owned(),
        None => match std::str::from_utf8(bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(&bytes)) {
            Ok(title) => title.to_owned(),
            Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(&bytes).0.into_owned(),
        },
    };
    // Word processors write the file's name there.
    let title = title.trim().trim_start_matches("Microsoft Word - ");
    let says_something = title.chars().filter(|c| c.is_alphabetic()).count() >= 3 && title != "untitled";
    says_something.then(|| title.to_owned())
}

/// Runs a call into the reader; a panic is a damaged file.
fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, ExtractError> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| ExtractError::damaged("its structure is inconsistent"))
}

/// What kind of damage, without words of the document.
fn kind_of(error: &pdf_oxide::Error) -> &'static str {
    match error {
        pdf_oxide::Error::InvalidHeader(_) => "the header is invalid",
        pdf_oxide::Error::InvalidXref => "the cross-reference table is invalid",
        pdf_oxide::Error::ObjectNotFound(..) => "an object is missing",
        pdf_oxide::Error::UnexpectedEof => "the file is cut off",
        pdf_oxide::Error::CircularReference(_) | pdf_oxide::Error::RecursionLimitExceeded(_) => {
            "objects refer to each other in circles"
        }
        _ => "its structure is invalid",
    }
}

#[cfg(test)]
mod tests {
    use super::{Page, add_what_is_missing};

    #[test]
    fn the_values_of_a_form_are_added_once() {
        let mut page = Page::of_text("Name of applicant\nCity".into());
        add_what_is_missing(&mut page, "Name of applicant Ada Lovelace\nAugusta King\n\ncity");
        let texts: Vec<&str> = page.blocks.iter().map(|block| block.text.as_str()).collect();
        assert_eq!(texts, ["Name of applicant\nCity", "Augusta King"]);
    }
}
