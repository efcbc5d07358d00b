//! Names that were found once, wherever else they stand in the text.

use super::words::{is_free_at, is_free_before};
use crate::Kind;
use crate::matching::Match;
use aho_corasick::{AhoCorasick, MatchKind};
use std::collections::HashMap;

/// Names that are looked for in one text; the first ones, where there are more.
const NAMES: usize = 10_000;

/// Adds the other places of names that have two words or more.
pub(super) fn add(text: &str, matches: &mut Vec<Match>) {
    let mut names: HashMap<&str, (u8, bool)> = HashMap::new();
    for found in matches.iter().filter(|found| found.kind == Kind::PERSON_NAME && found.confidence >= 60) {
        let Some(name) = text.get(found.start..found.end) else { continue };
        // A text without room for a second place is not searched.
        if !name.contains(' ') || text.len() <= 2 * name.len() {
            continue;
        }
        if let Some(best) = names.get_mut(name) {
            *best = (*best).max((found.confidence, found.validated));
        } else if names.len() < NAMES {
            names.insert(name, (found.confidence, found.validated));
        }
    }
    if names.is_empty() {
        return;
    }
    let names: Vec<(&str, (u8, bool))> = names.into_iter().collect();
    let search = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::LeftmostLongest)
        .build(names.iter().map(|(name, _)| name));
    // Bounded as they are, names always fit.
    let Ok(search) = search else { return };
    for hit in search.find_iter(text) {
        let (start, end) = (hit.start(), hit.end());
        if is_free_before(text, start) && is_free_at(text, end) {
            let (confidence, validated) = names[hit.pattern().as_usize()].1;
            matches.push(Match { kind: Kind::PERSON_NAME, start, end, confidence, validated });
        }
    }
}
