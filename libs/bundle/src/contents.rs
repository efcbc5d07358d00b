//! What a bundle holds, and how it is written.

use crate::archive::{self, Entry};
use crate::proof::{self, ENTRIES, ProvedEntry, SEALS};
use crate::{BundleError, SigningKey};
use carrel_domain::audit::Seal;
use carrel_domain::baseline::{Member, manifest as member_lines};
use carrel_domain::digest::Digest;
use carrel_domain::{BaselineId, RunId, Span, VersionId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Name and number of the format.
pub(crate) const FORMAT: &str = "carrel-bundle/1";
pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const SIGNATURE: &str = "manifest.jws";
pub(crate) const VERSIONS: &str = "versions.jsonl";
pub(crate) const QUOTES: &str = "quotes.jsonl";

/// Bytes that one block digest of the manifest covers: a change is named to within so many bytes.
pub(crate) const BLOCK: usize = 4_096;

/// Everything that goes into a bundle.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// The run that wrote the report.
    pub run: Option<RunId>,
    /// The time that the manifest tells.
    pub made_at: DateTime<Utc>,
    /// The report for programs.
    pub report: Value,
    /// The report for people.
    pub report_markdown: String,
    /// The baseline that was searched, when there was one; then `versions` are its members.
    pub baseline: Option<BaselineSummary>,
    /// The versions that the report rests on.
    pub versions: Vec<Member>,
    /// The text of every cited version.
    pub texts: Vec<VersionText>,
    /// Every quote.
    pub quotes: Vec<QuoteLine>,
    /// What the audit trail says of the cited versions, with its proof.
    pub audit: Vec<ProvedEntry>,
    /// The seals that prove it, and the newest one.
    pub seals: Vec<Seal>,
}

/// A baseline in a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineSummary {
    /// Its id.
    pub id: BaselineId,
    /// Its name.
    pub name: String,
    /// SHA-256 of `versions.jsonl`.
    pub digest: Digest,
}

/// The text of a version.
#[derive(Clone, Debug)]
pub struct VersionText {
    /// The version.
    pub version: VersionId,
    /// Its rendition.
    pub text: String,
}

/// A quote with its place: a line of `quotes.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuoteLine {
    /// Its number in the report.
    pub number: u32,
    /// The version.
    pub version: VersionId,
    /// Code points of the version's text.
    pub span: Span,
    /// The exact words.
    pub quote: String,
}

/// `manifest.json`, which the signature covers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `carrel-bundle/1`.
    pub format: String,
    /// The run that wrote the report.
    pub run: Option<RunId>,
    /// When the bundle was made.
    pub made_at: DateTime<Utc>,
    /// The baseline that was searched.
    pub baseline: Option<BaselineSummary>,
    /// Every other file but the signature, in the archive's order.
    pub files: Vec<FileEntry>,
}

/// A file of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its path in the archive.
    pub path: String,
    /// Its bytes.
    pub size: u64,
    /// SHA-256 of the whole.
    pub sha256: Digest,
    /// SHA-256 of each block of 4,096 bytes, so that damage can be located.
    pub blocks: Vec<Digest>,
}

impl FileEntry {
    pub(crate) fn of(path: &str, bytes: &[u8]) -> Self {
        Self {
            path: path.to_owned(),
            size: bytes.len() as u64,
            sha256: sha256(bytes),
            blocks: bytes.chunks(BLOCK).map(sha256).collect(),
        }
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

pub(crate) fn text_path(version: VersionId) -> String {
    format!("texts/{version}.txt")
}

/// Writes a bundle: the manifest and its signature first, then the files in the order of their names.
///
/// # Errors
/// [`BundleError::TooLarge`] above 4 GiB or 65,535 files.
pub fn write(contents: &Contents, key: &SigningKey) -> Result<Vec<u8>, BundleError> {
    let json = |what| move |source| BundleError::Json { what, source };
    let mut quotes = Vec::new();
    for quote in &contents.quotes {
        serde_json::to_writer(&mut quotes, quote).map_err(json("a quote"))?;
        quotes.push(b'\n');
    }
    let mut report = serde_json::to_vec_pretty(&contents.report).map_err(json("the report"))?;
    report.push(b'\n');
    let mut files = vec![
        Entry { path: QUOTES.to_owned(), bytes: quotes },
        Entry { path: "report.json".to_owned(), bytes: report },
        Entry { path: "report.md".to_owned(), bytes: contents.report_markdown.clone().into_bytes() },
        Entry {
            path: VERSIONS.to_owned(),
            bytes: member_lines(&contents.versions).map_err(json("the list of versions"))?,
        },
    ];
    if !contents.seals.is_empty() {
        let bytes = proof::lines(&contents.audit, "an audit entry")?;
        files.push(Entry { path: ENTRIES.to_owned(), bytes });
        files.push(Entry { path: SEALS.to_owned(), bytes: proof::lines(&contents.seals, "a seal")? });
    }
    for text in &contents.texts {
        files.push(Entry { path: text_path(text.version), bytes: text.text.clone().into_bytes() });
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    files.dedup_by(|left, right| left.path == right.path);
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        run: contents.run,
        made_at: contents.made_at,
        baseline: contents.baseline.clone(),
        files: files.iter().map(|file| FileEntry::of(&file.path, &file.bytes)).collect(),
    };
    let manifest = serde_json::to_vec(&manifest).map_err(json("the manifest"))?;
    let signature = key.sign(&manifest)?.into_bytes();
    let mut entries = vec![
        Entry { path: MANIFEST.to_owned(), bytes: manifest },
        Entry { path: SIGNATURE.to_owned(), bytes: signature },
    ];
    entries.extend(files);
    archive::write(&entries)
}
