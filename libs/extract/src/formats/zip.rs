//! Zip archives as folders.

use super::{Certainty, Format, Input};
use crate::archive::{Archive, Member, PASSWORD};
use crate::builder::RenditionBuilder;
use crate::container::Container;
use crate::error::ExtractError;
use crate::room::Room;
use carrel_domain::text::Rendition;

/// Zip archives (.zip, .jar and their like).
///
/// Keeps the list of its files (name, type, size); each file becomes a document of its own. Drops folders without
/// files, links, times, comments, and files that need a password or an unknown method (they are named).
pub(super) struct Zip;

impl Format for Zip {
    fn name(&self) -> &'static str {
        "zip"
    }

    fn media_type(&self) -> &'static str {
        "application/zip"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        if input.container() == Container::Zip { Certainty::Content } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        room.enter()?;
        let mut archive = Archive::open(input.bytes, &room.limits)?;
        let mut builder = RenditionBuilder::new(&room.limits);
        let mut listing = Listing::default();
        let mut left = total_limit(input.bytes.len(), room);
        for index in 0..archive.len() {
            match archive.member_at(index, left.min(room.children.room()))? {
                Member::File { name, bytes } => {
                    left = left.saturating_sub(bytes.len() as u64);
                    let child = room.child(&name, &bytes)?;
                    listing.file(&child.name, &child.media_type, child.bytes);
                }
                Member::Folder => {}
                Member::Left { name, why } => listing.left(&name, why),
            }
        }
        listing.finish(&mut builder)?;
        builder.finish(self.media_type(), None)
    }
}

/// What an archive may unpack to in all.
pub(super) fn total_limit(packed: usize, room: &Room<'_>) -> u64 {
    let by_ratio = (packed as u64).saturating_mul(room.limits.archive_ratio).max(1 << 20);
    by_ratio.min(room.limits.children_bytes)
}

/// The list of files that stands for an archive.
#[derive(Default)]
pub(super) struct Listing {
    lines: Vec<String>,
    files: usize,
    left: usize,
    encrypted: usize,
}

impl Listing {
    pub(super) fn file(&mut self, name: &str, media_type: &str, bytes: u64) {
        self.files += 1;
        self.lines.push(format!("- {name} ({media_type}, {bytes} bytes)"));
    }

    pub(super) fn left(&mut self, name: &str, why: &'static str) {
        self.left += 1;
        self.encrypted += usize::from(why == PASSWORD);
        self.lines.push(format!("- {} ({why})", crate::children::safe_name(name)));
    }

    pub(super) fn finish(self, builder: &mut RenditionBuilder) -> Result<(), ExtractError> {
        if self.files == 0 && self.encrypted > 0 && self.encrypted == self.left {
            return Err(ExtractError::Encrypted);
        }
        if self.left > 0 {
            builder.warn(format!("{} files of the archive cannot be read and were left out", self.left));
        }
        if !self.lines.is_empty() {
            builder.block(&format!("Files: {}\n{}", self.files, self.lines.join("\n")), crate::Gap::Paragraph)?;
        }
        Ok(())
    }
}
