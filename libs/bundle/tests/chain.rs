//! The chain over the audit trail: whatever is changed, removed, put in or moved is found and named.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use carrel_bundle::chain::{ChainCheck, seal, text_digest};
use carrel_bundle::{SigningKey, prove, sign_receipt, verify_receipt, write_receipt};
use carrel_domain::audit::{Entry, Link, Seal};
use carrel_domain::custody::{ErasureCheck, Receipt};
use carrel_domain::digest::Digest;
use carrel_domain::{Actor, DocumentId, ErasureId, WorkspaceId};
use chrono::{DateTime, Duration, Utc};
use proptest::prelude::*;
use uuid::Uuid;

const WORKSPACE: WorkspaceId = WorkspaceId(Uuid::from_u128(77));

type Part = (Seal, Vec<(Link, Option<Entry>)>);

fn key() -> SigningKey {
    SigningKey::from_seed([3; 32])
}

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn entry(seq: i64, details: &str) -> Entry {
    Entry {
        workspace: WORKSPACE,
        seq,
        transaction: 900 + seq,
        at: noon().timestamp_micros() + seq * 1_000_000,
        actor: r#"{"id": "01", "kind": "client"}"#.to_owned(),
        action: "get_original".to_owned(),
        subject: (seq % 3 != 0).then(|| Uuid::from_u128(seq.unsigned_abs().into())),
        request: Uuid::from_u128(5_000 + u128::from(seq.unsigned_abs())),
        details: details.to_owned(),
    }
}

