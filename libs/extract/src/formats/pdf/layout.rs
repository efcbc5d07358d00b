//! From placed pieces of text to lines in reading order.
//!
//! The rows of a table stay rows (cells divided by ` | `), columns of prose are read one after the other, lines
//! that a paragraph was broken into are joined.

use pdf_oxide::layout::TextSpan;

/// A gap wider than this part of the letters' size divides cells.
const CELL_GAP: f32 = 1.3;
/// A gap wider than this part of the letters' size may be the space between two columns.
const PIECE_GAP: f32 = 0.6;
/// A gap wider than this part of the letters' size divides words.
const WORD_GAP: f32 = 0.13;
/// Points per step in which the space between columns is looked for.
const STEP: f32 = 2.0;
/// Steps across the widest page that is looked at.
const STEPS: usize = 2000;
/// Two sides of a row with at least this many letters each look like columns of prose.
const PROSE_CHARS: usize = 18;
/// Rows of more pieces are not looked at for columns.
const MAX_PIECES: usize = 64;
/// Lines above and below that tell where the right margin is.
const NEIGHBOURS: usize = 12;
/// Columns within columns that are looked for.
const MAX_COLUMN_DEPTH: u8 = 3;

/// A line, paragraph or heading of a page.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Block {
    pub(super) text: String,
    /// Level, when it looks like a heading.
    pub(super) heading: Option<u8>,
    /// It follows the block before it on the next line, as rows of a table do.
    pub(super) tight: bool,
}

/// Text that stands together in a row.
#[derive(Clone, Debug)]
struct Cell {
    text: String,
    left: f32,
    right: f32,
    size: f32,
    bold: bool,
}

#[derive(Clone, Debug)]
struct Row {
    bottom: f32,
    top: f32,
    cells: Vec<Cell>,
}

/// The blocks of a page in reading order.
pub(super) fn blocks(spans: &[TextSpan]) -> Vec<Block> {
    let rows = rows(spans);
    let body = body_size(&rows);
    let mut ordered = Vec::new();
    order(rows, 0, &mut ordered);
    for row in &mut ordered {
        row.cells = merged(std::mem::take(&mut row.cells));
    }
    paragraphs(&ordered, body)
}

/// Groups pieces by height on the page, top first, and joins what stands close in each row.
fn rows(spans: &[TextSpan]) -> Vec<Row> {
    let mut spans: Vec<&TextSpan> = spans
        .iter()
        .filter(|span| !span.text.trim().is_empty() && span.bbox.x.is_finite() && span.bbox.y.is_finite())
        .collect();
    spans.sort_by(|a, b| center(b).total_cmp(&center(a)));
    let mut groups: Vec<(f32, f32, Vec<&TextSpan>)> = Vec::new();
    for span in spans {
        let (bottom, top) = (span.bbox.y, span.bbox.y + height(span));
        if let Some((row_bottom, row_top, members)) = groups.last_mut() {
            let overlap = top.min(*row_top) - bottom.max(*row_bottom);
            let smaller = (top - bottom).min(*row_top - *row_bottom);
            if overlap > smaller * 0.5 {
                // Raised figures must not make the row taller than its letters.
                if top - bottom > *row_top - *row_bottom {
                    (*row_bottom, *row_top) = (bottom, top);
                }
                members.push(span);
                continue;
            }
        }
        groups.push((bottom, top, vec![span]));
    }
    groups.into_iter().map(|(bottom, top, members)| Row { bottom, top, cells: pieces(members) }).collect()
}

fn height(span: &TextSpan) -> f32 {
    if span.bbox.height > 0.5 { span.bbox.height } else { span.font_size.max(1.0) }
}

fn center(span: &TextSpan) -> f32 {
    span.bbox.y + height(span) / 2.0
}

