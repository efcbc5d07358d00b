//! The pass over a text.
//!
//! Three readers look at the same bytes: the lexicon (literals), a search for `@`, and the walk here over words,
//! which groups digits and letters with their separators into candidates. Each candidate's form is one number, so
//! that a table answers which checks are worth doing.

use crate::chain::Chain;
use crate::contact::{email, phone};
use crate::detection::{Detection, WorkspaceKey};
use crate::financial::{card, iban, is_aba_routing};
use crate::identity::{self, Belief, Spec, compact_into, shape_of};
use crate::lexicon::{Announcement, Lexicon};
use crate::matching::{Context, Match, without_overlaps};
use crate::person::{self, CueAt};
use crate::secrets::wallets;
use crate::{Kind, Region, ScreeningError, network};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::OnceLock;

/// A word counts for values that begin within this many bytes behind it (or end this close before it).
const BEFORE: usize = 70;
const AFTER: usize = 24;
/// What to look for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Countries whose national telephone numbers are understood without their country code.
    pub regions: Vec<Region>,
    /// Detections below this confidence (percent) are left out.
    pub min_confidence: u8,
}

/// What is known about a text before it is read, such as the heading of its column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints(pub(crate) Context);

/// Finds personal data and credentials in texts, from any number of threads.
///
/// ```
/// use carrel_screening::{Kind, Options, Scanner, WorkspaceKey};
///
/// let scanner = Scanner::new(Options::default()).unwrap();
/// let key = WorkspaceKey::new([7; 32]);
/// let text = "Größe egal: write to ann@example.org, pay to DE89 3704 0044 0532 0130 00.";
/// let found = scanner.detect(text, &key);
/// assert_eq!(found.iter().map(|d| d.kind).collect::<Vec<_>>(), [Kind::EMAIL, Kind::IBAN]);
/// assert_eq!(found[0].span.slice(text), Some("ann@example.org"));
/// assert!(!format!("{found:?}").contains("ann@"));
/// ```
pub struct Scanner {
    tables: &'static Tables,
    options: Options,
}

/// What all scanners of a process share.
struct Tables {
    lexicon: Lexicon,
    forms: HashMap<u128, Vec<Form>, BuildHasherDefault<Mixing>>,
}

impl Tables {
    fn compile() -> Result<Self, ScreeningError> {
        phone::prepare()?;
        person::prepare();
        let mut forms: HashMap<u128, Vec<Form>, BuildHasherDefault<Mixing>> = HashMap::default();
        for (index, spec) in identity::specs().enumerate() {
            for form in spec.forms.split('|') {
                let shape = shape_of(form.as_bytes()).ok_or(ScreeningError::Table { rule: spec.kind.id() })?;
                let written = form.bytes().any(|byte| !byte.is_ascii_alphanumeric());
                forms.entry(shape).or_default().push(Form { spec, context: Context::identity(index), written });
            }
        }
        Ok(Self { lexicon: Lexicon::compile()?, forms })
    }

    /// Compiled by the first scanner.
    fn get() -> Result<&'static Self, ScreeningError> {
        static TABLES: OnceLock<Tables> = OnceLock::new();
        if let Some(tables) = TABLES.get() {
            return Ok(tables);
        }
        let tables = Self::compile()?;
        Ok(TABLES.get_or_init(|| tables))
    }
}

#[derive(Clone, Copy)]
struct Form {
    spec: &'static Spec,
    context: Context,
    /// Written with separators.
    written: bool,
}

/// Buffers for reuse from cell to cell.
#[derive(Default)]
pub(crate) struct Scratch {
    announcements: Vec<Announcement>,
    cues: Vec<CueAt>,
    pub(crate) matches: Vec<Match>,
}

impl Scanner {
    /// The first scanner of a process compiles the tables (some tenths of a second); the others share them.
    ///
    /// # Errors
    /// [`ScreeningError::Table`] and [`ScreeningError::NumberingPlans`] when a built-in table is damaged.
    pub fn new(options: Options) -> Result<Self, ScreeningError> {
        Ok(Self { tables: Tables::get()?, options })
    }

