//! Terms: the words of a text as the lexical index knows them.

use crate::fold::{fold_arabic, fold_marks, is_arabic_word};
use crate::script::{is_latin, is_unspaced};
use crate::stop_words::stop_words;
use carrel_domain::text::Language;
use rust_stemmers::{Algorithm, Stemmer};
use std::collections::HashSet;
use std::sync::Arc;
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// Longest term, in code points; the rest of a longer word is not searched.
pub const MAX_TERM_CHARS: usize = 64;
/// Most terms of one query.
pub const MAX_QUERY_TERMS: usize = 64;
/// Bytes of a query that are read.
pub const MAX_QUERY_BYTES: usize = 8 * 1024;

/// Turns a text of one language into terms: NFKC, lower case, words (Unicode Standard Annex 29) without stop
/// words, stemmed (Snowball), Latin and Greek letters without marks. Writing without spaces becomes overlapping
/// pairs of characters. A number loses its grouping marks (`2,450.00` is `2450`), a code with a hyphen or dots
/// is kept both in parts and in one (`10-Q` is `10`, `q`, `10q`).
///
/// ```
/// use carrel_domain::text::Language;
/// use carrel_text::Analyzer;
///
/// let english = Analyzer::for_language(Language::ENGLISH);
/// assert_eq!(english.terms("Revenues of $2,450.00 in the 10-Q"), ["revenu", "2450", "10", "10q", "q"]);
/// let chinese = Analyzer::for_language(Language::parse("zh").unwrap());
/// assert_eq!(chinese.terms("预算获批 ok"), ["预算", "算获", "获批", "ok"]);
/// ```
#[derive(Clone)]
pub struct Analyzer {
    algorithm: Option<Algorithm>,
    stop_words: Arc<HashSet<String>>,
    /// Stop words of another language, in which a query seems to be.
    noise: Arc<HashSet<String>>,
    /// `1.234,5` is how this language writes numbers.
    comma_decimals: bool,
    /// Words begin with an elided article: `l'eau`.
    elides: bool,
    keeps_stop_words: bool,
}

impl Analyzer {
    /// The analyzer of a language. One that Carrel has no stemmer or stop words for keeps its words whole.
    pub fn for_language(language: Language) -> Self {
        let code = language.as_str();
        Self {
            algorithm: algorithm(code),
            stop_words: stop_words(code),
            noise: Arc::default(),
            comma_decimals: matches!(
                code,
                "de" | "fr"
                    | "es"
                    | "it"
                    | "pt"
                    | "nl"
                    | "da"
                    | "sv"
                    | "no"
                    | "fi"
                    | "ru"
                    | "tr"
                    | "ro"
                    | "hu"
                    | "el"
                    | "pl"
                    | "cs"
                    | "id"
            ),
            elides: matches!(code, "fr" | "it" | "ca"),
            keeps_stop_words: false,
        }
    }

    fn for_query(language: Language, noise: &Arc<HashSet<String>>) -> Self {
        Self { noise: Arc::clone(noise), ..Self::for_language(language) }
    }

    /// The same, but stop words become terms too.
    #[must_use]
    pub fn with_stop_words(mut self) -> Self {
        self.keeps_stop_words = true;
        self
    }

    /// The terms of `text`, in order, repeated as often as they occur.
    pub fn terms(&self, text: &str) -> Vec<String> {
        let mut terms = Vec::with_capacity(text.len() / 8);
        // By lines, so that a large text is never held in a second form as a whole.
        for line in text.split_inclusive('\n') {
            if line.is_ascii() {
                self.line(&line.to_ascii_lowercase(), &mut terms);
            } else {
                let folded: String =
                    line.nfkc().flat_map(char::to_lowercase).map(|c| if c == '’' { '\'' } else { c }).collect();
                self.line(&folded, &mut terms);
            }
        }
        terms
    }

    fn line(&self, line: &str, terms: &mut Vec<String>) {
        let mut previous: Option<(usize, &str)> = None;
        let mut run: Vec<char> = Vec::new();
        for (at, word) in line.split_word_bound_indices() {
            let Some(first) = word.chars().next() else {
                continue;
            };
            if is_unspaced(first) {
                run.extend(word.chars());
                previous = None;
                continue;
            }
            flush_pairs(&mut run, terms);
            // A space keeps the marks that follow it (rule WB4).
            let bare = word.trim_start();
            let (at, word) = (at + word.len() - bare.len(), bare);
            if !word.chars().any(char::is_alphanumeric) {
                continue;
            }
            if let Some((start, before)) = previous
                && &line[start + before.len()..at] == "-"
                && is_code(before, word)
            {
                terms.push(cut(&format!("{before}{word}")).to_owned());
            }
            self.word(word, terms);
            previous = Some((at, word));
        }
        flush_pairs(&mut run, terms);
    }

