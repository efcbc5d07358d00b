//! Tables in CSV and Markdown.

use crate::ScreeningError;
use std::borrow::Cow;

/// Rows as CSV (RFC 4180); an empty header is left out, for the later parts of a table. A cell that a spreadsheet would run
/// as a formula gets an apostrophe before it.
///
/// # Errors
/// [`ScreeningError::Report`] when a row cannot be written.
pub fn csv(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Result<String, ScreeningError> {
    let wrong = |error: csv::Error| ScreeningError::Report(std::io::Error::other(error));
    let mut writer = csv::Writer::from_writer(Vec::new());
    if !header.is_empty() {
        writer.write_record(header).map_err(wrong)?;
    }
    for row in rows {
        writer.write_record(row.iter().map(|cell| harmless(cell).into_owned())).map_err(wrong)?;
    }
    let bytes = writer.into_inner().map_err(|error| ScreeningError::Report(error.into_error()))?;
    String::from_utf8(bytes).map_err(|error| ScreeningError::Report(std::io::Error::other(error)))
}

fn harmless(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

/// Appends a table; nothing when it has no rows.
pub fn markdown(out: &mut String, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return;
    }
    let mut line = |cells: &[String]| {
        out.push('|');
        for cell in cells {
            out.push(' ');
            out.push_str(&escaped(cell));
            out.push_str(" |");
        }
        out.push('\n');
    };
    line(&header.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>());
    line(&vec!["---".to_owned(); header.len()]);
    rows.for_each(|row| line(&row));
    out.push('\n');
}

/// A name from outside cannot leave its cell, and is no markup.
pub fn escaped(cell: &str) -> String {
    let mut escaped = String::with_capacity(cell.len());
    for character in cell.chars() {
        match character {
            '\n' | '\r' => escaped.push(' '),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '~' | '!' | '&' => {
                escaped.push('\\');
                escaped.push(character);
            }
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{csv, escaped, markdown};

    #[test]
    fn cells_run_nothing_and_stay_in_their_place() {
        let table = csv(&["a"], [vec!["=1+1".to_owned()], vec!["x,\"y".to_owned()]]).unwrap();
        assert_eq!(table, "a\n'=1+1\n\"x,\"\"y\"\n");
        assert_eq!(escaped("a|b\n<c>"), r"a\|b \<c\>");
        let mut out = String::new();
        markdown(&mut out, &["a", "b"], [vec!["1".to_owned(), "2".to_owned()]]);
        assert_eq!(out, "| a | b |\n| --- | --- |\n| 1 | 2 |\n\n");
    }
}
