//! Mailboxes (RFC 4155).

use super::eml::{push_mail, telling_headers};
use super::{Certainty, Format, Input, is_plain, sample};
use crate::builder::{Gap, RenditionBuilder};
use crate::decode::decode;
use crate::error::ExtractError;
use crate::room::Room;
use carrel_domain::text::Rendition;
use mail_parser::mailbox::mbox::{Message, MessageIterator};
use std::io::Cursor;

/// Mailboxes in one file (.mbox).
///
/// Keeps of every mail what [`super::eml::Eml`] keeps; each is a page by its number and a section by its subject. A mail
/// without headers is kept as plain text, with a warning.
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
        let (first, after) = sample.split_once('\n').unwrap_or((&sample, ""));
        if is_separator(first) || telling_headers(after) >= 2 { Certainty::Content } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        let mut builder = RenditionBuilder::new(&room.limits);
        let mut number = 0;
        for mail in MessageIterator::new(Cursor::new(input.bytes)) {
            number += 1;
            builder.page(number)?;
            let pushed = match &mail {
                Ok(mail) if mail.contents().trim_ascii().is_empty() => Ok(None),
                Ok(mail) => push_mail(&mut builder, mail.contents(), room),
                Err(_) => Err(ExtractError::damaged("a mail cannot be read")),
            };
            match pushed {
                Ok(_) => {}
                Err(ExtractError::Damaged { .. }) => {
                    builder.warn(format!("mail {number} has no headers"));
                    let contents = mail.as_ref().map(Message::contents).unwrap_or_default();
                    builder.block(&decode(contents, None).text, Gap::Paragraph)?;
                }
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

/// The line before a mail: `From sender Mon Jan  1 10:00:00 2024`.
fn is_separator(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_time =
        |word: &&str| word.len() >= 5 && word.as_bytes()[2] == b':' && word.starts_with(|c: char| c.is_ascii_digit());
    let is_year = |word: &&str| word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit());
    words.len() >= 6 && words[2..].iter().any(is_time) && words[2..].iter().any(is_year)
}
