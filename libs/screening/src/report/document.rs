//! The report of one document.

use super::{Report, table};
use crate::policy::{Action, Decision, Screened, Verdict};
use crate::{Category, Kind, ScreeningError, Severity};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// How often a kind was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindLine {
    /// What it is.
    pub kind: Kind,
    /// What policies speak about.
    pub category: Category,
    /// How grave it is.
    pub severity: Severity,
    /// The gravest action among these.
    pub action: Action,
    /// How many.
    pub count: u64,
    /// Of these, with an agreeing checksum, plan or mark.
    pub validated: u64,
    /// Different values.
    pub values: u64,
}

/// What was found in one document version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentReport {
    /// Id of the document version, as the caller writes it.
    pub document: String,
    /// Its title.
    pub title: String,
    /// What was decided.
    pub verdict: Verdict,
    /// By kind, gravest and most frequent first.
    pub kinds: Vec<KindLine>,
    /// Every detection with its action.
    pub detections: Vec<Decision>,
}

impl DocumentReport {
    /// The report of a screened document.
    pub fn new(document: impl Into<String>, title: impl Into<String>, screened: &Screened) -> Self {
        let mut kinds: BTreeMap<Kind, (KindLine, std::collections::BTreeSet<crate::ValueDigest>)> = BTreeMap::new();
        for decision in &screened.decisions {
            let found = &decision.detection;
            let (line, values) = kinds.entry(found.kind).or_insert_with(|| {
                let line = KindLine {
                    kind: found.kind,
                    category: found.category,
                    severity: found.severity,
                    action: decision.action,
                    count: 0,
                    validated: 0,
                    values: 0,
                };
                (line, std::collections::BTreeSet::default())
            });
            line.count += 1;
            line.validated += u64::from(found.validated);
            line.action = line.action.max(decision.action);
            values.insert(found.digest);
            line.values = values.len() as u64;
        }
        let mut kinds: Vec<KindLine> = kinds.into_values().map(|(line, _)| line).collect();
        kinds.sort_by_key(|line| std::cmp::Reverse((line.severity, line.count)));
        Self {
            document: document.into(),
            title: title.into(),
            verdict: screened.verdict,
            kinds,
            detections: screened.decisions.clone(),
        }
    }
}

pub(super) fn action(action: Action) -> &'static str {
    match action {
        Action::Allow => "allow",
        Action::Mask => "mask",
        Action::Hold => "hold",
    }
}

impl Report for DocumentReport {
    fn csv(&self) -> Result<String, ScreeningError> {
        let header =
            ["document", "kind", "category", "action", "start", "end", "confidence", "validated", "mask", "digest"];
        let rows = self.detections.iter().map(|Decision { action: decided, detection: found }| {
            vec![
                self.document.clone(),
                found.kind.to_string(),
                found.category.to_string(),
                action(*decided).to_owned(),
                found.span.start.to_string(),
                found.span.end.to_string(),
                found.confidence.to_string(),
                found.validated.to_string(),
                found.mask.clone(),
                found.digest.to_string(),
            ]
        });
        table::csv(&header, rows)
    }

    fn markdown(&self) -> String {
        let mut out = format!("# Screening of {}\n\n", table::escaped(&self.title));
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "Document {}: **{}**, {} detections.\n",
            table::escaped(&self.document),
            self.verdict.as_str(),
            self.detections.len()
        );
        let kinds = self.kinds.iter().map(|line| {
            vec![
                line.kind.to_string(),
                action(line.action).to_owned(),
                line.count.to_string(),
                line.values.to_string(),
                line.validated.to_string(),
            ]
        });
        table::markdown(&mut out, &["kind", "action", "found", "different values", "validated"], kinds);
        let detections = self.detections.iter().map(|Decision { action: decided, detection: found }| {
            let place = format!("{}-{}", found.span.start, found.span.end);
            vec![
                found.kind.to_string(),
                place,
                found.mask.clone(),
                format!("{} %", found.confidence),
                action(*decided).to_owned(),
            ]
        });
        table::markdown(&mut out, &["kind", "place", "mask", "confidence", "action"], detections);
        out
    }
}
