//! Names of persons: beside a word that announces them, before a mail address, or by a known given name.
//!
//! The structure of a candidate of two words or more (given names, initials, particles, surname, generation) is checked by
//! the `human_name` crate.

use super::CueAt;
use super::cues::Cue;
use super::given::{is_given, is_surname};
use super::ordinary::{is_ordinary, joins_names};
use super::words::{Word, is_free_before, skip_blank, skip_blank_back, word_at, word_before};
use crate::Kind;
use crate::matching::Match;

/// Most words of a name.
const WORDS: usize = 6;
/// A name before a mail address is looked for in so many bytes.
const BEFORE_MAIL: usize = 80;

/// A candidate.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is seen on its own while the name is read")]
struct Name {
    start: usize,
    end: usize,
    /// Words of more than one letter, without particles.
    words: usize,
    /// Words and initials.
    parts: usize,
    /// An ordinary word with a capital follows, as in `Charles Darwin University`.
    goes_on: bool,
    /// `Last, First`.
    inverted: bool,
    given: bool,
    surname: bool,
}

impl Name {
    /// True when `human_name` finds a surname and a first initial in it, nothing left over.
    fn is_well_formed(&self, text: &str) -> bool {
        self.parts >= 2 && text.get(self.start..self.end).is_some_and(|name| human_name::Name::parse(name).is_some())
    }

    #[expect(clippy::unnecessary_wraps, reason = "each reader ends with it and answers an option")]
    fn found(&self, confidence: u8, validated: bool) -> Option<Match> {
        Some(Match { kind: Kind::PERSON_NAME, start: self.start, end: self.end, confidence, validated })
    }
}

/// A letter of a script without capitals begins the word.
fn is_caseless(word: &Word<'_>) -> bool {
    word.text.chars().next().is_some_and(|c| !c.is_uppercase() && !c.is_lowercase())
        && word.text.chars().nth(1).is_some()
}

/// Reads a name at byte `at`. Scripts without capitals and `Last, First` only where a name was announced.
fn read(text: &str, at: usize, announced: bool) -> Option<Name> {
    let mut name =
        Name { start: at, end: at, words: 0, parts: 0, goes_on: false, inverted: false, given: false, surname: false };
    let mut at = at;
    let mut last = None;
    while name.parts < WORDS {
        let Some(word) = word_at(text, at) else { break };
        let mut end = word.end;
        if word.is_initial() {
            end += usize::from(text.as_bytes().get(end) == Some(&b'.'));
            name.parts += 1;
            name.end = end;
        } else if word.is_name_like() || announced && is_caseless(&word) {
            if is_ordinary(word.text) {
                name.goes_on = true;
                break;
            }
            name.given |= name.words == 0 && is_given(word.text) || name.inverted && is_given(word.text);
            last = Some(word);
            name.words += 1;
            name.parts += 1;
            name.end = end;
        } else if !(joins_names(word.text) && name.parts > 0) {
            break;
        }
        let mut next = skip_blank(text, end);
        // `J.R. Smith`: no space behind the dot of an initial.
        if next == end && !(word.is_initial() && text[..end].ends_with('.')) {
            if announced && !name.inverted && name.parts > 0 && text[end..].starts_with(", ") {
                let behind = word_at(text, end + 2);
                if !behind.is_some_and(|word| word.is_capital() && !is_ordinary(word.text) && is_given(word.text)) {
                    break;
                }
                name.inverted = true;
                next = end + 2;
            } else {
                break;
            }
        }
        at = next;
    }
    name.surname = last.is_some_and(|word| is_surname(word.text));
    (name.words > 0).then_some(name)
}

