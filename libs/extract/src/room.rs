//! What a format may use while it reads a file.

use crate::children::{ChildDocument, Children};
use crate::error::ExtractError;
use crate::limits::Limits;
use crate::ocr::Ocr;

/// What a format may use while it reads one file: its limits, its depth, a place for the documents found inside, and
/// character recognition.
pub struct Room<'w> {
    /// Bounds that every format keeps.
    pub limits: Limits,
    /// How many documents this one lies within.
    pub depth: u32,
    pub(crate) children: Children<'w>,
    pub(crate) ocr: Ocr,
}

impl std::fmt::Debug for Room<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room").field("limits", &self.limits).field("depth", &self.depth).finish_non_exhaustive()
    }
}

impl Room<'_> {
    /// Adds a document found inside of the one being read, and answers it.
    ///
    /// # Errors
    /// [`ExtractError::TooMany`] and [`ExtractError::TooLarge`] at the limits.
    pub fn child(&mut self, name: &str, bytes: &[u8]) -> Result<&ChildDocument, ExtractError> {
        self.children.add(name, bytes)
    }

    /// Refuses to open a container at the limit of depth.
    ///
    /// # Errors
    /// [`ExtractError::TooDeep`].
    pub fn enter(&self) -> Result<(), ExtractError> {
        if self.depth >= self.limits.depth {
            return Err(ExtractError::TooDeep { limit: self.limits.depth });
        }
        Ok(())
    }
}
