//! Members of zip archives, within limits.

use crate::error::ExtractError;
use crate::limits::Limits;
use std::io::{Cursor, Read};
use zip::ZipArchive;
use zip::result::ZipError;

/// What stands at a place of an archive.
pub(crate) enum Member {
    File {
        name: String,
        bytes: Vec<u8>,
    },
    Folder,
    /// It is there, and is not read.
    Left {
        name: String,
        why: &'static str,
    },
}

/// Why a member is not read.
pub(crate) const PASSWORD: &str = "protected by a password";

/// A zip archive of which members are read one by one. What the archive declares about sizes is never trusted:
/// reading stops at the limit.
pub(crate) struct Archive<'b> {
    zip: ZipArchive<Cursor<&'b [u8]>>,
    limits: Limits,
}

impl<'b> Archive<'b> {
    pub(crate) fn open(bytes: &'b [u8], limits: &Limits) -> Result<Self, ExtractError> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| failure("the archive", &error))?;
        if zip.len() as u64 > limits.archive_entries {
            return Err(ExtractError::too_many("members of the archive", limits.archive_entries));
        }
        Ok(Self { zip, limits: *limits })
    }

    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        self.zip.len()
    }

    /// The member at `index`, which may unpack to `left` bytes.
    pub(crate) fn member_at(&mut self, index: usize, left: u64) -> Result<Member, ExtractError> {
        let name = self.zip.name_for_index(index).and_then(Result::ok).unwrap_or_default().into_owned();
        let (packed, member) = match self.zip.by_index(index) {
            Ok(member) if member.is_dir() => return Ok(Member::Folder),
            Ok(member) if member.is_symlink() => return Ok(Member::Left { name, why: "a link" }),
            Ok(member) if member.encrypted() => return Ok(Member::Left { name, why: PASSWORD }),
            Ok(member) => (member.compressed_size(), member),
            Err(error) => {
                let why = if failure("", &error) == ExtractError::Encrypted { PASSWORD } else { "cannot be read" };
                return Ok(Member::Left { name, why });
            }
        };
        let limit = limit_of(&self.limits, packed).min(left);
        let mut bytes = Vec::new();
        if member.take(limit + 1).read_to_end(&mut bytes).is_err() && bytes.len() as u64 <= limit {
            return Ok(Member::Left { name, why: "damaged" });
        }
        if bytes.len() as u64 > limit {
            return Err(ExtractError::TooLarge { what: "a file of the archive, unpacked,".into(), limit });
        }
        Ok(Member::File { name, bytes })
    }

    /// The names of the members in the folder `prefix`, in their order.
    pub(crate) fn names_in(&self, prefix: &str) -> Vec<String> {
        let names = self.zip.file_names().flatten().filter(|name| name.starts_with(prefix));
        names.map(std::borrow::Cow::into_owned).collect()
    }

    /// Unpacks every member into nothing, for readers that unpack without limits of their own. Together they may hold
    /// `total` bytes.
    pub(crate) fn measure(&mut self, total: u64) -> Result<(), ExtractError> {
        let mut left = total;
        for index in 0..self.zip.len() {
            let member = match self.zip.by_index(index) {
                Ok(member) => member,
                Err(error) => return Err(failure("a member of the archive", &error)),
            };
            let limit = limit_of(&self.limits, member.compressed_size()).min(left);
            // What is damaged is found by who reads it.
            let unpacked = std::io::copy(&mut member.take(limit + 1), &mut std::io::sink()).unwrap_or(0);
            if unpacked > limit {
                return Err(ExtractError::TooLarge { what: "the file, unpacked,".into(), limit });
            }
            left -= unpacked;
        }
        Ok(())
    }

    /// The bytes of the member `name`; `None` when there is none.
    pub(crate) fn member(&mut self, name: &str) -> Result<Option<Vec<u8>>, ExtractError> {
        let member = match self.zip.by_name(name) {
            Ok(member) => member,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(failure(name, &error)),
        };
        if member.encrypted() {
            return Err(ExtractError::Encrypted);
        }
        let limit = limit_of(&self.limits, member.compressed_size());
        let mut bytes = Vec::new();
        member
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| ExtractError::damaged(format!("{name} cannot be unpacked ({})", error.kind())))?;
        if bytes.len() as u64 > limit {
            return Err(ExtractError::TooLarge { what: format!("{name}, unpacked,"), limit });
        }
        Ok(Some(bytes))
    }
}

/// How much a member may unpack to. The directory gives its packed size, which cannot exceed the file, so that it cannot
/// lie upwards for long.
fn limit_of(limits: &Limits, packed: u64) -> u64 {
    packed.saturating_mul(limits.archive_ratio).max(1 << 20).min(limits.archive_member_bytes)
}

fn failure(what: &str, error: &ZipError) -> ExtractError {
    match error {
        ZipError::InvalidPassword => ExtractError::Encrypted,
        ZipError::UnsupportedArchive(detail) if detail.to_lowercase().contains("password") => ExtractError::Encrypted,
        ZipError::UnsupportedArchive(detail) => ExtractError::damaged(format!("{what}: {detail}")),
        ZipError::InvalidArchive(detail) => ExtractError::damaged(format!("{what}: {detail}")),
        ZipError::CompressionMethodNotSupported(method) => {
            ExtractError::damaged(format!("{what} is compressed by the unknown method {method}"))
        }
        _ => ExtractError::damaged(format!("{what} cannot be read")),
    }
}
