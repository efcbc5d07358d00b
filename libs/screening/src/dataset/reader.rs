//! Records of tables and lines, each within a limit.

use super::json;
use crate::ScreeningError;
use std::cell::Cell;
use std::io::{BufRead, BufReader, Read};
use std::rc::Rc;

/// Bytes read at a time.
const BUFFER: usize = 128 * 1024;

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Delimited text (RFC 4180) with this delimiter.
    Delimited(u8),
    /// One JSON value a line.
    Ndjson,
    /// One array of values, or one object.
    Json,
}

impl Format {
    /// Comma-separated values.
    pub const CSV: Self = Self::Delimited(b',');
    /// Tab-separated values.
    pub const TSV: Self = Self::Delimited(b'\t');

    /// Guesses from the first bytes of a file.
    ///
    /// ```
    /// use carrel_screening::dataset::Format;
    ///
    /// assert_eq!(Format::sniff(b"name;mail\nann;a@b.de\n"), Format::Delimited(b';'));
    /// assert_eq!(Format::sniff(b"\n [ {\"a\": 1}"), Format::Json);
    /// assert_eq!(Format::sniff(b"{\"a\": 1}\n{\"a\": 2}\n"), Format::Ndjson);
    /// ```
    pub fn sniff(sample: &[u8]) -> Self {
        let sample = sample.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sample);
        let start = sample.trim_ascii_start();
        let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
        match start.first() {
            // An object that ends on its line is the first of many; one that does not is a document.
            Some(b'{') if line.trim_ascii_end().ends_with(b"}") => return Self::Ndjson,
            Some(b'[' | b'{') => return Self::Json,
            _ => {}
        }
        let count = |delimiter: u8| memchr::memchr_iter(delimiter, line).count();
        let best =
            [b',', b'\t', b';', b'|'].into_iter().max_by_key(|delimiter| (count(*delimiter), *delimiter == b','));
        Self::Delimited(best.unwrap_or(b','))
    }
}

/// Whether the first record names the columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Header {
    /// It does, unless values are found in it.
    #[default]
    Guess,
    /// It does.
    Present,
    /// It does not.
    Absent,
}

/// Takes what a reader reads.
pub(super) trait Sink {
    /// The number of the column with this name, new or known.
    fn column(&mut self, name: &str) -> usize;
    /// A cell of the current record.
    fn cell(&mut self, column: usize, value: &str);
    /// The current record is complete.
    fn end_record(&mut self) -> Result<(), ScreeningError>;
    /// A record that could not be read was left out.
    fn damaged(&mut self);
    /// True when the values look like data rather than names.
    fn looks_like_data(&mut self, cells: &[&str]) -> bool;
    /// Number of the current record, from 1.
    fn record(&self) -> u64;
}

/// Bytes that the current record may still take.
#[derive(Clone)]
pub(super) struct Budget {
    left: Rc<Cell<usize>>,
    limit: usize,
    spent: Rc<Cell<bool>>,
}

impl Budget {
    fn new(limit: usize) -> Self {
        // Readers fetch whole buffers, so one more than the record may be under way.
        let whole = limit.saturating_add(2 * BUFFER);
        Self { left: Rc::new(Cell::new(whole)), limit: whole, spent: Rc::new(Cell::new(false)) }
    }

    /// True when bytes ran out: what followed failed only because of that.
    pub(super) fn explains_length(&self) -> bool {
        self.spent.get()
    }

    pub(super) fn renew(&self) {
        self.left.set(self.limit);
    }

    /// The error for a record that failed: too long when its bytes ran out, damaged otherwise.
    pub(super) fn explain(&self, record: u64, limit: usize, reason: impl FnOnce() -> String) -> ScreeningError {
        if self.spent.get() {
            ScreeningError::RecordTooLong { record, limit }
        } else {
            ScreeningError::Damaged { record, reason: reason() }
        }
    }
}

/// Fails when a record takes more than its budget, so that no reader's buffer grows without end.
struct Metered<R> {
    inner: R,
    budget: Budget,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.budget.left.get();
        if left == 0 {
            self.budget.spent.set(true);
            return Err(std::io::Error::other("the record is too long"));
        }
        let most = buffer.len().min(left);
        let read = self.inner.read(&mut buffer[..most])?;
        self.budget.left.set(left - read);
        Ok(read)
    }
}

/// Reads every record of `source` into `sink`.
pub(super) fn read(
    source: impl Read,
    format: Format,
    header: Header,
    limit: usize,
    sink: &mut dyn Sink,
) -> Result<(), ScreeningError> {
    let budget = Budget::new(limit);
    let metered = Metered { inner: source, budget: budget.clone() };
    match format {
        Format::Delimited(delimiter) => delimited(metered, delimiter, header, limit, &budget, sink),
        Format::Ndjson => lines(metered, limit, &budget, sink),
        Format::Json => json::array(BufReader::with_capacity(BUFFER, metered), limit, &budget, sink),
    }
}

fn delimited(
    source: impl Read,
    delimiter: u8,
    header: Header,
    limit: usize,
    budget: &Budget,
    sink: &mut dyn Sink,
) -> Result<(), ScreeningError> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(BUFFER)
        .from_reader(source);
    let mut record = csv::ByteRecord::new();
    let mut first = true;
    loop {
        budget.renew();
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                return Err(match error.into_kind() {
                    csv::ErrorKind::Io(error) if !budget.spent.get() => ScreeningError::Read(error),
                    kind => budget.explain(sink.record(), limit, || format!("{kind:?}")),
                });
            }
        }
        if first {
            first = false;
            let texts: Vec<_> = record.iter().map(String::from_utf8_lossy).collect();
            let cells: Vec<&str> = texts.iter().map(|cell| cell.trim_start_matches('\u{feff}')).collect();
            let named = match header {
                Header::Present => true,
                Header::Absent => false,
                Header::Guess => !sink.looks_like_data(&cells),
            };
            for (place, cell) in cells.iter().enumerate() {
                // Two columns may have one name, and an unnamed one still has a place.
                let name =
                    if named && !cell.trim().is_empty() { cell.trim().to_owned() } else { format!("#{}", place + 1) };
                if sink.column(&name) != place {
                    sink.column(&format!("{name} #{}", place + 1));
                }
            }
            if named {
                continue;
            }
        }
        for (place, field) in record.iter().enumerate() {
            match std::str::from_utf8(field) {
                Ok(value) => sink.cell(place, value),
                Err(_) => sink.cell(place, &String::from_utf8_lossy(field)),
            }
        }
        sink.end_record()?;
    }
}

fn lines(source: impl Read, limit: usize, budget: &Budget, sink: &mut dyn Sink) -> Result<(), ScreeningError> {
    let mut reader = BufReader::with_capacity(BUFFER, source);
    let mut line = Vec::new();
    loop {
        budget.renew();
        line.clear();
        let read = reader.read_until(b'\n', &mut line).map_err(|error| {
            if budget.spent.get() {
                ScreeningError::RecordTooLong { record: sink.record(), limit }
            } else {
                error.into()
            }
        })?;
        if read == 0 {
            return Ok(());
        }
        let value = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line).trim_ascii();
        if value.is_empty() {
            continue;
        }
        if value.len() > limit {
            return Err(ScreeningError::RecordTooLong { record: sink.record(), limit });
        }
        // A line stands for itself: a damaged one is counted and the next is read.
        if json::line(value, sink) { sink.end_record()? } else { sink.damaged() }
    }
}
