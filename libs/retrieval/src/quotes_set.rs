//! Sets that judge quotes: questions with the exact excerpts that answer them (the layout of "chunking_evaluation",
//! Smith and Troynikov, "Evaluating Chunking Strategies for Retrieval", 2024).
//!
//! A folder holds `questions_df.csv` with the columns `question`, `references` (JSON: `content`, `start_index`,
//! `end_index` in code points) and `corpus_id`, and a text `<corpus_id>.md` for every corpus that a question names.

use crate::RetrievalError;
use carrel_domain::text::Span;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// File of the questions.
pub const QUESTIONS_FILE: &str = "questions_df.csv";

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotesQuestion {
    /// What is asked.
    pub text: String,
    /// Name of the corpus that answers.
    pub corpus: String,
    /// What should be quoted, each verified against the corpus.
    pub excerpts: Vec<Span>,
}

/// A whole set in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotesSet {
    /// Texts by the name of their corpus.
    pub corpora: BTreeMap<String, String>,
    /// Questions in the file's order.
    pub questions: Vec<QuotesQuestion>,
}

#[derive(Deserialize)]
struct Row {
    question: String,
    references: String,
    corpus_id: String,
}

#[derive(Deserialize)]
struct Reference {
    content: String,
    start_index: u32,
    end_index: u32,
}

impl QuotesSet {
    /// Reads a folder and checks that every excerpt stands where its row says.
    pub fn open(folder: &Path) -> Result<Self, RetrievalError> {
        let file = folder.join(QUESTIONS_FILE);
        if !file.is_file() {
            return Err(RetrievalError::Missing { folder: folder.to_owned(), wanted: QUESTIONS_FILE });
        }
        let mut reader = csv::Reader::from_path(&file).map_err(|error| of_csv(&file, error))?;
        let mut set = Self { corpora: BTreeMap::new(), questions: Vec::new() };
        // Code point offsets, so that excerpts are found without walking the text each time.
        let mut indexes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let headers = reader.headers().map_err(|error| of_csv(&file, error))?.clone();
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(|error| of_csv(&file, error))? {
            let line = record.position().map_or(0, csv::Position::line);
            let malformed = |reason: String| RetrievalError::Malformed { file: file.clone(), line, reason };
            let row: Row = record.deserialize(Some(&headers)).map_err(|error| malformed(error.to_string()))?;
            let references: Vec<Reference> =
                serde_json::from_str(&row.references).map_err(|error| malformed(format!("references: {error}")))?;
            if !set.corpora.contains_key(&row.corpus_id) {
                let text = read_corpus(folder, &row.corpus_id).map_err(|problem| {
                    problem.unwrap_or_else(|| malformed(format!("{:?} is not a name for a corpus", row.corpus_id)))
                })?;
                indexes.insert(
                    row.corpus_id.clone(),
                    text.char_indices().map(|(byte, _)| byte).chain([text.len()]).collect(),
                );
                set.corpora.insert(row.corpus_id.clone(), text);
            }
            let (text, offsets) = (&set.corpora[&row.corpus_id], &indexes[&row.corpus_id]);
            let mut excerpts = Vec::with_capacity(references.len());
            for reference in references {
                let place = (offsets.get(reference.start_index as usize), offsets.get(reference.end_index as usize));
                let found = match place {
                    (Some(&start), Some(&end)) => text.get(start..end),
                    _ => None,
                };
                let (Some(found), Some(span)) = (found, Span::new(reference.start_index, reference.end_index)) else {
                    return Err(malformed(format!(
                        "{} has no characters {} to {}",
                        row.corpus_id, reference.start_index, reference.end_index
                    )));
                };
                if found != reference.content || span.is_empty() {
                    return Err(malformed(format!(
                        "the excerpt does not stand at {} to {} of {}",
                        span.start, span.end, row.corpus_id
                    )));
                }
                excerpts.push(span);
            }
            set.questions.push(QuotesQuestion { text: row.question, corpus: row.corpus_id, excerpts });
        }
        Ok(set)
    }
}

