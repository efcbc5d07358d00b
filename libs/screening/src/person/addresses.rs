//! Postal addresses: a street with its number, and what follows it.

use super::CueAt;
use super::cues::Cue;
use super::ordinary::{is_month, is_ordinary, is_particle};
use super::postal::{self, Area};
use super::tail::{self, Evidence};
use super::words::{is_free_at, is_free_before, skip_blank, skip_blank_back, word_at, word_before};
use crate::Kind;
use crate::matching::Match;

/// Most words of a street's name.
const WORDS: usize = 6;

/// A street with its number.
#[derive(Clone, Copy, Debug)]
struct Street {
    start: usize,
    end: usize,
    area: Area,
    /// Its word means something else as often, so that a flat or a code must follow.
    weak: bool,
}

/// The address that the word of `cue` belongs to.
pub(super) fn at(text: &str, cue: CueAt) -> Option<Match> {
    let street = match cue.cue {
        Cue::Behind(Area::English) => numbered_before(text, cue)?,
        Cue::Behind(area) => named_before(text, cue, area)?,
        Cue::Before(area) => named_behind(text, cue, area)?,
        Cue::Compound(area) => compound(text, cue, area)?,
        Cue::Box => return post_box(text, cue),
        Cue::Military => return military(text, cue),
        Cue::Unit => return before_unit(text, cue),
        Cue::Residence => return residence(text, cue),
        _ => return None,
    };
    let tail = tail::read(text, street.end, street.area);
    if street.weak && tail.evidence == Evidence::Nothing {
        return None;
    }
    let (confidence, validated) = match tail.evidence {
        Evidence::Code => (90, true),
        Evidence::SomeCode | Evidence::Unit => (74, false),
        Evidence::Nothing => (64, false),
    };
    found(street.start, tail.end, confidence, validated)
}

#[expect(clippy::unnecessary_wraps, reason = "each reader ends with it and answers an option")]
fn found(start: usize, end: usize, confidence: u8, validated: bool) -> Option<Match> {
    Some(Match { kind: Kind::POSTAL_ADDRESS, start, end, confidence, validated })
}

/// The first byte of a house number that ends at `end`: `221B`, `12-14`, `3/45`.
fn number_before(text: &str, end: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let letter = usize::from(end >= 2 && bytes[end - 1].is_ascii_alphabetic() && bytes[end - 2].is_ascii_digit());
    let mut start = end - letter;
    while start > 0 && end - start < 12 {
        let joins = matches!(bytes[start - 1], b'-' | b'/')
            && start >= 2
            && bytes[start - 2].is_ascii_digit()
            && bytes.get(start).is_some_and(u8::is_ascii_digit);
        if !bytes[start - 1].is_ascii_digit() && !joins {
            break;
        }
        start -= 1;
    }
    let digits = bytes[start..end].iter().filter(|byte| byte.is_ascii_digit()).count();
    let free = is_free_before(text, start);
    // `3.24 Clarke Road` and `$24` are amounts.
    let amount = start > 0 && matches!(bytes[start - 1], b'.' | b',' | b'$' | b'-' | b':' | b'/' | b'%')
        || text[..start].ends_with(['€', '£', '¥']);
    ((1..=8).contains(&digits) && free && !amount).then_some(start)
}

/// One past the last byte of a house number at `at`.
fn number_at(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let digits_at =
        |at: usize| bytes.get(at..).map_or(0, |rest| rest.iter().take(6).take_while(|b| b.is_ascii_digit()).count());
    let digits = digits_at(at);
    if !(1..=5).contains(&digits) {
        return None;
    }
    let mut end = at + digits;
    if matches!(bytes.get(end), Some(b'-' | b'/')) && (1..=5).contains(&digits_at(end + 1)) {
        end += 1 + digits_at(end + 1);
    }
    let letter = usize::from(bytes.get(end) == Some(&b' '));
    if bytes.get(end + letter).is_some_and(u8::is_ascii_alphabetic) && is_free_at(text, end + letter + 1) {
        // `12a`, `12 A`; a small letter behind a space begins a word (`12 a year`).
        if letter == 0 || bytes[end + letter].is_ascii_uppercase() && bytes[end + letter] != b'I' {
            end += letter + 1;
        }
    }
    let amount = matches!(bytes.get(end), Some(b'.' | b',' | b':' | b'-' | b'/'))
        && bytes.get(end + 1).is_some_and(u8::is_ascii_digit)
        || matches!(bytes.get(end), Some(b'%'));
    (is_free_at(text, end) && !amount).then_some(end)
}

