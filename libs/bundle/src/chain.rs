//! The chain over the audit trail: digests of entries, links between them, and signed seals with a Merkle root each
//! (RFC 6962 section 2.1), so that one entry can be proved without showing the others.

use crate::{BundleError, SigningKey, signature};
use carrel_domain::WorkspaceId;
use carrel_domain::audit::{Entry, Link, Seal};
use carrel_domain::digest::Digest;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

/// What the first link has as its predecessor.
pub const GENESIS: [u8; 32] = [0; 32];
const FORMAT: &str = "carrel-audit-seal/1";
/// Faults that one check lists at most.
const FAULTS: usize = 1_000;
/// An entry is sealed within minutes; one that claims to be older than the seal before by more than this was put in later.
const LATE: chrono::Duration = chrono::Duration::hours(1);

/// Digest of an entry: SHA-256 over a tag and its fields, each with its length in front, so that no two entries have the
/// same bytes.
pub fn entry_digest(entry: &Entry) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(b"carrel-audit-entry-1\0");
    let subject = entry.subject.map(|id| id.as_bytes().to_vec()).unwrap_or_default();
    let fields: [&[u8]; 9] = [
        entry.workspace.0.as_bytes(),
        &entry.seq.to_be_bytes(),
        &entry.transaction.to_be_bytes(),
        &entry.at.to_be_bytes(),
        entry.actor.as_bytes(),
        entry.action.as_bytes(),
        &subject,
        entry.request.as_bytes(),
        entry.details.as_bytes(),
    ];
    for field in fields {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    hash.finalize().into()
}

/// Digest of a link: its predecessor, its position, its entry.
pub fn link_digest(previous: &[u8; 32], position: i64, entry: &[u8; 32]) -> [u8; 32] {
    let hash = Sha256::new_with_prefix(b"carrel-audit-link-1\0");
    hash.chain_update(previous).chain_update(position.to_be_bytes()).chain_update(entry).finalize().into()
}

fn leaf(data: &[u8; 32]) -> [u8; 32] {
    Sha256::new_with_prefix([0]).chain_update(data).finalize().into()
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    Sha256::new_with_prefix([1]).chain_update(left).chain_update(right).finalize().into()
}

/// A Merkle tree over digests.
#[derive(Clone, Debug)]
pub struct Tree {
    // Level by level; the last one of an odd level rises as it is.
    levels: Vec<Vec<[u8; 32]>>,
}

impl Tree {
    /// The tree over `leaves`.
    pub fn new(leaves: &[[u8; 32]]) -> Self {
        let mut levels = vec![leaves.iter().map(leaf).collect::<Vec<_>>()];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let above = below.chunks(2).map(|pair| match pair {
                [left, right] => node(left, right),
                alone => alone[0],
            });
            let above = above.collect();
            levels.push(above);
        }
        Self { levels }
    }

    /// Its root; that of no leaf is the digest of nothing.
    pub fn root(&self) -> [u8; 32] {
        let top = self.levels.last().and_then(|level| level.first());
        top.copied().unwrap_or_else(|| Sha256::digest([]).into())
    }

    /// What stands beside the way from leaf `index` to the root.
    pub fn path(&self, index: usize) -> Vec<[u8; 32]> {
        let beside = self.levels.iter().enumerate().filter_map(|(height, level)| level.get((index >> height) ^ 1));
        beside.copied().collect()
    }
}

/// The root that a leaf has by its path in a tree of `size` leaves; `None` when the path does not fit.
pub fn root_of(data: &[u8; 32], index: usize, size: usize, path: &[[u8; 32]]) -> Option<[u8; 32]> {
    if index >= size {
        return None;
    }
    let mut digest = leaf(data);
    let mut beside = path.iter();
    let (mut index, mut width) = (index, size);
    while width > 1 {
        if index ^ 1 < width {
            let other = beside.next()?;
            digest = if index % 2 == 0 { node(&digest, other) } else { node(other, &digest) };
        }
        (index, width) = (index / 2, width.div_ceil(2));
    }
    beside.next().is_none().then_some(digest)
}

