//! Passages: the stretches of a text that search returns.

use crate::char_index::CharIndex;
use crate::script::is_cjk;
use crate::sentences::sentences;
use carrel_domain::text::{Span, TextMap};

/// Most headings kept above one passage; formats have six levels.
const MAX_HEADINGS: usize = 6;

/// How long passages become. Both lengths are halved for Chinese, Japanese and Korean text, whose characters
/// carry more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassageRules {
    /// Code points that a passage aims at.
    pub target: u32,
    /// A text or a section of at most this many code points stays one passage.
    pub whole_below: u32,
}

impl Default for PassageRules {
    fn default() -> Self {
        Self { target: 900, whole_below: 2000 }
    }
}

/// A stretch of a text with its place in the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Its number within the text, from 0.
    pub ordinal: u32,
    /// What it covers; no white space at either end.
    pub span: Span,
    /// The page on which it begins.
    pub page: Option<u32>,
    /// Where further pages begin in it: code points from its start, and the page's number.
    pub page_breaks: Vec<(u32, u32)>,
    /// The headings above it, outermost first, at most six.
    pub headings: Vec<String>,
}

/// Splits `text` into passages that do not overlap and together cover every character that is not white space.
///
/// Sections begin new passages, but small neighbours share one. A long section is split between paragraphs,
/// else between sentences, so that no passage is much longer than the target.
///
/// ```
/// use carrel_domain::text::TextMap;
/// use carrel_text::{PassageRules, passages};
///
/// let text = "One sentence here. ".repeat(200);
/// let found = passages(&text, &TextMap::default(), &PassageRules::default());
/// assert!(found.iter().all(|passage| (225..=1_125).contains(&passage.span.len())));
/// ```
pub fn passages(text: &str, map: &TextMap, rules: &PassageRules) -> Vec<Passage> {
    let index = CharIndex::new(text);
    let segments = segments(&index, map);
    let spans = if let [first, .., last] = &segments[..]
        && last.span.end - first.span.start
            <= scaled(rules.whole_below, &index, Span { start: first.span.start, end: last.span.end })
    {
        vec![(Span { start: first.span.start, end: last.span.end }, shared(&segments))]
    } else {
        let mut spans = Vec::new();
        for group in merge(&index, segments, *rules) {
            for span in split(&index, group.span, *rules) {
                spans.push((span, group.headings.clone()));
            }
        }
        spans
    };
    spans
        .into_iter()
        .enumerate()
        .map(|(ordinal, (span, headings))| Passage {
            ordinal: ordinal as u32,
            span,
            page: map.page_at(span.start),
            page_breaks: page_breaks(map, span),
            headings,
        })
        .collect()
}

fn page_breaks(map: &TextMap, span: Span) -> Vec<(u32, u32)> {
    let first = map.pages.partition_point(|page| page.span.start <= span.start);
    let within = map.pages[first..].iter().take_while(|page| page.span.start < span.end);
    within.map(|page| (page.span.start - span.start, page.number)).collect()
}

/// The text from one heading to the next, without white space at either end.
struct Segment {
    span: Span,
    headings: Vec<String>,
    /// Length of its own heading's line; 0 for text before the first heading.
    heading_chars: u32,
}

fn segments(index: &CharIndex<'_>, map: &TextMap) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut add = |start: u32, end: u32, headings: Vec<String>, heading_chars: u32| {
        if let Some(span) = trimmed(index, Span { start, end }) {
            segments.push(Segment { span, headings, heading_chars });
        }
    };
    let mut sections: Vec<_> = map.sections.iter().filter(|section| section.span.start < index.len()).collect();
    sections.sort_by_key(|section| section.span.start);
    let mut open: Vec<(u32, &str)> = Vec::new();
    let mut start = 0;
    let mut heading_chars = 0;
    let headings =
        |open: &[(u32, &str)]| open.iter().take(MAX_HEADINGS).map(|(_, heading)| (*heading).to_owned()).collect();
    for section in sections {
        add(start, section.span.start.max(start), headings(&open), heading_chars);
        start = section.span.start;
        open.retain(|(end, _)| *end > start);
        open.truncate(MAX_HEADINGS - 1);
        open.push((section.span.end, &section.heading));
        heading_chars = section.heading.chars().count() as u32;
    }
    add(start, index.len(), headings(&open), heading_chars);
    segments
}

/// `span` without the white space at its ends; `None` when nothing else is in it.
fn trimmed(index: &CharIndex<'_>, span: Span) -> Option<Span> {
    let text = index.slice(span)?;
    let kept = text.trim_start();
    if kept.is_empty() {
        return None;
    }
    let before = text[..text.len() - kept.len()].chars().count() as u32;
    let after = kept[kept.trim_end().len()..].chars().count() as u32;
    Span::new(span.start + before, span.end - after)
}

