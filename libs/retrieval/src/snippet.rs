//! The part of a passage that shows why it was found.

use carrel_domain::text::Span;
use carrel_text::Analyzer;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Code points of a snippet, at most.
pub const SNIPPET_CHARS: usize = 300;

/// How far before the first match a snippet may begin, to give it its sentence.
const LEAD_CHARS: usize = 80;

/// Part of a text with the words that were searched for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snippet {
    /// The text's own words, nothing added.
    pub text: String,
    /// Where they stand in the text that was given.
    pub span: Span,
    /// Matches, as ranges of `text`, in order.
    pub highlights: Vec<Span>,
}

impl Snippet {
    /// HTML: the text escaped, every match in `<mark>`.
    pub fn to_html(&self) -> String {
        let mut html = String::with_capacity(self.text.len() + 16 * self.highlights.len());
        let mut marks = self.highlights.iter().peekable();
        for (position, c) in self.text.chars().enumerate() {
            let position = position as u32;
            if marks.peek().is_some_and(|mark| mark.start == position) {
                html.push_str("<mark>");
            }
            match c {
                '&' => html.push_str("&amp;"),
                '<' => html.push_str("&lt;"),
                '>' => html.push_str("&gt;"),
                '"' => html.push_str("&quot;"),
                '\'' => html.push_str("&#39;"),
                c => html.push(c),
            }
            if marks.next_if(|mark| mark.end == position + 1).is_some() {
                html.push_str("</mark>");
            }
        }
        html
    }
}

/// The stretch of `text`, about [`SNIPPET_CHARS`] long, with the most different `query_terms` (then the most matches,
/// then the earliest). Words match by their terms in `analyzer`, so `audited` matches `auditing`. Without a match it
/// is the beginning.
///
/// ```
/// use carrel_domain::text::Language;
/// use carrel_retrieval::snippet;
/// use carrel_text::Analyzer;
///
/// let english = Analyzer::for_language(Language::ENGLISH);
/// let found = snippet("The books were audited <twice>.", &english.terms("auditing books"), &english);
/// assert_eq!(found.to_html(), "The <mark>books</mark> were <mark>audited</mark> &lt;twice&gt;.");
/// ```
pub fn snippet(text: &str, query_terms: &[String], analyzer: &Analyzer) -> Snippet {
    let chars: Vec<char> = text.chars().collect();
    let wanted: HashSet<&str> = query_terms.iter().map(String::as_str).collect();
    let matches = if wanted.is_empty() { Vec::new() } else { matches(&chars, &wanted, analyzer) };
    let window = window(&chars, &matches);
    let highlights = matches
        .iter()
        .filter(|found| window.start <= found.start && found.end <= window.end)
        .map(|found| Span { start: (found.start - window.start) as u32, end: (found.end - window.start) as u32 })
        .collect();
    Snippet {
        text: chars[window.start..window.end].iter().collect(),
        span: Span { start: window.start as u32, end: window.end as u32 },
        highlights,
    }
}

struct Match {
    start: usize,
    end: usize,
    terms: Vec<String>,
}

struct Window {
    start: usize,
    end: usize,
}

/// Words of the text that have a wanted term, in order, not overlapping.
fn matches(chars: &[char], wanted: &HashSet<&str>, analyzer: &Analyzer) -> Vec<Match> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        if !chars[at].is_alphanumeric() {
            at += 1;
            continue;
        }
        // A token reaches to the next space; its parts are the letters and digits between marks.
        let mut end = at;
        while end < chars.len() && !chars[end].is_whitespace() {
            end += 1;
        }
        let before = found.len();
        for (start, stop) in parts(&chars[at..end]) {
            part(chars, at + start, at + stop, wanted, analyzer, &mut found);
        }
        if found.len() == before {
            // `2,450.00` and `O'Brien` are one term only as a whole.
            let mut stop = end;
            while !chars[stop - 1].is_alphanumeric() {
                stop -= 1;
            }
            push_if_wanted(chars, at, stop, wanted, analyzer, &mut found);
        }
        at = end;
    }
    found
}