/// What a seal says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealText {
    /// `carrel-audit-seal/1`.
    pub format: String,
    /// Whose trail.
    pub workspace: WorkspaceId,
    /// Its number.
    pub number: i64,
    /// First position.
    pub first: i64,
    /// Last position.
    pub last: i64,
    /// Merkle root over the digests of its links.
    pub root: Digest,
    /// Digest of its last link.
    pub chain: Digest,
    /// SHA-256 of the text of the seal before.
    pub previous: Option<Digest>,
    /// When.
    pub sealed_at: DateTime<Utc>,
}

/// Chains `entries` after `last` and seals them. Their order is the chain's.
///
/// # Errors
/// When the text cannot be written as JSON.
pub fn seal(
    key: &SigningKey,
    workspace: WorkspaceId,
    last: Option<(&Seal, [u8; 32])>,
    entries: &[Entry],
    now: DateTime<Utc>,
) -> Result<(Vec<Link>, Seal), BundleError> {
    let number = last.map_or(1, |(seal, _)| seal.number + 1);
    let first = last.map_or(1, |(seal, _)| seal.last + 1);
    let mut previous = last.map_or(GENESIS, |(_, digest)| digest);
    let mut links = Vec::with_capacity(entries.len());
    for (position, entry) in (first..).zip(entries) {
        let digest = link_digest(&previous, position, &entry_digest(entry));
        links.push(Link { position, seq: entry.seq, previous, digest, seal: number });
        previous = digest;
    }
    let leaves: Vec<[u8; 32]> = links.iter().map(|link| link.digest).collect();
    let text = SealText {
        format: FORMAT.to_owned(),
        workspace,
        number,
        first,
        last: links.last().map_or(first, |link| link.position),
        root: Digest(Tree::new(&leaves).root()),
        chain: Digest(previous),
        previous: last.map(|(seal, _)| text_digest(&seal.payload)),
        sealed_at: now,
    };
    let payload = serde_json::to_string(&text).map_err(|source| BundleError::Json { what: "a seal", source })?;
    let signature = key.sign(payload.as_bytes())?;
    let seal = Seal { number, first, last: text.last, payload, signature };
    Ok((links, seal))
}

/// SHA-256 of a seal's text, which names it.
pub fn text_digest(payload: &str) -> Digest {
    Digest(Sha256::digest(payload).into())
}

/// Reads a seal and checks its signature; answers its text and who signed.
pub(crate) fn open(seal: &Seal) -> Result<(SealText, String), String> {
    let signer = signature::check(&seal.signature, seal.payload.as_bytes())?;
    let text: SealText = serde_json::from_str(&seal.payload).map_err(|error| format!("its text: {error}"))?;
    if text.format != FORMAT {
        return Err(format!("its format is {:?}, not {FORMAT:?}", text.format));
    }
    if (text.number, text.first, text.last) != (seal.number, seal.first, seal.last) {
        return Err("its columns differ from its text".to_owned());
    }
    Ok((text, signer))
}

/// Checks a whole trail, seal by seal, with bounded memory.
#[derive(Debug)]
pub struct ChainCheck {
    workspace: WorkspaceId,
    previous: [u8; 32],
    position: i64,
    number: i64,
    text: Option<(Digest, DateTime<Utc>)>,
    anchor: Option<(i64, Digest)>,
    /// Entries that were looked at.
    pub entries: u64,
    /// Seals that were looked at.
    pub seals: u64,
    /// Thumbprints of the keys that signed.
    pub signed_by: BTreeSet<String>,
    /// What does not agree, with the entry that it is about.
    pub faults: Vec<String>,
}

impl ChainCheck {
    /// Begins at the first entry of a workspace. `anchor` is a seal that somebody kept elsewhere: its number and digest.
    pub fn new(workspace: WorkspaceId, anchor: Option<(i64, Digest)>) -> Self {
        Self {
            workspace,
            previous: GENESIS,
            position: 0,
            number: 0,
            text: None,
            anchor,
            entries: 0,
            seals: 0,
            signed_by: BTreeSet::new(),
            faults: Vec::new(),
        }
    }

