//! What follows a street and its number: flat, town, postal code.

use super::ordinary::is_particle;
use super::postal::{self, Area};
use super::words::{Word, is_free_at, skip_blank, word_at};

/// How far from the street a code is looked for, in bytes.
const REACH: usize = 140;
/// Most words and numbers between street and code.
const STEPS: usize = 10;

/// Words that begin something else behind an address.
const OTHERS: [&str; 40] = [
    "tel",
    "telefon",
    "telephone",
    "phone",
    "fax",
    "mobile",
    "mobil",
    "email",
    "mail",
    "web",
    "www",
    "date",
    "name",
    "re",
    "the",
    "and",
    "in",
    "on",
    "at",
    "he",
    "she",
    "it",
    "they",
    "we",
    "you",
    "this",
    "that",
    "please",
    "thank",
    "thanks",
    "dear",
    "er",
    "sie",
    "es",
    "wir",
    "das",
    "il",
    "elle",
    "nous",
    "yours",
];

fn ends_address(word: &str) -> bool {
    // `ON` and `IN` are a province and a state.
    let shouted = word.len() == 2 && word.chars().all(char::is_uppercase);
    !shouted && super::given::with_small(word, |word| OTHERS.contains(&word))
}

/// What speaks for an address beside its street.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Evidence {
    Nothing,
    /// A flat or suite.
    Unit,
    /// Digits behind a town that may be a code.
    SomeCode,
    /// A code in the form of its country.
    Code,
}

/// The rest of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) end: usize,
    pub(super) evidence: Evidence,
}

/// Reads on from the end of the street.
pub(super) fn read(text: &str, from: usize, area: Area) -> Tail {
    let mut tail = Tail { end: direction(text, from), evidence: Evidence::Nothing };
    let (mut at, mut words, mut apart) = (tail.end, 0, false);
    for _ in 0..STEPS {
        let (next, crossed) = separator(text, at);
        if next == at || next > from + REACH {
            break;
        }
        apart |= crossed;
        if let Some(end) = unit(text, next) {
            tail = Tail { end, evidence: Evidence::Unit };
            (at, words) = (end, 0);
            continue;
        }
        if let Some(end) = postal::behind_town(text, next).filter(|_| words > 0) {
            return Tail { end, evidence: Evidence::Code };
        }
        if let Some(code) = postal::before_town(text, next, area)
            && let Some(end) = town(text, code).or((words > 0).then_some(code))
        {
            return Tail { end, evidence: Evidence::Code };
        }
        if let Some(end) = postal::some_code(text, next).filter(|_| words > 0 && apart) {
            return Tail { end, evidence: Evidence::SomeCode };
        }
        let Some(word) = word_at(text, next) else { break };
        let goes_on = word.is_capital() && !ends_address(word.text) || words > 0 && is_particle(word.text);
        if !goes_on {
            break;
        }
        words += 1;
        at = word.end + usize::from(text.as_bytes().get(word.end) == Some(&b'.'));
    }
    tail
}

/// Behind `NW` or `N.` when that follows.
fn direction(text: &str, from: usize) -> usize {
    let next = skip_blank(text, from);
    match word_at(text, next) {
        Some(word)
            if ["N", "S", "E", "W", "NW", "NE", "SW", "SE"].contains(&word.text) && is_free_at(text, word.end) =>
        {
            word.end
        }
        _ => from,
    }
}

/// Behind spaces, a comma and up to two ends of lines; whether there was more than a space.
fn separator(text: &str, from: usize) -> (usize, bool) {
    let bytes = text.as_bytes();
    let (mut at, mut lines, mut commas) = (from, 0, 0);
    while at < bytes.len() && at < from + 24 {
        match bytes[at] {
            b' ' | b'\t' | b'\r' => {}
            b'>' if lines > 0 => {}
            b'\n' if lines < 2 => lines += 1,
            b',' if commas == 0 => commas += 1,
            b'.' if at == from && matches!(bytes.get(at + 1), Some(b' ' | b'\n')) && commas == 0 => {
                // The dot of an abbreviation, or the end of the sentence: a unit or code alone may follow.
            }
            0xc2 if bytes.get(at + 1) == Some(&0xa0) => at += 1,
            _ => break,
        }
        at += 1;
    }
    (at, lines > 0 || commas > 0)
}

/// `Apt. 5`, `Suite 787`, `Flat B`, `#4`.
fn unit(text: &str, at: usize) -> Option<usize> {
    const UNITS: [&str; 12] =
        ["apt", "apartment", "suite", "ste", "unit", "flat", "floor", "room", "whg", "wohnung", "appt", "étage"];
    let bytes = text.as_bytes();
    let number = if bytes.get(at) == Some(&b'#') {
        at + 1
    } else {
        let word = word_at(text, at)?;
        let known = word.is_capital() && super::given::with_small(word.text, |word| UNITS.contains(&word));
        let behind = known.then(|| word.end + usize::from(bytes.get(word.end) == Some(&b'.')))?;
        let number = skip_blank(text, behind);
        number + usize::from(bytes.get(number) == Some(&b'#'))
    };
    let digits = bytes.get(number..)?.iter().take(6).take_while(|byte| byte.is_ascii_digit()).count();
    let letter = usize::from(bytes.get(number + digits).is_some_and(u8::is_ascii_uppercase));
    let end = number + digits + letter;
    (end > number && is_free_at(text, end)).then_some(end)
}

/// The end of the town that follows a code: one to four words in one line.
fn town(text: &str, code: usize) -> Option<usize> {
    let mut end = None;
    let mut at = code;
    for _ in 0..4 {
        let next = skip_blank(text, at);
        let Some(word) = (next > at).then(|| word_at(text, next)).flatten() else { break };
        let first = end.is_none();
        let is_town = |word: Word<'_>| word.is_name_like() && (first || !ends_address(word.text));
        let links = end.is_some() && is_particle(word.text) && capital_follows(text, word.end);
        if !is_town(word) && !links {
            break;
        }
        end = Some(word.end);
        at = word.end;
    }
    end
}

fn capital_follows(text: &str, at: usize) -> bool {
    word_at(text, skip_blank(text, at)).is_some_and(|word| word.is_name_like() && !ends_address(word.text))
}
