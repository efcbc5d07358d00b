//! ZIP archives in one canonical form (APPNOTE 6.3, section 4.3): stored entries, no dates, no extra fields, and a
//! directory that repeats the headers. A reader that knows the form knows every byte, which no ZIP library promises
//! over its versions; so these few fields are written and read here.

use crate::BundleError;

const LOCAL: [u8; 4] = *b"PK\x03\x04";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
/// 1 January 1980, the first day of MS-DOS: entries have no date of their own.
const DATE: u16 = 0x0021;
/// Names are UTF-8.
const FLAGS: u16 = 0x0800;
const VERSION: u16 = 20;

/// A file of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
}

/// Writes entries in the given order.
pub(crate) fn write(entries: &[Entry]) -> Result<Vec<u8>, BundleError> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for entry in entries {
        let too_large = || BundleError::TooLarge(entry.path.clone());
        let offset = u32::try_from(out.len()).map_err(|_| too_large())?;
        let header = common(entry).ok_or_else(too_large)?;
        out.extend(LOCAL);
        out.extend(&header);
        out.extend(entry.path.as_bytes());
        out.extend(&entry.bytes);
        directory.extend(CENTRAL);
        directory.extend(VERSION.to_le_bytes());
        directory.extend(&header);
        // Comment, disk, internal and external attributes.
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(entry.path.as_bytes());
    }
    let whole = || BundleError::TooLarge("the bundle".to_owned());
    let at = u32::try_from(out.len()).map_err(|_| whole())?;
    let size = u32::try_from(directory.len()).map_err(|_| whole())?;
    let count = u16::try_from(entries.len()).map_err(|_| whole())?;
    out.extend(directory);
    out.extend(END);
    out.extend([0; 4]);
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend(at.to_le_bytes());
    out.extend([0; 2]);
    Ok(out)
}

/// The fields that a local header and the directory share: 26 bytes.
fn common(entry: &Entry) -> Option<Vec<u8>> {
    let size = u32::try_from(entry.bytes.len()).ok()?;
    let name = u16::try_from(entry.path.len()).ok()?;
    let mut out = Vec::with_capacity(26);
    out.extend(VERSION.to_le_bytes());
    out.extend(FLAGS.to_le_bytes());
    // Stored, at midnight.
    out.extend([0; 4]);
    out.extend(DATE.to_le_bytes());
    out.extend(crc32fast::hash(&entry.bytes).to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend(name.to_le_bytes());
    out.extend([0; 2]);
    Some(out)
}

/// An archive as it was read.
#[derive(Debug)]
pub(crate) struct Archive {
    /// In order.
    pub(crate) entries: Vec<Entry>,
    /// First byte that is not what [`write`] would have written, when there is one although the entries could be read.
    pub(crate) differs_at: Option<u64>,
}

/// Reads the entries of an archive in the canonical form.
pub(crate) fn read(bytes: &[u8]) -> Result<Archive, BundleError> {
    let mut entries = Vec::new();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| rest.starts_with(&LOCAL)) {
        let malformed = |problem: &str| BundleError::Malformed { offset: at as u64, problem: problem.to_owned() };
        let (Some(size), Some(name)) = (number(rest, 18, 4), number(rest, 26, 2)) else {
            return Err(malformed("the archive ends within a header"));
        };
        let path = rest.get(30..30 + name).ok_or_else(|| malformed("the archive ends within a name"))?;
        let path = std::str::from_utf8(path).map_err(|_| malformed("a name is not UTF-8"))?;
        let content =
            rest.get(30 + name..30 + name + size).ok_or_else(|| malformed("the archive ends within a file"))?;
        entries.push(Entry { path: path.to_owned(), bytes: content.to_vec() });
        at += 30 + name + size;
    }
    if entries.is_empty() || !bytes.get(at..).is_some_and(|rest| rest.starts_with(&CENTRAL)) {
        let problem = "a ZIP header was expected; this is no bundle, or a changed one".to_owned();
        return Err(BundleError::Malformed { offset: at as u64, problem });
    }
    let canonical = write(&entries)?;
    let differs_at = bytes
        .iter()
        .zip(&canonical)
        .position(|(found, wanted)| found != wanted)
        .or_else(|| (bytes.len() != canonical.len()).then(|| bytes.len().min(canonical.len())));
    Ok(Archive { entries, differs_at: differs_at.map(|at| at as u64) })
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    let field = bytes.get(at..at + length)?;
    Some(field.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::{Entry, read, write};
    use proptest::prelude::*;

    fn entry(path: &str, bytes: &[u8]) -> Entry {
        Entry { path: path.to_owned(), bytes: bytes.to_vec() }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(files in prop::collection::vec(("[a-zé/]{1,20}", prop::collection::vec(any::<u8>(), 0..200)), 1..6)) {
            let entries: Vec<Entry> = files.iter().map(|(path, bytes)| entry(path, bytes)).collect();
            let archive = read(&write(&entries).unwrap()).unwrap();
            prop_assert_eq!(archive.entries, entries);
            prop_assert_eq!(archive.differs_at, None);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = bytes;
            let _ = read(&bytes);
            bytes.splice(0..0, *b"PK\x03\x04");
            let _ = read(&bytes);
        }
    }

    #[test]
    fn every_changed_bit_is_seen() {
        let written = write(&[entry("a.txt", b"one"), entry("b/c.txt", b"")]).unwrap();
        for at in 0..written.len() * 8 {
            let mut changed = written.clone();
            changed[at / 8] ^= 1 << (at % 8);
            match read(&changed) {
                Err(_) => {}
                // The bytes of a file carry their own sum.
                Ok(archive) => assert!(archive.differs_at.is_some(), "bit {at}"),
            }
        }
    }
}
