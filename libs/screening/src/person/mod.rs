//! Names of persons and postal addresses in running text.
//!
//! Neither has a checksum, so both are found by what stands beside them: a title, a label, a greeting, a mail address;
//! a word for a street, a house number, a postal code. The lexicon finds these words ([`Cue`]) in one pass; here each is
//! read on from its place, forwards and backwards, over a bounded number of words. Names without such a word are found
//! when they begin with a known given name ([`given`]). What is found once as a name of several words is looked for in
//! the whole text ([`repeats`]), so that masking hides it everywhere.
//!
//! Nothing here reads further than a few hundred bytes from a cue, so time is linear in the length of the text.

mod addresses;
pub(crate) mod cues;
mod given;
mod names;
mod ordinary;
mod postal;
mod repeats;
mod tail;
mod words;

pub(crate) use cues::Cue;

use crate::matching::Match;

/// A word that announces a name or belongs to an address, with where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CueAt {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) cue: Cue,
}

/// Builds the tables that scanners share.
pub(crate) fn prepare() {
    given::prepare();
}

/// False for texts that can hold neither: without a capital letter (of ASCII, or any letter beyond), or in one word.
pub(crate) fn may_be_in(text: &[u8]) -> bool {
    text.iter().any(|byte| byte.is_ascii_uppercase() || *byte >= 0x80)
        && text.iter().any(|byte| matches!(byte, b' ' | b'\n' | b'\t' | b':' | b'<' | 0xa0))
}

/// Adds names and addresses to `matches`, which hold the e-mail addresses of the text by now.
pub(crate) fn read(text: &str, cues: &[CueAt], matches: &mut Vec<Match>) {
    let mails = matches.iter().filter(|found| found.kind == crate::Kind::EMAIL);
    let of_mails: Vec<Match> = mails.filter_map(|mail| names::of_mail(text, mail.start, mail.end)).collect();
    matches.extend(of_mails);
    for cue in cues {
        if !cue.cue.is_of_place() {
            matches.extend(names::beside(text, *cue));
            continue;
        }
        if cue.cue == Cue::Residence {
            matches.extend(names::before(text, *cue));
        }
        let address = addresses::at(text, *cue);
        matches.extend(address.and_then(|address| names::above(text, address.start)));
        matches.extend(address);
    }
    names::bare(text, matches);
    repeats::add(text, matches);
}
