//! Plain text in any encoding.

use super::{Certainty, Format, Input, is_plain};
use crate::builder::{Gap, RenditionBuilder};
use crate::decode::decode;
use crate::error::ExtractError;
use crate::room::Room;
use carrel_domain::text::Rendition;

/// Plain text, source code, CSV, JSON, logs: all that reads as text.
///
/// Keeps every visible character and the lines as they are. Drops nothing but what normalising drops. Bytes that
/// are not valid in the encoding become U+FFFD, with a warning.
pub(super) struct Text;

impl Format for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn media_type(&self) -> &'static str {
        "text/plain"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        if is_plain(input.bytes) { Certainty::Fallback } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        let limits = &room.limits;
        let mut builder = RenditionBuilder::new(limits);
        let decoded = decode(input.bytes, None);
        if let Some(warning) = decoded.warning {
            builder.warn(warning);
        }
        builder.block(&decoded.text, Gap::Paragraph)?;
        builder.finish(self.media_type(), None)
    }
}