    fn fault(&mut self, problem: String) {
        if self.faults.len() < FAULTS {
            self.faults.push(problem);
        }
    }

    /// Checks the next seal with its links, in the order of their positions, and their entries.
    pub fn seal(&mut self, seal: &Seal, links: &[(Link, Option<Entry>)]) {
        self.seals += 1;
        if Some(seal.number) != self.number.checked_add(1) {
            self.fault(format!("seal {} follows seal {}: what lay between was removed", seal.number, self.number));
        }
        self.number = seal.number;
        let text = match open(seal) {
            Ok((text, signer)) => {
                self.signed_by.insert(signer);
                Some(text)
            }
            Err(problem) => {
                self.fault(format!("seal {} does not hold: {problem}", seal.number));
                None
            }
        };
        let digest = text_digest(&seal.payload);
        if self.anchor.is_some_and(|(number, known)| number == seal.number && known != digest) {
            self.fault(format!("seal {} is not the one that was kept elsewhere", seal.number));
        }
        let before = self.text.map(|(digest, _)| digest);
        if text.as_ref().is_some_and(|text| text.previous != before || text.workspace != self.workspace) {
            self.fault(format!("seal {} does not follow the seal before it", seal.number));
        }
        if Some(seal.first) != self.position.checked_add(1) {
            self.fault(format!("seal {} begins at position {}, after {}", seal.number, seal.first, self.position));
        }
        for (link, entry) in links {
            self.link(seal, link, entry.as_ref());
        }
        if self.position != seal.last {
            self.fault(format!("seal {} ends at position {}, its links at {}", seal.number, seal.last, self.position));
        }
        if let Some(text) = text {
            let leaves: Vec<[u8; 32]> = links.iter().map(|(link, _)| link.digest).collect();
            if Tree::new(&leaves).root() != text.root.0 || self.previous != text.chain.0 {
                self.fault(format!("the links of seal {} are not those that were signed", seal.number));
            }
            self.text = Some((digest, text.sealed_at));
        } else {
            let time = self.text.map_or(DateTime::UNIX_EPOCH, |(_, time)| time);
            self.text = Some((digest, time));
        }
    }

    fn link(&mut self, seal: &Seal, link: &Link, entry: Option<&Entry>) {
        self.entries += 1;
        let name = format!("entry {} at position {}", link.seq, link.position);
        if Some(link.position) != self.position.checked_add(1) {
            self.fault(format!("{name} follows position {}: what lay between was removed", self.position));
        }
        self.position = link.position;
        if link.previous != self.previous || link.seal != seal.number {
            self.fault(format!("{name} does not follow its predecessor: it was put in, removed or moved"));
        }
        // What follows is compared with what is stored, so that one fault is named once.
        self.previous = link.digest;
        let Some(entry) = entry else {
            self.fault(format!("{name} was removed"));
            return;
        };
        if link_digest(&link.previous, link.position, &entry_digest(entry)) != link.digest {
            self.fault(format!("{name} ({}) was changed", entry.action));
        }
        let late = self.text.is_some_and(|(_, sealed)| entry.time().is_none_or(|at| at < sealed - LATE));
        if late {
            self.fault(format!("{name} ({}) is older than the seal before it: it was put in later", entry.action));
        }
    }

    /// Ends the check; `unsealed` are entries that no link names, oldest first, and `now` the time of the check.
    pub fn finish(mut self, unsealed: &[Entry], now: DateTime<Utc>) -> Self {
        if let Some((number, _)) = self.anchor.filter(|(number, _)| *number > self.number) {
            let last = self.number;
            self.fault(format!("seal {number}, which was kept elsewhere, is gone: the trail ends with seal {last}"));
        }
        for entry in unsealed {
            let late = self.text.is_some_and(|(_, sealed)| entry.time().is_none_or(|at| at < sealed - LATE));
            if late {
                self.fault(format!("entry {} ({}) has no place in the chain", entry.seq, entry.action));
            } else if entry.time().is_none_or(|at| at < now - LATE) {
                self.fault(format!("entry {} ({}) has not been sealed for an hour", entry.seq, entry.action));
            }
        }
        self
    }
}
