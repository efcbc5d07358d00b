//! Why a file gave no rendition.

use serde::{Deserialize, Serialize};

/// Why a file gave no rendition. [`ExtractError::reason`] is the stable code, Display is the sentence for people;
/// neither ever contains text of the document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum ExtractError {
    /// Zero bytes, or nothing but white space.
    #[error("the file is empty, or has no text in it")]
    Empty,
    /// The content is of a type that no format reads.
    #[error("files of type {found} cannot be read")]
    UnsupportedType {
        /// Media type that the content was found to be.
        found: String,
    },
    /// A password is needed.
    #[error("the file is protected by a password")]
    Encrypted,
    /// The content does not follow its format.
    #[error("the file is damaged: {detail}")]
    Damaged {
        /// What is wrong.
        detail: String,
    },
    /// Pages without text: scans or pictures.
    #[error("the file holds only pictures of text; it must be read by character recognition first")]
    NeedsOcr,
    /// The file, or what it unpacks to, is larger than allowed.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// Which size.
        what: String,
        /// In bytes.
        limit: u64,
    },
    /// More of something than allowed: pages, members, parts, columns.
    #[error("{what}: more than the {limit} that are allowed")]
    TooMany {
        /// What there is too much of.
        what: String,
        /// How many there may be.
        limit: u64,
    },
    /// Files within files, deeper than allowed.
    #[error("files lie within files deeper than {limit} levels")]
    TooDeep {
        /// How many levels there may be.
        limit: u32,
    },
    /// Character recognition ran and found no words.
    #[error("no words were recognised in the picture")]
    NoText,
    /// Extraction took too long.
    #[error("extraction took longer than {seconds} seconds")]
    LimitTime {
        /// The limit that was hit.
        seconds: u64,
    },
    /// Extraction computed for too long, whatever else the machine did meanwhile.
    #[error("extraction computed for longer than {seconds} seconds")]
    LimitCpu {
        /// The limit that was hit.
        seconds: u64,
    },
    /// Extraction needed too much memory.
    #[error("extraction needed more than {bytes} bytes of memory")]
    LimitMemory {
        /// The limit that was hit.
        bytes: u64,
    },
    /// The reader of the format failed in a way that it should not.
    #[error("the extraction process crashed: {detail}")]
    Crashed {
        /// How it ended.
        detail: String,
    },
    /// The sandbox itself could not work, whatever the file; trying again may help.
    #[error("the extraction process could not be run: {detail}")]
    Sandbox {
        /// What failed.
        detail: String,
    },
}

impl ExtractError {
    /// Stable code of the kind of failure.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::UnsupportedType { .. } => "unsupported_type",
            Self::Encrypted => "encrypted",
            Self::Damaged { .. } => "damaged",
            Self::NeedsOcr => "needs_ocr",
            Self::TooLarge { .. } => "too_large",
            Self::TooMany { .. } => "too_many",
            Self::TooDeep { .. } => "too_deep",
            Self::NoText => "no_text",
            Self::LimitTime { .. } | Self::LimitCpu { .. } => "limit_time",
            Self::LimitMemory { .. } => "limit_memory",
            Self::Crashed { .. } => "crashed",
            Self::Sandbox { .. } => "sandbox",
        }
    }

    /// True when the same file may succeed at another time. A machine under load can miss a time limit; all
    /// other reasons lie in the file.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::LimitTime { .. } | Self::Sandbox { .. })
    }

    pub(crate) fn too_many(what: impl Into<String>, limit: impl Into<u64>) -> Self {
        Self::TooMany { what: what.into(), limit: limit.into() }
    }

    pub(crate) fn damaged(detail: impl Into<String>) -> Self {
        Self::Damaged { detail: detail.into() }
    }
}
