//! The run over a data set.

use super::columns::{Column, ColumnReport, Meaning};
use super::reader::{self, Format, Header, Sink};
use super::risk::{Factor, Factors, RiskReport, Tally};
use super::rows::{DuplicateReport, RowSet};
use super::strength::StrengthReport;
use crate::kind::{Category, Kind};
use crate::scanner::{Hints, Scanner, Scratch};
use crate::secrets::wallets::hash_kind;
use crate::{ScreeningError, WorkspaceKey, normalise};
use serde::Serialize;
use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;

/// Answers whether a password is in a known breach; `None` when it cannot say.
///
/// The run asks only for passwords that it samples, from its own thread: an implementation over the network may
/// block and should degrade to `None`.
pub trait PasswordOracle {
    /// True when the password is known to be breached.
    fn is_breached(&self, password: &str) -> Option<bool>;
}

/// How a data set is read.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How records are written.
    pub format: Format,
    /// Whether the first record names the columns.
    pub header: Header,
    /// Longest record in bytes; a longer one ends the run with an error.
    pub record_bytes: usize,
    /// Most columns; values of further ones are counted in one column named `…`.
    pub columns: usize,
    /// Folder of the temporary file for row digests; the system's where there is none.
    pub scratch: Option<PathBuf>,
}

impl Settings {
    /// Records of at most 8 MiB and 1,024 columns.
    pub fn new(format: Format) -> Self {
        Self { format, header: Header::Guess, record_bytes: 8 << 20, columns: 1024, scratch: None }
    }
}

/// What a data set holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DatasetReport {
    /// Records read.
    pub rows: u64,
    /// Records left out because they are damaged (only lines of NDJSON can be).
    pub damaged: u64,
    /// Columns in order.
    pub columns: Vec<ColumnReport>,
    /// Rows that repeat another after normalisation.
    pub duplicates: DuplicateReport,
    /// The strength of passwords in the open.
    pub passwords: StrengthReport,
    /// How dangerous the set is.
    pub risk: RiskReport,
}

/// Screens a data set in one pass.
///
/// Memory does not depend on the number of rows: at most [`Settings::record_bytes`] for a record, 24 MiB for row
/// digests (the rest of which goes to a temporary file of 24 bytes a row), and the report.
///
/// ```
/// use carrel_screening::dataset::{Format, Settings, screen};
/// use carrel_screening::{Options, Scanner, WorkspaceKey};
///
/// let scanner = Scanner::new(Options::default()).unwrap();
/// let csv = "mail,remark\nann@example.org,one\nANN+x@example.org,one\n";
/// let report = screen(csv.as_bytes(), &Settings::new(Format::CSV), &scanner, &WorkspaceKey::new([1; 32]), None).unwrap();
/// assert_eq!((report.rows, report.duplicates.rows), (2, 1));
/// assert_eq!(report.columns[0].kinds[0].cells, 2);
/// ```
///
/// # Errors
/// [`ScreeningError::Read`], [`ScreeningError::Damaged`] and [`ScreeningError::RecordTooLong`] with the record's
/// number.
pub fn screen(
    source: impl Read,
    settings: &Settings,
    scanner: &Scanner,
    key: &WorkspaceKey,
    oracle: Option<&dyn PasswordOracle>,
) -> Result<DatasetReport, ScreeningError> {
    let mut run = Run {
        scanner,
        key,
        oracle,
        limit: settings.columns.max(1),
        row_key: key.for_rows(),
        columns: Vec::new(),
        by_name: HashMap::new(),
        scratch: Scratch::default(),
        normalised: Vec::new(),
        factors: Factors::default(),
        rows: 0,
        damaged: 0,
        set: RowSet::new(settings.scratch.clone()),
        passwords: StrengthReport::default(),
        tally: Tally::default(),
    };
    reader::read(source, settings.format, settings.header, settings.record_bytes, &mut run)?;
    Ok(DatasetReport {
        rows: run.rows,
        damaged: run.damaged,
        columns: run.columns.into_iter().map(|column| column.finish(scanner)).collect(),
        duplicates: run.set.finish()?,
        passwords: run.passwords,
        risk: run.tally.finish(),
    })
}

struct Run<'r> {
    scanner: &'r Scanner,
    key: &'r WorkspaceKey,
    oracle: Option<&'r dyn PasswordOracle>,
    limit: usize,
    row_key: [u8; 32],
    columns: Vec<Column>,
    by_name: HashMap<String, usize>,
    scratch: Scratch,
    /// The current row's values in their one form.
    normalised: Vec<u8>,
    factors: Factors,
    rows: u64,
    damaged: u64,
    set: RowSet,
    passwords: StrengthReport,
    tally: Tally,
}

