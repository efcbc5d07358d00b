//! Workbooks of Excel, by `calamine`.

use super::{Certainty, Format, Input};
use crate::archive::Archive;
use crate::builder::RenditionBuilder;
use crate::container::Container;
use crate::error::ExtractError;
use crate::limits::Limits;
use crate::room::Room;
use crate::sheet::Sheet;
use crate::table::{Guess, squeeze};
use calamine::{Data, ExcelDateTime, Reader, Xls as XlsFile, XlsError, Xlsb as XlsbFile, Xlsx as XlsxFile, XlsxError};
use carrel_domain::text::Rendition;
use std::io::Cursor;

/// Bytes that a workbook may unpack to, as a multiple of what one of its members may: they are unpacked one by one.
const MEMBERS: u64 = 4;

/// Workbooks of the newer formats (.xlsx, .xlsm, .xltx, .xlsb).
///
/// Keeps every sheet (as a page and a section), its rows (one a line, cells with their headings; empty rows divide
/// tables), the values that formulas had when they were saved, dates in ISO 8601. Drops the formulas, formats of
/// numbers, colours, charts, pictures, comments, macros.
pub(super) struct Xlsx;

/// Workbooks of the older format (.xls).
///
/// Keeps and drops what [`Xlsx`] does.
pub(super) struct Xls;

impl Format for Xlsx {
    fn name(&self) -> &'static str {
        "xlsx"
    }

    fn media_type(&self) -> &'static str {
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        match input.container() {
            Container::Xlsx | Container::Xlsb => Certainty::Content,
            _ => Certainty::No,
        }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        let limits = room.limits;
        // The library unpacks without limits.
        let mut archive = Archive::open(input.bytes, &limits)?;
        archive.measure(limits.archive_member_bytes.saturating_mul(MEMBERS))?;
        let title = super::ooxml::core_title(&mut archive)?;
        let mut builder = RenditionBuilder::new(&limits);
        if input.container() == Container::Xlsb {
            let mut book = XlsbFile::new(Cursor::new(input.bytes)).map_err(|_| damaged())?;
            whole_sheets(&mut book, &mut builder, &limits)?;
        } else {
            let mut book = XlsxFile::new(Cursor::new(input.bytes)).map_err(|error| of_xlsx(&error))?;
            for (number, name) in (1..).zip(book.sheet_names()) {
                sheet_by_cells(&mut book, &name, number, &mut builder, &limits)?;
            }
        }
        builder.finish(self.media_type(), title)
    }
}

impl Format for Xls {
    fn name(&self) -> &'static str {
        "xls"
    }

    fn media_type(&self) -> &'static str {
        "application/vnd.ms-excel"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        if input.container() == Container::Xls { Certainty::Content } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        let mut builder = RenditionBuilder::new(&room.limits);
        let mut book = XlsFile::new(Cursor::new(input.bytes)).map_err(|error| match error {
            XlsError::Password => ExtractError::Encrypted,
            _ => damaged(),
        })?;
        whole_sheets(&mut book, &mut builder, &room.limits)?;
        builder.finish(self.media_type(), None)
    }
}

/// Reads a sheet cell by cell: two cells in far corners of it cost nothing.
fn sheet_by_cells(
    book: &mut XlsxFile<Cursor<&[u8]>>,
    name: &str,
    number: u32,
    builder: &mut RenditionBuilder,
    limits: &Limits,
) -> Result<(), ExtractError> {
    builder.page(number)?;
    let mut cells = match book.worksheet_cells_reader(name) {
        Ok(cells) => cells,
        // Sheets of charts have no cells.
        Err(XlsxError::NotAWorksheet(_)) => return Ok(()),
        Err(error) => {
            builder.warn(format!("sheet {number} cannot be read and was left out"));
            tracing::debug!(kind = ?std::mem::discriminant(&error), "a sheet cannot be read");
            return Ok(());
        }
    };
    builder.heading(1, name)?;
    let mut sheet = Sheet::new(builder, limits, Guess::Careful);
    let mut row: Vec<String> = Vec::new();
    let mut at = 0;
    loop {
        let cell = cells.next_cell().map_err(|error| of_xlsx(&error))?;
        let Some(cell) = cell else { break };
        let (line, column) = cell.get_position();
        let text = shown(&Data::from(cell.get_value().clone()));
        if text.is_empty() {
            continue;
        }
        if column >= limits.columns {
            return Err(ExtractError::too_many("columns of a table", limits.columns));
        }
        if line != at {
            let jumps = line > at + 1 && !row.is_empty();
            sheet.row(std::mem::take(&mut row))?;
            if jumps {
                sheet.row(Vec::new())?;
            }
            at = line;
        }
        let column = column as usize;
        if row.len() <= column {
            row.resize(column + 1, String::new());
        }
        row[column] = text;
    }
    sheet.row(row)?;
    sheet.finish()
}