    /// What these options were.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What a heading says about the values below it.
    pub fn hints(&self, heading: &str) -> Hints {
        Hints(self.tables.lexicon.context_of(heading))
    }

    /// Hints that values of this kind are expected.
    pub fn expecting(&self, kind: Kind) -> Hints {
        let of_identity = identity::specs().enumerate().filter(|(_, spec)| spec.kind == kind);
        let mut context = of_identity.fold(Context::default(), |all, (index, _)| all.and(Context::identity(index)));
        for (other, bit) in [
            (Kind::PHONE, Context::PHONE),
            (Kind::CARD, Context::CARD),
            (Kind::ABA_ROUTING, Context::ROUTING),
            (Kind::MAC, Context::MAC),
        ] {
            if kind == other {
                context = context.and(bit);
            }
        }
        if kind.category() == crate::Category::PasswordHash {
            context = context.and(Context::HASH);
        }
        Hints(context)
    }

    /// Everything found in `text`, in order, without overlaps; spans count code points.
    pub fn detect(&self, text: &str, key: &WorkspaceKey) -> Vec<Detection> {
        self.detect_with(text, Hints::default(), key)
    }

    /// [`Scanner::detect`] with what is known beforehand.
    pub fn detect_with(&self, text: &str, hints: Hints, key: &WorkspaceKey) -> Vec<Detection> {
        let mut scratch = Scratch::default();
        self.scan(text, hints, &mut scratch);
        let mut counter = CodePoints { text: text.as_bytes(), byte: 0, count: 0 };
        scratch.matches.iter().map(|found| Detection::of(found, text, key, |byte| counter.at(byte))).collect()
    }

    /// Finds matches in bytes into `scratch.matches`.
    pub(crate) fn scan(&self, text: &str, hints: Hints, scratch: &mut Scratch) {
        let bytes = text.as_bytes();
        scratch.announcements.clear();
        scratch.cues.clear();
        scratch.matches.clear();
        for at in memchr::memchr_iter(b'@', bytes) {
            scratch.matches.extend(email::around(bytes, at));
        }
        // A cell that is one address has no room for anything else.
        if let [only] = scratch.matches[..]
            && (only.start, only.end) == (0, bytes.len())
            && only.confidence >= self.options.min_confidence
        {
            return;
        }
        // Numbers alone hold no literal.
        if bytes.iter().any(|byte| !byte.is_ascii_digit() && !matches!(byte, b' ' | b'.' | b'-' | b'+')) {
            let Scratch { announcements, cues, matches } = scratch;
            self.tables.lexicon.read(bytes, announcements, matches);
            if person::may_be_in(bytes) {
                self.tables.lexicon.read_cues(bytes, cues);
                person::read(text, cues, matches);
            }
        }
        let mut walk = Walk {
            scanner: self,
            text: bytes,
            hints: hints.0,
            announcements: &scratch.announcements,
            first: 0,
            matches: &mut scratch.matches,
        };
        walk.run();
        let least = self.options.min_confidence;
        scratch.matches.retain(|found| found.confidence >= least);
        without_overlaps(&mut scratch.matches);
    }
}

impl std::fmt::Debug for Scanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scanner").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Byte positions to code points, asked in rising order.
struct CodePoints<'t> {
    text: &'t [u8],
    byte: usize,
    count: u32,
}

impl CodePoints<'_> {
    fn at(&mut self, byte: usize) -> u32 {
        let between = self.text[self.byte..byte].iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        self.count += between as u32;
        self.byte = byte;
        self.count
    }
}

struct Walk<'w> {
    scanner: &'w Scanner,
    text: &'w [u8],
    hints: Context,
    announcements: &'w [Announcement],
    /// First announcement that may still be near.
    first: usize,
    matches: &'w mut Vec<Match>,
}