/// Words that stand close.
fn pieces(mut members: Vec<&TextSpan>) -> Vec<Cell> {
    members.sort_by(|a, b| a.bbox.x.total_cmp(&b.bbox.x));
    let mut cells: Vec<Cell> = Vec::new();
    let mut previous: Option<&TextSpan> = None;
    for span in members {
        let (left, right) = (span.bbox.x, span.bbox.x + span.bbox.width.max(0.0));
        let size = span.font_size.max(1.0);
        // Printing the same words twice, a little apart, is an old way to make them bold.
        let twice =
            previous.is_some_and(|before| before.text == span.text && (before.bbox.x - left).abs() < size * 0.3);
        previous = Some(span);
        if twice {
            continue;
        }
        if let Some(cell) = cells.last_mut() {
            let gap = left - cell.right;
            let unit = size.min(cell.size);
            if gap < unit * PIECE_GAP && !is_currency(span.text.trim()) && !is_currency(cell.text.trim()) {
                let spaced = cell.text.ends_with(char::is_whitespace) || span.text.starts_with(char::is_whitespace);
                if gap > unit * WORD_GAP && !spaced {
                    cell.text.push(' ');
                }
                cell.text.push_str(&span.text);
                cell.right = cell.right.max(right);
                cell.size = cell.size.max(size);
                cell.bold &= span.font_weight.is_bold();
                continue;
            }
        }
        cells.push(Cell { text: span.text.clone(), left, right, size, bold: span.font_weight.is_bold() });
    }
    for cell in &mut cells {
        cell.text = cell.text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    cells.retain(|cell| !cell.text.is_empty());
    cells
}

/// Joins the pieces of a row that make one cell.
fn merged(pieces: Vec<Cell>) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::new();
    for piece in pieces {
        if let Some(cell) = cells.last_mut() {
            let gap = piece.left - cell.right;
            let unit = piece.size.min(cell.size);
            // A currency mark opens the next number, it does not close the last one.
            let opens_number = is_currency(&piece.text) && gap > unit * 0.4;
            if (gap < unit * CELL_GAP && !opens_number) || belongs(&cell.text, &piece.text) {
                if gap > unit * WORD_GAP {
                    cell.text.push(' ');
                }
                cell.text.push_str(&piece.text);
                cell.right = cell.right.max(piece.right);
                cell.size = cell.size.max(piece.size);
                cell.bold &= piece.bold;
                continue;
            }
        }
        cells.push(piece);
    }
    cells
}

/// A currency mark goes with its number, however far apart they are set; so does what closes a number.
fn belongs(before: &str, after: &str) -> bool {
    let before = before.trim_end();
    is_currency(before.trim_end_matches(['(', ' ']))
        || before == "("
        || matches!(after.trim(), ")" | "%" | ")%" | ") %")
}

fn is_currency(text: &str) -> bool {
    matches!(text, "$" | "€" | "£" | "¥" | "US$")
}

/// The size in which most characters of the page are set.
fn body_size(rows: &[Row]) -> f32 {
    let mut sizes: Vec<(f32, usize)> =
        rows.iter().flat_map(|row| &row.cells).map(|cell| (cell.size, cell.text.len())).collect();
    sizes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = sizes.iter().map(|(_, length)| length).sum::<usize>() / 2;
    let mut seen = 0;
    for (size, length) in sizes {
        seen += length;
        if seen >= half {
            return size;
        }
    }
    10.0
}

/// Appends the rows in reading order: where the page has columns of prose, the left one first.
fn order(rows: Vec<Row>, depth: u8, ordered: &mut Vec<Row>) {
    let gutter = if depth < MAX_COLUMN_DEPTH { gutter(&rows) } else { None };
    let Some(gutter) = gutter else {
        ordered.extend(rows);
        return;
    };
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for row in rows {
        if row.cells.iter().any(|cell| cell.left < gutter && gutter < cell.right) {
            order(std::mem::take(&mut left), depth + 1, ordered);
            order(std::mem::take(&mut right), depth + 1, ordered);
            ordered.push(row);
            continue;
        }
        let (on_left, on_right): (Vec<Cell>, Vec<Cell>) = row.cells.into_iter().partition(|cell| cell.left < gutter);
        for (side, cells) in [(&mut left, on_left), (&mut right, on_right)] {
            if !cells.is_empty() {
                side.push(Row { bottom: row.bottom, top: row.top, cells });
            }
        }
    }
    order(left, depth + 1, ordered);
    order(right, depth + 1, ordered);
}

