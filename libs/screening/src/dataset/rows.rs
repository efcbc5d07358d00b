//! Rows that occur twice, counted exactly at bounded memory.
//!
//! A row is a keyed 128-bit digest and its number. Up to [`BUDGET`] of them wait in memory; when it is full they
//! are sorted and written to one temporary file as a run (24 bytes a row), and at the end all runs are merged.

use crate::ScreeningError;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};

/// Rows in memory: 24 MiB.
const BUDGET: usize = 1 << 20;
/// Bytes of one row in a run.
const WIDTH: usize = 24;
/// Rows read at a time from each run.
const STRIDE: usize = 2048;
/// Duplicates that are named.
const NAMED: usize = 1000;

/// One row that repeats an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Duplicate {
    /// Number of the row, from 1.
    pub row: u64,
    /// The first row with the same normalised values.
    pub first: u64,
}

/// What repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DuplicateReport {
    /// Rows that repeat an earlier one.
    pub rows: u64,
    /// The first thousand of them, by row.
    pub named: Vec<Duplicate>,
}

/// Collects digests of rows.
pub(super) struct RowSet {
    waiting: Vec<(u128, u64)>,
    budget: usize,
    runs: Vec<Run>,
    file: Option<File>,
    folder: Option<std::path::PathBuf>,
}

struct Run {
    next: u64,
    end: u64,
    buffer: Vec<(u128, u64)>,
    place: usize,
}

impl RowSet {
    pub(super) fn new(folder: Option<std::path::PathBuf>) -> Self {
        Self::with_budget(folder, BUDGET)
    }

    fn with_budget(folder: Option<std::path::PathBuf>, budget: usize) -> Self {
        Self { waiting: Vec::new(), budget, runs: Vec::new(), file: None, folder }
    }

    pub(super) fn add(&mut self, digest: u128, row: u64) -> Result<(), ScreeningError> {
        self.waiting.push((digest, row));
        if self.waiting.len() >= self.budget { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> Result<(), ScreeningError> {
        self.waiting.sort_unstable();
        if self.file.is_none() {
            self.file = Some(match &self.folder {
                Some(folder) => tempfile::tempfile_in(folder)?,
                None => tempfile::tempfile()?,
            });
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let start = file.seek(SeekFrom::End(0))?;
        let mut writer = BufWriter::with_capacity(1 << 16, file);
        for (digest, row) in &self.waiting {
            writer.write_all(&digest.to_le_bytes())?;
            writer.write_all(&row.to_le_bytes())?;
        }
        writer.flush()?;
        let end = start + (self.waiting.len() * WIDTH) as u64;
        self.runs.push(Run { next: start, end, buffer: Vec::new(), place: 0 });
        self.waiting.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<DuplicateReport, ScreeningError> {
        self.waiting.sort_unstable();
        let mut report = DuplicateReport::default();
        let mut named = BinaryHeap::new();
        let mut group: Option<(u128, u64)> = None;
        let mut take = |(digest, row): (u128, u64)| match group {
            // Rows of one digest come in rising order, so the first is known when the others arrive.
            Some((same, first)) if same == digest => {
                report.rows += 1;
                named.push((row, first));
                if named.len() > NAMED {
                    named.pop();
                }
            }
            _ => group = Some((digest, row)),
        };
        if self.runs.is_empty() {
            self.waiting.drain(..).for_each(&mut take);
        } else {
            if !self.waiting.is_empty() {
                self.spill()?;
            }
            self.waiting = Vec::new();
            let mut file = self.file.take();
            let mut heads = BinaryHeap::new();
            for (index, run) in self.runs.iter_mut().enumerate() {
                if let Some(head) = run.next(&mut file)? {
                    heads.push(Reverse((head, index)));
                }
            }
            while let Some(Reverse((head, index))) = heads.pop() {
                take(head);
                if let Some(next) = self.runs[index].next(&mut file)? {
                    heads.push(Reverse((next, index)));
                }
            }
        }
        report.named = named.into_sorted_vec().into_iter().map(|(row, first)| Duplicate { row, first }).collect();
        Ok(report)
    }
}

impl Run {
    fn next(&mut self, file: &mut Option<File>) -> Result<Option<(u128, u64)>, ScreeningError> {
        if self.place == self.buffer.len() {
            let Some(file) = file.as_mut().filter(|_| self.next < self.end) else { return Ok(None) };
            let length = ((self.end - self.next) as usize).min(STRIDE * WIDTH);
            let mut bytes = vec![0; length];
            file.seek(SeekFrom::Start(self.next))?;
            file.read_exact(&mut bytes)?;
            self.next += length as u64;
            self.place = 0;
            self.buffer.clear();
            for entry in bytes.chunks_exact(WIDTH) {
                let mut digest = [0; 16];
                digest.copy_from_slice(&entry[..16]);
                let mut row = [0; 8];
                row.copy_from_slice(&entry[16..]);
                self.buffer.push((u128::from_le_bytes(digest), u64::from_le_bytes(row)));
            }
        }
        let head = self.buffer[self.place];
        self.place += 1;
        Ok(Some(head))
    }
}

#[cfg(test)]
mod tests {
    use super::{Duplicate, RowSet};
    use std::collections::HashMap;

    fn duplicates(rows: &[u128], budget: usize) -> (u64, Vec<Duplicate>) {
        let mut set = RowSet::with_budget(None, budget);
        for (row, digest) in rows.iter().enumerate() {
            set.add(*digest, row as u64 + 1).unwrap();
        }
        let report = set.finish().unwrap();
        (report.rows, report.named)
    }

    #[test]
    fn repeated_rows_lead_to_their_first() {
        let expected =
            vec![Duplicate { row: 3, first: 1 }, Duplicate { row: 5, first: 2 }, Duplicate { row: 6, first: 1 }];
        for budget in [100, 2, 1] {
            assert_eq!(duplicates(&[7, 9, 7, 8, 9, 7], budget), (3, expected.clone()), "budget {budget}");
        }
    }

    proptest::proptest! {
        #[test]
        fn spilling_changes_nothing(rows in proptest::collection::vec(0u128..40, 0..300), budget in 1usize..50) {
            let mut seen = HashMap::new();
            let mut expected = Vec::new();
            for (row, digest) in rows.iter().enumerate() {
                let first = *seen.entry(*digest).or_insert(row as u64 + 1);
                if first != row as u64 + 1 {
                    expected.push(Duplicate { row: row as u64 + 1, first });
                }
            }
            proptest::prop_assert_eq!(duplicates(&rows, budget), (expected.len() as u64, expected));
        }
    }
}
