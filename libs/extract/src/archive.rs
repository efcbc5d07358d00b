//! Members of zip archives, within limits.

use crate::error::ExtractError;
use crate::limits::Limits;
use std::io::{Cursor, Read};
use zip::ZipArchive;
use zip::result::ZipError;

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
            return Err(ExtractError::TooLarge {
                what: "the archive's list of members".into(),
                limit: limits.archive_entries,
            });
        }
        Ok(Self { zip, limits: *limits })
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
        // The central directory gives the packed size; it cannot exceed the file, so it cannot lie upwards for long.
        let by_ratio = member.compressed_size().saturating_mul(self.limits.archive_ratio).max(1 << 20);
        let limit = by_ratio.min(self.limits.archive_member_bytes);
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