/// `1998`: more often a year than a house.
fn is_year(number: &str) -> bool {
    number.len() == 4 && (number.starts_with('1') && number >= "1500" || number.starts_with("20"))
}

/// `1600 Pennsylvania Avenue`, `5 West 42nd St`: from the number to the word of `cue`.
fn numbered_before(text: &str, cue: CueAt) -> Option<Street> {
    if !text.as_bytes()[cue.start].is_ascii_uppercase() {
        return None;
    }
    let mut at = skip_blank_back(text, cue.start);
    if at == cue.start {
        return None;
    }
    let mut words = 0;
    let start = loop {
        let Some(word) = word_before(text, at) else {
            // `42 St. Georges Road`: the dot of an abbreviation.
            if words > 0 && text[..at].ends_with('.') && word_before(text, at - 1).is_some_and(|word| word.is_capital())
            {
                at -= 1;
                continue;
            }
            break number_before(text, at).filter(|_| words > 0)?;
        };
        words += 1;
        let digits_before = text[..word.start].ends_with(|c: char| c.is_ascii_digit());
        if digits_before && matches!(word.text, "st" | "nd" | "rd" | "th") {
            let digits = text[..word.start].bytes().rev().take(4).take_while(u8::is_ascii_digit).count();
            at = skip_blank_back(text, word.start - digits);
            continue;
        }
        if digits_before {
            break number_before(text, word.end).filter(|_| words > 1)?;
        }
        let known = word.is_capital() && !is_month(word.text) || is_particle(word.text);
        if !known || words > WORDS {
            return None;
        }
        at = skip_blank_back(text, word.start);
        if at == word.start {
            return None;
        }
    };
    let first = text[start..].split([' ', '\u{a0}']).next().unwrap_or_default();
    let dot = usize::from(text[cue.end..].starts_with('.') && text[cue.end..].starts_with(". "));
    let word = &text[cue.start..cue.end];
    let unsure = ["way", "row", "hill", "rise", "close", "walk", "creek", "trail", "court", "place", "circle"];
    let weak = is_year(first) || super::given::with_small(word, |word| unsure.contains(&word)) && first.len() < 2;
    Some(Street { start, end: cue.end + if word.len() <= 4 { dot } else { 0 }, area: Area::English, weak })
}

/// `Rákóczi út 13`: words, the word of `cue`, the number.
fn named_before(text: &str, cue: CueAt, area: Area) -> Option<Street> {
    let end = number_at(text, skip_blank(text, cue.end))?;
    let start = capitals_before(text, cue.start, 3)?;
    Some(Street { start, end, area, weak: false })
}

/// The first of one to `most` words with capitals that stand directly before `at`.
fn capitals_before(text: &str, at: usize, most: usize) -> Option<usize> {
    let mut start = None;
    let mut at = at;
    for _ in 0..most {
        let end = skip_blank_back(text, at);
        let Some(word) = (end < at).then(|| word_before(text, end)).flatten() else { break };
        if !word.is_name_like() || is_ordinary(word.text) || !is_free_before(text, word.start) {
            break;
        }
        start = Some(word.start);
        at = word.start;
    }
    start
}

