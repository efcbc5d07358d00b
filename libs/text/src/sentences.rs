//! Where sentences end.

use crate::script::is_unspaced;
use carrel_domain::text::Span;

/// Longest span of one sentence, in code points. A longer one is broken at a clause, else at a space.
pub const MAX_SENTENCE_CHARS: usize = 600;

/// A line at least this long may have been broken by a text editor or a page, not by its author.
const WRAPPED_LINE_CHARS: usize = 40;

/// Sentences of `text` in order: trimmed, not empty, not overlapping, together covering every character that
/// is not white space.
///
/// Blank lines, list marks, table rows and headings end a sentence; a line end inside running text does not.
///
/// ```
/// use carrel_text::sentences;
///
/// let text = "Dr. Who paid 3.50 at No. 10. 他来了。走吧！\n- one\n- two";
/// let found: Vec<&str> = sentences(text).into_iter().filter_map(|span| span.slice(text)).collect();
/// assert_eq!(found, ["Dr. Who paid 3.50 at No. 10.", "他来了。", "走吧！", "- one", "- two"]);
/// ```
pub fn sentences(text: &str) -> Vec<Span> {
    let mut splitter = Splitter { spans: Vec::new(), block: Vec::new(), offset: 0 };
    let mut previous: Option<Line> = None;
    for raw in text.split_inclusive('\n') {
        let line = Line::of(raw);
        if !previous.as_ref().is_some_and(|before| before.continues_with(&line)) {
            splitter.flush();
        }
        splitter.block.extend(raw.chars());
        previous = Some(line);
    }
    splitter.flush();
    splitter.spans
}

/// What must be known of a line to tell whether the next one continues it.
#[expect(clippy::struct_excessive_bools, reason = "independent observations of one line, not a state")]
struct Line {
    chars: usize,
    blank: bool,
    /// A list mark, a table row or a heading mark opens it.
    marked: bool,
    /// It ends like a sentence or announces what follows.
    closed: bool,
    /// Cells are divided by bars or tabs.
    row: bool,
    first_lower: bool,
    last_lower_or_comma: bool,
    title_case: bool,
}

impl Line {
    fn of(raw: &str) -> Self {
        let line = raw.trim();
        let last = line.chars().next_back();
        // A sentence mark may stand inside closing quotes.
        let closing = line.chars().rev().find(|&c| !is_closer(c));
        let row = line.contains('|') || line.contains('\t') || line.contains("   ");
        Self {
            chars: line.chars().count(),
            blank: line.is_empty(),
            marked: row || starts_with_mark(line),
            closed: closing.is_some_and(|c| is_terminator(c) || matches!(c, ':' | '：')),
            row,
            first_lower: line
                .chars()
                .find(|c| !matches!(c, '"' | '\'' | '“' | '‘' | '('))
                .is_some_and(char::is_lowercase),
            last_lower_or_comma: last
                .is_some_and(|c| c.is_lowercase() || matches!(c, ',' | ';' | '-' | '，' | '、' | '،')),
            title_case: is_title_case(line),
        }
    }

    fn continues_with(&self, next: &Self) -> bool {
        if self.blank || next.blank || self.row || next.marked {
            return false;
        }
        if next.first_lower && !self.closed {
            return self.chars >= WRAPPED_LINE_CHARS / 2;
        }
        if self.closed {
            // The block is cut at the sentence's end anyway, unless the mark was an abbreviation's.
            return self.chars >= WRAPPED_LINE_CHARS;
        }
        self.chars >= WRAPPED_LINE_CHARS && (self.last_lower_or_comma || self.chars >= 60) && !self.title_case
    }
}

