//! The report of a data set.

use super::{Report, table};
use crate::ScreeningError;
use crate::dataset::{Class, ColumnReport, DatasetReport};
use std::fmt::Write;

fn class(column: &ColumnReport) -> String {
    match column.class {
        Class::Values { kind, share, .. } => format!("{kind} ({:.0} %)", share * 100.0),
        Class::Heading { meaning } => format!("{} (by its heading)", meaning.as_str()),
        Class::Mixed => "mixed".to_owned(),
        Class::Plain => "plain".to_owned(),
    }
}

impl Report for DatasetReport {
    fn csv(&self) -> Result<String, ScreeningError> {
        let rows = self.columns.iter().flat_map(|column| {
            let line = |kind: String, cells: u64, inside: u64, validated: u64, example: String| {
                vec![
                    column.name.clone(),
                    class(column),
                    column.filled.to_string(),
                    kind,
                    cells.to_string(),
                    inside.to_string(),
                    validated.to_string(),
                    example,
                ]
            };
            let found = column.kinds.iter().map(|count| {
                let example = count.examples.first().map(|example| example.mask.clone()).unwrap_or_default();
                line(count.kind.to_string(), count.cells, count.inside, count.validated, example)
            });
            let empty = column.kinds.is_empty().then(|| line(String::new(), 0, 0, 0, String::new()));
            found.chain(empty).collect::<Vec<_>>()
        });
        table::csv(&["column", "class", "filled", "kind", "cells", "inside", "validated", "example"], rows)
    }

    fn markdown(&self) -> String {
        let mut out = String::from("# Screening of a data set\n\n");
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "Risk **{}** of 100. {} rows ({} repeat another, {} damaged), {} columns.\n",
            self.risk.score,
            self.rows,
            self.duplicates.rows,
            self.damaged,
            self.columns.len()
        );
        let columns = self.columns.iter().map(|column| {
            let kinds: Vec<String> =
                column.kinds.iter().map(|count| format!("{} {}", count.cells + count.inside, count.kind)).collect();
            let example =
                column.kinds.first().and_then(|count| count.examples.first()).map(|example| example.mask.clone());
            vec![
                column.name.clone(),
                class(column),
                column.filled.to_string(),
                kinds.join(", "),
                example.unwrap_or_default(),
            ]
        });
        table::markdown(&mut out, &["column", "class", "filled", "found", "example"], columns);
        let factors =
            self.risk.factors.iter().map(|count| {
                vec![count.factor.as_str().to_owned(), format!("{} %", count.weight), count.rows.to_string()]
            });
        table::markdown(&mut out, &["factor", "weight", "rows"], factors);
        let rows = self.risk.riskiest.iter().map(|row| {
            let factors: Vec<&str> = row.factors.iter().map(|factor| factor.as_str()).collect();
            vec![row.row.to_string(), row.score.to_string(), factors.join(", ")]
        });
        table::markdown(&mut out, &["row", "score", "factors"], rows);
        if self.passwords.passwords > 0 {
            let _ = writeln!(
                out,
                "{} passwords, {} weak ({} judged by zxcvbn, the others by length and variety), {} known to be breached.",
                self.passwords.passwords, self.passwords.weak, self.passwords.estimated, self.passwords.breached
            );
        }
        out
    }
}