/// The text of a corpus; `Err(None)` when its name could leave the folder.
fn read_corpus(folder: &Path, name: &str) -> Result<String, Option<RetrievalError>> {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ' '));
    if !plain {
        return Err(None);
    }
    let file = folder.join(format!("{name}.md"));
    std::fs::read_to_string(&file).map_err(|source| Some(RetrievalError::Unreadable { file, source }))
}

fn of_csv(file: &Path, error: csv::Error) -> RetrievalError {
    let file: PathBuf = file.to_owned();
    let line = error.position().map_or(0, csv::Position::line);
    let reason = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(source) => RetrievalError::Unreadable { file, source },
        _ => RetrievalError::Malformed { file, line, reason },
    }
}

/// How well ranges of characters cover the excerpts of one question, or the means over many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// Questions that were measured.
    pub questions: usize,
    /// Share of the excerpts' characters that were retrieved.
    pub recall: f64,
    /// Share of the retrieved characters that belong to an excerpt.
    pub precision: f64,
    /// Characters in both divided by characters in either.
    pub iou: f64,
    /// Share of the excerpts that were retrieved to their last character.
    pub whole: f64,
}

/// Measures `retrieved` ranges, each with its corpus, against a question's excerpts. Overlapping ranges count once.
pub fn cover(question: &QuotesQuestion, retrieved: &[(&str, Span)]) -> Coverage {
    let wanted = union(question.excerpts.iter().copied());
    let mut by_corpus: BTreeMap<&str, Vec<Span>> = BTreeMap::new();
    for (corpus, span) in retrieved {
        by_corpus.entry(corpus).or_default().push(*span);
    }
    let mut length = 0;
    let mut found = Vec::new();
    for (corpus, spans) in by_corpus {
        let spans = union(spans);
        length += total(&spans);
        if corpus == question.corpus {
            found = spans;
        }
    }
    let shared = intersection(&wanted, &found);
    let expected = total(&wanted);
    let whole = question.excerpts.iter().filter(|e| found.iter().any(|f| f.start <= e.start && e.end <= f.end)).count();
    Coverage {
        questions: 1,
        recall: share(shared, expected),
        precision: share(shared, length),
        iou: share(shared, expected + length - shared),
        whole: share(whole as u64, question.excerpts.len() as u64),
    }
}