    fn word(&self, word: &str, terms: &mut Vec<String>) {
        if word.starts_with(|c: char| c.is_ascii_digit())
            && word.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | '\'' | '_'))
        {
            terms.push(cut(&self.number(word)).to_owned());
            return;
        }
        if self.is_stop_word(word) {
            return;
        }
        let word = if word.contains('\'') { self.without_apostrophe(word) } else { word.to_owned() };
        if word.contains(['.', ':', '_', ',']) {
            self.compound(&word, terms);
        } else if !self.is_stop_word(&word) {
            terms.extend(self.stem(&word));
        }
    }

    /// `company's` is `company`, `l'eau` is `eau`, `o'brien` is `obrien`.
    fn without_apostrophe(&self, word: &str) -> String {
        if self.elides
            && let Some((article, rest)) = word.split_once('\'')
            && article.chars().count() <= 6
            && rest.chars().nth(1).is_some()
        {
            return rest.replace('\'', "");
        }
        word.strip_suffix("'s").unwrap_or(word).replace('\'', "")
    }

    /// `u.s` is `us` as an abbreviation; `example.com` and `snake_case` are found whole and by their parts.
    fn compound(&self, word: &str, terms: &mut Vec<String>) {
        let parts: Vec<&str> = word.split(['.', ':', '_', ',']).filter(|part| !part.is_empty()).collect();
        let joined: String = parts.concat();
        if joined.is_empty() {
            return;
        }
        if parts.iter().all(|part| part.chars().nth(1).is_none()) {
            terms.push(cut(&joined).to_owned());
            return;
        }
        if parts.len() > 1 {
            terms.push(cut(word.trim_matches('_')).to_owned());
        }
        for part in parts {
            if !self.is_stop_word(part) {
                terms.extend(self.stem(part));
            }
        }
    }

    /// A number without grouping marks and without a fraction of zeros, its decimal mark a full stop.
    fn number(&self, word: &str) -> String {
        let word = word.trim_end_matches(['.', ',', '\'', '_']);
        let last_mark = word.rfind(['.', ',']).map(|at| (at, word.as_bytes()[at]));
        let Some((at, mark)) = last_mark else {
            return word.replace(['\'', '_'], "");
        };
        let (whole, fraction) = (&word[..at], &word[at + 1..]);
        let other = if mark == b'.' { ',' } else { '.' };
        let expected = if self.comma_decimals { b',' } else { b'.' };
        let repeated = whole.contains(mark as char);
        // "1.234.567" and "1,234" group; "1.5" does not; "1.234" depends on the language.
        let groups = repeated || (mark != expected && fraction.len() == 3 && !whole.contains(other));
        if groups {
            // Dates and versions (1.2.3) have parts of other lengths and stay as they are.
            let parts: Vec<&str> = word.split([',', '.', '\'']).collect();
            if parts[1..].iter().any(|part| part.len() != 3) {
                return word.to_owned();
            }
            return parts.concat();
        }
        let whole = whole.replace([',', '.', '\'', '_'], "");
        let fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") }
    }

    fn is_stop_word(&self, word: &str) -> bool {
        if self.keeps_stop_words {
            return false;
        }
        self.stop_words.contains(word)
            || self.noise.contains(word)
            || (is_arabic_word(word) && self.stop_words.contains(&fold_arabic(word)))
    }

    fn stem(&self, word: &str) -> Option<String> {
        let word = cut(word);
        if word.is_empty() {
            return None;
        }
        // Codes such as model numbers are names, not inflected words.
        if word.bytes().any(|b| b.is_ascii_digit()) {
            return Some(fold_marks(word).unwrap_or_else(|| word.to_owned()));
        }
        let arabic = is_arabic_word(word);
        let first = word.chars().next()?;
        let algorithm = match self.algorithm {
            // A Latin word in a text of another script is most often English.
            Some(Algorithm::Russian | Algorithm::Greek | Algorithm::Arabic | Algorithm::Tamil) | None
                if is_latin(first) =>
            {
                Some(Algorithm::English)
            }
            Some(Algorithm::Arabic) if !arabic => None,
            Some(algorithm) => Some(algorithm),
            None => None,
        };
        // English borrows words with their marks but its stemmer knows none.
        let unmarked = if algorithm == Some(Algorithm::English) { fold_marks(word) } else { None };
        let word = unmarked.as_deref().unwrap_or(word);
        let stem = match algorithm {
            Some(algorithm) => Stemmer::create(algorithm).stem(word).into_owned(),
            None => word.to_owned(),
        };
        let stem = if stem.is_empty() { word.to_owned() } else { stem };
        // After stemming: the stemmer tells a feminine ending by the letter that folding would hide.
        let stem = if arabic { fold_arabic(&stem) } else { stem };
        if stem.is_empty() {
            return None;
        }
        Some(fold_marks(&stem).unwrap_or(stem))
    }
}

