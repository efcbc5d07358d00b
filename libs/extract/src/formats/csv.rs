//! Separated values: CSV, TSV and their kin.

use super::{Certainty, Format, Input, is_plain, sample};
use crate::builder::RenditionBuilder;
use crate::decode::decode;
use crate::error::ExtractError;
use crate::room::Room;
use crate::sheet::Sheet;
use crate::table::{Guess, squeeze};
use ::csv::{ByteRecord, Reader, ReaderBuilder};
use carrel_domain::text::Rendition;

/// Separated values (RFC 4180 and what programs write instead): by comma, semicolon, tab or `|`.
///
/// Keeps every row (one a line, cells with the headings of the first row where it has any). Drops empty cells' places,
/// quotes, and line ends within cells.
pub(super) struct Csv;

/// What may stand between values.
const SEPARATORS: &[u8] = b",;\t|";
/// Rows from which the separator is told.
const SAMPLED_ROWS: usize = 50;

impl Format for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn media_type(&self) -> &'static str {
        "text/csv"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        let extension = input.extension();
        if matches!(extension.as_str(), "csv" | "tsv" | "tab" | "psv") {
            return if is_plain(input.bytes) { Certainty::Named } else { Certainty::No };
        }
        // A name that says what it is, if only "text", is believed; without one rows of equal length are.
        let unnamed = extension.is_empty() || matches!(extension.as_str(), "dat" | "data" | "bin");
        let regular = || separator(&sample(input.bytes)).is_some_and(|found| found.regular);
        if unnamed && is_plain(input.bytes) && regular() { Certainty::Named } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        let mut builder = RenditionBuilder::new(&room.limits);
        let decoded = decode(input.bytes, None);
        if let Some(warning) = decoded.warning {
            builder.warn(warning);
        }
        let separator = separator(&sample(input.bytes)).map_or(b',', |found| found.separator);
        let mut reader = reader(&decoded.text, separator);
        let mut sheet = Sheet::new(&mut builder, &room.limits, Guess::Likely);
        let mut record = ByteRecord::new();
        // Reading from memory what is text already cannot fail.
        while reader.read_byte_record(&mut record).unwrap_or(false) {
            if record.len() > room.limits.columns as usize {
                return Err(ExtractError::too_many("columns of a table", room.limits.columns));
            }
            sheet.row(record.iter().map(|cell| squeeze(&String::from_utf8_lossy(cell))).collect())?;
        }
        sheet.finish()?;
        builder.finish(self.media_type(), None)
    }
}

fn reader(text: &str, separator: u8) -> Reader<&[u8]> {
    ReaderBuilder::new().delimiter(separator).has_headers(false).flexible(true).from_reader(text.as_bytes())
}

struct Separator {
    separator: u8,
    /// Every row has as many values, and there are enough of both to be no accident.
    regular: bool,
}

/// The separator with which most rows have the same number of values, more than one.
fn separator(sample: &str) -> Option<Separator> {
    let mut best: Option<(usize, usize, Separator)> = None;
    for &separator in SEPARATORS {
        let mut reader = reader(sample, separator);
        let mut widths: Vec<usize> =
            reader.byte_records().flatten().take(SAMPLED_ROWS).map(|record| record.len()).collect();
        // The sample may end within a row.
        if widths.len() > 2 {
            widths.pop();
        }
        let Some(&width) = widths.iter().max_by_key(|width| widths.iter().filter(|w| w == width).count()) else {
            continue;
        };
        let alike = widths.iter().filter(|w| **w == width).count();
        if width < 2 {
            continue;
        }
        let score = alike * 100 / widths.len();
        let regular = alike == widths.len() && widths.len() >= 3 && (width >= 3 || separator == b'\t');
        if best.as_ref().is_none_or(|(s, w, _)| (score, width) > (*s, *w)) {
            best = Some((score, width, Separator { separator, regular }));
        }
    }
    best.map(|(_, _, found)| found)
}

#[cfg(test)]
mod tests {
    use crate::{Limits, extract_in_process};

    fn read(text: &str, name: Option<&str>) -> (String, String) {
        let rendition = extract_in_process(text.as_bytes(), name, &Limits::default()).unwrap();
        (rendition.media_type, rendition.text)
    }

    #[test]
    fn rows_keep_their_headings() {
        let csv = "name;amount;note\n\"Ada\";\"1,5\";\"a \"\"b\"\"\nc\"\nBob;2;\n";
        let text = "name: Ada | amount: 1,5 | note: a \"b\" c\nname: Bob | amount: 2";
        assert_eq!(read(csv, Some("a.csv")), ("text/csv".into(), text.into()));
        assert_eq!(read("a\tb\n1\t2\n3\t4\n", Some("x.tsv")).1, "a: 1 | b: 2\na: 3 | b: 4");
        assert_eq!(read("1,2\n3,4\n", Some("x.csv")).1, "1 | 2\n3 | 4");
    }

    #[test]
    fn the_name_only_breaks_ties() {
        let rows = "id,name,age\n1,Ada,36\n2,Bob,40\n3,Eve,20\n";
        assert_eq!(read(rows, None).0, "text/csv");
        assert_eq!(read(rows, Some("x.txt")).0, "text/plain");
        assert_eq!(read("Well, yes,\nno, but, I said.\nSo,\n", None).0, "text/plain");
        assert_eq!(read("{\"a\": [1, 2]}", Some("x.csv")).0, "application/json");
    }

    #[test]
    fn a_million_columns_are_refused() {
        let row = "x,".repeat(1_000_000);
        let error = extract_in_process(row.as_bytes(), Some("a.csv"), &Limits::default()).unwrap_err();
        assert_eq!(error.reason(), "too_many");
    }
}
