//! Puts a rendition together so that its map always fits its text.

use crate::error::ExtractError;
use crate::limits::Limits;
use carrel_domain::text::{PageSpan, Rendition, SectionSpan, Span, TextMap};
use carrel_text::normalise;

/// What stands between a block and the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// A line end: the next line of a list, table or verse.
    Line,
    /// A blank line.
    Paragraph,
}

/// Collects blocks of text, headings and pages. Every block is normalised before its position is known, so that
/// the positions hold in the finished text.
///
/// ```
/// use carrel_extract::{Gap, Limits, RenditionBuilder};
///
/// let mut builder = RenditionBuilder::new(&Limits::default());
/// builder.heading(1, "Aims")?;
/// builder.block("First\r\naim", Gap::Paragraph)?;
/// let rendition = builder.finish("text/plain", None)?;
/// assert_eq!(rendition.text, "Aims\n\nFirst\naim");
/// # Ok::<(), carrel_extract::ExtractError>(())
/// ```
#[derive(Debug)]
pub struct RenditionBuilder {
    text: String,
    chars: u32,
    limits: Limits,
    pages: Vec<PageSpan>,
    /// The number of a page on which nothing stands yet.
    pending_page: Option<u32>,
    /// Level, heading and start.
    headings: Vec<(u8, String, u32)>,
    warnings: Vec<String>,
    /// References to entities of the file's own were left out.
    has_entities: bool,
}

impl RenditionBuilder {
    /// An empty rendition.
    pub fn new(limits: &Limits) -> Self {
        Self {
            text: String::new(),
            chars: 0,
            limits: *limits,
            pages: Vec::new(),
            pending_page: None,
            headings: Vec::new(),
            warnings: Vec::new(),
            has_entities: false,
        }
    }

    /// True when no block has been added.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The limits that it keeps.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Adds a block; one of only white space adds nothing. Answers where the block begins.
    pub fn block(&mut self, text: &str, gap: Gap) -> Result<Option<u32>, ExtractError> {
        if (self.text.len() + text.len()) as u64 > self.limits.output_bytes.saturating_mul(2) {
            return Err(self.too_large());
        }
        let normal = normalise(text);
        let block = if normal.starts_with('\n') { normal.trim_start_matches('\n') } else { &normal };
        if block.trim().is_empty() {
            return Ok(None);
        }
        if !self.text.is_empty() {
            let separator = if gap == Gap::Line { "\n" } else { "\n\n" };
            self.text.push_str(separator);
            self.chars += separator.len() as u32;
        }
        let start = self.chars;
        if let Some(number) = self.pending_page.take() {
            self.pages.push(PageSpan { number, span: Span { start, end: start } });
        }
        self.text.push_str(block);
        self.chars += block.chars().count() as u32;
        if self.text.len() as u64 > self.limits.output_bytes {
            return Err(self.too_large());
        }
        Ok(Some(start))
    }

    /// Adds a heading of `level` 1 to 6 as a paragraph of its own.
    pub fn heading(&mut self, level: u8, text: &str) -> Result<(), ExtractError> {
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some(start) = self.block(&line, Gap::Paragraph)? {
            self.mark_heading(level, &normalise(&line), start);
        }
        Ok(())
    }

    /// Notes that text already added is a heading.
    pub fn mark_heading(&mut self, level: u8, heading: &str, start: u32) {
        self.headings.push((level.clamp(1, 6), heading.to_owned(), start));
    }

    /// The next block begins page `number`.
    pub fn page(&mut self, number: u32) -> Result<(), ExtractError> {
        if number > self.limits.pages {
            return Err(ExtractError::too_many("pages", self.limits.pages));
        }
        self.close_page();
        self.pending_page = Some(number);
        Ok(())
    }

