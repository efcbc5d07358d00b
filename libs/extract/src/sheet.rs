//! Tables that come row by row and may be of any length: sheets of workbooks and files of separated values.

use crate::builder::{Gap, RenditionBuilder};
use crate::error::ExtractError;
use crate::limits::Limits;
use crate::table::{Guess, as_headings, lines, looks_like_headings};

/// Rows that are looked at before it is decided whether the first of them has headings.
const LOOKED_AT: usize = 25;

/// Writes the rows of a sheet. Empty rows divide it into tables of their own, each with its title and headings.
pub(crate) struct Sheet<'b> {
    builder: &'b mut RenditionBuilder,
    guess: Guess,
    column_limit: usize,
    /// The first rows of the table, while its headings are unknown.
    pending: Vec<Vec<String>>,
    headings: Option<Vec<String>>,
    /// Headings of the table before, which hold when the one after an empty row has as many columns and none.
    earlier: Vec<String>,
    begun: bool,
}

impl<'b> Sheet<'b> {
    pub(crate) fn new(builder: &'b mut RenditionBuilder, limits: &Limits, guess: Guess) -> Self {
        let column_limit = limits.columns as usize;
        Self { builder, guess, column_limit, pending: Vec::new(), headings: None, earlier: Vec::new(), begun: false }
    }

    /// Adds a row. One of empty cells only ends the table.
    pub(crate) fn row(&mut self, mut cells: Vec<String>) -> Result<(), ExtractError> {
        let used = cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
        if used > self.column_limit {
            return Err(ExtractError::too_many("columns of a table", self.column_limit as u64));
        }
        cells.truncate(used);
        if cells.is_empty() {
            return self.end_table();
        }
        if self.headings.is_some() {
            return self.write(&cells);
        }
        self.pending.push(cells);
        if self.pending.len() >= LOOKED_AT { self.decide() } else { Ok(()) }
    }

    /// Ends the sheet.
    pub(crate) fn finish(mut self) -> Result<(), ExtractError> {
        self.end_table()
    }

    fn end_table(&mut self) -> Result<(), ExtractError> {
        self.decide()?;
        if let Some(headings) = self.headings.take().filter(|headings| !headings.is_empty()) {
            self.earlier = headings;
        }
        self.begun = false;
        Ok(())
    }

    fn decide(&mut self) -> Result<(), ExtractError> {
        let mut rows = std::mem::take(&mut self.pending).into_iter().peekable();
        let is_title = |row: &Vec<String>| row.iter().filter(|cell| !cell.is_empty()).count() == 1;
        let mut titles = Vec::new();
        while let Some(title) = rows.next_if(is_title) {
            titles.push(title);
        }
        let Some(first) = rows.next() else {
            // A column, or a remark.
            self.headings.get_or_insert_default();
            return titles.iter().try_for_each(|row| self.write(row));
        };
        self.headings = Some(Vec::new());
        titles.iter().try_for_each(|row| self.write(row))?;
        if !titles.is_empty() {
            self.begun = false;
        }
        let below: Vec<Vec<String>> = rows.collect();
        if looks_like_headings(&first, &below, self.guess) {
            self.headings = Some(as_headings(&first));
        } else {
            if first.len() <= self.earlier.len() && first.len() * 2 > self.earlier.len() && first.len() > 2 {
                self.headings = Some(self.earlier.clone());
            }
            self.write(&first)?;
        }
        below.iter().try_for_each(|row| self.write(row))
    }

    fn write(&mut self, cells: &[String]) -> Result<(), ExtractError> {
        let headings = self.headings.as_deref().unwrap_or_default();
        for line in lines(headings, cells) {
            let gap = if self.begun { Gap::Line } else { Gap::Paragraph };
            self.begun = true;
            self.builder.block(&line, gap)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Sheet;
    use crate::builder::RenditionBuilder;
    use crate::limits::Limits;
    use crate::table::Guess;

    #[test]
    fn tables_of_a_sheet_have_titles_and_headings() {
        let mut builder = RenditionBuilder::new(&Limits::default());
        let mut sheet = Sheet::new(&mut builder, &Limits::default(), Guess::Careful);
        for row in ["Sales", "Region,Tea,Milk", "North,1,2", ",3,4", "", "South,5,6", "", "a remark"] {
            sheet.row(row.split(',').map(str::to_owned).collect()).unwrap();
        }
        sheet.finish().unwrap();
        assert_eq!(
            builder.finish("x", None).unwrap().text,
            "Sales\n\nRegion: North | Tea: 1 | Milk: 2\nTea: 3 | Milk: 4\n\nRegion: South | Tea: 5 | Milk: 6\n\na remark"
        );
    }

    #[test]
    fn columns_are_bounded() {
        let mut builder = RenditionBuilder::new(&Limits::default());
        let mut sheet = Sheet::new(&mut builder, &Limits::default(), Guess::Likely);
        assert_eq!(sheet.row(vec!["x".to_owned(); 1_000_000]).unwrap_err().reason(), "too_many");
    }
}
