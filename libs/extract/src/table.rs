//! Rows of tables as lines of text in which every cell keeps its headings.
//!
//! A row is one line: `Region: North | 2023: 12 | 2024: 15`. The column's heading stands before each cell, the row's
//! heading (its first cell) opens the line, and a row too long for one line goes on in a next one that opens with the
//! row's first cell again. So a passage or a quote cut out of a table still says what its numbers are. The row of
//! headings itself is no line: its words stand in every row. Tables without headings are lines of `a | b | c`.

use crate::builder::{Gap, RenditionBuilder};
use crate::error::ExtractError;
use crate::limits::Limits;
use std::collections::BTreeMap;

/// A line gets no further cell once it has this many characters.
const LINE_CHARS: usize = 900;
/// Longest heading that is repeated before cells; longer ones are cut.
const HEADING_CHARS: usize = 120;
/// Longest text that can be a heading when nothing but its look says so.
const GUESSED_CHARS: usize = 80;
/// Most rows and columns that one cell may cover.
const MOST_SPANNED: usize = 1000;
/// Most cells of a table that are held to be written when it ends; later ones are written row by row.
const MOST_HELD: usize = 200_000;

/// One line of text from many.
pub(crate) fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The lines of a row; none when all its cells are empty.
pub(crate) fn lines(headings: &[String], cells: &[String]) -> Vec<String> {
    if headings.is_empty() {
        return plain_lines(cells);
    }
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut length = 0;
    let mut first: Option<String> = None;
    for (at, cell) in cells.iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
        let heading = headings.get(at).map_or("", String::as_str);
        let piece = if heading.is_empty() || heading == cell {
            cell.clone()
        } else {
            let mark = if heading.ends_with([':', '?', '：']) { " " } else { ": " };
            format!("{heading}{mark}{cell}")
        };
        if length > LINE_CHARS {
            lines.push(std::mem::take(&mut line));
            line.push_str(first.as_deref().unwrap_or_default());
            length = line.chars().count();
        }
        if !line.is_empty() {
            line.push_str(" | ");
        }
        length += piece.chars().count() + 3;
        line.push_str(&piece);
        if first.is_none() {
            first = Some(piece.chars().take(HEADING_CHARS * 2).collect());
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

fn plain_lines(cells: &[String]) -> Vec<String> {
    let used = cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
    let mut lines = Vec::new();
    let mut line = String::new();
    // A lone cell is a remark or a title, wherever it stands.
    let from = if cells.iter().filter(|cell| !cell.is_empty()).count() == 1 { used - 1 } else { 0 };
    for (at, cell) in cells[from..used].iter().enumerate() {
        if line.len() > LINE_CHARS {
            lines.push(std::mem::take(&mut line));
        } else if at > 0 {
            line.push_str(" | ");
        }
        line.push_str(cell);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// True for numbers, amounts, dates and times: what stands in columns and not above them.
pub(crate) fn is_value(cell: &str) -> bool {
    let (mut digits, mut letters) = (0, 0);
    for c in cell.chars() {
        digits += usize::from(c.is_numeric());
        letters += usize::from(c.is_alphabetic());
    }
    digits > 0 && digits >= letters || matches!(cell, "true" | "false" | "TRUE" | "FALSE" | "-" | "–" | "n/a" | "N/A")
}

fn is_year(cell: &str) -> bool {
    cell.len() == 4 && cell.parse::<u16>().is_ok_and(|year| (1800..=2200).contains(&year))
}

/// How sure the kind of table makes that its first row has headings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guess {
    /// Most tables of the kind have them (CSV).
    Likely,
    /// Only when the rows below look different.
    Careful,
}

/// True when `first` looks like the headings of `below`.
pub(crate) fn looks_like_headings(first: &[String], below: &[Vec<String>], guess: Guess) -> bool {
    let used = first.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
    let named = &first[..used];
    let names: Vec<&String> = named.iter().filter(|cell| !cell.is_empty()).collect();
    let gaps = named.iter().skip(1).filter(|cell| cell.is_empty()).count();
    let distinct = names.iter().collect::<std::collections::HashSet<_>>().len();
    let shaped = names.iter().all(|name| {
        (!is_value(name) || is_year(name))
            && name.chars().count() <= GUESSED_CHARS
            && name.chars().any(char::is_alphanumeric)
    });
    if below.is_empty() || names.is_empty() || !shaped || distinct < names.len() || gaps * 3 > used {
        return false;
    }
    if names.iter().all(|name| is_year(name)) && used < 3 {
        return false;
    }
    let column_of_values = (0..used).any(|column| {
        let cells: Vec<&String> =
            below.iter().filter_map(|row| row.get(column)).filter(|cell| !cell.is_empty()).collect();
        !cells.is_empty()
            && !is_value(&named[column])
            && cells.iter().filter(|c| is_value(c)).count() * 3 > cells.len() * 2
    });
    match guess {
        Guess::Likely => used >= 2 || column_of_values,
        // Two columns of words may as well be names and what they stand for.
        Guess::Careful => names.len() >= 2 && (column_of_values || (names.len() >= 3 && below.len() >= 2)),
    }
}

/// Shortens headings, which are repeated in every row.
pub(crate) fn as_headings(cells: &[String]) -> Vec<String> {
    cells.iter().map(|cell| cell.chars().take(HEADING_CHARS).collect()).collect()
}

#[derive(Debug, Default)]
struct Row {
    cells: Vec<String>,
    /// Cells that say of themselves that they are headings, and all cells that are not empty.
    headings: usize,
    filled: usize,
    /// Cells that the row itself has, whatever they cover.
    given: usize,
    first_is_heading: bool,
}

impl Row {
    fn is_heading(&self) -> bool {
        self.filled > 0 && self.headings == self.filled
    }
}

/// A table whose cells may cover several rows and columns. Cells come in order; a cell that covers several rows is
/// repeated in each, as a reader's eye does.
#[derive(Debug)]
pub(crate) struct Grid {
    rows: Vec<Row>,
    row: Option<Row>,
    /// Cells from above: by column, how many more rows they cover, and whether they are headings.
    carried: BTreeMap<usize, (usize, String, bool)>,
    headings: Vec<String>,
    held: usize,
    column_limit: usize,
    begun: bool,
}

impl Grid {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            rows: Vec::new(),
            row: None,
            carried: BTreeMap::new(),
            headings: Vec::new(),
            held: 0,
            column_limit: limits.columns as usize,
            begun: false,
        }
    }

    /// Opens a row; an open one is closed.
    pub(crate) fn start_row(&mut self) -> Result<(), ExtractError> {
        self.end_row()?;
        self.row = Some(Row::default());
        Ok(())
    }

    /// Adds a cell that covers `columns` and `rows`; `heading` when it says that it is one.
    pub(crate) fn cell(
        &mut self,
        text: &str,
        columns: usize,
        rows: usize,
        heading: Heading,
    ) -> Result<(), ExtractError> {
        let text = squeeze(text);
        self.fill_carried()?;
        let row = self.row.get_or_insert_with(Row::default);
        let is_heading = heading == Heading::Yes;
        row.first_is_heading |= is_heading && row.cells.is_empty();
        row.headings += usize::from(is_heading && !text.is_empty());
        row.filled += usize::from(!text.is_empty());
        row.given += 1;
        let (columns, rows) = (columns.clamp(1, MOST_SPANNED), rows.clamp(1, MOST_SPANNED));
        for at in 0..columns {
            // A heading over several columns belongs to each; a value is said once.
            let repeated = if at == 0 || is_heading { text.clone() } else { String::new() };
            if rows > 1 {
                self.carried.insert(row.cells.len(), (rows - 1, repeated.clone(), is_heading));
            }
            row.cells.push(repeated);
            if row.cells.len() > self.column_limit {
                return Err(ExtractError::too_many("columns of a table", self.column_limit as u64));
            }
        }
        self.held += columns;
        Ok(())
    }

    /// Adds the cells from above that stand where the row is now.
    fn fill_carried(&mut self) -> Result<(), ExtractError> {
        let row = self.row.get_or_insert_with(Row::default);
        while let Some((left, text, is_heading)) = self.carried.get_mut(&row.cells.len()) {
            let at = row.cells.len();
            row.first_is_heading |= *is_heading && at == 0;
            row.headings += usize::from(*is_heading && !text.is_empty());
            row.filled += usize::from(!text.is_empty());
            row.cells.push(text.clone());
            self.held += 1;
            *left -= 1;
            if *left == 0 {
                self.carried.remove(&at);
            }
            if row.cells.len() > self.column_limit {
                return Err(ExtractError::too_many("columns of a table", self.column_limit as u64));
            }
        }
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), ExtractError> {
        if self.row.is_none() {
            return Ok(());
        }
        self.fill_carried()?;
        if let Some(row) = self.row.take().filter(|row| row.filled > 0) {
            self.rows.push(row);
        }
        Ok(())
    }

    /// Writes what is held when it has become much.
    pub(crate) fn relieve(&mut self, builder: &mut RenditionBuilder) -> Result<(), ExtractError> {
        if self.held > MOST_HELD { self.write(builder) } else { Ok(()) }
    }

    /// Ends the table.
    pub(crate) fn finish(mut self, builder: &mut RenditionBuilder) -> Result<(), ExtractError> {
        self.write(builder)
    }

    /// The rows as lines, for a table within a cell of another.
    pub(crate) fn into_lines(mut self) -> Result<Vec<String>, ExtractError> {
        self.end_row()?;
        Ok(self.take_lines())
    }

    /// Writes the rows so far, for text of the document that stands between them.
    pub(crate) fn write(&mut self, builder: &mut RenditionBuilder) -> Result<(), ExtractError> {
        self.end_row()?;
        for line in self.take_lines() {
            let gap = if self.begun { Gap::Line } else { Gap::Paragraph };
            self.begun = true;
            builder.block(&line, gap)?;
        }
        Ok(())
    }

    fn take_lines(&mut self) -> Vec<String> {
        self.held = 0;
        let rows = std::mem::take(&mut self.rows);
        let width = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
        let is_lone = |row: &Row| row.filled == 1 && width > 1;
        let mut out = Vec::new();
        let mut at = 0;
        // What stands above the headings is the table's title.
        while !self.begun && at < rows.len() && is_lone(&rows[at]) && self.headings.is_empty() {
            let title = rows[at].cells.iter().find(|cell| !cell.is_empty()).cloned();
            out.extend(plain_lines(title.as_slice()));
            at += 1;
        }
        let declared = rows[at..].iter().any(|row| row.headings > 0);
        if !declared && !self.begun && at < rows.len() {
            let below: Vec<Vec<String>> = rows[at + 1..].iter().take(20).map(|row| row.cells.clone()).collect();
            if looks_like_headings(&rows[at].cells, &below, Guess::Careful) {
                self.headings = as_headings(&rows[at].cells);
                at += 1;
            }
        }
        while at < rows.len() {
            let row = &rows[at];
            // One cell over all columns is a title within the table; a row with one value is a row.
            let is_title = is_lone(row) && (self.headings.is_empty() || row.given == 1);
            if row.is_heading() && !is_title {
                let heads: Vec<&Row> = rows[at..].iter().take_while(|row| row.is_heading()).collect();
                at += heads.len();
                // Headings of nothing are said themselves.
                if at == rows.len() {
                    out.extend(heads.iter().flat_map(|row| plain_lines(&row.cells)));
                }
                self.headings = joined(&heads);
                continue;
            }
            at += 1;
            if is_title {
                let title = row.cells.iter().find(|cell| !cell.is_empty()).cloned();
                out.extend(plain_lines(title.as_slice()));
            } else if self.headings.is_empty() && row.first_is_heading && row.filled > 1 {
                out.extend(labelled(&row.cells));
            } else {
                out.extend(lines(&self.headings, &row.cells));
            }
        }
        out
    }
}

/// Whether a cell says that it is a heading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heading {
    Yes,
    No,
}