    /// Notes what was lost or repaired; each note is kept once.
    pub fn warn(&mut self, warning: impl Into<String>) {
        let warning = warning.into();
        if self.warnings.len() < 50 && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// A reference to an entity that the file defines itself: left out, for a few of them can stand for gigabytes.
    pub(crate) fn leave_out_entity(&mut self) {
        self.has_entities = true;
        self.warn("entities that the file defines itself were left out");
    }

    /// The finished rendition; [`ExtractError::Empty`] when it has no text.
    pub fn finish(mut self, media_type: &str, title: Option<String>) -> Result<Rendition, ExtractError> {
        self.close_page();
        if self.text.is_empty() && self.has_entities {
            return Err(ExtractError::damaged("all its text lies in entities of its own, which are never expanded"));
        }
        if self.text.is_empty() {
            return Err(ExtractError::Empty);
        }
        let title = title.map(|title| normalise(&title).split_whitespace().collect::<Vec<_>>().join(" "));
        Ok(Rendition {
            media_type: media_type.to_owned(),
            map: TextMap { pages: self.pages, sections: sections(self.headings, self.chars) },
            text: self.text,
            title: title.filter(|title| !title.is_empty()),
            warnings: self.warnings,
        })
    }

    fn close_page(&mut self) {
        let end = self.chars;
        match self.pending_page.take() {
            Some(number) => self.pages.push(PageSpan { number, span: Span { start: end, end } }),
            None => {
                if let Some(page) = self.pages.last_mut() {
                    page.span.end = end;
                }
            }
        }
    }

    fn too_large(&self) -> ExtractError {
        ExtractError::TooLarge { what: "the text of the file".into(), limit: self.limits.output_bytes }
    }
}

/// A section reaches to the next heading of the same or a higher level.
fn sections(mut headings: Vec<(u8, String, u32)>, end: u32) -> Vec<SectionSpan> {
    headings.sort_by_key(|(_, _, start)| *start);
    let mut sections: Vec<SectionSpan> = Vec::with_capacity(headings.len());
    let mut open: Vec<usize> = Vec::new();
    for (level, heading, start) in headings {
        while let Some(&last) = open.last()
            && sections[last].level >= level
        {
            sections[last].span.end = start;
            open.pop();
        }
        open.push(sections.len());
        sections.push(SectionSpan { level, heading, span: Span { start, end } });
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::{Gap, RenditionBuilder};
    use crate::limits::Limits;

    #[test]
    fn pages_and_sections_fit_the_text() {
        let mut builder = RenditionBuilder::new(&Limits::default());
        builder.page(1).unwrap();
        builder.heading(1, "  Grüße \n an alle ").unwrap();
        builder.block("e\u{301}ins", Gap::Paragraph).unwrap();
        builder.page(2).unwrap();
        builder.page(3).unwrap();
        builder.heading(2, "Zwei").unwrap();
        builder.block("\n\n", Gap::Paragraph).unwrap();
        builder.heading(1, "Drei").unwrap();
        let rendition = builder.finish("text/plain", Some(" a\n title ".into())).unwrap();
        assert_eq!(rendition.text, "Grüße an alle\n\néins\n\nZwei\n\nDrei");
        assert_eq!(rendition.title.as_deref(), Some("a title"));
        let pages: Vec<_> =
            rendition.map.pages.iter().map(|p| (p.number, p.span.slice(&rendition.text).unwrap())).collect();
        assert_eq!(pages, [(1, "Grüße an alle\n\néins"), (2, ""), (3, "Zwei\n\nDrei")]);
        let sections: Vec<_> = rendition
            .map
            .sections
            .iter()
            .map(|s| (s.level, s.heading.as_str(), s.span.slice(&rendition.text).unwrap()))
            .collect();
        assert_eq!(
            sections,
            [(1, "Grüße an alle", "Grüße an alle\n\néins\n\nZwei\n\n"), (2, "Zwei", "Zwei\n\n"), (1, "Drei", "Drei")]
        );
        assert_eq!(rendition.map.page_at(21), Some(3));
    }

    #[test]
    fn output_is_bounded() {
        let limits = Limits { output_bytes: 10, pages: 2, ..Limits::default() };
        let mut builder = RenditionBuilder::new(&limits);
        assert_eq!(builder.block("12345678901", Gap::Line).unwrap_err().reason(), "too_large");
        assert_eq!(builder.page(3).unwrap_err().reason(), "too_many");
        assert_eq!(RenditionBuilder::new(&limits).finish("text/plain", None).unwrap_err().reason(), "empty");
    }
}