impl Walk<'_> {
    fn run(&mut self) {
        let mut at = 0;
        while at < self.text.len() {
            let byte = self.text[at];
            if byte.is_ascii_alphanumeric() {
                at = self.word(at);
            } else if byte == b':' && self.text.get(at + 1) == Some(&b':') {
                at = self.accept(network::ipv6_at(self.text, at)).unwrap_or(at + 2);
            } else if (byte == b'+' || byte == b'(')
                && self.text.get(at + 1).is_some_and(|next| next.is_ascii_digit() || matches!(next, b' ' | b'('))
            {
                let context = self.context(at, at + 16);
                at = self.accept(phone::at(self.text, at, context, &self.scanner.options.regions)).unwrap_or(at + 1);
            } else {
                at += 1;
            }
        }
    }

    fn accept(&mut self, found: Option<Match>) -> Option<usize> {
        let found = found?;
        self.matches.push(found);
        Some(found.end)
    }

    /// Looks at the word that begins at `start`; answers where to go on.
    fn word(&mut self, start: usize) -> usize {
        let text = self.text;
        let mut end = start;
        let mut digits = 0;
        while end < text.len() && text[end].is_ascii_alphanumeric() {
            digits += usize::from(text[end].is_ascii_digit());
            end += 1;
        }
        let length = end - start;
        let next = text.get(end).copied().unwrap_or(b' ');
        // Most words of most texts end here.
        if digits == 0 && !(length <= 4 && matches!(next, b':' | b'-' | b' ' | b'.')) && length < 25 {
            return end;
        }
        if next == b':'
            && length <= 4
            && let Some(end) = self.accept(network::mac_at(text, start).or_else(|| network::ipv6_at(text, start)))
        {
            return end;
        }
        if (length == 2 && next == b'-' || length == 4 && next == b'.')
            && let Some(end) = self.accept(network::mac_at(text, start))
        {
            return end;
        }
        if length == 2
            && next == b' '
            && self.context(start, end).has(Context::MAC)
            && let Some(end) = self.accept(network::spaced_mac_at(text, start))
        {
            return end;
        }
        if digits == length
            && length <= 3
            && next == b'.'
            && !self.context(start, end).has(Context::VERSION)
            && let Some(end) = self.accept(network::ipv4_at(text, start))
        {
            return end;
        }
        if wallets::LENGTHS.contains(&length) || length == 128 {
            let context = if length.is_multiple_of(8) { self.context(start, end) } else { self.hints };
            if let Some(end) = self.accept(wallets::word(text, start, end, context)) {
                return end;
            }
        }
        if length >= 4
            && text[start].is_ascii_alphabetic()
            && let Some(end) = self.accept(iban::at(text, start))
        {
            return end;
        }
        if length > Chain::LONGEST {
            return end;
        }
        if text[start].is_ascii_digit() || digits > 0 || length <= 6 { self.groups(start, end) } else { end }
    }

    /// Candidates of one to nine groups beginning at the word `start..end`.
    fn groups(&mut self, start: usize, end: usize) -> usize {
        let chain = Chain::read(self.text, start, end);
        let numeric = self.text[start].is_ascii_digit();
        let mut phone_found = None;
        // The chain of an identifier ends at the parenthesis of an area code.
        let opens = matches!(self.text.get(end..end + 3), Some([b'(', digit, _] | [b' ', b'(', digit]) if digit.is_ascii_digit());
        // The rest of a longer number that was nothing is no telephone.
        let is_rest =
            start >= 2 && matches!(self.text[start - 1], b'-' | b'.' | b'/') && self.text[start - 2].is_ascii_digit();
        if numeric && !is_rest && (chain.sizes[chain.count - 1] >= 6 || opens) {
            let context = self.context(start, chain.ends[chain.count - 1]);
            phone_found = phone::at(self.text, start, context, &self.scanner.options.regions);
        }
        for last in (0..chain.count).rev() {
            if let Some(found) = self.candidate(start, &chain, last) {
                // A number that is both: the one whose words stand beside it has the higher confidence.
                if let Some(number) = phone_found
                    && number.confidence > found.confidence
                {
                    return self.accept(Some(number)).unwrap_or(end);
                }
                return self.accept(Some(found)).unwrap_or(end);
            }
        }
        self.accept(phone_found).unwrap_or(end)
    }

    /// The value that groups 0 to `last` are.
    fn candidate(&mut self, start: usize, chain: &Chain, last: usize) -> Option<Match> {
        let end = chain.ends[last];
        let size = usize::from(chain.sizes[last]);
        if !(6..=19).contains(&size) {
            return None;
        }
        let is_card_like = chain.digits_only[last] && size >= 12;
        let forms = chain.shapes[last].and_then(|shape| self.scanner.tables.forms.get(&shape));
        let routing = chain.digits_only[last] && size == 9;
        if !is_card_like && forms.is_none() && !routing {
            return None;
        }
        let edges = self.edges(start, end);
        if edges == Edges::Inside {
            return None;
        }
        let mut compact = [0u8; 42];
        let length = compact_into(&self.text[start..end], &mut compact)?;
        let compact = &compact[..length];
        let context = self.context(start, end);
        let found = |kind, confidence| Some(Match { kind, start, end, confidence, validated: true });
        if is_card_like && card::is_card_grouping(&chain.lengths[..=last]) && card::is_card(compact) {
            let named = context.has(Context::CARD);
            // Short numbers of the widest ranges pass the sum by accident.
            let usual = size >= 15 || size == 14 && matches!(compact[0], b'3');
            let other = forms.into_iter().flatten().any(|form| context.has(form.context));
            if (named || usual || self.hints == Context::default()) && !other {
                return found(
                    Kind::CARD,
                    if named {
                        99
                    } else if usual {
                        95
                    } else {
                        60
                    },
                );
            }
        }
        let mut best: Option<Match> = None;
        for form in forms.into_iter().flatten() {
            let named = context.has(form.context);
            let believed = match form.spec.belief {
                Belief::Always => true,
                Belief::Written => form.written,
                Belief::Named => false,
            };
            let confidence = match (named, believed) {
                (true, _) => 97,
                (false, true) if edges == Edges::Clean => 80,
                _ => continue,
            };
            if best.is_some_and(|best| best.validated && best.confidence >= confidence) {
                continue;
            }
            if (form.spec.check)(compact) {
                best = found(form.spec.kind, confidence);
            } else if best.is_none() && named && form.spec.plausible.is_some_and(|plausible| plausible(compact)) {
                best = Some(Match { kind: form.spec.kind, start, end, confidence: 65, validated: false });
            }
        }
        if best.is_none()
            && size == 9
            && context.has(Context::ROUTING)
            && chain.digits_only[last]
            && is_aba_routing(compact)
        {
            return found(Kind::ABA_ROUTING, 95);
        }
        best
    }

    /// How a candidate sits among what surrounds it.
    fn edges(&self, start: usize, end: usize) -> Edges {
        let text = self.text;
        let before = start.checked_sub(1).map_or(b' ', |at| text[at]);
        let after = text.get(end).copied().unwrap_or(b' ');
        let beyond = text.get(end + 1).copied().unwrap_or(b' ');
        if before.is_ascii_alphanumeric() || after.is_ascii_alphanumeric() {
            return Edges::Inside;
        }
        let joined_before = matches!(before, b'-' | b'.' | b'/' | b'+' | b'_' | b'#' | b'=')
            && start >= 2
            && text[start - 2].is_ascii_alphanumeric();
        let joined_after = matches!(after, b'-' | b'/' | b'.' | b'_' | b'+' | b'@') && beyond.is_ascii_alphanumeric();
        if joined_before || joined_after { Edges::Joined } else { Edges::Clean }
    }

    /// What the words around `start..end` announce, with the hints.
    fn context(&mut self, start: usize, end: usize) -> Context {
        while self.first < self.announcements.len() && self.announcements[self.first].end + BEFORE < start {
            self.first += 1;
        }
        let near = self.announcements[self.first..].iter().take_while(|word| word.end <= end + AFTER + 24);
        near.filter(|word| word.start < end + AFTER && (word.end <= start || word.start >= end))
            .fold(self.hints, |context, word| context.and(word.context))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edges {
    /// White space, quotes, brackets.
    Clean,
    /// Tied to more by a separator: a path, a longer number.
    Joined,
    /// Part of a word.
    Inside,
}

/// Multiplies and folds; forms are few and chosen by us, so nobody can make them collide.
#[derive(Default)]
struct Mixing(u64);

impl Hasher for Mixing {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn write_u128(&mut self, value: u128) {
        let folded = value as u64 ^ (value >> 64) as u64;
        self.0 = (self.0 ^ folded).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