/// The terms of a query over texts of several languages: the union of what each language's analyzer makes of
/// it, each once, at most [`MAX_QUERY_TERMS`], from at most [`MAX_QUERY_BYTES`] of `text`. When only stop words
/// are left, they are kept. No language at all is [`Language::UNDETERMINED`].
///
/// ```
/// use carrel_domain::text::Language;
/// use carrel_text::query_terms;
///
/// let languages = [Language::ENGLISH, Language::parse("de").unwrap()];
/// assert_eq!(query_terms("Who are the auditors?", &languages), ["auditor"]);
/// assert_eq!(query_terms("to be or not to be", &[Language::ENGLISH]), ["to", "be", "or", "not"]);
/// assert!(query_terms("?!", &languages).is_empty());
/// ```
pub fn query_terms(text: &str, languages: &[Language]) -> Vec<String> {
    let text = &text[..text.floor_char_boundary(MAX_QUERY_BYTES)];
    let undetermined = [Language::UNDETERMINED];
    let languages = if languages.is_empty() { &undetermined[..] } else { languages };
    let noise = noise(text, languages);
    let analyzers: Vec<Analyzer> = languages.iter().map(|&language| Analyzer::for_query(language, &noise)).collect();
    let terms = union(text, &analyzers);
    if !terms.is_empty() {
        return terms;
    }
    let analyzers: Vec<Analyzer> = analyzers.into_iter().map(Analyzer::with_stop_words).collect();
    union(text, &analyzers)
}

/// The stop words of the language that the query seems to be in. They are noise in every language: an English
/// "the" is rare in German texts, so it would outweigh the words that matter.
fn noise(text: &str, languages: &[Language]) -> Arc<HashSet<String>> {
    let lower = text.to_lowercase().replace('’', "'");
    let words: HashSet<&str> = lower.unicode_words().collect();
    let mut noise = Arc::default();
    let mut most = 1;
    for code in languages.iter().map(Language::as_str).chain(["en"]) {
        let list = stop_words(code);
        let hits = words.iter().filter(|word| list.contains(**word)).count();
        if hits > most {
            most = hits;
            noise = list;
        }
    }
    noise
}

/// In turns, so that the limit cuts every language's terms alike.
fn union(text: &str, analyzers: &[Analyzer]) -> Vec<String> {
    let mut lists: Vec<_> = analyzers.iter().map(|analyzer| analyzer.terms(text).into_iter()).collect();
    let mut seen = HashSet::new();
    let mut terms = Vec::new();
    loop {
        let mut exhausted = true;
        for list in &mut lists {
            let Some(term) = list.find(|term| !seen.contains(term)) else {
                continue;
            };
            exhausted = false;
            seen.insert(term.clone());
            terms.push(term);
            if terms.len() == MAX_QUERY_TERMS {
                return terms;
            }
        }
        if exhausted {
            return terms;
        }
    }
}

/// Overlapping pairs; a character that stands alone is its own term.
fn flush_pairs(run: &mut Vec<char>, terms: &mut Vec<String>) {
    if let [only] = run[..] {
        terms.push(only.to_string());
    }
    for pair in run.windows(2) {
        terms.push(pair.iter().collect());
    }
    run.clear();
}

/// Whether two words around a hyphen are one code, such as `10-q`, `covid-19` or `x-ray`.
fn is_code(before: &str, after: &str) -> bool {
    let coded = |word: &str| word.bytes().any(|b| b.is_ascii_digit()) || word.chars().nth(1).is_none();
    let short = before.len() + after.len() <= MAX_TERM_CHARS;
    // Two plain numbers are a range or a date.
    let letters = before.chars().chain(after.chars()).any(char::is_alphabetic);
    short && letters && (coded(before) || coded(after))
}

fn cut(word: &str) -> &str {
    if word.len() <= MAX_TERM_CHARS {
        return word;
    }
    word.char_indices().nth(MAX_TERM_CHARS).map_or(word, |(byte, _)| &word[..byte])
}

