//! Text to token ids.

use super::files::broken;
use crate::InferenceError;
use std::path::{Path, PathBuf};
use tokenizers::{Tokenizer, TruncationParams};

/// Characters looked at per token that the model can read. A word of more than 100 characters is one token to
/// WordPiece, so nothing that could be read lies behind this many.
const CHARACTERS_PER_TOKEN: usize = 128;

pub(super) struct Tokens {
    tokenizer: Tokenizer,
    path: PathBuf,
    max_characters: usize,
}

impl Tokens {
    pub(super) fn load(path: &Path, max_tokens: usize) -> Result<Self, InferenceError> {
        if !path.exists() {
            return Err(broken(
                path,
                "does not exist; `carrel setup` (in a checkout: scripts/setup) installs the model",
            ));
        }
        let unusable = |error: tokenizers::Error| broken(path, format!("is not a usable tokenizer: {error}"));
        let mut tokenizer = Tokenizer::from_file(path).map_err(unusable)?;
        let truncation = TruncationParams { max_length: max_tokens, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(unusable)?;
        tokenizer.with_padding(None);
        Ok(Self { tokenizer, path: path.to_owned(), max_characters: max_tokens * CHARACTERS_PER_TOKEN })
    }

    /// The beginning of `text` that can matter.
    pub(super) fn shorten<'a>(&self, text: &'a str) -> &'a str {
        text.char_indices().nth(self.max_characters).map_or(text, |(end, _)| &text[..end])
    }

    /// Ids with the model's own first and last token; never empty.
    pub(super) fn ids(&self, text: &str) -> Result<Vec<u32>, InferenceError> {
        let encoding = self
            .tokenizer
            .encode_fast(text, true)
            .map_err(|error| broken(&self.path, format!("cannot tokenise: {error}")))?;
        if encoding.is_empty() {
            return Err(broken(&self.path, "adds no first and last token; it belongs to another kind of model"));
        }
        Ok(encoding.get_ids().to_vec())
    }
}