fn parts(token: &[char]) -> Vec<(usize, usize)> {
    let mut parts = Vec::new();
    let mut start = None;
    for (position, c) in token.iter().enumerate() {
        // A combining mark belongs to its letter.
        let inside = c.is_alphanumeric() || (start.is_some() && !c.is_ascii() && !is_mark(*c));
        match (inside, start) {
            (true, None) => start = Some(position),
            (false, Some(from)) => {
                parts.push((from, position));
                start = None;
            }
            _ => {}
        }
    }
    if let Some(from) = start {
        parts.push((from, token.len()));
    }
    parts
}

/// Punctuation beyond ASCII that divides words.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{2000}'..='\u{206F}' | '\u{3000}'..='\u{303F}' | '\u{FF00}'..='\u{FF0F}' | '\u{FF1A}'..='\u{FF20}' | '«' | '»' | '·' | '،' | '؛' | '؟' | '।')
}

/// Writing without spaces between words: its terms are pairs of characters.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}' | '\u{3040}'..='\u{30FF}'
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

fn part(chars: &[char], start: usize, end: usize, wanted: &HashSet<&str>, analyzer: &Analyzer, found: &mut Vec<Match>) {
    if !chars[start..end].iter().copied().any(is_unspaced) {
        push_if_wanted(chars, start, end, wanted, analyzer, found);
        return;
    }
    if end - start == 1 {
        push_if_wanted(chars, start, end, wanted, analyzer, found);
        return;
    }
    for at in start..end - 1 {
        let pair: String = chars[at..at + 2].iter().collect();
        let terms: Vec<String> =
            analyzer.terms(&pair).into_iter().filter(|term| wanted.contains(term.as_str())).collect();
        if terms.is_empty() {
            continue;
        }
        match found.last_mut() {
            // Pairs overlap: together they are one highlight.
            Some(last) if last.end > at => {
                last.end = at + 2;
                last.terms.extend(terms);
            }
            _ => found.push(Match { start: at, end: at + 2, terms }),
        }
    }
}

fn push_if_wanted(
    chars: &[char],
    start: usize,
    end: usize,
    wanted: &HashSet<&str>,
    analyzer: &Analyzer,
    found: &mut Vec<Match>,
) {
    let word: String = chars[start..end].iter().collect();
    let terms: Vec<String> = analyzer.terms(&word).into_iter().filter(|term| wanted.contains(term.as_str())).collect();
    if !terms.is_empty() {
        found.push(Match { start, end, terms });
    }
}

fn window(chars: &[char], matches: &[Match]) -> Window {
    if chars.len() <= SNIPPET_CHARS {
        return Window { start: 0, end: chars.len() };
    }
    let reach = SNIPPET_CHARS - LEAD_CHARS;
    let mut best = (0, 0, 0);
    for (index, first) in matches.iter().enumerate() {
        let mut different: HashSet<&str> = HashSet::new();
        let mut count = 0;
        for other in matches[index..].iter().take_while(|other| other.end <= first.start + reach) {
            different.extend(other.terms.iter().map(String::as_str));
            count += 1;
        }
        if (different.len(), count) > (best.0, best.1) {
            best = (different.len(), count, first.start);
        }
    }
    let anchor = best.2;
    let mut start = lead(chars, anchor);
    // A match near the end leaves room in front.
    if chars.len() - start < SNIPPET_CHARS {
        start = word_start(chars, chars.len() - SNIPPET_CHARS, anchor);
    }
    let mut end = (start + SNIPPET_CHARS).min(chars.len());
    if end < chars.len() {
        let floor = start + SNIPPET_CHARS * 2 / 3;
        if let Some(space) = (floor..end).rev().find(|&at| chars[at].is_whitespace()) {
            end = space;
        }
    }
    while end > start && chars[end - 1].is_whitespace() {
        end -= 1;
    }
    Window { start, end }
}

/// Where to begin so that `anchor` stands in its sentence: after the nearest sentence end or line end within reach,
/// else at a word.
fn lead(chars: &[char], anchor: usize) -> usize {
    let floor = anchor.saturating_sub(LEAD_CHARS);
    let sentence = (floor.max(1)..anchor).rev().find(|&at| {
        chars[at - 1] == '\n'
            || matches!(chars[at - 1], '。' | '！' | '？')
            || (chars[at].is_whitespace() && matches!(chars[at - 1], '.' | '!' | '?'))
    });
    match sentence {
        Some(at) => (at..anchor).find(|&at| !chars[at].is_whitespace()).unwrap_or(anchor),
        None if floor == 0 => 0,
        None => word_start(chars, floor, anchor),
    }
}

