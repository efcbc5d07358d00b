//! Retrieval sets in BEIR's columns (Thakur et al., "BEIR", 2021): `corpus.jsonl`, `queries.jsonl`, and `qrels.tsv` or
//! `qrels/test.tsv` with a header.

use crate::RetrievalError;
use crate::measures::Judgements;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Lines};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// One document of the corpus.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CorpusDocument {
    /// Its id in the set.
    #[serde(rename = "_id")]
    pub id: String,
    /// Its title; often empty.
    #[serde(default)]
    pub title: String,
    /// Its body.
    pub text: String,
}

/// One query.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Query {
    /// Its id in the set.
    #[serde(rename = "_id")]
    pub id: String,
    /// What is asked.
    pub text: String,
}

/// A set whose queries and judgements are in memory; its corpus is read as it is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct BeirSet {
    folder: PathBuf,
    /// Queries in the file's order.
    pub queries: Vec<Query>,
    /// Judgements by query id, of the queries in `queries`.
    pub judgements: BTreeMap<String, Judgements>,
}

impl BeirSet {
    /// Reads queries and judgements of `folder` and makes sure that a corpus is there. Judgements of queries that
    /// `queries.jsonl` does not have are left out: BEIR's splits share one file of queries.
    pub fn open(folder: &Path) -> Result<Self, RetrievalError> {
        let qrels =
            ["qrels.tsv", "qrels/test.tsv"].map(|name| folder.join(name)).into_iter().find(|path| path.is_file());
        let Some(qrels) = qrels else {
            return Err(RetrievalError::Missing { folder: folder.to_owned(), wanted: "qrels.tsv or qrels/test.tsv" });
        };
        for (name, wanted) in [("corpus.jsonl", "corpus.jsonl"), ("queries.jsonl", "queries.jsonl")] {
            if !folder.join(name).is_file() {
                return Err(RetrievalError::Missing { folder: folder.to_owned(), wanted });
            }
        }
        let mut queries: Vec<Query> = Vec::new();
        let mut ids = BTreeSet::new();
        let mut lines = JsonLines::<Query>::open(folder.join("queries.jsonl"))?;
        while let Some(query) = lines.next() {
            let query = query?;
            if !ids.insert(query.id.clone()) {
                return Err(lines.malformed(format!("the query {:?} occurs twice", query.id)));
            }
            queries.push(query);
        }
        let mut judgements = read_qrels(&qrels)?;
        judgements.retain(|query, _| ids.contains(query));
        Ok(Self { folder: folder.to_owned(), queries, judgements })
    }

    /// The documents of the corpus, one line at a time.
    pub fn corpus(&self) -> Result<impl Iterator<Item = Result<CorpusDocument, RetrievalError>>, RetrievalError> {
        JsonLines::open(self.folder.join("corpus.jsonl"))
    }
}

struct JsonLines<T> {
    file: PathBuf,
    lines: Lines<BufReader<File>>,
    line: u64,
    kind: PhantomData<T>,
}

impl<T> JsonLines<T> {
    fn open(file: PathBuf) -> Result<Self, RetrievalError> {
        let lines = open(&file)?.lines();
        Ok(Self { file, lines, line: 0, kind: PhantomData })
    }

    fn malformed(&self, reason: String) -> RetrievalError {
        RetrievalError::Malformed { file: self.file.clone(), line: self.line, reason }
    }
}

impl<T: DeserializeOwned> Iterator for JsonLines<T> {
    type Item = Result<T, RetrievalError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = self.lines.next()?;
            self.line += 1;
            let text = match line {
                Ok(text) => text,
                Err(source) => return Some(Err(unreadable(&self.file, self.line, source))),
            };
            if text.trim().is_empty() {
                continue;
            }
            return Some(serde_json::from_str(&text).map_err(|error| self.malformed(error.to_string())));
        }
    }
}

fn open(file: &Path) -> Result<BufReader<File>, RetrievalError> {
    let opened = File::open(file).map_err(|source| RetrievalError::Unreadable { file: file.to_owned(), source })?;
    Ok(BufReader::new(opened))
}

fn unreadable(file: &Path, line: u64, source: std::io::Error) -> RetrievalError {
    if source.kind() == std::io::ErrorKind::InvalidData {
        return RetrievalError::Malformed { file: file.to_owned(), line, reason: "not UTF-8".to_owned() };
    }
    RetrievalError::Unreadable { file: file.to_owned(), source }
}