/// The name that the word of `cue` announces.
pub(super) fn beside(text: &str, cue: CueAt) -> Option<Match> {
    let at = skip_marks(text, cue.end);
    match cue.cue {
        Cue::Title => titled(text, cue),
        Cue::Label => {
            let name = read(text, skip_titles(text, at), true)?;
            if name.is_well_formed(text) {
                return name.found(if name.given || name.surname { 88 } else { 80 }, true);
            }
            (name.given || name.surname).then(|| name.found(66, false)).flatten()
        }
        Cue::Part => {
            let name = read(text, at, true)?;
            name.found(if name.given || name.surname { 82 } else { 70 }, false)
        }
        Cue::Loose => {
            if is_name_of_thing(text, cue.start) {
                return None;
            }
            let name = read(text, skip_titles(text, at), true)?;
            let known = name.given || name.surname;
            match (known, name.is_well_formed(text)) {
                (true, true) => name.found(85, true),
                (true, false) if name.given => name.found(62, false),
                // A name that no list has is believed where it fills its line.
                (false, true) => {
                    let alone = is_line(text, cue.start, name.end) && !name.goes_on;
                    name.found(if alone { 70 } else { 50 }, false)
                }
                _ => None,
            }
        }
        Cue::Role => {
            let name = read(text, skip_titles(text, at), false)?;
            let known = name.given || name.surname;
            let fits = name.words >= 2 && name.words <= 4 && !name.goes_on && !has_capitals_alone(text, &name);
            (fits && name.is_well_formed(text) && !number_follows(text, name.end))
                .then(|| name.found(if known { 80 } else { 66 }, known))
                .flatten()
        }
        Cue::Closing => {
            let name = read(text, skip_lines(text, cue.end), true)?;
            let ends = matches!(text.as_bytes().get(name.end), None | Some(b'\n' | b'\r' | b','));
            if !ends {
                return None;
            }
            if name.is_well_formed(text) {
                name.found(84, true)
            } else {
                name.given.then(|| name.found(66, false)).flatten()
            }
        }
        _ => None,
    }
}

/// True when `start..end` fills its line, but for marks of a quotation.
fn is_line(text: &str, start: usize, end: usize) -> bool {
    let before =
        text[..start].bytes().rev().take(12).find(|byte| !matches!(byte, b' ' | b'\t' | b'>' | b'?' | b'*' | b'-'));
    let behind = text.as_bytes()[end..].iter().take(12).find(|byte| !matches!(byte, b' ' | b'\t' | b'*' | b'\r'));
    before.is_none_or(|byte| byte == b'\n') && behind.is_none_or(|byte| *byte == b'\n')
}

/// A word of two capitals or more in it, as in `Charles II` and `RSA Security`.
fn has_capitals_alone(text: &str, name: &Name) -> bool {
    text[name.start..name.end]
        .split(' ')
        .any(|word| word.len() > 1 && !word.contains('.') && !word.chars().any(char::is_lowercase))
}

/// `Jana Nerudy 894`: a street.
fn number_follows(text: &str, end: usize) -> bool {
    let next = skip_blank(text, end);
    next > end && text.as_bytes().get(next).is_some_and(u8::is_ascii_digit)
}

/// The name before `lives at`.
pub(super) fn before(text: &str, cue: CueAt) -> Option<Match> {
    if !["lives", "lived", "resid", "moved"].iter().any(|verb| text[cue.start..].starts_with(verb)) {
        return None;
    }
    let until = skip_blank_back(text, cue.start);
    let mut from = until.saturating_sub(BEFORE_MAIL);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let first = first_of_name(text, from, until);
    let name = read(text, first, false).filter(|name| name.end == until)?;
    match (name.is_well_formed(text), name.given) {
        (true, known) => name.found(if known { 82 } else { 72 }, known),
        (false, true) => name.found(64, false),
        _ => None,
    }
}

/// The name that stands in the first line of the block above an address, as on envelopes.
pub(super) fn above(text: &str, address: usize) -> Option<Match> {
    // Lines of envelopes are short; in a long one nothing is searched.
    let line_before = |end: usize| {
        let from = end.saturating_sub(BEFORE_MAIL);
        match text.as_bytes()[from..end].iter().rposition(|byte| *byte == b'\n') {
            Some(place) => Some(from + place + 1),
            None => (from == 0).then_some(0),
        }
    };
    let mut line_end = address;
    for _ in 0..4 {
        let line_start = line_before(line_end)?.checked_sub(1)?;
        let previous = line_before(line_start)?;
        let line = text.get(previous..line_start)?;
        let first = previous + line.bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'>' | b'?')).count();
        let name = read(text, skip_titles(text, first), false);
        if let Some(name) = name
            && is_line(text, name.start, name.end)
            && (2..=4).contains(&name.words)
            && !has_capitals_alone(text, &name)
            && (previous == 0 || name.given || name.surname)
            && name.is_well_formed(text)
        {
            let known = name.given || name.surname;
            return name.found(if known { 80 } else { 64 }, known);
        }
        line_end = line_start;
    }
    None
}