/// Small neighbours share a passage while together they stay within the target; a heading without text of its
/// own goes with what follows.
fn merge(index: &CharIndex<'_>, segments: Vec<Segment>, rules: PassageRules) -> Vec<Segment> {
    let mut groups: Vec<Segment> = Vec::new();
    for segment in segments {
        if let Some(group) = groups.last_mut() {
            let together = Span { start: group.span.start, end: segment.span.end };
            let bare = group.span.len() <= group.heading_chars + 8 && segment.headings.len() > group.headings.len();
            if bare || together.len() <= scaled(rules.target, index, together) {
                group.headings = if bare { segment.headings } else { common(&group.headings, &segment.headings) };
                group.heading_chars = 0;
                group.span = together;
                continue;
            }
        }
        groups.push(segment);
    }
    groups
}

/// The headings that both are under. Those that only one is under are in the passage's own text.
fn common(a: &[String], b: &[String]) -> Vec<String> {
    a.iter().zip(b).take_while(|(a, b)| a == b).map(|(a, _)| a.clone()).collect()
}

fn shared(segments: &[Segment]) -> Vec<String> {
    let Some((first, rest)) = segments.split_first() else {
        return Vec::new();
    };
    rest.iter().fold(first.headings.clone(), |headings, segment| common(&headings, &segment.headings))
}

/// `length` for the script of the covered text, told from a bounded sample.
fn scaled(length: u32, index: &CharIndex<'_>, span: Span) -> u32 {
    let sample = Span { start: span.start, end: span.end.min(span.start + 1000) };
    let (mut letters, mut cjk) = (0, 0);
    for c in index.slice(sample).unwrap_or_default().chars() {
        letters += u32::from(c.is_alphabetic());
        cjk += u32::from(is_cjk(c));
    }
    if cjk * 2 > letters { length.div_ceil(2) } else { length }.max(1)
}

/// Splits one section.
fn split(index: &CharIndex<'_>, span: Span, rules: PassageRules) -> Vec<Span> {
    if span.len() <= scaled(rules.whole_below, index, span) {
        return vec![span];
    }
    let target = scaled(rules.target, index, span);
    let Some(text) = index.slice(span) else {
        return Vec::new();
    };
    let units = units(index, text, span.start);
    let mut passages: Vec<Span> = Vec::new();
    let mut current: Option<Span> = None;
    for (unit, paragraph) in units {
        let Some(open) = current else {
            current = Some(unit);
            continue;
        };
        let together = Span { start: open.start, end: unit.end };
        // A paragraph that fits whole into what is left stays with its neighbours; one that does not begins anew
        // once the open passage has a fair size.
        let ends_paragraph = paragraph.is_some_and(|end| open.len() * 2 >= target && end - open.start > target);
        if ends_paragraph || together.len() > target {
            passages.push(open);
            current = Some(unit);
        } else {
            current = Some(together);
        }
    }
    if let Some(open) = current {
        match passages.last_mut() {
            // A crumb at the end reads better with what it follows.
            Some(last) if open.len() * 4 < target && open.end - last.start <= target + target / 4 => {
                last.end = open.end;
            }
            _ => passages.push(open),
        }
    }
    passages
}

/// Sentences of a section; the first of a paragraph knows where that paragraph ends.
fn units(index: &CharIndex<'_>, text: &str, offset: u32) -> Vec<(Span, Option<u32>)> {
    let mut units: Vec<(Span, Option<u32>)> = sentences(text)
        .into_iter()
        .map(|sentence| (Span { start: sentence.start + offset, end: sentence.end + offset }, None))
        .collect();
    let mut end = None;
    for at in (0..units.len()).rev() {
        let span = units[at].0;
        let end_here = *end.get_or_insert(span.end);
        let before = if at == 0 { None } else { Span::new(units[at - 1].0.end, span.start) };
        if before.and_then(|gap| index.slice(gap)).is_some_and(|gap| gap.matches('\n').count() >= 2) {
            units[at].1 = Some(end_here);
            end = None;
        }
    }
    units
}

#[cfg(test)]
mod tests {
    use super::{Passage, PassageRules, passages};
    use carrel_domain::text::{PageSpan, SectionSpan, Span, TextMap};
    use proptest::prelude::*;

    const RULES: PassageRules = PassageRules { target: 800, whole_below: 2000 };

    fn check(text: &str, map: &TextMap, found: &[Passage]) {
        let chars: Vec<char> = text.chars().collect();
        let mut covered = 0;
        for (ordinal, passage) in found.iter().enumerate() {
            let (start, end) = (passage.span.start as usize, passage.span.end as usize);
            assert_eq!(passage.ordinal as usize, ordinal);
            assert!(covered <= start && start < end && end <= chars.len());
            assert!(chars[covered..start].iter().all(|c| c.is_whitespace()));
            assert!(!chars[start].is_whitespace() && !chars[end - 1].is_whitespace());
            assert_eq!(passage.page, map.page_at(passage.span.start));
            for (offset, page) in &passage.page_breaks {
                assert_eq!(map.page_at(passage.span.start + offset), Some(*page));
            }
            covered = end;
        }
        assert!(chars[covered..].iter().all(|c| c.is_whitespace()));
    }

