//! Checking a bundle, with nothing but its bytes.

use crate::archive::{self, Entry};
use crate::contents::{
    BLOCK, FORMAT, FileEntry, MANIFEST, Manifest, QUOTES, QuoteLine, SIGNATURE, VERSIONS, sha256, text_path,
};
use crate::locate::changed_byte;
use crate::proof::{self, ENTRIES, ProvedEntry, SEALS};
use crate::{BundleError, signature};
use carrel_domain::audit::Seal;
use carrel_domain::baseline::Member;
use carrel_domain::{Span, VersionId};
use std::collections::{BTreeMap, BTreeSet};

/// Faults that one check lists at most.
const FAULTS: usize = 1_000;
/// Blocks in which the changed byte is looked for; what was changed in more places is named by its blocks.
const SEARCHES: usize = 2;

/// What a check found. The bundle is sound when `faults` is empty; whether `signed_by` is a key to trust is for the
/// reader to decide.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The signed list of files.
    pub manifest: Manifest,
    /// RFC 7638 thumbprint of the key that signed; empty when the signature does not hold.
    pub signed_by: String,
    /// Quotes that stand where they say.
    pub quotes: usize,
    /// Versions listed.
    pub versions: usize,
    /// Audit entries that a signed seal covers.
    pub proved: usize,
    /// Keys that signed these seals.
    pub sealed_by: BTreeSet<String>,
    /// What does not agree.
    pub faults: Vec<Fault>,
}

/// Something that does not agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file of the bundle.
    pub path: String,
    /// What is wrong, with the bytes concerned where they can be told.
    pub problem: String,
}

/// Checks every byte of a bundle: its form, the signature over the manifest, the digest of each file, the baseline's
/// digest, the digest of each text, every quote against its text, and every audit entry against its seal.
///
/// # Errors
/// [`BundleError::Malformed`] when the bytes cannot be read as a bundle at all.
pub fn verify(bytes: &[u8]) -> Result<Checked, BundleError> {
    let archive = archive::read(bytes)?;
    let mut faults = Vec::new();
    let mut report = |path: &str, problem: String| {
        if faults.len() < FAULTS {
            faults.push(Fault { path: path.to_owned(), problem });
        }
    };
    let [manifest, jws, files @ ..] = archive.entries.as_slice() else {
        return Err(malformed("the bundle has no manifest and signature"));
    };
    if manifest.path != MANIFEST || jws.path != SIGNATURE {
        return Err(malformed("the first files of a bundle are manifest.json and manifest.jws"));
    }
    let signed_by = std::str::from_utf8(&jws.bytes)
        .map_err(|_| "it is not text".to_owned())
        .and_then(|jws| signature::check(jws, &manifest.bytes))
        .unwrap_or_else(|problem| {
            report(SIGNATURE, format!("the signature does not hold: {problem}"));
            String::new()
        });
    let manifest: Manifest = serde_json::from_slice(&manifest.bytes)
        .map_err(|error| malformed(&format!("manifest.json cannot be read: {error}")))?;
    if manifest.format != FORMAT {
        report(MANIFEST, format!("the format is {:?}, not {FORMAT:?}", manifest.format));
    }
    compare_files(&manifest.files, files, &mut report);
    let found: BTreeMap<&str, &[u8]> = files.iter().map(|file| (file.path.as_str(), file.bytes.as_slice())).collect();
    let versions = lines::<Member>(&found, VERSIONS, &mut report);
    let quotes = lines::<QuoteLine>(&found, QUOTES, &mut report);
    if let Some(baseline) = &manifest.baseline {
        let digest = found.get(VERSIONS).map(|bytes| sha256(bytes));
        if digest != Some(baseline.digest) {
            report(
                VERSIONS,
                format!("its digest is not that of the baseline {:?}, {}", baseline.name, baseline.digest),
            );
        }
    }
    check_texts(&found, &versions, &mut report);
    let (mut proved, mut sealed_by) = (0, BTreeSet::new());
    if found.contains_key(ENTRIES) || found.contains_key(SEALS) {
        let entries = lines::<ProvedEntry>(&found, ENTRIES, &mut report);
        let seals = lines::<Seal>(&found, SEALS, &mut report);
        (proved, sealed_by) = proof::check(&entries, &seals, &mut report);
    }
    let held = check_quotes(&found, &versions, &quotes, &mut report);
    if let (Some(at), true) = (archive.differs_at, faults.is_empty()) {
        // The files are sound; what differs is a header or the directory of the archive itself.
        faults.push(Fault { path: "(archive)".to_owned(), problem: format!("byte {at} was changed") });
    }
    Ok(Checked { manifest, signed_by, quotes: held, versions: versions.len(), proved, sealed_by, faults })
}