/// The end of a street's name that begins at `at`: words with capitals, and particles between them.
fn name_behind(text: &str, at: usize) -> Option<usize> {
    let mut end = None;
    let mut at = at;
    for _ in 0..WORDS {
        let next = skip_blank(text, at);
        let Some(word) = word_at(text, next) else { break };
        if word.is_capital() || ["d'", "l'", "d’", "l’"].iter().any(|elided| word.text.starts_with(elided)) {
            end = Some(word.end);
        } else if !is_particle(word.text) {
            break;
        }
        at = word.end + usize::from(text.as_bytes().get(word.end) == Some(&b'.'));
    }
    end
}

/// `12 rue de la Paix`, `Calle Mayor 5`, `Via Roma, 10`.
fn named_behind(text: &str, cue: CueAt, area: Area) -> Option<Street> {
    let capital = text[cue.start..].chars().next().is_some_and(char::is_uppercase);
    let name = name_behind(text, cue.end).filter(|end| *end > cue.end)?;
    let before = skip_blank_back(text, cue.start);
    let before = if text[..before].ends_with(',') { before - 1 } else { before };
    let bis = word_before(text, before).filter(|word| matches!(word.text, "bis" | "ter" | "B" | "A"));
    let before = bis.map_or(before, |word| skip_blank_back(text, word.start));
    if before < cue.start
        && let Some(start) = number_before(text, before)
        && matches!(area, Area::French)
    {
        let weak = is_year(&text[start..before]);
        // A second number behind the name belongs to it.
        let end = number_at(text, skip_blank(text, name)).unwrap_or(name);
        return Some(Street { start, end, area, weak });
    }
    // Polish writes `ul.` small.
    if !capital && area != Area::Polish {
        return None;
    }
    let comma = text[name..].starts_with(", ");
    let mut number = skip_blank(text, name + usize::from(comma));
    for sign in ["n°", "nº", "n.", "No.", "N°", "Nº"] {
        number = skip_blank(text, number + if text[number..].starts_with(sign) { sign.len() } else { 0 });
    }
    let end = number_at(text, number)?;
    // `Via Roma, 10115 …` would be a code, and `Place Vendôme, 1998` a year.
    let weak = is_year(&text[number..end]) || end - number > 4;
    Some(Street { start: cue.start, end, area, weak })
}

/// `Hauptstraße 12`, `Passauer Straße 33`, `Karl Johans gate 5`.
fn compound(text: &str, cue: CueAt, area: Area) -> Option<Street> {
    const UNSURE: [&str; 22] = [
        "ring",
        "damm",
        "hof",
        "markt",
        "graben",
        "winkel",
        "steig",
        "promenade",
        "ranta",
        "tori",
        "tie",
        "vei",
        "vej",
        "kade",
        "dijk",
        "gate",
        "allé",
        "ufer",
        "plads",
        "steeg",
        "stieg",
        "braut",
    ];
    let number = skip_blank(text, cue.end);
    let end = number_at(text, number).filter(|_| number > cue.end)?;
    let type_end = cue.end - usize::from(text[..cue.end].ends_with('.'));
    let word = word_before(text, type_end)?;
    let small = text[cue.start..].chars().next().is_some_and(char::is_lowercase);
    let alone = word.start == cue.start;
    let start = if alone {
        if small && matches!(area, Area::German | Area::Dutch | Area::Finnish) {
            return None;
        }
        if !small && matches!(area, Area::Scandinavian | Area::Finnish) {
            return None;
        }
        capitals_before(text, cue.start, 3)?
    } else {
        word.start
    };
    if !text[start..].chars().next().is_some_and(char::is_uppercase) || !is_free_before(text, start) {
        return None;
    }
    let unsure = super::given::with_small(&text[cue.start..type_end], |word| UNSURE.contains(&word));
    Some(Street { start, end, area, weak: unsure || is_year(&text[number..end]) })
}