/// Where columns of prose are divided: a place that many rows leave empty between two long stretches of words
/// and few rows cross.
fn gutter(rows: &[Row]) -> Option<f32> {
    let origin = rows.iter().flat_map(|row| &row.cells).map(|cell| cell.left).fold(f32::INFINITY, f32::min);
    if !origin.is_finite() {
        return None;
    }
    let step_of = |x: f32| (((x - origin) / STEP).max(0.0) as usize).min(STEPS - 1);
    let mut divided = vec![0_u32; STEPS];
    let mut crossed = vec![0_u32; STEPS];
    for row in rows {
        for cell in &row.cells {
            for count in &mut crossed[step_of(cell.left)..step_of(cell.right)] {
                *count += 1;
            }
        }
        // So many pieces are no line of prose, and looking at each would take long.
        if row.cells.len() > MAX_PIECES {
            continue;
        }
        for at in 1..row.cells.len() {
            let (left, right) = row.cells.split_at(at);
            if is_prose(left) && is_prose(right) {
                // A step that the gap covers only in part belongs to its neighbour.
                let (from, to) = (step_of(left[at - 1].right) + 1, step_of(right[0].left));
                for count in divided.get_mut(from..to).unwrap_or_default() {
                    *count += 1;
                }
            }
        }
    }
    let best = (0..STEPS).max_by_key(|&step| i64::from(divided[step]) - i64::from(crossed[step]) / 2)?;
    (divided[best] >= 4 && divided[best] * 2 > crossed[best]).then_some(origin + (best as f32 + 0.5) * STEP)
}

fn is_prose(cells: &[Cell]) -> bool {
    let characters = cells.iter().flat_map(|cell| cell.text.chars());
    let letters = characters.clone().filter(|c| c.is_alphabetic()).count();
    letters >= PROSE_CHARS && letters * 10 >= characters.count() * 6
}

/// Joins the lines of paragraphs and finds headings.
fn paragraphs(rows: &[Row], body: f32) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut previous: Option<&Row> = None;
    for (at, row) in rows.iter().enumerate() {
        let [cell] = &row.cells[..] else {
            let text = row.cells.iter().map(|cell| cell.text.as_str()).collect::<Vec<_>>().join(" | ");
            if !text.is_empty() {
                let tight = previous.is_some_and(|before| before.cells.len() > 1 || is_near(before, row));
                blocks.push(Block { text, heading: None, tight });
                previous = Some(row);
            }
            continue;
        };
        let heading = heading_level(cell, body);
        let joins = heading.is_none()
            && blocks.last().is_some_and(|block| block.heading.is_none())
            && previous.is_some_and(|before| wraps(rows, at, before, row));
        if joins && let Some(block) = blocks.last_mut() {
            block.text.push(' ');
            block.text.push_str(&cell.text);
        } else {
            let tight = heading.is_none() && previous.is_some_and(|before| is_near(before, row));
            blocks.push(Block { text: cell.text.clone(), heading, tight });
        }
        previous = Some(row);
    }
    blocks
}

/// Whether `row` is the next line of the paragraph that `before` is a line of: it starts near the same margin
/// and its first word would not have fitted into `before`.
fn wraps(rows: &[Row], at: usize, before: &Row, row: &Row) -> bool {
    let ([above], [below]) = (&before.cells[..], &row.cells[..]) else { return false };
    if !is_near(before, row) || (above.size - below.size).abs() > 0.6 || above.bold != below.bold {
        return false;
    }
    if (below.left - above.left).abs() > above.size * 3.0 {
        return false;
    }
    // The right margin is that of the lines around, up to the next blank. A headline may be wider.
    let mut first = at;
    while first > 0 && at - first < NEIGHBOURS && is_near(&rows[first - 1], &rows[first]) {
        first -= 1;
    }
    let mut last = at;
    while last + 1 < rows.len() && last - at < NEIGHBOURS && is_near(&rows[last], &rows[last + 1]) {
        last += 1;
    }
    let margin = rows[first..=last]
        .iter()
        .filter_map(|row| match &row.cells[..] {
            [cell] if (cell.left - below.left).abs() <= cell.size * 3.0 => Some(cell.right),
            _ => None,
        })
        .fold(above.right.max(below.right), f32::max);
    let first_word = below.text.split(' ').next().unwrap_or_default().chars().count() as f32;
    margin - above.right < (first_word + 2.0) * above.size * 0.55
}