fn within(first: usize, block: &[u8]) -> String {
    format!("differs within bytes {first} to {}", first + block.len() - 1)
}

/// Names the very byte in faults that [`verify`] could only name the block of, where one byte of it was changed. Takes a tenth
/// of a second for a flipped bit and seconds for any other; faults in more than two blocks keep what they say.
///
/// # Errors
/// As [`verify`].
pub fn name_bytes(bytes: &[u8], checked: &mut Checked) -> Result<(), BundleError> {
    let archive = archive::read(bytes)?;
    let mut left = SEARCHES;
    for entry in &checked.manifest.files {
        let Some(file) = archive.entries.iter().find(|file| file.path == entry.path) else { continue };
        for (number, block) in file.bytes.chunks(BLOCK).enumerate() {
            let problem = within(number * BLOCK, block);
            let mut faults = checked.faults.iter_mut();
            let Some(fault) = faults.find(|fault| fault.path == entry.path && fault.problem == problem) else {
                continue;
            };
            let Some(expected) = entry.blocks.get(number).filter(|_| left > 0) else { continue };
            left -= 1;
            if let Some((place, was)) = changed_byte(block, *expected) {
                let at = number * BLOCK + place;
                fault.problem = format!("byte {at} was changed: it is {:#04x} and was {was:#04x}", block[place]);
            }
        }
    }
    Ok(())
}

fn malformed(problem: &str) -> BundleError {
    BundleError::Malformed { offset: 0, problem: problem.to_owned() }
}

fn compare_files(listed: &[FileEntry], files: &[Entry], report: &mut impl FnMut(&str, String)) {
    for (at, entry) in listed.iter().enumerate() {
        let Some(file) = files.get(at).filter(|file| file.path == entry.path) else {
            report(&entry.path, "is listed in the manifest and not where it should stand".to_owned());
            continue;
        };
        if sha256(&file.bytes) == entry.sha256 && file.bytes.len() as u64 == entry.size {
            continue;
        }
        if file.bytes.len() as u64 != entry.size {
            report(&entry.path, format!("has {} bytes instead of {}", file.bytes.len(), entry.size));
        }
        for (number, block) in file.bytes.chunks(BLOCK).enumerate() {
            if entry.blocks.get(number) != Some(&sha256(block)) {
                report(&entry.path, within(number * BLOCK, block));
            }
        }
    }
    for file in files.iter().filter(|file| !listed.iter().any(|entry| entry.path == file.path)) {
        report(&file.path, "is not listed in the manifest".to_owned());
    }
}

fn lines<T: serde::de::DeserializeOwned>(
    files: &BTreeMap<&str, &[u8]>,
    path: &str,
    report: &mut impl FnMut(&str, String),
) -> Vec<T> {
    let Some(bytes) = files.get(path) else {
        report(path, "is missing".to_owned());
        return Vec::new();
    };
    let mut rows = Vec::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(row) => rows.push(row),
            Err(error) => report(path, format!("line {} cannot be read: {error}", number + 1)),
        }
    }
    rows
}

fn check_texts(files: &BTreeMap<&str, &[u8]>, versions: &[Member], report: &mut impl FnMut(&str, String)) {
    for version in versions {
        let path = text_path(version.version_id);
        if let Some(text) = files.get(path.as_str())
            && sha256(text) != version.rendition_sha256
        {
            report(&path, format!("is not the text of version {} of {:?}", version.number, version.name));
        }
    }
}

/// Answers how many quotes stand where they say.
fn check_quotes(
    files: &BTreeMap<&str, &[u8]>,
    versions: &[Member],
    quotes: &[QuoteLine],
    report: &mut impl FnMut(&str, String),
) -> usize {
    let mut texts: BTreeMap<VersionId, Option<&str>> = BTreeMap::new();
    let mut held = 0;
    for quote in quotes {
        if !versions.iter().any(|version| version.version_id == quote.version) {
            report(QUOTES, format!("quote {} is of a version that is not listed", quote.number));
            continue;
        }
        let text = texts.entry(quote.version).or_insert_with(|| {
            files.get(text_path(quote.version).as_str()).and_then(|bytes| std::str::from_utf8(bytes).ok())
        });
        let Some(text) = text else {
            report(QUOTES, format!("quote {} has no text to stand in", quote.number));
            continue;
        };
        if quote.span.slice(text) == Some(quote.quote.as_str()) {
            held += 1;
        } else {
            let Span { start, end } = quote.span;
            report(QUOTES, format!("quote {} is not what stands at characters {start} to {end}", quote.number));
        }
    }
    held
}
