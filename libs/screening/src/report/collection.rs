//! The report of a collection: sums over its documents.

use super::document::{DocumentReport, KindLine, action};
use super::{Report, table};
use crate::policy::Verdict;
use crate::{Kind, ScreeningError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// One document's line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentLine {
    /// Id of the document version.
    pub document: String,
    /// Its title.
    pub title: String,
    /// What was decided.
    pub verdict: Verdict,
    /// Detections in it.
    pub detections: u64,
    /// Its kinds with their counts.
    pub kinds: BTreeMap<Kind, u64>,
}

/// What was found in a collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionReport {
    /// Id of the collection, as the caller writes it.
    pub collection: String,
    /// Its name.
    pub name: String,
    /// Documents by verdict.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// Sums by kind (`values` counts a value once in each document).
    pub kinds: BTreeMap<Kind, KindLine>,
    /// One line for each document, in the order in which they were added.
    pub documents: Vec<DocumentLine>,
}

impl CollectionReport {
    /// A report without documents.
    pub fn new(collection: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            collection: collection.into(),
            name: name.into(),
            verdicts: BTreeMap::new(),
            kinds: BTreeMap::new(),
            documents: Vec::new(),
        }
    }

    /// Adds a document. Its detections are summed and not kept.
    pub fn add(&mut self, report: &DocumentReport) {
        *self.verdicts.entry(report.verdict).or_default() += 1;
        for line in &report.kinds {
            let sum = self.kinds.entry(line.kind).or_insert_with(|| KindLine {
                count: 0,
                validated: 0,
                values: 0,
                ..line.clone()
            });
            sum.count += line.count;
            sum.validated += line.validated;
            sum.values += line.values;
            sum.action = sum.action.max(line.action);
        }
        self.documents.push(DocumentLine {
            document: report.document.clone(),
            title: report.title.clone(),
            verdict: report.verdict,
            detections: report.kinds.iter().map(|line| line.count).sum(),
            kinds: report.kinds.iter().map(|line| (line.kind, line.count)).collect(),
        });
    }
}

impl Report for CollectionReport {
    fn csv(&self) -> Result<String, ScreeningError> {
        let rows = self.documents.iter().flat_map(|document| {
            let line = |kind: String, count: u64| {
                vec![
                    document.document.clone(),
                    document.title.clone(),
                    document.verdict.as_str().to_owned(),
                    kind,
                    count.to_string(),
                ]
            };
            // A document without detections still has a line.
            let empty = document.kinds.is_empty().then(|| line(String::new(), 0));
            document
                .kinds
                .iter()
                .map(move |(kind, count)| line(kind.to_string(), *count))
                .chain(empty)
                .collect::<Vec<_>>()
        });
        table::csv(&["document", "title", "verdict", "kind", "count"], rows)
    }

    fn markdown(&self) -> String {
        let mut out = format!("# Screening of the collection {}\n\n", table::escaped(&self.name));
        let verdicts: Vec<String> =
            self.verdicts.iter().map(|(verdict, count)| format!("{count} {}", verdict.as_str())).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{} documents: {}.\n",
            self.documents.len(),
            if verdicts.is_empty() { "none".to_owned() } else { verdicts.join(", ") }
        );
        let kinds = self.kinds.values().map(|line| {
            vec![
                line.kind.to_string(),
                line.category.to_string(),
                action(line.action).to_owned(),
                line.count.to_string(),
                line.validated.to_string(),
            ]
        });
        table::markdown(&mut out, &["kind", "category", "gravest action", "found", "validated"], kinds);
        let found = self.documents.iter().filter(|document| document.detections > 0).map(|document| {
            vec![document.title.clone(), document.verdict.as_str().to_owned(), document.detections.to_string()]
        });
        table::markdown(&mut out, &["document", "verdict", "detections"], found);
        out
    }
}