/// `Mrs Kathrin Wood`, `Prof. Dr. med. Weber`.
fn titled(text: &str, cue: CueAt) -> Option<Match> {
    let title = text.get(cue.start..cue.end)?;
    let letters = || title.chars().filter(|c| c.is_alphabetic());
    let small = title.starts_with("c/o") || title.starts_with("z.");
    if !small && !title.starts_with(char::is_uppercase) {
        return None;
    }
    let at = skip_titles(text, skip_blank(text, cue.end));
    let first = word_at(text, at)?;
    // `MS Windows`, `DR Congo`: a title in capitals belongs before a name in capitals.
    if letters().count() > 1 && letters().all(char::is_uppercase) && !title.contains('.') && !first.is_shouted() {
        return None;
    }
    // `12 Elm Dr Springfield`: the short word for a drive.
    if title.starts_with("Dr ")
        && word_before(text, skip_blank_back(text, cue.start)).is_some_and(|word| word.is_capital())
    {
        return None;
    }
    let name = read(text, at, false)?;
    if name.goes_on && name.words < 2 && name.parts < 2 && !title.contains('.') && is_ordinary(first.text) {
        return None;
    }
    if name.is_well_formed(text) {
        return name.found(88, true);
    }
    name.found(if name.surname || name.given { 80 } else { 74 }, false)
}

/// Behind quotes, stars and spaces.
fn skip_marks(text: &str, from: usize) -> usize {
    let marks = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'"' | b'*' | b'_' | b'\'');
    from + text.as_bytes()[from..].iter().take(40).take_while(marks).count()
}

/// Behind spaces and up to three ends of lines.
fn skip_lines(text: &str, from: usize) -> usize {
    let mut at = from;
    let mut lines = 0;
    while at < text.len() && at < from + 40 {
        match text.as_bytes()[at] {
            b' ' | b'\t' | b'\r' | b'>' => {}
            b'\n' if lines < 3 => lines += 1,
            _ => break,
        }
        at += 1;
    }
    at
}

/// Behind up to four titles.
fn skip_titles(text: &str, from: usize) -> usize {
    const TITLES: [&str; 24] = [
        "Mr", "Mrs", "Ms", "Mx", "Dr", "Prof", "Herr", "Herrn", "Frau", "Mme", "Mlle", "Sr", "Sra", "Srta", "Sir",
        "Lord", "Rev", "med", "phil", "rer", "nat", "jur", "Ing", "Dipl",
    ];
    let mut at = from;
    for _ in 0..4 {
        let Some(word) = word_at(text, at).filter(|word| TITLES.contains(&word.text)) else { break };
        let dot = usize::from(text.as_bytes().get(word.end) == Some(&b'.'));
        let next = skip_blank(text, word.end + dot);
        if next == word.end {
            break;
        }
        at = next;
    }
    at
}

/// `file name:`, `Company Name:`: the label of something else.
fn is_name_of_thing(text: &str, at: usize) -> bool {
    const THINGS: [&str; 44] = [
        "user",
        "file",
        "host",
        "domain",
        "company",
        "product",
        "brand",
        "class",
        "table",
        "column",
        "field",
        "event",
        "project",
        "bank",
        "branch",
        "hotel",
        "school",
        "business",
        "trade",
        "package",
        "server",
        "database",
        "group",
        "team",
        "street",
        "city",
        "place",
        "pet",
        "song",
        "album",
        "film",
        "movie",
        "book",
        "device",
        "image",
        "model",
        "type",
        "function",
        "variable",
        "method",
        "organization",
        "organisation",
        "institution",
        "code",
    ];
    let bytes = text.as_bytes();
    let end = if at > 0 && matches!(bytes[at - 1], b' ' | b'_' | b'-') { at - 1 } else { at };
    word_before(text, end).is_some_and(|word| super::given::with_small(word.text, |word| THINGS.contains(&word)))
}

