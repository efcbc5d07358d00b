//! How much one extraction may use.

use serde::{Deserialize, Serialize};

/// Bounds that the readers of formats keep themselves; time and memory are the sandbox's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of the file.
    pub input_bytes: u64,
    /// Bytes of the rendition's text.
    pub output_bytes: u64,
    /// Members of an archive.
    pub archive_entries: u64,
    /// Bytes that one member of an archive may unpack to.
    pub archive_member_bytes: u64,
    /// Unpacked bytes per packed byte of a member, looked at once it is larger than a megabyte.
    pub archive_ratio: u64,
    /// Pages of a document, slides of a presentation, sheets of a workbook, messages of a mailbox.
    pub pages: u32,
    /// Columns of a table.
    pub columns: u32,
    /// Parts of one mail, attachments and multiparts included.
    pub mail_parts: u32,
    /// Documents found inside of one document.
    pub children: u32,
    /// Bytes of all documents found inside of one document.
    pub children_bytes: u64,
    /// Levels of documents within documents: at this depth a container is refused.
    pub depth: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            input_bytes: 256 << 20,
            output_bytes: 64 << 20,
            archive_entries: 10_000,
            archive_member_bytes: 128 << 20,
            archive_ratio: 200,
            pages: 20_000,
            columns: 16_384,
            mail_parts: 2_000,
            children: 2_000,
            children_bytes: 512 << 20,
            depth: 5,
        }
    }
}