/// The first beginning of a word at or after `from`, not after `limit`.
fn word_start(chars: &[char], from: usize, limit: usize) -> usize {
    (from.max(1)..limit)
        .find(|&at| chars[at - 1].is_whitespace() && !chars[at].is_whitespace())
        .unwrap_or(from.min(limit))
}

#[cfg(test)]
mod tests {
    use super::{SNIPPET_CHARS, snippet};
    use carrel_domain::text::{Language, Span};
    use carrel_text::Analyzer;
    use proptest::prelude::*;

    fn marked(text: &str, query: &str, language: &str) -> Vec<String> {
        let analyzer = Analyzer::for_language(Language::parse(language).unwrap());
        let found = snippet(text, &analyzer.terms(query), &analyzer);
        found.highlights.iter().map(|span| span.slice(&found.text).unwrap().to_owned()).collect()
    }

    #[test]
    fn words_match_by_their_stem() {
        assert_eq!(marked("Auditors audited; the auditor's audit.", "auditing", "en"), ["audited", "audit"]);
        assert_eq!(marked("Paid $2,450.00 (twice) under 10-Q/A.", "2450.00 10-Q", "en"), ["2,450.00", "10", "Q"]);
        assert_eq!(marked("Die Häuser der Stadt", "Haus", "de"), ["Häuser"]);
        assert_eq!(marked("委员会今天批准了预算。", "预算批准", "zh"), ["批准", "预算"]);
        assert_eq!(marked("nothing here", "else", "en"), Vec::<String>::new());
    }

    #[test]
    fn the_best_stretch_is_shown() {
        let text = format!(
            "The gate opened. {}Then the gate and the pump failed. {}",
            "Filler goes on. ".repeat(60),
            "More of it. ".repeat(60)
        );
        let analyzer = Analyzer::for_language(Language::ENGLISH);
        let found = snippet(&text, &analyzer.terms("gate pump"), &analyzer);
        assert!(found.text.starts_with("Then the gate and the pump failed."), "{}", found.text);
        assert_eq!(found.highlights, [Span { start: 9, end: 13 }, Span { start: 22, end: 26 }]);
        assert_eq!(found.span.slice(&text), Some(found.text.as_str()));
        let start = snippet(&text, &[], &analyzer);
        assert_eq!(start.span.start, 0);
        assert!(start.text.chars().count() > SNIPPET_CHARS / 2);
    }

    #[test]
    fn html_is_escaped() {
        let analyzer = Analyzer::for_language(Language::ENGLISH);
        let found = snippet("<script>alert(\"gate\")</script> & gate's", &analyzer.terms("gate"), &analyzer);
        assert_eq!(
            found.to_html(),
            "&lt;script&gt;alert(&quot;<mark>gate</mark>&quot;)&lt;/script&gt; &amp; <mark>gate</mark>&#39;s"
        );
    }

    proptest! {
        #[test]
        fn snippets_are_bounded_exact_and_marked_inside(
            text in "([a-f .,'<\n-]|世|界|é|\\PC){0,900}", query in "[a-f世界 ]{0,12}", language in prop::sample::select(vec!["en", "zh", "und"]),
        ) {
            let analyzer = Analyzer::for_language(Language::parse(language).unwrap());
            let found = snippet(&text, &analyzer.terms(&query), &analyzer);
            let length = found.text.chars().count() as u32;
            prop_assert!(length as usize <= SNIPPET_CHARS);
            prop_assert_eq!(found.span.slice(&text), Some(found.text.as_str()));
            let mut last = 0;
            for mark in &found.highlights {
                prop_assert!(last <= mark.start && mark.start < mark.end && mark.end <= length);
                last = mark.end;
            }
            let html = found.to_html();
            prop_assert_eq!(html.matches("<mark>").count(), found.highlights.len());
            prop_assert_eq!(html.matches("</mark>").count(), found.highlights.len());
        }
    }
}