impl Run<'_> {
    fn add_column(&mut self, name: &str) -> usize {
        let place = self.columns.len();
        // A name in JSON may hold any character; a report is shown and stored, and PostgreSQL takes no NUL.
        let shown: String = name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        self.columns.push(Column::new(&shown, self.scanner));
        self.by_name.insert(name.to_owned(), place);
        place
    }

    fn password(&mut self, column: usize, value: &str, row: u64) {
        // A column of passwords often holds hashes: those are known by their form.
        if let Some(kind) = hash_kind(value.as_bytes()) {
            self.factors.add(Factor::PasswordHash);
            self.columns[column].count(kind, true, false, row, value, self.key);
            return;
        }
        let before = self.passwords.estimated;
        let weak = self.passwords.judge(value, row);
        if weak {
            self.factors.add(Factor::WeakPassword);
        }
        let sampled = self.passwords.estimated > before;
        if sampled && self.oracle.and_then(|oracle| oracle.is_breached(value)) == Some(true) {
            self.passwords.breached += 1;
            self.factors.add(Factor::BreachedPassword);
        }
        self.factors.add(Factor::Credential);
        self.columns[column].count(Kind::PASSWORD, true, false, row, value, self.key);
    }

    fn normalise(&mut self, column: usize, value: &str, whole: Option<Kind>) {
        self.normalised.extend_from_slice(&(column as u32).to_le_bytes());
        match whole {
            Some(Kind::EMAIL) => normalise::mailbox_into(value, &mut self.normalised),
            // Separators do not make two numbers of one.
            Some(kind) if matches!(kind.category(), Category::Contact | Category::Financial | Category::NationalId) => {
                self.normalised
                    .extend(value.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_uppercase()));
            }
            _ => self.normalised.extend_from_slice(normalise::text(value).as_bytes()),
        }
        self.normalised.push(0x1f);
    }
}

impl Sink for Run<'_> {
    fn column(&mut self, name: &str) -> usize {
        if let Some(place) = self.by_name.get(name) {
            return *place;
        }
        if self.columns.len() < self.limit { self.add_column(name) } else { self.limit }
    }

    fn cell(&mut self, column: usize, value: &str) {
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        let column = column.min(self.limit);
        while self.columns.len() <= column {
            // Rows may be longer than their header.
            let name = if self.columns.len() == self.limit {
                "…".to_owned()
            } else {
                format!("#{}", self.columns.len() + 1)
            };
            self.add_column(&name);
        }
        let row = self.rows + 1;
        self.columns[column].filled += 1;
        self.scanner.scan(value, self.columns[column].hints, &mut self.scratch);
        let is_password = self.columns[column].meaning == Some(Meaning::Password);
        let mut whole = None;
        let matches = std::mem::take(&mut self.scratch.matches);
        for found in &matches {
            let covers = found.start == 0 && found.end == value.len();
            if covers {
                whole = Some(found.kind);
            } else if is_password {
                continue;
            }
            self.factors.add(Factor::of(found.kind));
            let part = value.get(found.start..found.end).unwrap_or_default();
            self.columns[column].count(found.kind, covers, found.validated, row, part, self.key);
        }
        self.scratch.matches = matches;
        // `credential` columns hold logins as well; a telephone number is a poor password and is judged as one.
        let other = whole.is_some_and(|kind| kind != Kind::PHONE && kind.category() != Category::NationalId);
        if is_password && !other {
            self.password(column, value, row);
        }
        self.normalise(column, value, whole);
    }

    fn end_record(&mut self) -> Result<(), ScreeningError> {
        self.rows += 1;
        let digest = blake3::keyed_hash(&self.row_key, &self.normalised);
        let mut low = [0; 16];
        low.copy_from_slice(&digest.as_bytes()[..16]);
        self.set.add(u128::from_le_bytes(low), self.rows)?;
        self.tally.row(self.rows, self.factors);
        self.normalised.clear();
        self.factors = Factors::default();
        Ok(())
    }

    fn damaged(&mut self) {
        self.damaged += 1;
        self.normalised.clear();
        self.factors = Factors::default();
    }

    fn looks_like_data(&mut self, cells: &[&str]) -> bool {
        let mut scratch = Scratch::default();
        cells.iter().any(|cell| {
            let cell = cell.trim();
            self.scanner.scan(cell, Hints::default(), &mut scratch);
            !scratch.matches.is_empty()
                || !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit() || b".-/: ".contains(&byte))
        })
    }

    fn record(&self) -> u64 {
        self.rows + 1
    }
}
