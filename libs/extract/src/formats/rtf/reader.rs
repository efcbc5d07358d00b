//! Reads control words, groups and text, and puts paragraphs and tables together.

use super::symbols::{is_left_out, of_character_set, of_code_page, symbol};
use crate::builder::{Gap, RenditionBuilder};
use crate::error::ExtractError;
use crate::table::{Grid, Heading};
use encoding_rs::Encoding;
use std::collections::HashMap;

/// Groups deeper than this are read as if they did not open.
const MOST_GROUPS: usize = 10_000;

/// Adds a rich text; answers its title.
pub(super) fn push(builder: &mut RenditionBuilder, bytes: &[u8]) -> Result<Option<String>, ExtractError> {
    let mut reader = Reader {
        builder,
        rest: bytes,
        group: Group { encoding: None, place: Place::Text, hidden: false, fallback: 1, font: 0 },
        outer: Vec::new(),
        unopened: 0,
        encoding: encoding_rs::WINDOWS_1252,
        pending: Vec::new(),
        fonts: HashMap::new(),
        styles: HashMap::new(),
        style: 0,
        name: String::new(),
        paragraph: String::new(),
        level: None,
        is_row: false,
        cells: Vec::new(),
        table: None,
        to_skip: 0,
        title: String::new(),
    };
    reader.read()?;
    reader.end_paragraph()?;
    reader.end_table()?;
    let title = reader.title.trim().to_owned();
    Ok((!title.is_empty()).then_some(title))
}

/// What the text of a group is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Text,
    Fonts,
    Styles,
    Title,
    Info,
    Nothing,
}

#[derive(Clone)]
struct Group {
    encoding: Option<&'static Encoding>,
    place: Place,
    hidden: bool,
    /// Characters that stand in for one given by its number.
    fallback: usize,
    font: i32,
}

struct Reader<'r, 'b> {
    builder: &'r mut RenditionBuilder,
    rest: &'b [u8],
    group: Group,
    outer: Vec<Group>,
    unopened: usize,
    encoding: &'static Encoding,
    /// Bytes whose characters may take several.
    pending: Vec<u8>,
    fonts: HashMap<i32, &'static Encoding>,
    /// Levels of the headings by style.
    styles: HashMap<i32, u8>,
    style: i32,
    /// The name of the style being defined.
    name: String,
    paragraph: String,
    level: Option<u8>,
    /// The paragraph stands in a table.
    is_row: bool,
    cells: Vec<String>,
    table: Option<Grid>,
    to_skip: usize,
    title: String,
}

impl Reader<'_, '_> {
    fn read(&mut self) -> Result<(), ExtractError> {
        while let Some((&byte, after)) = self.rest.split_first() {
            self.rest = after;
            match byte {
                b'{' => {
                    self.flush();
                    self.to_skip = 0;
                    if self.outer.len() < MOST_GROUPS {
                        self.outer.push(self.group.clone());
                    } else {
                        self.unopened += 1;
                    }
                }
                b'}' => {
                    self.flush();
                    self.to_skip = 0;
                    if self.unopened > 0 {
                        self.unopened -= 1;
                        continue;
                    }
                    self.end_style();
                    match self.outer.pop() {
                        Some(group) if !self.outer.is_empty() => self.group = group,
                        // What follows the outermost group is none of the document.
                        _ => return Ok(()),
                    }
                }
                b'\\' => self.control()?,
                b'\r' | b'\n' => {}
                _ => self.byte(byte),
            }
        }
        self.flush();
        Ok(())
    }

    fn byte(&mut self, byte: u8) {
        if self.to_skip > 0 {
            self.to_skip -= 1;
        } else if self.group.place != Place::Nothing {
            self.pending.push(byte);
        }
    }