/// Bullets, `1.`, `(a)`, `#` headings.
fn starts_with_mark(line: &str) -> bool {
    let mut chars = line.chars();
    let Some(first) = chars.next() else {
        return false;
    };
    if matches!(first, '•' | '◦' | '▪' | '‣' | '●' | '○' | '■' | '□' | '–' | '—' | '#' | '>') {
        return true;
    }
    if matches!(first, '-' | '*' | '+') {
        return chars.next().is_none_or(char::is_whitespace);
    }
    let body = line.trim_start_matches('(');
    let label: String = body.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '.').take(8).collect();
    let rest = &body[label.len()..];
    let short =
        label.len() <= 2 || label.bytes().all(|b| b.is_ascii_digit() || b == b'.' || matches!(b, b'i' | b'v' | b'x'));
    if label.is_empty() || !short {
        return false;
    }
    if rest.starts_with(')') {
        return true;
    }
    label.ends_with('.') && rest.starts_with(char::is_whitespace) && label.bytes().any(|b| b.is_ascii_digit())
}

/// Most longer words begin with a capital, as in an English heading.
fn is_title_case(line: &str) -> bool {
    let mut words = 0;
    let mut capitals = 0;
    for word in line.split_whitespace().take(40) {
        if word.chars().nth(3).is_some() {
            words += 1;
            capitals += usize::from(word.chars().next().is_some_and(char::is_uppercase));
        }
    }
    words > 0 && capitals * 10 >= words * 7
}

fn is_terminator(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '…' | '‽' | '⁇' | '⁈' | '⁉' | '؟' | '۔' | '।' | '॥' | '။' | '።' | '։')
        || is_wide_terminator(c)
}

/// Marks after which no space is needed.
fn is_wide_terminator(c: char) -> bool {
    matches!(c, '。' | '！' | '？' | '｡' | '．')
}

fn is_closer(c: char) -> bool {
    matches!(c, '"' | '\'' | '”' | '’' | '»' | '›' | ')' | ']' | '}' | '」' | '』' | '）' | '】' | '》' | '〉' | '〕')
}

struct Splitter {
    spans: Vec<Span>,
    /// Lines that may run on into each other.
    block: Vec<char>,
    /// Code point at which the block starts.
    offset: usize,
}

impl Splitter {
    fn flush(&mut self) {
        let block = std::mem::take(&mut self.block);
        let mut start = 0;
        let mut at = 0;
        while at < block.len() {
            if is_terminator(block[at]) {
                let end = after_marks(&block, at);
                if ends_sentence(&block, start, at, end) {
                    self.push(&block, start, end);
                    start = end;
                }
                at = end;
            } else {
                at += 1;
            }
        }
        self.push(&block, start, block.len());
        self.offset += block.len();
        self.block = block;
        self.block.clear();
    }

    /// Adds `block[start..end]`, trimmed and broken where it is too long.
    fn push(&mut self, block: &[char], mut start: usize, mut end: usize) {
        while start < end && block[end - 1].is_whitespace() {
            end -= 1;
        }
        loop {
            while start < end && block[start].is_whitespace() {
                start += 1;
            }
            if start == end {
                return;
            }
            let stop = if end - start > MAX_SENTENCE_CHARS { break_point(block, start) } else { end };
            let mut last = stop;
            while block[last - 1].is_whitespace() {
                last -= 1;
            }
            self.spans.push(Span { start: (self.offset + start) as u32, end: (self.offset + last) as u32 });
            start = stop;
        }
    }
}

/// Where to break a sentence that is too long: after a clause, else after a space, else anywhere but before a
/// combining mark.
fn break_point(block: &[char], start: usize) -> usize {
    let limit = start + MAX_SENTENCE_CHARS;
    let half = start + MAX_SENTENCE_CHARS / 2;
    let clause = (half..limit).rev().find(|&at| match block[at] {
        ';' | ':' | ',' | '،' | '؛' => block[at + 1].is_whitespace(),
        '\n' | '，' | '；' | '：' | '、' => true,
        _ => false,
    });
    if let Some(at) = clause {
        return at + 1;
    }
    if let Some(at) = (start + 1..limit).rev().find(|&at| block[at].is_whitespace()) {
        return at + 1;
    }
    let mut at = limit;
    while at > half && unicode_normalization::char::is_combining_mark(block[at]) {
        at -= 1;
    }
    at
}

