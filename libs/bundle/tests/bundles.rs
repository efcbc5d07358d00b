//! Bundles from the outside: what was made is sound, and whatever was changed is found.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use carrel_bundle::chain::seal;
use carrel_bundle::{
    BaselineSummary, Checked, Contents, QuoteLine, SigningKey, VersionText, name_bytes, prove, verify, write,
};
use carrel_domain::audit::Entry;
use carrel_domain::baseline::{Member, manifest};
use carrel_domain::digest::Digest;
use carrel_domain::{BaselineId, CollectionId, DocumentId, RunId, Span, VersionId, WorkspaceId};
use chrono::DateTime;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

const TEXT: &str = "Each gate leaf shall close in at most 110 s. Größe: 3 m.";

fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

fn member(no: u128, text: &str) -> Member {
    Member {
        document_id: DocumentId(Uuid::from_u128(no)),
        collection_id: CollectionId(Uuid::from_u128(1)),
        external_id: format!("document {no}"),
        name: "specification.docx".to_owned(),
        version_id: VersionId(Uuid::from_u128(no + 100)),
        number: 3,
        size: 4_711,
        sha256: Digest([1; 32]),
        blake3: Digest([2; 32]),
        rendition_sha256: sha256(text.as_bytes()),
    }
}

fn entry(seq: i64) -> Entry {
    Entry {
        workspace: WorkspaceId(Uuid::from_u128(7)),
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

fn contents() -> Contents {
    let entries: Vec<Entry> = (1..=3).map(entry).collect();
    let (links, sealed) = seal(&key(), WorkspaceId(Uuid::from_u128(7)), None, &entries, DateTime::UNIX_EPOCH).unwrap();
    let versions = vec![member(1, TEXT), member(2, "another text")];
    let span = Span { start: 30, end: 43 };
    Contents {
        run: Some(RunId(Uuid::from_u128(9))),
        made_at: DateTime::UNIX_EPOCH,
        report: json!({ "question": "How fast?" }),
        report_markdown: "# How fast?\n".to_owned(),
        baseline: Some(BaselineSummary {
            id: BaselineId(Uuid::from_u128(8)),
            name: "as signed".to_owned(),
            digest: sha256(&manifest(&versions).unwrap()),
        }),
        texts: vec![VersionText { version: versions[0].version_id, text: TEXT.to_owned() }],
        quotes: vec![QuoteLine {
            number: 1,
            version: versions[0].version_id,
            span,
            quote: span.slice(TEXT).unwrap().to_owned(),
        }],
        versions,
        audit: prove(entries[1..].to_vec(), &links),
        seals: vec![sealed],
    }
}

fn key() -> SigningKey {
    SigningKey::from_seed([3; 32])
}

#[test]
fn a_bundle_is_sound_and_always_the_same() {
    let bytes = write(&contents(), &key()).unwrap();
    assert_eq!(bytes, write(&contents(), &key()).unwrap());
    let checked = verify(&bytes).unwrap();
    assert_eq!(checked.faults, []);
    assert_eq!((checked.quotes, checked.versions, checked.proved), (1, 2, 2));
    assert_eq!(checked.signed_by, key().thumbprint());
}

#[test]
fn a_changed_bit_in_any_byte_is_found() {
    let bytes = write(&contents(), &key()).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        if let Ok(checked) = verify(&changed) {
            assert!(!checked.faults.is_empty(), "byte {at} of {}", bytes.len());
        }
    }
}

#[test]
fn cut_and_lengthened_bundles_are_found() {
    let bytes = write(&contents(), &key()).unwrap();
    for length in 0..bytes.len() {
        assert!(verify(&bytes[..length]).map_or(true, |checked| !checked.faults.is_empty()), "{length} bytes");
    }
    let longer = [bytes.as_slice(), b"\0"].concat();
    assert!(verify(&longer).map_or(true, |checked| !checked.faults.is_empty()));
}

#[test]
fn a_changed_text_is_named_with_its_bytes() {
    let bytes = write(&contents(), &key()).unwrap();
    let at = bytes.windows(5).rposition(|window| window == b"110 s").unwrap();
    let mut changed = bytes;
    changed[at] = b'9';
    let mut checked = verify(&changed).unwrap();
    let of_text = |checked: &Checked| {
        checked.faults.iter().find(|fault| fault.path.starts_with("texts/")).unwrap().problem.clone()
    };
    assert!(of_text(&checked).contains("within bytes 0 to "), "{:?}", checked.faults);
    name_bytes(&changed, &mut checked).unwrap();
    let place = TEXT.find("110 s").unwrap();
    assert_eq!(of_text(&checked), format!("byte {place} was changed: it is 0x39 and was 0x31"));
    let faults = checked.faults;
    assert!(faults.iter().any(|fault| fault.problem.contains("quote 1")), "{faults:?}");
}

#[test]
fn lies_that_are_signed_are_found_all_the_same() {
    let mut wrong_quote = contents();
    wrong_quote.quotes[0].quote = "at most 105 s".to_owned();
    let mut wrong_text = contents();
    wrong_text.texts[0].text = TEXT.replace("110", "105");
    let mut wrong_baseline = contents();
    wrong_baseline.versions.pop();
    let mut unlisted = contents();
    unlisted.quotes[0].version = VersionId(Uuid::from_u128(7));
    let mut wrong_entry = contents();
    wrong_entry.audit[0].entry.action = "get_label".to_owned();
    let mut wrong_place = contents();
    wrong_place.audit[1].position = i64::MIN;
    for (lie, path) in [
        (wrong_entry, "audit/"),
        (wrong_place, "audit/"),
        (wrong_quote, "quotes.jsonl"),
        (wrong_text, "texts/"),
        (wrong_baseline, "versions.jsonl"),
        (unlisted, "quotes.jsonl"),
    ] {
        let faults = verify(&write(&lie, &key()).unwrap()).unwrap().faults;
        assert!(faults.iter().any(|fault| fault.path.starts_with(path)), "{path}: {faults:?}");
    }
}

#[test]
fn another_key_shows() {
    let bytes = write(&contents(), &SigningKey::from_seed([4; 32])).unwrap();
    assert_ne!(verify(&bytes).unwrap().signed_by, key().thumbprint());
}