/// Seals the entries in batches of these sizes.
fn chain(sizes: &[usize]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut seq = 0;
    for size in sizes {
        let entries: Vec<Entry> = (0..*size)
            .map(|_| {
                seq += 2;
                entry(seq, r#"{"range": "bytes=0-9", "größe": 17}"#)
            })
            .collect();
        let last = parts.last().map(|(seal, links)| (seal.clone(), links.last().unwrap().0.digest));
        let last = last.as_ref().map(|(seal, digest)| (seal, *digest));
        let (links, sealed) = seal(&key(), WORKSPACE, last, &entries, noon() + Duration::seconds(seq)).unwrap();
        parts.push((sealed, links.into_iter().zip(entries.into_iter().map(Some)).collect()));
    }
    parts
}

fn faults(parts: &[Part], anchor: Option<(i64, Digest)>) -> Vec<String> {
    let mut check = ChainCheck::new(WORKSPACE, anchor);
    for (seal, links) in parts {
        check.seal(seal, links);
    }
    check.finish(&[], noon()).faults
}

/// Flips bit `bit` of the stored field `field` of an entry; `None` when the field has no such bit or no column could hold
/// the result.
fn flipped(entry: &Entry, field: usize, bit: usize) -> Option<Entry> {
    let number = |value: i64| (bit < 64).then(|| value ^ (1_i64 << bit));
    let text = |value: &str| {
        let mut bytes = value.as_bytes().to_vec();
        *bytes.get_mut(bit / 8)? ^= 1 << (bit % 8);
        String::from_utf8(bytes).ok()
    };
    let id = |value: Uuid| (bit < 128).then(|| Uuid::from_u128(value.as_u128() ^ (1 << bit)));
    let mut out = entry.clone();
    match field {
        0 => out.workspace = WorkspaceId(id(entry.workspace.0)?),
        1 => out.seq = number(entry.seq)?,
        2 => out.transaction = number(entry.transaction)?,
        3 => out.at = number(entry.at)?,
        4 => out.actor = text(&entry.actor)?,
        5 => out.action = text(&entry.action)?,
        6 => out.subject = Some(id(entry.subject?)?),
        7 => out.request = id(entry.request)?,
        _ => out.details = text(&entry.details)?,
    }
    Some(out)
}

#[test]
fn every_flipped_bit_of_every_field_is_found_and_its_entry_named() {
    let parts = chain(&[2, 3]);
    assert_eq!(faults(&parts, None), Vec::<String>::new());
    let mut tried = 0;
    for part in 0..parts.len() {
        for place in 0..parts[part].1.len() {
            let original = parts[part].1[place].1.clone().unwrap();
            for (field, bit) in (0..9).flat_map(|field| (0..400).map(move |bit| (field, bit))) {
                let Some(changed) = flipped(&original, field, bit) else { continue };
                let mut parts = parts.clone();
                parts[part].1[place].1 = Some(changed);
                let found = faults(&parts, None);
                let name = format!("entry {} at position", original.seq);
                assert!(found.iter().any(|fault| fault.starts_with(&name)), "field {field} bit {bit}: {found:?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 5_000, "{tried}");
}

#[test]
fn every_flipped_bit_of_links_and_seals_is_found() {
    let parts = chain(&[2, 2]);
    for bit in 0..256 {
        let mut changed = parts.clone();
        changed[1].1[0].0.digest[bit / 8] ^= 1 << (bit % 8);
        assert!(!faults(&changed, None).is_empty(), "digest bit {bit}");
        let mut changed = parts.clone();
        changed[1].1[0].0.previous[bit / 8] ^= 1 << (bit % 8);
        assert!(!faults(&changed, None).is_empty(), "previous bit {bit}");
    }
    for bit in 0..64 {
        for field in 0..5 {
            let mut changed = parts.clone();
            let number = match field {
                0 => &mut changed[0].1[1].0.position,
                1 => &mut changed[0].1[1].0.seal,
                2 => &mut changed[0].0.number,
                3 => &mut changed[0].0.first,
                _ => &mut changed[0].0.last,
            };
            *number ^= 1_i64 << bit;
            assert!(!faults(&changed, None).is_empty(), "field {field} bit {bit}");
        }
    }
    for (length, of) in [(parts[0].0.payload.len(), 0), (parts[0].0.signature.len(), 1)] {
        for bit in 0..length * 8 {
            let mut changed = parts.clone();
            let text = if of == 0 { &mut changed[0].0.payload } else { &mut changed[0].0.signature };
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(broken) = String::from_utf8(bytes) else { continue };
            *text = broken;
            assert!(!faults(&changed, None).is_empty(), "text {of} bit {bit}");
        }
    }
}

proptest! {
    #[test]
    fn removed_inserted_and_moved_entries_are_found(
        sizes in prop::collection::vec(1_usize..6, 1..5), one in any::<prop::sample::Index>(), two in any::<prop::sample::Index>(),
        what in 0..4,
    ) {
        let mut parts = chain(&sizes);
        prop_assert_eq!(faults(&parts, None), Vec::<String>::new());
        let (part, other) = (one.index(sizes.len()), two.index(sizes.len()));
        let place = two.index(sizes[part]);
        match what {
            // The entry alone.
            0 => parts[part].1[place].1 = None,
            // The entry with its link.
            1 => { parts[part].1.remove(place); }
            // A second one, cleverly linked.
            2 => {
                let mut copy = parts[part].1[place].clone();
                copy.0.position += 1;
                copy.0.seq += 1;
                parts[part].1.insert(place + 1, copy);
            }
            // Two that change places.
            _ => {
                let there = one.index(sizes[other]);
                prop_assume!((part, place) != (other, there));
                let left = parts[part].1[place].1.clone();
                let right = parts[other].1[there].1.clone();
                parts[part].1[place].1 = right;
                parts[other].1[there].1 = left;
            }
        }
        prop_assert!(!faults(&parts, None).is_empty());
    }
}

#[test]
fn a_cut_end_is_found_by_whoever_kept_a_seal() {
    let parts = chain(&[2, 3, 1]);
    let newest = &parts[2].0;
    let anchor = (newest.number, text_digest(&newest.payload));
    assert_eq!(faults(&parts, Some(anchor)), Vec::<String>::new());
    // Without an anchor nothing tells that there was more.
    assert_eq!(faults(&parts[..2], None), Vec::<String>::new());
    assert!(faults(&parts[..2], Some(anchor))[0].contains("is gone"));
    let middle = [parts[0].clone(), parts[2].clone()];
    assert!(!faults(&middle, None).is_empty());
    // Nor can the end be written anew, even with the key.
    let mut forged = chain(&[2, 3]);
    let last = forged.last().map(|(seal, links)| (seal.clone(), links.last().unwrap().0.digest)).unwrap();
    let late = noon() + Duration::seconds(60);
    let (links, other) = seal(&key(), WORKSPACE, Some((&last.0, last.1)), &[entry(12, "{}")], late).unwrap();
    forged.push((other, links.into_iter().zip([Some(entry(12, "{}"))]).collect()));
    assert_eq!(faults(&forged, None), Vec::<String>::new());
    assert!(faults(&forged, Some(anchor))[0].contains("kept elsewhere"));
}

#[test]
fn what_was_put_in_later_shows_by_its_time() {
    let parts = chain(&[1]);
    let last = (&parts[0].0, parts[0].1[0].0.digest);
    let mut old = entry(9, "{}");
    old.at -= 7_200_000_000;
    let (links, sealed) = seal(&key(), WORKSPACE, Some(last), std::slice::from_ref(&old), noon()).unwrap();
    let late = [parts[0].clone(), (sealed, links.into_iter().zip([Some(old.clone())]).collect())];
    assert!(faults(&late, None).iter().any(|fault| fault.contains("put in later")));
    let mut check = ChainCheck::new(WORKSPACE, None);
    check.seal(&parts[0].0, &parts[0].1);
    assert!(check.finish(&[old], noon()).faults[0].contains("no place in the chain"));
}

#[test]
fn entries_are_proved_alone() {
    for size in 1..20 {
        let (_, part) = &chain(&[size])[0];
        let links: Vec<Link> = part.iter().map(|(link, _)| link.clone()).collect();
        let entries: Vec<Entry> = part.iter().filter_map(|(_, entry)| entry.clone()).collect();
        assert_eq!(prove(entries, &links).len(), size);
    }
    assert!(prove(vec![entry(99, "{}")], &[]).is_empty());
}

#[test]
fn receipts_hold_until_a_bit_changes() {
    let receipt = Receipt {
        format: Receipt::FORMAT.to_owned(),
        erasure: ErasureId(Uuid::from_u128(1)),
        workspace: WORKSPACE,
        document: DocumentId(Uuid::from_u128(2)),
        documents: vec![DocumentId(Uuid::from_u128(2))],
        versions: Vec::new(),
        reason: "asked for".to_owned(),
        requested_at: noon(),
        requested_by: Actor::Operator,
        completed_at: noon(),
        places: Vec::new(),
        checks: vec![ErasureCheck { check: "store".to_owned(), looked_at: 1, found: 0 }],
        remains: Vec::new(),
        seal: None,
    };
    let signed = sign_receipt(&write_receipt(&receipt).unwrap(), &key()).unwrap();
    assert_eq!(verify_receipt(&signed).unwrap(), (receipt.clone(), key().thumbprint()));
    for bit in 0..signed.len() * 8 {
        let mut bytes = signed.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(broken) = String::from_utf8(bytes) else { continue };
        assert!(verify_receipt(&broken).is_err(), "bit {bit}");
    }
    let mut failed = receipt;
    failed.checks[0].found = 1;
    let signed = sign_receipt(&write_receipt(&failed).unwrap(), &key()).unwrap();
    assert!(verify_receipt(&signed).is_err(), "a receipt over leftovers is none");
}