/// Past the run of marks at `at` and the quotes and brackets that close after it.
fn after_marks(block: &[char], at: usize) -> usize {
    let mut end = at + 1;
    while end < block.len() && is_terminator(block[end]) {
        end += 1;
    }
    while end < block.len() && is_closer(block[end]) {
        end += 1;
    }
    end
}

/// Whether the mark at `at`, whose run with closing quotes ends before `end`, ends the sentence from `start`.
fn ends_sentence(block: &[char], start: usize, at: usize, end: usize) -> bool {
    let mark = block[end - 1 - block[at..end].iter().rev().take_while(|c| is_closer(**c)).count()];
    if is_wide_terminator(mark) {
        return true;
    }
    let Some(&following) = block.get(end) else {
        return true;
    };
    if !following.is_whitespace() {
        // "他说OK.然后" and Arabic or Thai without a space are ends; "3.5", "a.m", "example.com" are not.
        return is_unspaced(following) && !block[at].is_ascii_digit() && mark != '.' || is_footnote(block, at, end);
    }
    // White space between two sentences is short, except in hostile text, where its length must not matter.
    let mut next = block[end..].iter().copied().take(64).skip_while(|c| c.is_whitespace() || is_opener(*c)).peekable();
    let Some(&after) = next.peek() else {
        return true;
    };
    if mark != '.' {
        return !after.is_lowercase();
    }
    if at + 1 < end && block[at + 1] == '.' {
        return !after.is_lowercase();
    }
    if after.is_lowercase() {
        return false;
    }
    let word: String = next.take_while(|c| c.is_alphabetic()).collect();
    !is_abbreviation(block, start, at, after, &word)
}

/// `sentence.[3] Next` and `sentence.3 Next`.
fn is_footnote(block: &[char], at: usize, end: usize) -> bool {
    if at < 2 || !block[at - 1].is_lowercase() || !block[at - 2].is_lowercase() {
        return false;
    }
    let mut rest = block[end..].iter().take(8).skip_while(|c| c.is_ascii_digit() || matches!(c, '[' | ']'));
    block[end] == '[' && rest.next().is_none_or(|c| c.is_whitespace())
}

fn is_opener(c: char) -> bool {
    matches!(
        c,
        '"' | '\''
            | '“'
            | '‘'
            | '„'
            | '«'
            | '‹'
            | '('
            | '['
            | '¿'
            | '¡'
            | '「'
            | '『'
            | '（'
            | '»'
            | '›'
            | '*'
            | '_'
    )
}

/// Whether the full stop at `at` belongs to the word before it although `after` (opening `word`) follows.
fn is_abbreviation(block: &[char], start: usize, at: usize, after: char, word: &str) -> bool {
    // A token longer than this is no abbreviation.
    let low = start.max(at.saturating_sub(16));
    let token_start = (low..at)
        .rev()
        .find(|&i| block[i].is_whitespace() || is_opener(block[i]) || block[i] == '/')
        .map_or(low, |i| i + 1);
    let token: String = block[token_start..at].iter().collect();
    if token.is_empty() {
        return false;
    }
    if token.chars().all(|c| c.is_ascii_digit()) {
        let enumerates = token_start == start && token.len() <= 3;
        return enumerates || (token.len() <= 2 && GERMAN_MONTHS.contains(&word));
    }
    let starter = STARTERS.contains(&word);
    let mut letters = token.chars();
    if let (Some(only), None) = (letters.next(), letters.next()) {
        return only.is_uppercase() && !starter;
    }
    let lower = token.to_lowercase();
    if NEVER_LAST.contains(&lower.as_str()) {
        return true;
    }
    if BEFORE_NUMBERS.contains(&lower.as_str()) {
        return after.is_numeric() || matches!(word, "I" | "II" | "III" | "IV" | "V" | "VI" | "A" | "B" | "C");
    }
    let dotted = token.contains('.')
        && token.split('.').all(|part| part.chars().count() <= 2 && part.chars().all(char::is_alphabetic));
    (dotted || MAYBE_LAST.contains(&lower.as_str())) && !starter
}