fn algorithm(code: &str) -> Option<Algorithm> {
    Some(match code {
        "ar" => Algorithm::Arabic,
        "da" => Algorithm::Danish,
        "nl" | "af" => Algorithm::Dutch,
        "en" => Algorithm::English,
        "fi" => Algorithm::Finnish,
        "fr" => Algorithm::French,
        "de" => Algorithm::German,
        "el" => Algorithm::Greek,
        "hu" => Algorithm::Hungarian,
        "it" => Algorithm::Italian,
        "no" | "nb" | "nn" => Algorithm::Norwegian,
        "pt" => Algorithm::Portuguese,
        "ro" => Algorithm::Romanian,
        "ru" => Algorithm::Russian,
        "es" => Algorithm::Spanish,
        "sv" => Algorithm::Swedish,
        "ta" => Algorithm::Tamil,
        "tr" => Algorithm::Turkish,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{Analyzer, MAX_QUERY_TERMS, MAX_TERM_CHARS, query_terms};
    use carrel_domain::text::Language;
    use proptest::prelude::*;

    fn terms(code: &str, text: &str) -> Vec<String> {
        Analyzer::for_language(Language::parse(code).unwrap()).terms(text)
    }

    #[test]
    fn words_lose_what_grammar_adds() {
        assert_eq!(terms("en", "The company's Don’t O'Brien’s running"), ["compani", "obrien", "run"]);
        assert_eq!(terms("de", "Die größten Straßen der Häuser"), ["grosst", "strass", "haus"]);
        assert_eq!(terms("fr", "L'année dernière, aujourd'hui"), ["anne", "derni", "aujourdhui"]);
        assert_eq!(terms("ru", "Комитеты утвердили бюджеты"), ["комитет", "утверд", "бюджет"]);
        assert_eq!(terms("und", "The résumés"), ["the", "resum"]);
    }

    #[test]
    fn numbers_and_codes_are_found_as_people_type_them() {
        assert_eq!(
            terms("en", "2,450.00 2450 3.50 1,234,567 1.2.3 2020-11-05"),
            ["2450", "2450", "3.5", "1234567", "1.2.3", "2020", "11", "05"]
        );
        assert_eq!(terms("de", "1.234,50 1.234 3,5"), ["1234.5", "1234", "3.5"]);
        assert_eq!(
            terms("en", "10-Q COVID-19 snake_case example.com U.S."),
            [
                "10",
                "10q",
                "q",
                "covid",
                "covid19",
                "19",
                "snake_case",
                "snake",
                "case",
                "example.com",
                "exampl",
                "com",
                "us"
            ]
        );
        assert_eq!(terms("en", "①２ ﬁne"), ["12", "fine"]);
    }

    #[test]
    fn writing_without_spaces_becomes_pairs() {
        assert_eq!(terms("zh", "中 国人，GPT4 模型"), ["中", "国人", "gpt4", "模型"]);
        assert_eq!(terms("ja", "カタカナとひ"), ["カタ", "タカ", "カナ", "ナと", "とひ"]);
        assert_eq!(terms("ko", "예산을 가결"), ["예산", "산을", "가결"]);
        assert_eq!(terms("en", "the 预算 plan"), ["预算", "plan"]);
    }

    #[test]
    fn long_words_are_cut_and_queries_bounded() {
        assert!(terms("en", &"x".repeat(1000)).iter().all(|term| term.chars().count() <= MAX_TERM_CHARS));
        let query = (0..20_000).map(|n| format!("word{n}")).collect::<Vec<_>>().join(" ");
        assert_eq!(query_terms(&query, &[Language::ENGLISH]).len(), MAX_QUERY_TERMS);
        assert!(query_terms(&"?!. ".repeat(40_000), &[Language::ENGLISH]).is_empty());
        assert!(query_terms("", &[]).is_empty());
        assert_eq!(query_terms("Budgets budgets", &[]), ["budget"]);
    }

    proptest! {
        #[test]
        fn no_text_breaks_any_language(text in "(\\PC|[a-zäöüßéçğışабвгдежαβγδεζأإبتثजகாத' ]){0,80}", code in "(ar|da|nl|en|fi|fr|de|el|hu|it|no|pt|ro|ru|es|sv|ta|tr|und|zh)") {
            for term in terms(&code, &text) {
                prop_assert!(!term.is_empty() && term.chars().count() <= 3 * MAX_TERM_CHARS, "{term:?}");
                prop_assert!(!term.contains(char::is_whitespace));
            }
        }
    }
}
