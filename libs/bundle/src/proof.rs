//! Audit proof in a bundle: entries, each with the way to a signed seal.

use crate::BundleError;
use crate::chain::{Tree, entry_digest, link_digest, open, root_of};
use carrel_domain::audit::{Entry, Link, Seal};
use carrel_domain::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const ENTRIES: &str = "audit/entries.jsonl";
pub(crate) const SEALS: &str = "audit/seals.jsonl";

/// An entry with its proof: a line of `audit/entries.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvedEntry {
    /// The entry.
    pub entry: Entry,
    /// Its position in the chain.
    pub position: i64,
    /// Digest of the link before it.
    pub previous: Digest,
    /// The seal that covers it.
    pub seal: i64,
    /// What stands beside its way to the seal's root.
    pub path: Vec<Digest>,
}

/// Proves `entries` of one seal, whose links are all given in order; those that the seal does not cover are left out.
pub fn prove(entries: Vec<Entry>, links: &[Link]) -> Vec<ProvedEntry> {
    let leaves: Vec<[u8; 32]> = links.iter().map(|link| link.digest).collect();
    let tree = Tree::new(&leaves);
    let places: BTreeMap<i64, usize> = links.iter().enumerate().map(|(index, link)| (link.seq, index)).collect();
    let proved = entries.into_iter().filter_map(|entry| {
        let index = *places.get(&entry.seq)?;
        let link = links.get(index)?;
        let path = tree.path(index).into_iter().map(Digest).collect();
        Some(ProvedEntry { entry, position: link.position, previous: Digest(link.previous), seal: link.seal, path })
    });
    proved.collect()
}

pub(crate) fn lines<T: Serialize>(rows: &[T], what: &'static str) -> Result<Vec<u8>, BundleError> {
    let mut out = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut out, row).map_err(|source| BundleError::Json { what, source })?;
        out.push(b'\n');
    }
    Ok(out)
}

/// Checks each entry against its seal; answers how many hold and who signed the seals.
pub(crate) fn check(
    entries: &[ProvedEntry],
    seals: &[Seal],
    report: &mut impl FnMut(&str, String),
) -> (usize, BTreeSet<String>) {
    let mut signers = BTreeSet::new();
    let mut opened = BTreeMap::new();
    for seal in seals {
        match open(seal) {
            Ok((text, signer)) => {
                signers.insert(signer);
                opened.insert(text.number, text);
            }
            Err(problem) => report(SEALS, format!("seal {} does not hold: {problem}", seal.number)),
        }
    }
    let mut held = 0;
    for proved in entries {
        let name = format!("entry {} at position {}", proved.entry.seq, proved.position);
        let Some(text) = opened.get(&proved.seal) else {
            report(ENTRIES, format!("{name} has no seal"));
            continue;
        };
        let digest = link_digest(&proved.previous.0, proved.position, &entry_digest(&proved.entry));
        let path: Vec<[u8; 32]> = proved.path.iter().map(|digest| digest.0).collect();
        let distance = |position: i64| position.checked_sub(text.first).and_then(|count| usize::try_from(count).ok());
        let size = distance(text.last).and_then(|count| count.checked_add(1));
        let root = distance(proved.position).zip(size).and_then(|(index, size)| root_of(&digest, index, size, &path));
        if root == Some(text.root.0) && text.workspace == proved.entry.workspace {
            held += 1;
        } else {
            report(ENTRIES, format!("{name} is not what seal {} covers", proved.seal));
        }
    }
    (held, signers)
}