/// Titles and words that always want another word.
const NEVER_LAST: &[&str] = &[
    "dr", "mr", "mrs", "ms", "mx", "prof", "st", "gen", "sen", "rep", "gov", "capt", "cpt", "lt", "col", "sgt", "maj",
    "rev", "hon", "pres", "messrs", "mme", "mlle", "sra", "srta", "hr", "fr", "dipl", "ing", "vs", "e.g", "i.e", "z.b",
    "d.h", "u.a", "bzw", "vgl", "cf", "ca", "approx", "mt", "ft", "viz", "resp", "sog", "insb", "einschl", "gem",
];

/// Words that want a number.
const BEFORE_NUMBERS: &[&str] = &[
    "no", "nos", "nr", "fig", "figs", "eq", "eqs", "sec", "secs", "vol", "vols", "pp", "p", "pg", "ch", "chap", "art",
    "arts", "tab", "ref", "refs", "abs", "bd", "ziff", "kap", "abb", "rn", "lit", "para", "paras", "cl", "ex", "app",
    "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "okt", "dez", "art", "núm",
    "num", "n", "c", "circa",
];

/// Words that may end a sentence: they do when a usual first word follows.
const MAYBE_LAST: &[&str] = &[
    "inc", "ltd", "corp", "co", "llc", "plc", "bros", "jr", "sr", "etc", "al", "dept", "univ", "est", "assn", "ave",
    "blvd", "rd", "a.m", "p.m", "ph.d", "usw", "mio", "mrd", "tel", "ed", "eds", "trans", "int'l", "gov't", "mfg",
    "s.a", "s.p.a",
];

const GERMAN_MONTHS: &[&str] = &[
    "Januar",
    "Jänner",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
    "Jahrhundert",
    "Jahrhunderts",
];

/// Usual first words of sentences, which are seldom parts of names.
const STARTERS: &[&str] = &[
    "The", "This", "That", "These", "Those", "It", "Its", "In", "On", "At", "By", "For", "From", "With", "As", "If",
    "When", "While", "Where", "He", "She", "They", "We", "You", "I", "His", "Her", "Their", "Our", "My", "There",
    "Here", "But", "And", "Or", "So", "Yet", "After", "Before", "Since", "Because", "Although", "However", "Then",
    "Thus", "Also", "Some", "Many", "Most", "All", "Each", "Every", "No", "Not", "To", "What", "Who", "How", "Why",
    "Which", "Under", "Over", "During", "Despite", "Until", "Once", "Another", "Other", "Both", "Such", "Now", "Today",
    "Der", "Die", "Das", "Ein", "Eine", "Es", "Er", "Sie", "Wir", "Im", "Am", "Bei", "Mit", "Nach", "Auch", "Le", "La",
    "Les", "Un", "Une", "El", "Los", "Las", "Il", "Elle", "Ils", "Nous", "Sin", "En", "An", "A",
];

#[cfg(test)]
mod tests {
    use super::{MAX_SENTENCE_CHARS, sentences};
    use carrel_domain::text::Span;
    use proptest::prelude::*;

    fn split(text: &str) -> Vec<&str> {
        sentences(text).into_iter().map(|span| span.slice(text).unwrap()).collect()
    }

    #[test]
    fn abbreviations_do_not_end_sentences() {
        for text in [
            "Dr. Smith and Prof. Jones met Mr. J. R. Tolkien at St. Mary's.",
            "See Fig. 3 and No. 12, i.e. Sec. 4, e.g. on pp. 3.",
            "The U.S. Navy has 3.5 million, about $2,450.00 each.",
            "Apple Inc. Corporate Headquarters, 5 p.m. Pacific time.",
            "Sie kam am 3. Oktober mit Dr. Müller, d.h. z.B. Herrn Meier.",
            "Yahoo! is a company, and \"Why?\" he asked.",
            "Wait... what is example.com doing in v1.2.3?",
        ] {
            assert_eq!(split(text), [text]);
        }
    }