/// Reads the sheets of formats whose reader holds them whole.
fn whole_sheets<R: Reader<Cursor<B>>, B: AsRef<[u8]>>(
    book: &mut R,
    builder: &mut RenditionBuilder,
    limits: &Limits,
) -> Result<(), ExtractError> {
    for (number, name) in (1..).zip(book.sheet_names()) {
        builder.page(number)?;
        let Ok(range) = book.worksheet_range(&name) else { continue };
        builder.heading(1, &name)?;
        let mut sheet = Sheet::new(builder, limits, Guess::Careful);
        for row in range.rows() {
            sheet.row(row.iter().map(shown).collect())?;
        }
        sheet.finish()?;
    }
    Ok(())
}

/// A value as a reader of the sheet would write it.
fn shown(value: &Data) -> String {
    match value {
        Data::Empty => String::new(),
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => squeeze(text),
        Data::Int(number) => number.to_string(),
        Data::Float(number) => float(*number),
        Data::Bool(value) => value.to_string(),
        Data::DateTime(value) => date(value),
        Data::Error(error) => error.to_string(),
    }
}

/// At most 15 digits count, as in the program: 0.1 + 0.2 is 0.3.
fn float(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        return format!("{number:.0}");
    }
    format!("{number:.14e}").parse::<f64>().map_or_else(|_| number.to_string(), |rounded| rounded.to_string())
}

fn date(value: &ExcelDateTime) -> String {
    if value.is_duration() {
        let seconds = (value.as_f64() * 86_400.0).round() as i64;
        let sign = if seconds < 0 { "-" } else { "" };
        let seconds = seconds.unsigned_abs();
        return format!("{sign}{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    }
    let Some(moment) = value.as_datetime() else { return float(value.as_f64()) };
    let text = moment.format("%Y-%m-%d %H:%M:%S").to_string();
    if value.as_f64() < 1.0 {
        return text[11..].to_owned();
    }
    text.strip_suffix(" 00:00:00").map_or(text.clone(), str::to_owned)
}

fn of_xlsx(error: &XlsxError) -> ExtractError {
    match error {
        XlsxError::Password => ExtractError::Encrypted,
        _ => damaged(),
    }
}

fn damaged() -> ExtractError {
    ExtractError::damaged("the workbook cannot be read")
}

#[cfg(test)]
mod tests {
    use super::{date, float};
    use calamine::{ExcelDateTime, ExcelDateTimeType};

    #[test]
    fn values_look_as_in_the_sheet() {
        assert_eq!(float(0.1 + 0.2), "0.3");
        assert_eq!(float(12.0), "12");
        assert_eq!(float(-1.5), "-1.5");
        let moment = |value, kind| date(&ExcelDateTime::new(value, kind, false));
        assert_eq!(moment(45_292.0, ExcelDateTimeType::DateTime), "2024-01-01");
        assert_eq!(moment(45_292.5, ExcelDateTimeType::DateTime), "2024-01-01 12:00:00");
        assert_eq!(moment(0.25, ExcelDateTimeType::DateTime), "06:00:00");
        assert_eq!(moment(1.5, ExcelDateTimeType::TimeDelta), "36:00:00");
    }
}