/// Means over questions.
pub fn mean(coverages: &[Coverage]) -> Coverage {
    let count = coverages.len().max(1) as f64;
    let of = |value: fn(&Coverage) -> f64| coverages.iter().map(value).sum::<f64>() / count;
    Coverage {
        questions: coverages.len(),
        recall: of(|c| c.recall),
        precision: of(|c| c.precision),
        iou: of(|c| c.iou),
        whole: of(|c| c.whole),
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn total(spans: &[Span]) -> u64 {
    spans.iter().map(|span| u64::from(span.len())).sum()
}

/// Sorted spans that neither overlap nor touch, covering the same characters.
fn union(spans: impl IntoIterator<Item = Span>) -> Vec<Span> {
    let mut sorted: Vec<Span> = spans.into_iter().filter(|span| !span.is_empty()).collect();
    sorted.sort_unstable();
    let mut out: Vec<Span> = Vec::with_capacity(sorted.len());
    for span in sorted {
        match out.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => out.push(span),
        }
    }
    out
}

fn intersection(left: &[Span], right: &[Span]) -> u64 {
    let (mut i, mut j, mut shared) = (0, 0, 0);
    while let (Some(a), Some(b)) = (left.get(i), right.get(j)) {
        shared += u64::from(a.end.min(b.end).saturating_sub(a.start.max(b.start)));
        if a.end < b.end { i += 1 } else { j += 1 }
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::{Coverage, QuotesQuestion, QuotesSet, cover, mean};
    use carrel_domain::text::Span;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::fs;

    fn folder(rows: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("talk.md"), "Grüße. We met in May.\nIt rained.").unwrap();
        fs::write(folder.path().join("questions_df.csv"), format!("question,references,corpus_id\n{rows}")).unwrap();
        folder
    }

    #[test]
    fn a_set_is_read_and_verified() {
        let folder = folder(
            "\"When, roughly?\",\"[{\"\"content\"\": \"\"We met in May.\"\", \"\"start_index\"\": 7, \"\"end_index\"\": 21}]\",talk\n",
        );
        let set = QuotesSet::open(folder.path()).unwrap();
        assert_eq!(set.questions[0].text, "When, roughly?");
        assert_eq!(set.questions[0].excerpts, [Span { start: 7, end: 21 }]);
        assert_eq!(set.corpora.keys().collect::<Vec<_>>(), ["talk"]);
    }

    #[test]
    fn errors_name_file_and_line() {
        let good = "a?,[],talk\n";
        for (row, message) in [
            (
                "b?,\"[{\"\"content\"\": \"\"We\"\", \"\"start_index\"\": 6, \"\"end_index\"\": 8}]\",talk\n",
                "line 3: the excerpt does not stand at 6 to 8",
            ),
            (
                "b?,\"[{\"\"content\"\": \"\"We\"\", \"\"start_index\"\": 6, \"\"end_index\"\": 800}]\",talk\n",
                "line 3: talk has no characters 6 to 800",
            ),
            ("b?,{},talk\n", "line 3: references: "),
            ("b?,[],../talk\n", "line 3: \"../talk\" is not a name"),
            ("b?,[]\n", "questions_df.csv, line 3"),
        ] {
            let error = QuotesSet::open(folder(&format!("{good}{row}")).path()).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        let missing = QuotesSet::open(folder("b?,[],elsewhere\n").path()).unwrap_err().to_string();
        assert!(missing.contains("elsewhere.md cannot be read"), "{missing}");
    }

    fn question(excerpts: &[(u32, u32)]) -> QuotesQuestion {
        let excerpts = excerpts.iter().map(|&(start, end)| Span { start, end }).collect();
        QuotesQuestion { text: "?".to_owned(), corpus: "c".to_owned(), excerpts }
    }

    #[test]
    fn coverage_by_hand() {
        let question = question(&[(10, 20), (30, 40)]);
        // 5 of the first, all of the second, 10 that nobody asked for, 20 of another corpus.
        let spans =
            [("c", Span { start: 15, end: 25 }), ("c", Span { start: 20, end: 40 }), ("d", Span { start: 0, end: 20 })];
        let found = cover(&question, &spans);
        assert!((found.recall - 15.0 / 20.0).abs() < 1e-9);
        assert!((found.precision - 15.0 / 45.0).abs() < 1e-9);
        assert!((found.iou - 15.0 / 50.0).abs() < 1e-9);
        assert!((found.whole - 0.5).abs() < 1e-9);
        let nothing = cover(&question, &[]);
        assert_eq!(nothing, Coverage { questions: 1, ..Coverage::default() });
        let both = mean(&[found, nothing]);
        assert_eq!(both.questions, 2);
        assert!((both.recall - 15.0 / 40.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn interval_sets_agree_with_sets_of_characters(
            wanted in prop::collection::vec((0u32..60, 1u32..20), 1..5),
            found in prop::collection::vec((0u32..60, 0u32..20), 0..8),
        ) {
            let wanted: Vec<_> = wanted.into_iter().map(|(start, length)| (start, start + length)).collect();
            let found: Vec<Span> = found.into_iter().map(|(start, length)| Span { start, end: start + length }).collect();
            let want: BTreeSet<u32> = wanted.iter().flat_map(|&(start, end)| start..end).collect();
            let have: BTreeSet<u32> = found.iter().flat_map(|span| span.start..span.end).collect();
            let shared = want.intersection(&have).count() as f64;
            let spans: Vec<_> = found.iter().map(|span| ("c", *span)).collect();
            let coverage = cover(&question(&wanted), &spans);
            prop_assert!((coverage.recall - shared / want.len() as f64).abs() < 1e-9);
            prop_assert!((coverage.iou - shared / want.union(&have).count() as f64).abs() < 1e-9);
            prop_assert!((coverage.precision - shared / have.len().max(1) as f64).abs() < 1e-9);
        }
    }
}
