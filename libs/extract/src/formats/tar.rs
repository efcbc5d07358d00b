//! Tar archives as folders, also compressed by gzip; and single files compressed by gzip.

use super::zip::{Listing, total_limit};
use super::{Certainty, Format, Input};
use crate::builder::RenditionBuilder;
use crate::error::ExtractError;
use crate::room::Room;
use ::tar::{Archive, EntryType};
use carrel_domain::text::Rendition;
use flate2::read::MultiGzDecoder;
use std::io::{Cursor, Read};

/// Tar archives (.tar, .tar.gz, .tgz) and gzip files (.gz).
///
/// Keeps the list of its files (name, type, size); each file becomes a document of its own. Drops folders, links,
/// devices, owners, times.
pub(super) struct Tar;

/// A block of a tar archive; the checksum of its header is at 148.
const BLOCK: usize = 512;

impl Format for Tar {
    fn name(&self) -> &'static str {
        "tar"
    }

    fn media_type(&self) -> &'static str {
        "application/x-tar"
    }

    fn media_type_of(&self, input: &Input<'_>) -> String {
        if is_gzip(input.bytes) { "application/gzip".to_owned() } else { self.media_type().to_owned() }
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        if is_gzip(input.bytes) || is_tar(input.bytes) { Certainty::Content } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        room.enter()?;
        let mut builder = RenditionBuilder::new(&room.limits);
        let mut listing = Listing::default();
        let left = total_limit(input.bytes.len(), room);
        if is_gzip(input.bytes) {
            let mut unpacked = Bounded { inner: MultiGzDecoder::new(input.bytes), left: left + 1, limit: left };
            let mut head = Vec::new();
            unpacked.by_ref().take(BLOCK as u64).read_to_end(&mut head).map_err(|error| of_io(&error))?;
            if is_tar(&head) {
                members(Cursor::new(head).chain(unpacked), room, &mut listing)?;
            } else {
                unpacked.read_to_end(&mut head).map_err(|error| of_io(&error))?;
                let child = room.child(&inner_name(input.name), &head)?;
                listing.file(&child.name, &child.media_type, child.bytes);
            }
        } else {
            members(input.bytes, room, &mut listing)?;
        }
        listing.finish(&mut builder)?;
        builder.finish(&self.media_type_of(input), None)
    }
}

fn members(stream: impl Read, room: &mut Room<'_>, listing: &mut Listing) -> Result<(), ExtractError> {
    let mut archive = Archive::new(stream);
    let entries = archive.entries().map_err(|error| of_io(&error))?;
    for (number, entry) in (1..).zip(entries) {
        if number > room.limits.archive_entries {
            return Err(ExtractError::too_many("members of the archive", room.limits.archive_entries));
        }
        let entry = entry.map_err(|error| of_io(&error))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                // The declared size is only a claim.
                let limit = room.limits.archive_member_bytes.min(room.children.room());
                let mut bytes = Vec::new();
                entry.take(limit + 1).read_to_end(&mut bytes).map_err(|error| of_io(&error))?;
                if bytes.len() as u64 > limit {
                    return Err(ExtractError::TooLarge { what: "a file of the archive, unpacked,".into(), limit });
                }
                let child = room.child(&name, &bytes)?;
                listing.file(&child.name, &child.media_type, child.bytes);
            }
            EntryType::Directory | EntryType::XGlobalHeader => {}
            EntryType::Symlink | EntryType::Link => listing.left(&name, "a link"),
            _ => listing.left(&name, "no file"),
        }
    }
    Ok(())
}

/// Fails where a reader that only stops would make what is cut off look whole.
struct Bounded<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.inner.read(&mut buffer[..most])?;
        self.left -= count as u64;
        if self.left == 0 {
            return Err(std::io::Error::other(Exceeded(self.limit)));
        }
        Ok(count)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("more than {0} bytes")]
struct Exceeded(u64);

fn of_io(error: &std::io::Error) -> ExtractError {
    // The archive's reader wraps errors in its own.
    let mut cause: Option<&(dyn std::error::Error + 'static)> = error.get_ref().map(|inner| inner as _);
    while let Some(inner) = cause {
        if let Some(Exceeded(limit)) = inner.downcast_ref() {
            return ExtractError::TooLarge { what: "the archive, unpacked,".into(), limit: *limit };
        }
        if let Some(wrapped) = inner.downcast_ref::<std::io::Error>() {
            return of_io(wrapped);
        }
        cause = inner.source();
    }
    ExtractError::damaged("the archive is cut off or inconsistent")
}

fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1F, 0x8B, 8])
}

/// True when the first block is a header with the right checksum (POSIX.1-2001, ustar; older ones have no mark).
fn is_tar(bytes: &[u8]) -> bool {
    let Some(block) = bytes.get(..BLOCK) else { return false };
    let declared = std::str::from_utf8(&block[148..156]).unwrap_or_default();
    let declared = u32::from_str_radix(declared.trim_matches(['\0', ' ']), 8);
    let outside: u32 = block[..148].iter().chain(&block[156..]).map(|byte| u32::from(*byte)).sum();
    block[0] != 0 && declared == Ok(outside + 8 * u32::from(b' '))
}

/// The name of the file that a gzip file holds.
fn inner_name(name: Option<&str>) -> String {
    let name = name.unwrap_or_default();
    let file = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_packed = file.to_ascii_lowercase().ends_with(".gz");
    if is_packed && file.len() > 3 { file[..file.len() - 3].to_owned() } else { "content".to_owned() }
}