/// Rows of headings that stand above each other.
fn joined(heads: &[&Row]) -> Vec<String> {
    let width = heads.iter().map(|row| row.cells.len()).max().unwrap_or(0);
    let mut headings = Vec::with_capacity(width);
    for column in 0..width {
        let mut parts: Vec<&str> = Vec::new();
        for part in heads.iter().filter_map(|row| row.cells.get(column)) {
            if !part.is_empty() && parts.last() != Some(&part.as_str()) {
                parts.push(part);
            }
        }
        headings.push(parts.join(" / "));
    }
    as_headings(&headings)
}

/// A row with only a heading of its own: `Capital: Paris`.
fn labelled(cells: &[String]) -> Vec<String> {
    let mut filled = cells.iter().filter(|cell| !cell.is_empty());
    let label = filled.next().cloned().unwrap_or_default();
    let values: Vec<String> = filled.cloned().collect();
    lines(&[label], &[values.join(" | ")])
}

#[cfg(test)]
mod tests {
    use super::{Grid, Guess, Heading, lines, looks_like_headings};
    use crate::builder::RenditionBuilder;
    use crate::limits::Limits;

    fn strings(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    /// Cells: `h!` opens a heading, `CxR!` a size.
    fn table(rows: &[&[&str]]) -> String {
        let mut grid = Grid::new(&Limits::default());
        for row in rows {
            grid.start_row().unwrap();
            for cell in *row {
                let (heading, cell) = cell.strip_prefix("h!").map_or((Heading::No, *cell), |cell| (Heading::Yes, cell));
                let (size, text) = cell.split_once('!').unwrap_or(("1x1", cell));
                let (columns, down) = size.split_once('x').unwrap();
                grid.cell(text, columns.parse().unwrap(), down.parse().unwrap(), heading).unwrap();
            }
        }
        let mut builder = RenditionBuilder::new(&Limits::default());
        grid.finish(&mut builder).unwrap();
        builder.finish("x", None).unwrap().text
    }

    #[test]
    fn headings_travel_with_their_cells() {
        assert_eq!(
            table(&[&["h!Region", "h!2024"], &["h!North", "5"], &["South", ""]]),
            "Region: North | 2024: 5\nRegion: South"
        );
        assert_eq!(
            table(&[&["h!1x2!Region", "h!2x1!Sales"], &["h!2023", "h!2024"], &["1x2!North", "1", "2"], &["3", "4"]]),
            "Region: North | Sales / 2023: 1 | Sales / 2024: 2\nRegion: North | Sales / 2023: 3 | Sales / 2024: 4"
        );
        assert_eq!(
            table(&[&["h!Capital", "Paris"], &["h!Area", "105 km²", "41 sq mi"]]),
            "Capital: Paris\nArea: 105 km² | 41 sq mi"
        );
        assert_eq!(table(&[&["2x1!Prices"], &["h!Item", "h!Price"], &["Tea", "2"]]), "Prices\nItem: Tea | Price: 2");
        assert_eq!(table(&[&["h!only", "h!headings"]]), "only | headings");
        assert_eq!(table(&[&["a", "b"], &["c", ""], &["", "d"]]), "a | b\nc\nd");
    }

    #[test]
    fn headings_are_guessed_with_care() {
        assert_eq!(
            table(&[&["Item", "Price"], &["Tea", "2.50"], &["Milk", "1"]]),
            "Item: Tea | Price: 2.50\nItem: Milk | Price: 1"
        );
        assert_eq!(table(&[&["Name", "Ada"], &["Role", "Admiral"]]), "Name | Ada\nRole | Admiral");
        assert_eq!(table(&[&["1", "2"], &["3", "4"]]), "1 | 2\n3 | 4");
        let below = vec![strings(&["x", "y"])];
        assert!(looks_like_headings(&strings(&["name", "role"]), &below, Guess::Likely));
        assert!(!looks_like_headings(&strings(&["name", "name"]), &below, Guess::Likely));
        assert!(!looks_like_headings(&strings(&["name", "2024-01-01"]), &below, Guess::Likely));
    }

    #[test]
    fn long_rows_open_again_with_their_first_cell() {
        let headings: Vec<String> = (0..100).map(|n| format!("column {n}")).collect();
        let cells: Vec<String> = (0..100).map(|n| format!("value {n}")).collect();
        let lines = lines(&headings, &cells);
        assert!(lines.len() > 1 && lines.iter().all(|line| line.starts_with("column 0: value 0 | ")));
        assert!(lines.iter().all(|line| line.len() < 1000));
        assert_eq!(lines.iter().map(|line| line.matches(" | ").count()).sum::<usize>(), 99);
    }

    #[test]
    fn spans_are_bounded() {
        let limits = Limits { columns: 100, ..Limits::default() };
        let mut grid = Grid::new(&limits);
        assert_eq!(grid.cell("x", usize::MAX, usize::MAX, Heading::No).unwrap_err().reason(), "too_many");
    }
}
