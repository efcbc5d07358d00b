//! One pass over the text for every literal that means something: words beside values, marks of secrets.

use crate::ScreeningError;
use crate::identity;
use crate::matching::{Context, Match};
use crate::person::{self, Cue, CueAt};
use crate::secrets::assignment::{self, Announced, KEY_WORDS, PASSWORD_WORDS};
use crate::secrets::{self, Rule, entropy, urls};
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};
use regex::bytes::Regex;
use std::collections::BTreeMap;

/// Words that announce telephone numbers.
const PHONE: &[&str] = &[
    "phone",
    "telephone",
    "tel",
    "mobile",
    "cell",
    "cellphone",
    "fax",
    "call",
    "calling",
    "dial",
    "sms",
    "text",
    "whatsapp",
    "hotline",
    "answering",
    "messages",
    "message",
    "desk",
    "office",
    "landline",
    "contact",
    "contacts",
    "gsm",
    "msisdn",
    "reach",
    "handy",
    "telefon",
    "telefonnummer",
    "mobil",
    "téléphone",
    "portable",
    "teléfono",
    "telefono",
    "móvil",
    "movil",
    "celular",
    "cellulare",
    "telefone",
    "telemóvel",
    "telefoon",
    "puhelin",
    "телефон",
    "τηλέφωνο",
    "電話",
    "电话",
    "手机",
    "携帯",
    "전화",
    "هاتف",
    "טלפון",
    "numara",
    "cep",
    "viber",
    "signal",
    "hotline",
];
const CARD: &[&str] = &[
    "card",
    "cards",
    "credit",
    "debit",
    "visa",
    "mastercard",
    "amex",
    "carte",
    "karte",
    "tarjeta",
    "cartão",
    "carta",
    "cc",
];
const HASH: &[&str] = &[
    "hash", "hashes", "hashed", "md5", "sha1", "sha-1", "sha256", "sha512", "sha", "ntlm", "lm", "digest", "password",
    "passwd", "pwd",
];
const ROUTING: &[&str] = &["routing", "aba", "rtn", "transit", "fedwire"];
const MAC: &[&str] = &["mac address", "mac-address", "mac_address", "hardware address", "physical address", "hwaddr"];
const VERSION: &[&str] = &["version", "ver", "build", "release", "firmware"];

/// What one literal means; several things, for some.
#[derive(Clone, Default)]
struct Meaning {
    context: Context,
    rules: Vec<u16>,
    announces: Option<Announced>,
    url: bool,
    /// Must stand as a word of its own.
    whole_word: bool,
}

struct Compiled {
    rule: &'static Rule,
    pattern: Regex,
}

/// The compiled tables.
pub(crate) struct Lexicon {
    automaton: AhoCorasick,
    meanings: Vec<Meaning>,
    rules: Vec<Compiled>,
    announcing: AhoCorasick,
    cues: Vec<Vec<Cue>>,
}

/// A word that announces something, with where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Announcement {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) context: Context,
}

impl Lexicon {
    pub(crate) fn compile() -> Result<Self, ScreeningError> {
        let mut meanings: BTreeMap<String, Meaning> = BTreeMap::new();
        let mut words = |list: &[&str], context: Context| {
            for word in list {
                let meaning = meanings.entry((*word).to_owned()).or_default();
                meaning.context = meaning.context.and(context);
                meaning.whole_word = true;
            }
        };
        words(PHONE, Context::PHONE);
        words(CARD, Context::CARD);
        words(HASH, Context::HASH);
        words(ROUTING, Context::ROUTING);
        words(VERSION, Context::VERSION);
        words(MAC, Context::MAC);
        for (index, spec) in identity::specs().enumerate() {
            words(spec.words, Context::identity(index));
        }
        for (list, announced) in [(PASSWORD_WORDS, Announced::Password), (KEY_WORDS, Announced::Key)] {
            for word in list {
                meanings.entry((*word).to_owned()).or_default().announces = Some(announced);
            }
        }
        meanings.entry("://".to_owned()).or_default().url = true;
        let mut rules = Vec::new();
        for rule in secrets::rules() {
            let pattern = Regex::new(rule.pattern).map_err(|_| ScreeningError::Table { rule: rule.kind.id() })?;
            for literal in rule.literals {
                meanings.entry((*literal).to_owned()).or_default().rules.push(rules.len() as u16);
            }
            rules.push(Compiled { rule, pattern });
        }
        let automaton = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build(meanings.keys())
            .map_err(|_| ScreeningError::Table { rule: "literals" })?;
        let mut cues: BTreeMap<String, Vec<Cue>> = BTreeMap::new();
        for (word, cue) in person::cues::all() {
            let cues = cues.entry(word).or_default();
            if !cues.contains(&cue) {
                cues.push(cue);
            }
        }
        let announcing = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build(cues.keys())
            .map_err(|_| ScreeningError::Table { rule: "cues" })?;
        let cues = cues.into_values().collect();
        Ok(Self { automaton, meanings: meanings.into_values().collect(), rules, announcing, cues })
    }