/// `PO Box 123` with the town and code behind it.
fn post_box(text: &str, cue: CueAt) -> Option<Match> {
    let number = skip_blank(text, cue.end);
    let end = number_at(text, number).filter(|_| number > cue.end)?;
    let areas = [Area::English, Area::German, Area::Dutch, Area::French, Area::Spanish, Area::Portuguese];
    let tail = areas.into_iter().map(|area| tail::read(text, end, area)).max_by_key(|tail| tail.evidence)?;
    let validated = tail.evidence == Evidence::Code;
    found(cue.start, tail.end, if validated { 88 } else { 70 }, validated)
}

/// `PSC 3294, Box 9168, APO AA 61487`, `USNV Young, FPO AE 34233`.
fn military(text: &str, cue: CueAt) -> Option<Match> {
    let end = postal::military(text, skip_blank(text, cue.end))?;
    let mut from = cue.start.saturating_sub(40);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let before = &text[from..cue.start];
    let start = ["PSC ", "Unit ", "CMR ", "USNS ", "USS ", "USCGC ", "USNV "]
        .iter()
        .filter_map(|mark| before.rfind(mark))
        .max();
    found(start.map_or(cue.start, |place| from + place), end, 90, true)
}

/// `1593 Pagari 18 Suite 932`: a street without a word for it, known by what stands behind it.
fn before_unit(text: &str, cue: CueAt) -> Option<Match> {
    let mut at = cue.start;
    let mut lines = 0;
    while at > 0 && cue.start - at < 12 {
        match text.as_bytes()[at - 1] {
            b' ' | b'\t' | b',' | b'\r' | b'>' | b'?' => {}
            b'\n' if lines == 0 => lines += 1,
            b'.' if at >= 2 && text.as_bytes()[at - 2].is_ascii_digit() => {}
            _ => break,
        }
        at -= 1;
    }
    let number = number_before(text, at).filter(|_| at < cue.start)?;
    let start = capitals_before(text, number, 4)?;
    let house = skip_blank_back(text, start);
    let start = if house < start { number_before(text, house).unwrap_or(start) } else { start };
    let tail = tail::read(text, at, Area::Other);
    if tail.evidence == Evidence::Nothing {
        return None;
    }
    found(start, tail.end, if tail.evidence == Evidence::Code { 86 } else { 68 }, tail.evidence == Evidence::Code)
}

/// What follows `Address:` or `lives at`: a name with a number, whatever the street is called.
fn residence(text: &str, cue: CueAt) -> Option<Match> {
    let mut start = cue.end;
    let mut lines = 0;
    while start < text.len() && start < cue.end + 24 {
        match text.as_bytes()[start] {
            b' ' | b'\t' | b'\r' => {}
            b'\n' if lines < 2 => lines += 1,
            _ => break,
        }
        start += 1;
    }
    let first = number_at(text, start);
    let second = first.and_then(|end| number_at(text, skip_blank(text, end)));
    let before = second.or(first);
    let name = skip_blank(text, before.unwrap_or(start));
    let name_end = name_behind(text, name)?;
    let number = skip_blank(text, name_end);
    let behind = number_at(text, number).filter(|_| number > name_end);
    let shouted = word_at(text, name).is_none_or(|word| word.is_shouted() || is_month(word.text));
    let end = match (before, behind) {
        (_, Some(end)) if !is_year(&text[number..end]) || before.is_some() => end,
        (Some(_), None) if !shouted && ends_phrase(text, name_end) => name_end,
        _ => return None,
    };
    let areas = [Area::English, Area::German, Area::Dutch, Area::Spanish, Area::Portuguese, Area::Polish];
    let tail = areas.into_iter().map(|area| tail::read(text, end, area)).max_by_key(|tail| tail.evidence)?;
    let code = tail.evidence == Evidence::Code;
    found(start, tail.end, if code { 86 } else { 66 }, code)
}

/// True at the end of a line, a clause or the text.
fn ends_phrase(text: &str, at: usize) -> bool {
    text.as_bytes().get(at).is_none_or(|byte| matches!(byte, b',' | b'\n' | b'\r' | b'.' | b';'))
}