    /// Decodes the bytes that are pending.
    fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.pending);
        let encoding = self.group.encoding.unwrap_or(self.encoding);
        let text = encoding.decode_without_bom_handling(&bytes).0;
        self.text(&text);
    }

    fn text(&mut self, text: &str) {
        match self.group.place {
            Place::Text if !self.group.hidden => self.paragraph.push_str(text),
            Place::Styles => self.name.push_str(text),
            Place::Title => self.title.push_str(text),
            _ => {}
        }
    }

    fn control(&mut self) -> Result<(), ExtractError> {
        let Some((&first, after)) = self.rest.split_first() else { return Ok(()) };
        if !first.is_ascii_alphabetic() {
            self.rest = after;
            match first {
                b'\'' => {
                    let code = self.rest.get(..2).and_then(|code| std::str::from_utf8(code).ok());
                    if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
                        self.rest = &self.rest[2..];
                        self.byte(byte);
                    }
                }
                b'\\' | b'{' | b'}' => self.byte(first),
                b'*' => {
                    // A group that programs may leave out when they do not know it. This one knows two.
                    let known = [&b"\\shpinst"[..], b"\\shptxt", b"\\listtext"];
                    if !known.iter().any(|word| self.rest.starts_with(word)) {
                        self.group.place = Place::Nothing;
                    }
                }
                b'\r' | b'\n' => self.end_paragraph()?,
                _ => {
                    self.flush();
                    if let Some(symbol) = symbol(std::str::from_utf8(&[first]).unwrap_or_default()) {
                        self.text(symbol);
                    }
                }
            }
            return Ok(());
        }
        let length = self.rest.iter().take(40).take_while(|byte| byte.is_ascii_alphabetic()).count();
        let word = String::from_utf8_lossy(&self.rest[..length]).into_owned();
        self.rest = &self.rest[length..];
        let digits = self.rest.iter().enumerate().take(20);
        let digits = digits.take_while(|(at, byte)| byte.is_ascii_digit() || *at == 0 && **byte == b'-').count();
        let number = std::str::from_utf8(&self.rest[..digits]).ok().and_then(|number| number.parse::<i64>().ok());
        self.rest = &self.rest[digits..];
        if self.rest.first() == Some(&b' ') {
            self.rest = &self.rest[1..];
        }
        self.flush();
        self.word(&word, number)
    }

    fn word(&mut self, word: &str, number: Option<i64>) -> Result<(), ExtractError> {
        let value = number.and_then(|number| i32::try_from(number).ok());
        let is_on = number != Some(0);
        match word {
            "bin" => {
                let length = usize::try_from(number.unwrap_or(0)).unwrap_or(0).min(self.rest.len());
                self.rest = &self.rest[length..];
            }
            "u" => {
                // Negative numbers are those above 32,767.
                let unit = value.unwrap_or(0x3F) as u16;
                self.unit(unit);
                self.to_skip = self.group.fallback;
            }
            "uc" => self.group.fallback = usize::try_from(number.unwrap_or(1)).unwrap_or(1).min(100),
            "ansicpg" => self.encoding = of_code_page(value.unwrap_or(1252)),
            "mac" => self.encoding = encoding_rs::MACINTOSH,
            "fonttbl" => self.group.place = Place::Fonts,
            "stylesheet" => self.group.place = Place::Styles,
            "info" => self.group.place = Place::Info,
            "title" if self.group.place == Place::Info => self.group.place = Place::Title,
            "f" => {
                self.group.font = value.unwrap_or(0);
                self.group.encoding = self.fonts.get(&self.group.font).copied();
            }
            "fcharset" if self.group.place == Place::Fonts => {
                if let Some(encoding) = of_character_set(value.unwrap_or(0)) {
                    self.fonts.insert(self.group.font, encoding);
                }
            }
            "s" => {
                self.style = value.unwrap_or(0);
                if self.group.place == Place::Text {
                    self.level = self.styles.get(&self.style).copied();
                }
            }
            "outlinelevel" => {
                let level = value.and_then(|level| u8::try_from(level).ok()).filter(|level| *level < 6);
                match (self.group.place, level) {
                    (Place::Styles, Some(level)) => {
                        self.styles.insert(self.style, level + 1);
                    }
                    (Place::Text, level) => self.level = level.map(|level| level + 1),
                    _ => {}
                }
            }
            "v" | "deleted" => self.group.hidden = is_on,
            "plain" => {
                self.group.hidden = false;
                self.group.encoding = None;
            }
            "pard" => {
                self.level = None;
                self.is_row = false;
            }
            "intbl" => self.is_row = true,
            "par" | "sect" | "page" | "column" => self.end_paragraph()?,
            "cell" | "nestcell" => self.cells.push(std::mem::take(&mut self.paragraph)),
            "row" => self.end_row()?,
            "footnote" if self.group.place == Place::Text => {
                // Its group holds only the note; the brackets stand around what it adds.
                self.note()?;
            }
            _ if is_left_out(word) => self.group.place = Place::Nothing,
            _ => {
                if let Some(symbol) = symbol(word) {
                    self.text(symbol);
                }
            }
        }
        Ok(())
    }

    /// A unit of UTF-16; the halves of a pair come one after the other.
    fn unit(&mut self, unit: u16) {
        const HALF: char = '\u{FFFD}';
        if let Some(c) = char::from_u32(u32::from(unit)) {
            self.text(c.encode_utf8(&mut [0; 4]));
            return;
        }
        // The second half may stand right behind the fallback of the first.
        let fallback = self.rest.get(self.group.fallback..).unwrap_or_default();
        let low = fallback.strip_prefix(b"\\u").and_then(|after| {
            let length = after.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'-').count();
            let number = std::str::from_utf8(&after[..length]).ok()?.parse::<i32>().ok()?;
            Some((number as u16, self.group.fallback + 2 + length))
        });
        let pair = low.and_then(|(low, length)| Some((char::decode_utf16([unit, low]).next()?.ok()?, length)));
        match pair {
            Some((c, length)) => {
                self.rest = &self.rest[length..];
                if self.rest.first() == Some(&b' ') {
                    self.rest = &self.rest[1..];
                }
                self.text(c.encode_utf8(&mut [0; 4]));
            }
            None => self.text(HALF.encode_utf8(&mut [0; 4])),
        }
    }

    /// Reads a footnote's group to its end.
    fn note(&mut self) -> Result<(), ExtractError> {
        let outside = std::mem::take(&mut self.paragraph);
        let length = group_length(self.rest);
        let after = &self.rest[length..];
        self.rest = &self.rest[..length];
        let group = self.group.clone();
        let outer = std::mem::take(&mut self.outer);
        // A group of its own, so that what closes in it does not end the document.
        self.outer = vec![group.clone(), group.clone()];
        let mut words = Vec::new();
        while !self.rest.is_empty() {
            let (&byte, rest) = self.rest.split_first().unwrap_or((&0, &[]));
            self.rest = rest;
            match byte {
                b'{' if self.outer.len() < MOST_GROUPS => {
                    self.flush();
                    self.outer.push(self.group.clone());
                }
                b'}' => {
                    self.flush();
                    if self.outer.len() > 2
                        && let Some(group) = self.outer.pop()
                    {
                        self.group = group;
                    }
                }
                b'\\' if self.rest.starts_with(b"par") => {
                    self.flush();
                    words.push(std::mem::take(&mut self.paragraph));
                    self.rest = &self.rest[3..];
                }
                b'\\' if self.rest.starts_with(b"footnote") => self.rest = &self.rest[8..],
                b'\\' => self.control()?,
                b'\r' | b'\n' => {}
                _ => self.byte(byte),
            }
        }
        self.flush();
        words.push(std::mem::take(&mut self.paragraph));
        self.rest = after;
        self.outer = outer;
        self.group = group;
        let note = crate::table::squeeze(&words.join(" "));
        self.paragraph = outside;
        if !note.is_empty() {
            self.paragraph.extend(["[", &note, "]"]);
        }
        Ok(())
    }

    /// Notes the level of the style whose definition ends here.
    fn end_style(&mut self) {
        if self.group.place == Place::Styles {
            let name = std::mem::take(&mut self.name).trim().trim_end_matches(';').to_lowercase();
            let level = name.strip_prefix("heading ").and_then(|level| level.parse::<u8>().ok());
            if let Some(level) = level.or((name == "title").then_some(1)).filter(|level| (1..=9).contains(level)) {
                self.styles.insert(self.style, level);
            }
        }
    }

    fn end_row(&mut self) -> Result<(), ExtractError> {
        let cells = std::mem::take(&mut self.cells);
        self.paragraph.clear();
        let limits = self.builder.limits();
        let table = self.table.get_or_insert_with(|| Grid::new(&limits));
        table.start_row()?;
        for cell in cells {
            table.cell(&cell, 1, 1, Heading::No)?;
        }
        table.relieve(self.builder)
    }

    fn end_table(&mut self) -> Result<(), ExtractError> {
        self.table.take().map_or(Ok(()), |table| table.finish(self.builder))
    }

    fn end_paragraph(&mut self) -> Result<(), ExtractError> {
        self.flush();
        if self.is_row || !self.cells.is_empty() {
            // Paragraphs within a cell.
            self.paragraph.push(' ');
            return Ok(());
        }
        let paragraph = std::mem::take(&mut self.paragraph);
        if paragraph.trim().is_empty() {
            return Ok(());
        }
        self.end_table()?;
        match self.level {
            Some(level) => self.builder.heading(level, &paragraph),
            None => self.builder.block(paragraph.trim(), Gap::Paragraph).map(|_| ()),
        }
    }
}

/// How far it is to the end of the group that the text is in, its closing brace not included.
fn group_length(text: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 1,
            b'{' => depth += 1,
            b'}' if depth == 0 => return at,
            b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    text.len()
}
