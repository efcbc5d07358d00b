//! A bundle as large as an inquiry makes it, for `scripts/bench archive`: 100 quotes of as many versions of 20 kB, on a
//! baseline of 10,000. Writes it to the file that is named, checks it, and changes bits in places drawn by a seed.
//! Prints `figure NAME VALUE` lines.

#![expect(clippy::print_stdout, reason = "a measurement prints")]

use std::error::Error;
use std::time::Instant;

use carrel_bundle::chain::seal;
use carrel_bundle::{BaselineSummary, Contents, QuoteLine, SigningKey, VersionText, prove, verify, write};
use carrel_domain::audit::Entry;
use carrel_domain::baseline::{Member, manifest};
use carrel_domain::digest::Digest;
use carrel_domain::{BaselineId, CollectionId, DocumentId, RunId, Span, VersionId, WorkspaceId};
use chrono::DateTime;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

const VERSIONS: u128 = 10_000;
const CITED: u32 = 100;
const FLIPS: u64 = 400;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: bundle_bench FILE")?;
    let bytes = write(&contents()?, &SigningKey::from_seed([3; 32]))?;
    std::fs::write(&path, &bytes)?;
    let begun = Instant::now();
    let checked = verify(&bytes)?;
    let spent = begun.elapsed();
    if !checked.faults.is_empty() || checked.quotes != CITED as usize {
        return Err(format!("a sound bundle was refused: {:?}", checked.faults).into());
    }
    println!("{} bytes, {} quotes of {} versions on a baseline of {VERSIONS}", bytes.len(), checked.quotes, CITED);
    println!("figure verify_seconds {:.3}", spent.as_secs_f64());

    let mut chance = Chance(20_251);
    let mut found = 0;
    for _ in 0..FLIPS {
        let mut changed = bytes.clone();
        let at = usize::try_from(chance.next() % bytes.len() as u64)?;
        changed[at] ^= 1 << (chance.next() % 8);
        if verify(&changed).map_or(true, |checked| !checked.faults.is_empty()) {
            found += 1;
        } else {
            println!("byte {at} was changed and not found");
        }
    }
    println!("figure flips {FLIPS}");
    println!("figure flips_found {found}");
    Ok(())
}

fn contents() -> Result<Contents, Box<dyn Error>> {
    let workspace = WorkspaceId(Uuid::from_u128(7));
    let (mut versions, mut texts, mut quotes) = (Vec::new(), Vec::new(), Vec::new());
    for no in 0..VERSIONS {
        let text = text_of(no);
        let member = member(no, &text);
        let number = u32::try_from(quotes.len() + 1)?;
        if number <= CITED {
            let span = Span { start: 9_000, end: 9_120 };
            let quote = span.slice(&text).ok_or("the text is too short")?.to_owned();
            quotes.push(QuoteLine { number, version: member.version_id, span, quote });
            texts.push(VersionText { version: member.version_id, text });
        }
        versions.push(member);
    }
    let entries: Vec<Entry> = (1..=200).map(|seq| entry(workspace, seq)).collect();
    let (links, sealed) = seal(&SigningKey::from_seed([3; 32]), workspace, None, &entries, DateTime::UNIX_EPOCH)?;
    Ok(Contents {
        run: Some(RunId(Uuid::from_u128(9))),
        made_at: DateTime::UNIX_EPOCH,
        report: json!({ "question": "What was agreed?" }),
        report_markdown: "# What was agreed?\n".to_owned(),
        baseline: Some(BaselineSummary {
            id: BaselineId(Uuid::from_u128(8)),
            name: "as signed".to_owned(),
            digest: sha256(&manifest(&versions)?),
        }),
        texts,
        quotes,
        versions,
        audit: prove(entries, &links),
        seals: vec![sealed],
    })
}

/// About 20,000 code points, another for every number, not all of them ASCII.
fn text_of(no: u128) -> String {
    (0..400)
        .map(|line| format!("Clause {no}.{line}: the leaf shall close in {} s, Größe 3 m.\n", (no * 31 + line) % 997))
        .collect()
}

fn member(no: u128, text: &str) -> Member {
    Member {
        document_id: DocumentId(Uuid::from_u128(no + 1)),
        collection_id: CollectionId(Uuid::from_u128(1)),
        external_id: format!("clauses/{no}.txt"),
        name: format!("{no}.txt"),
        version_id: VersionId(Uuid::from_u128(no + 1_000_000)),
        number: 3,
        size: text.len() as u64,
        sha256: sha256(text.as_bytes()),
        blake3: Digest([2; 32]),
        rendition_sha256: sha256(text.as_bytes()),
    }
}

fn entry(workspace: WorkspaceId, seq: i64) -> Entry {
    Entry {
        workspace,
        seq,
        transaction: 900,
        at: seq * 1_000_000,
        actor: "{}".to_owned(),
        action: "get_original".to_owned(),
        subject: Some(Uuid::from_u128(101)),
        request: Uuid::from_u128(6),
        details: "{}".to_owned(),
    }
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same places in every run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