    /// Finds what announces names and addresses, in order of its end. These words are short and frequent, so they have an
    /// automaton of their own, which texts without capitals never meet.
    pub(crate) fn read_cues(&self, text: &[u8], cues: &mut Vec<CueAt>) {
        for hit in self.announcing.find_overlapping_iter(text) {
            let (start, end) = (hit.start(), hit.end());
            let (free_before, free_behind) = edges(text, start, end);
            let stands = |cue: &&Cue| (free_before || !cue.begins_word()) && (free_behind || !cue.ends_word());
            let here = self.cues[hit.pattern().as_usize()].iter().filter(stands);
            cues.extend(here.map(|cue| CueAt { start, end, cue: *cue }));
        }
    }

    /// Finds announcements and secrets in one pass; both lists are appended to, announcements in order of their end.
    pub(crate) fn read(&self, text: &[u8], announcements: &mut Vec<Announcement>, matches: &mut Vec<Match>) {
        for hit in self.automaton.find_overlapping_iter(text) {
            let (start, end) = (hit.start(), hit.end());
            let meaning = &self.meanings[hit.pattern().as_usize()];
            if meaning.context != Context::default() && (!meaning.whole_word || is_whole_word(text, start, end)) {
                announcements.push(Announcement { start, end, context: meaning.context });
            }
            if meaning.url
                && let Some(found) = urls::at(text, start)
            {
                matches.push(found);
            }
            if let Some(announced) = meaning.announces
                && let Some(found) = assignment::value_of(text, start..end, announced)
            {
                matches.push(found);
            }
            for rule in &meaning.rules {
                if let Some(found) = self.rules[usize::from(*rule)].at(text, start) {
                    matches.push(found);
                }
            }
        }
    }

    /// What the words of a heading announce, such as a column's name.
    pub(crate) fn context_of(&self, heading: &str) -> Context {
        let spaced = spaced(heading);
        let text = spaced.as_bytes();
        let hits = self.automaton.find_overlapping_iter(text).filter(|hit| is_whole_word(text, hit.start(), hit.end()));
        hits.fold(Context::default(), |context, hit| context.and(self.meanings[hit.pattern().as_usize()].context))
    }
}

/// `phoneNumber`, `phone_number` and `phone-number` as words.
fn spaced(heading: &str) -> String {
    let mut spaced = String::with_capacity(heading.len() + 8);
    let mut lower = false;
    for character in heading.chars() {
        if lower && character.is_uppercase() {
            spaced.push(' ');
        }
        lower = character.is_lowercase() || character.is_ascii_digit();
        spaced.push(if matches!(character, '_' | '.' | '/') { ' ' } else { character });
    }
    spaced
}

/// Whether letters and digits end before `start` and begin behind `end`.
fn edges(text: &[u8], start: usize, end: usize) -> (bool, bool) {
    let in_word = |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80 || byte == b'_';
    let before =
        start.checked_sub(1).is_none_or(|at| !in_word(text[at]) || at > 0 && text[at - 1..=at] == [0xc2, 0xa0]);
    // A mark at the end of the literal is a boundary itself.
    let behind = text.get(end).is_none_or(|byte| !in_word(*byte) || *byte == 0xc2) || !in_word(text[end - 1]);
    (before, behind)
}