    fn section(level: u8, heading: &str, start: usize, end: usize) -> SectionSpan {
        SectionSpan { level, heading: heading.to_owned(), span: Span::new(start as u32, end as u32).unwrap() }
    }

    #[test]
    fn nothing_comes_from_blanks() {
        assert!(passages("", &TextMap::default(), &RULES).is_empty());
        assert!(passages(" \n\n\t ", &TextMap::default(), &RULES).is_empty());
    }

    #[test]
    fn a_short_text_stays_whole() {
        let text = format!("  {}\n\nEnd. ", "A short one. ".repeat(100));
        let found = passages(&text, &TextMap::default(), &RULES);
        assert_eq!(found.len(), 1);
        check(&text, &TextMap::default(), &found);
    }

    #[test]
    fn paragraphs_are_kept_together() {
        let paragraph = "Some words make a sentence. ".repeat(18);
        let text = [paragraph.trim(); 12].join("\n\n");
        let found = passages(&text, &TextMap::default(), &RULES);
        check(&text, &TextMap::default(), &found);
        assert_eq!(found.len(), 12);
        assert!(found.iter().all(|p| p.span.slice(&text) == Some(paragraph.trim())));
    }

    #[test]
    fn sections_begin_passages_and_small_ones_share() {
        let body = "Words of the section go here. ".repeat(60);
        let parts = ["# Top\n\n", "## A\n\nTiny.\n\n", "## B\n\nSmall.\n\n", "## C\n\n", &body];
        let text = parts.concat();
        let at = |part: usize| parts[..part].concat().chars().count();
        let end = text.chars().count();
        let map = TextMap {
            pages: vec![
                PageSpan { number: 1, span: Span::new(0, 20).unwrap() },
                PageSpan { number: 2, span: Span::new(20, end as u32).unwrap() },
            ],
            sections: vec![
                section(1, "Top", 0, end),
                section(2, "A", at(1), at(2)),
                section(2, "B", at(2), at(3)),
                section(2, "C", at(3), end),
            ],
        };
        let rules = PassageRules { target: 800, whole_below: 1820 };
        let found = passages(&text, &map, &rules);
        check(&text, &map, &found);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].headings, ["Top"]);
        assert_eq!(found[0].page, Some(1));
        assert_eq!(found[1].headings, ["Top", "C"]);
        assert_eq!(found[1].page, Some(2));
    }

    #[test]
    fn chinese_passages_are_shorter() {
        let text = "委员会以多数票通过了明年的预算。".repeat(200);
        let found = passages(&text, &TextMap::default(), &RULES);
        check(&text, &TextMap::default(), &found);
        assert!(found.iter().all(|p| (100..=400).contains(&p.span.len())), "{found:?}");
    }

    #[test]
    fn ten_megabytes_on_one_line_take_linear_time() {
        for text in
            ["Words make a sentence, and so on. ".repeat(300_000), "x".repeat(10_000_000), "\n".repeat(10_000_000)]
        {
            let started = std::time::Instant::now();
            let found = passages(&text, &TextMap::default(), &RULES);
            assert!(started.elapsed().as_secs_f32() < 8.0, "{:?}", started.elapsed());
            assert!(found.iter().all(|p| p.span.len() <= 1000));
        }
    }

    #[test]
    fn a_hundred_thousand_sections_take_linear_time() {
        let text = "Heading\n".repeat(100_000);
        let map = TextMap {
            pages: Vec::new(),
            sections: (0..100_000).map(|n| section(1 + (n % 6) as u8, "Heading", n * 8, 800_000)).collect(),
        };
        let started = std::time::Instant::now();
        check(&text, &map, &passages(&text, &map, &RULES));
        assert!(started.elapsed().as_secs_f32() < 8.0, "{:?}", started.elapsed());
    }

    proptest! {
        #[test]
        fn passages_cover_all_ink_once(
            text in "([a-cA-C .\n世。]|\\PC){0,600}",
            mut cuts in proptest::collection::vec(0u32..700, 0..6),
            target in 1u32..120,
            whole_below in 0u32..150,
        ) {
            let length = text.chars().count() as u32;
            let sections = cuts.iter().map(|&cut| section(1, "H", cut as usize, 700)).collect();
            cuts.push(0);
            cuts.sort_unstable();
            let pages = cuts.iter().zip(1..).map(|(&start, number)| PageSpan { number, span: Span::new(start.min(length), length).unwrap() }).collect();
            let map = TextMap { pages, sections };
            check(&text, &map, &passages(&text, &map, &PassageRules { target, whole_below }));
        }
    }
}