fn read_qrels(file: &Path) -> Result<BTreeMap<String, Judgements>, RetrievalError> {
    let mut judgements: BTreeMap<String, Judgements> = BTreeMap::new();
    for (index, line) in open(file)?.lines().enumerate() {
        let number = index as u64 + 1;
        let line = line.map_err(|source| unreadable(file, number, source))?;
        if line.trim().is_empty() {
            continue;
        }
        let malformed = |reason: String| RetrievalError::Malformed { file: file.to_owned(), line: number, reason };
        let columns: Vec<&str> = line.split('\t').map(str::trim).collect();
        let &[query, document, grade] = columns.as_slice() else {
            return Err(malformed(format!("{} columns instead of query-id, corpus-id, score", columns.len())));
        };
        if index == 0 {
            if grade.parse::<i32>().is_ok() {
                return Err(malformed("the header query-id, corpus-id, score is missing".to_owned()));
            }
            continue;
        }
        let grade = grade.parse().map_err(|_| malformed(format!("the score {grade:?} is not a whole number")))?;
        if judgements.entry(query.to_owned()).or_default().insert(document.to_owned(), grade).is_some() {
            return Err(malformed(format!("{document:?} is judged twice for the query {query:?}")));
        }
    }
    Ok(judgements)
}

#[cfg(test)]
mod tests {
    use super::BeirSet;
    use crate::RetrievalError;
    use std::fs;
    use tempfile::TempDir;

    fn set(corpus: &str, queries: &str, qrels: &str) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("corpus.jsonl"), corpus).unwrap();
        fs::write(folder.path().join("queries.jsonl"), queries).unwrap();
        fs::create_dir(folder.path().join("qrels")).unwrap();
        fs::write(folder.path().join("qrels/test.tsv"), qrels).unwrap();
        folder
    }

    const CORPUS: &str =
        "{\"_id\":\"d1\",\"title\":\"T\",\"text\":\"Body\"}\n\n{\"_id\":\"d2\",\"text\":\"x\",\"metadata\":{}}\n";
    const QUERIES: &str = "{\"_id\":\"q1\",\"text\":\"what?\",\"answers\":[]}\n{\"_id\":\"q2\",\"text\":\"who?\"}\n";
    const HEADER: &str = "query-id\tcorpus-id\tscore\n";

    #[test]
    fn a_set_is_read() {
        let folder = set(CORPUS, QUERIES, &format!("{HEADER}q1\td1\t2\r\nq1\td2\t0\nelsewhere\td1\t1\n"));
        let set = BeirSet::open(folder.path()).unwrap();
        let corpus: Vec<_> = set.corpus().unwrap().map(Result::unwrap).collect();
        assert_eq!(
            corpus.iter().map(|d| (d.id.as_str(), d.title.as_str())).collect::<Vec<_>>(),
            [("d1", "T"), ("d2", "")]
        );
        assert_eq!(set.queries.len(), 2);
        assert_eq!(set.judgements.len(), 1);
        assert_eq!(set.judgements["q1"]["d1"], 2);
    }

    #[test]
    fn errors_name_file_and_line() {
        let cases = [
            (CORPUS, QUERIES, "q1\td1\t1\n".to_owned(), "test.tsv, line 1: the header"),
            (CORPUS, QUERIES, format!("{HEADER}q1\td1\n"), "test.tsv, line 2: 2 columns"),
            (CORPUS, QUERIES, format!("{HEADER}q1\td1\thigh\n"), "test.tsv, line 2: the score \"high\""),
            (CORPUS, QUERIES, format!("{HEADER}q1\td1\t1\nq1\td1\t1\n"), "test.tsv, line 3: \"d1\" is judged twice"),
            (CORPUS, "{\"_id\":\"q1\"}\n", HEADER.to_owned(), "queries.jsonl, line 1: missing field `text`"),
            (
                CORPUS,
                "{\"_id\":\"q\",\"text\":\"\"}\n{\"_id\":\"q\",\"text\":\"\"}\n",
                HEADER.to_owned(),
                "line 2: the query \"q\" occurs twice",
            ),
        ];
        for (corpus, queries, qrels, message) in cases {
            let folder = set(corpus, queries, &qrels);
            let error = BeirSet::open(folder.path()).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        let folder = set("{\"_id\":\"d1\",\"text\":\"a\"}\nnot JSON\n", QUERIES, HEADER);
        let set = BeirSet::open(folder.path()).unwrap();
        let last = set.corpus().unwrap().last().unwrap().unwrap_err().to_string();
        assert!(last.contains("corpus.jsonl, line 2: "), "{last}");
    }

    #[test]
    fn a_missing_part_is_named() {
        let folder = set(CORPUS, QUERIES, HEADER);
        fs::remove_file(folder.path().join("qrels/test.tsv")).unwrap();
        assert!(
            matches!(BeirSet::open(folder.path()), Err(RetrievalError::Missing { wanted, .. }) if wanted.contains("qrels"))
        );
    }
}