fn is_whole_word(text: &[u8], start: usize, end: usize) -> bool {
    // Scripts without spaces between words have no boundary to look for.
    if text[start] >= 0xe0 {
        return true;
    }
    let camel = |left: u8, right: u8| left.is_ascii_lowercase() && right.is_ascii_uppercase();
    let before = start
        .checked_sub(1)
        .is_none_or(|at| !(text[at].is_ascii_alphabetic() || text[at] >= 0x80) || camel(text[at], text[start]));
    let after =
        text.get(end).is_none_or(|byte| !(byte.is_ascii_alphabetic() || *byte >= 0x80) || camel(text[end - 1], *byte));
    before && after
}

impl Compiled {
    fn at(&self, text: &[u8], literal: usize) -> Option<Match> {
        let rule = self.rule;
        let from = if rule.behind == 0 {
            let glued =
                literal > 0 && text[literal - 1].is_ascii_alphanumeric() && text[literal].is_ascii_alphanumeric();
            // Rules that begin with a name accept what stands before it (`MY_HEROKU_KEY`), marks do not.
            if glued && rule.confidence >= 90 && rule.kind.category() == crate::Category::Credential {
                return None;
            }
            literal
        } else {
            literal.saturating_sub(rule.behind)
        };
        let near = rule.behind + rule.reach;
        let window = &text[from..text.len().min(from + near)];
        let captures = self.pattern.captures(window)?;
        let value = captures.get(1).or_else(|| captures.get(0))?;
        let start = from + value.start();
        let end = rule.closing.map_or(from + value.end(), |closing| armour_end(text, from + value.end(), closing));
        let bytes = &text[start..end];
        if rule.entropy > 0.0 && entropy(&bytes[..bytes.len().min(512)]) < rule.entropy {
            return None;
        }
        let agreed = rule.checksum.is_some_and(|checksum| checksum(bytes));
        let confidence = match rule.checksum {
            None => rule.confidence,
            Some(_) if agreed => 99,
            Some(_) => rule.confidence.min(80),
        };
        let validated = agreed || rule.checksum.is_none() && rule.confidence >= 90;
        Some(Match { kind: rule.kind, start, end, confidence, validated })
    }
}

/// Where an armoured key that began before `from` ends: with the line of its closing mark, or, when that is missing
/// or another key begins before it, with the last line that may belong to it.
fn armour_end(text: &[u8], from: usize, closing: &str) -> usize {
    /// The longest armoured keys, with subkeys and photographs.
    const LONGEST: usize = 64_000;
    let rest = &text[from..text.len().min(from + LONGEST)];
    let next = memchr::memmem::find(rest, b"-----BEGIN ").unwrap_or(rest.len());
    if let Some(mark) = memchr::memmem::find(&rest[..next], closing.as_bytes()) {
        let line = rest[mark..].iter().position(|byte| *byte == b'\n').unwrap_or(rest.len() - mark);
        // In one line of JSON or a script the value goes on behind the key.
        let line = &rest[mark..mark + line.min(100)];
        let end = memchr::memmem::rfind(line, b"----").map_or(line.len(), |dashes| dashes + 4);
        let mut end = from + mark + if closing.starts_with('-') { end } else { line.len() };
        // Never inside a character.
        while text.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
            end -= 1;
        }
        return end;
    }
    let body = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+/=\r\n\\ ".contains(byte)).count();
    from + body
}

#[cfg(test)]
mod tests {
    use super::{Lexicon, spaced};
    use crate::matching::Context;

    #[test]
    fn headings_announce() {
        let lexicon = Lexicon::compile().unwrap();
        for heading in ["phone", "phoneNumber", "MOBILE_NO", "user.telephone", "Téléphone"] {
            assert!(lexicon.context_of(heading).has(Context::PHONE), "{heading}");
        }
        assert_eq!(lexicon.context_of("remark"), Context::default());
        assert_eq!(spaced("userPhoneNo_2"), "user Phone No 2");
    }
}