/// The name that stands before a mail address in angle brackets, as in `"Doe, Jane" <jane@example.org>`.
pub(super) fn of_mail(text: &str, start: usize, end: usize) -> Option<Match> {
    let bytes = text.as_bytes();
    let bracket = start.checked_sub(1).filter(|at| matches!(bytes[*at], b'<' | b'[' | b'('))?;
    if bytes.get(end).is_none_or(|byte| !matches!(byte, b'>' | b']' | b')')) {
        return None;
    }
    let quoted = skip_blank_back(text, bracket);
    let quote = matches!(bytes[..quoted].last(), Some(b'"' | b'\''));
    let until = quoted - usize::from(quote);
    let mut from = until.saturating_sub(BEFORE_MAIL);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let ends = |c: char| c.is_control() || "<>:;\"@()[]{}|=/".contains(c) || c == ',' && !quote || c.is_ascii_digit();
    let from = text[from..until].rfind(ends).map_or(from, |place| from + place);
    let from = from + text[from..until].chars().take_while(|c| !c.is_alphabetic()).map(char::len_utf8).sum::<usize>();
    // In running text the name is what has capitals; behind a label it is all that stands there.
    let from = first_of_name(text, from, until);
    let name = read(text, skip_titles(text, from), true).filter(|name| name.end == until && bracket <= until + 3)?;
    match (name.is_well_formed(text), name.given || name.surname) {
        (true, true) => name.found(92, true),
        (true, false) => name.found(82, true),
        (false, true) => name.found(75, false),
        _ => None,
    }
}

/// The last run of words that can be a name in `from..until`.
fn first_of_name(text: &str, from: usize, until: usize) -> usize {
    let mut at = until;
    let mut first = until;
    while at > from {
        let end = at;
        let Some(word) = word_before(text, end).filter(|word| word.start >= from) else { break };
        if !(word.is_capital() || is_caseless(&word) || joins_names(word.text)) || is_ordinary(word.text) {
            break;
        }
        if !joins_names(word.text) {
            first = word.start;
        }
        let mut before = skip_blank_back(text, word.start);
        if text[from..before.max(from)].ends_with(['.', ',']) {
            before -= 1;
        }
        if before == word.start {
            break;
        }
        at = before;
    }
    first
}

/// Adds names that begin with a known given name: `Given Surname`, `Given M. Surname`, `Given van Surname`.
pub(super) fn bare(text: &str, matches: &mut Vec<Match>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        // The first bytes of Latin, Greek and Cyrillic capitals.
        if !(byte.is_ascii_uppercase() || matches!(byte, 0xc3..=0xd5)) {
            at += 1;
            continue;
        }
        if at > 0
            && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] >= 0x80 || bytes[at - 1] == b'_')
            && !is_free_before(text, at)
        {
            at += 1;
            continue;
        }
        let Some(word) = word_at(text, at) else {
            at += 1;
            continue;
        };
        let next = word.end.max(at + 1);
        if bytes.get(next) != Some(&b' ') || !word.is_name_like() || !is_given(word.text) {
            at = next;
            continue;
        }
        match known_name(text, word) {
            Some((found, end)) => {
                matches.push(found);
                at = end;
            }
            None => at = next,
        }
    }
}

/// The name whose first word is the given name `first`.
fn known_name(text: &str, first: Word<'_>) -> Option<(Match, usize)> {
    let name = read(text, first.start, false)?;
    if !(2..=4).contains(&name.words) || name.goes_on || number_follows(text, name.end) {
        return None;
    }
    let last = word_before(text, name.end)?;
    let shouted = last.is_shouted();
    // `Henry VIII`, `Martin MD`; names in capitals are so throughout.
    if shouted != first.is_shouted() || last.text.len() < 3 && !name.surname {
        return None;
    }
    // `Hilton Jordan Peters`: in the middle of another name, unless all of this one is known.
    let before = word_before(text, skip_blank_back(text, first.start));
    // `Santa Maria Novella`, `Lake Charles Dam`: a place.
    let of_place = ["San", "Santa", "Santo", "Sant", "Saint", "St", "São", "Mount", "Lake", "Fort", "Port", "Cape"];
    if before.is_some_and(|word| of_place.contains(&word.text)) {
        return None;
    }
    let inside = before.is_some_and(|word| word.is_name_like() && !is_ordinary(word.text));
    if inside && !name.surname {
        return None;
    }
    if !name.is_well_formed(text) {
        return None;
    }
    Some((name.found(if name.surname { 70 } else { 62 }, name.surname)?, name.end))
}