/// The next line, not one after a blank.
fn is_near(before: &Row, row: &Row) -> bool {
    let line = (before.top - before.bottom).max(row.top - row.bottom);
    let gap = before.bottom - row.top;
    gap > -line && gap < line * 0.75
}

/// A short line in larger or bold letters that is no sentence. Much larger letters make the first level.
fn heading_level(cell: &Cell, body: f32) -> Option<u8> {
    let letters = cell.text.chars().filter(|c| c.is_alphabetic()).count();
    let length = cell.text.chars().count();
    if letters < 3 || length > 120 || letters * 2 < length || cell.text.ends_with(['.', ':', ';', ',']) {
        return None;
    }
    if cell.text.chars().find(|c| c.is_alphanumeric()).is_none_or(char::is_lowercase) {
        return None;
    }
    let ratio = cell.size / body.max(1.0);
    // Finer steps would let the letters of a cover page rule the rest of the document.
    if ratio >= 1.6 {
        Some(1)
    } else if ratio >= 1.2 || (cell.bold && ratio >= 0.95) {
        Some(2)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, Row, blocks, merged, order, paragraphs};
    use crate::formats::pdf::layout::Block;

    fn cell(text: &str, left: f32, right: f32) -> Cell {
        Cell { text: text.to_owned(), left, right, size: 10.0, bold: false }
    }

    fn row(top: f32, cells: Vec<Cell>) -> Row {
        Row { bottom: top - 10.0, top, cells }
    }

    fn texts(rows: Vec<Row>) -> Vec<String> {
        let mut ordered = Vec::new();
        order(rows, 0, &mut ordered);
        for row in &mut ordered {
            row.cells = merged(std::mem::take(&mut row.cells));
        }
        paragraphs(&ordered, 10.0).into_iter().map(|block| block.text).collect()
    }

    #[test]
    fn rows_of_a_table_stay_together() {
        let rows = vec![
            row(
                700.0,
                vec![cell("Net income", 50.0, 100.0), cell("$ 29,998", 300.0, 340.0), cell("$ 34,630", 400.0, 440.0)],
            ),
            row(688.0, vec![cell("Total", 50.0, 80.0), cell("1", 330.0, 340.0)]),
        ];
        assert_eq!(texts(rows), ["Net income | $ 29,998 | $ 34,630", "Total | 1"]);
    }

    #[test]
    fn columns_of_prose_are_read_one_after_the_other() {
        let mut rows = vec![row(720.0, vec![cell("A headline that crosses both of the columns", 50.0, 500.0)])];
        for line in 0..6 {
            let left = cell(&format!("left column line number {line}"), 50.0, 250.0);
            let right = cell(&format!("right column line number {line}"), 300.0, 500.0);
            rows.push(row(700.0 - 12.0 * line as f32, vec![left, right]));
        }
        let texts = texts(rows);
        assert_eq!(texts.len(), 3, "{texts:?}");
        assert!(texts[1].starts_with("left column line number 0 left column line number 1"));
        assert!(texts[2].ends_with("right column line number 5"));
    }

    #[test]
    fn wrapped_lines_join_and_short_lines_do_not() {
        let rows = vec![
            row(700.0, vec![cell("A paragraph of which the first line is full and", 50.0, 500.0)]),
            row(688.0, vec![cell("its last line is not.", 50.0, 150.0)]),
            row(676.0, vec![cell("Another line.", 50.0, 120.0)]),
        ];
        assert_eq!(
            texts(rows),
            ["A paragraph of which the first line is full and its last line is not.", "Another line."]
        );
    }

    #[test]
    fn larger_lines_are_headings() {
        let mut title = cell("Risk Factors", 50.0, 150.0);
        title.size = 17.0;
        let found = paragraphs(&[row(700.0, vec![title]), row(670.0, vec![cell("Body text.", 50.0, 100.0)])], 10.0);
        assert_eq!(found[0], Block { text: "Risk Factors".into(), heading: Some(1), tight: false });
        assert_eq!(found[1].heading, None);
        assert!(blocks(&[]).is_empty());
    }
}
