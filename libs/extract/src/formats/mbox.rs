//! Mailboxes (RFC 4155).

use super::eml::{push_mail, telling_headers};
use super::{Certainty, Format, Input, is_plain, sample};
use crate::builder::RenditionBuilder;
use crate::error::ExtractError;
use crate::room::Room;
use carrel_domain::text::Rendition;
use mail_parser::mailbox::mbox::MessageIterator;
use std::io::Cursor;

/// Mailboxes in one file (.mbox).
///
/// Keeps of every mail what [`super::eml::Eml`] keeps; each is a page by its number and a section by its subject. A mail
/// that cannot be read is left out, with a warning.
pub(super) struct Mbox;

impl Format for Mbox {
    fn name(&self) -> &'static str {
        "mbox"
    }

    fn media_type(&self) -> &'static str {
        "application/mbox"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        if !input.bytes.starts_with(b"From ") || !is_plain(input.bytes) {
            return Certainty::No;
        }
        let sample = sample(input.bytes);
        let after = sample.split_once('\n').map_or("", |(_, after)| after);
        if telling_headers(after) >= 2 { Certainty::Content } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        let mut builder = RenditionBuilder::new(&room.limits);
        let mut number = 0;
        for mail in MessageIterator::new(Cursor::new(input.bytes)) {
            number += 1;
            builder.page(number)?;
            let pushed = match &mail {
                Ok(mail) => push_mail(&mut builder, mail.contents(), room),
                Err(_) => Err(ExtractError::damaged("a mail cannot be read")),
            };
            match pushed {
                Ok(_) => {}
                Err(ExtractError::Damaged { .. }) => builder.warn(format!("mail {number} cannot be read")),
                Err(error) => return Err(error),
            }
            // An iterator that fails might fail for ever.
            if mail.is_err() {
                break;
            }
        }
        builder.finish(self.media_type(), None)
    }
}