    #[test]
    fn sentences_end() {
        assert_eq!(split("He lives in the U.S. The rest do not."), ["He lives in the U.S.", "The rest do not."]);
        assert_eq!(
            split("It was Apple Inc. The year was 2020. Then 3 came."),
            ["It was Apple Inc.", "The year was 2020.", "Then 3 came."]
        );
        assert_eq!(
            split("“Stop!” She ran. (It rained.) Why?  No."),
            ["“Stop!”", "She ran.", "(It rained.)", "Why?", "No."]
        );
        assert_eq!(split("Said so.[3] Next one."), ["Said so.", "[3] Next one."]);
        assert_eq!(split("هل هذا صحيح؟ نعم. انتهى"), ["هل هذا صحيح؟", "نعم.", "انتهى"]);
        assert_eq!(split("他说：“好。”我走了！真的？是"), ["他说：“好。”", "我走了！", "真的？", "是"]);
        assert_eq!(split("यह सच है। वह गया।"), ["यह सच है।", "वह गया।"]);
    }

    #[test]
    fn lines_break_where_an_author_broke_them() {
        assert_eq!(
            split("Heading\n\nText one\n- a b\n* c\n1. d\n2) e"),
            ["Heading", "Text one", "- a b", "* c", "1. d", "2) e"]
        );
        assert_eq!(split("Name | Age\nAnn | 3\nBob | 4"), ["Name | Age", "Ann | 3", "Bob | 4"]);
        assert_eq!(
            split("This paragraph was wrapped by an editor after so many\ncharacters, as usual in New\nYork. And on."),
            ["This paragraph was wrapped by an editor after so many\ncharacters, as usual in New", "York.", "And on."]
        );
        assert_eq!(
            split(
                "Management's Discussion and Analysis of Financial Condition and Results\nThe following text is long."
            ),
            ["Management's Discussion and Analysis of Financial Condition and Results", "The following text is long."]
        );
    }

    #[test]
    fn nothing_comes_from_nothing() {
        assert!(sentences("").is_empty());
        assert!(sentences(" \n\t\n\u{A0}").is_empty());
        assert_eq!(split("..."), ["..."]);
    }

    #[test]
    fn long_sentences_break_at_clauses_or_spaces() {
        let clauses = "word and another word, ".repeat(100);
        let found = split(&clauses);
        assert!(found.iter().all(|s| s.chars().count() <= MAX_SENTENCE_CHARS));
        assert!(found[0].ends_with(','));
        assert_eq!(split(&"x".repeat(1500)).iter().map(|s| s.len()).collect::<Vec<_>>(), [600, 600, 300]);
    }

    #[test]
    fn ten_megabytes_on_one_line_take_linear_time() {
        let lines = [
            "word ".repeat(2_000_000),
            "x".repeat(10_000_000),
            ".".repeat(10_000_000),
            ". ".repeat(5_000_000),
            "世".repeat(3_000_000),
        ];
        for text in lines {
            let started = std::time::Instant::now();
            assert!(!sentences(&text).is_empty());
            assert!(started.elapsed().as_secs_f32() < 8.0, "{:?} for {:?}", started.elapsed(), &text[..6]);
        }
    }

    proptest! {
        #[test]
        fn spans_are_ordered_bounded_and_cover_all_ink(text in "([a-cA-C .!?\n\t|,;3。？世۔-]|\\PC){0,1500}") {
            let chars: Vec<char> = text.chars().collect();
            let mut covered = 0;
            for Span { start, end } in sentences(&text) {
                let (start, end) = (start as usize, end as usize);
                prop_assert!(covered <= start && start < end && end <= chars.len());
                prop_assert!(end - start <= MAX_SENTENCE_CHARS);
                prop_assert!(chars[covered..start].iter().all(|c| c.is_whitespace()));
                prop_assert!(!chars[start].is_whitespace() && !chars[end - 1].is_whitespace());
                covered = end;
            }
            prop_assert!(chars[covered..].iter().all(|c| c.is_whitespace()));
        }
    }
}
