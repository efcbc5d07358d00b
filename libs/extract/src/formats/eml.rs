//! Mails (RFC 5322, MIME), by `mail-parser`.

use super::html::push_html;
use super::{Certainty, Format, Input, is_plain, sample};
use crate::builder::{Gap, RenditionBuilder};
use crate::error::ExtractError;
use crate::room::Room;
use carrel_domain::text::Rendition;
use mail_parser::{Address, HeaderValue, Message, MessageParser, MessagePart, MimeHeaders, PartType};

/// Mails (.eml).
///
/// Keeps the headers of [`KEPT_HEADERS`] (one a line, decoded), the body (the plain one where there are several forms),
/// and a list of the attachments, each of which becomes a document of its own; so does a mail that is forwarded as an
/// attachment. Drops the way that the mail took (Received and the like), signatures' keys, the HTML form of a body that
/// is there as plain text, and what an HTML body refers to.
pub(super) struct Eml;

/// The headers that are kept, as they are written.
const KEPT_HEADERS: &[&str] = &[
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Date",
    "Subject",
    "Message-ID",
    "In-Reply-To",
    "List-Id",
    "Resent-From",
    "Resent-To",
    "Resent-Date",
    "Organization",
    "Keywords",
    "Comments",
];
/// Headers of which a mail has some; none of them opens a usual text.
const TELLING_HEADERS: &[&str] = &[
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "received",
    "return-path",
    "delivered-to",
    "content-type",
    "reply-to",
    "sender",
    "cc",
    "x-mailer",
    "dkim-signature",
    "content-transfer-encoding",
    "references",
    "in-reply-to",
    "list-id",
    "bcc",
];
/// Longest line of addresses: a mail to ten thousand people says so by its first ones.
const HEADER_CHARS: usize = 4000;

impl Format for Eml {
    fn name(&self) -> &'static str {
        "eml"
    }

    fn media_type(&self) -> &'static str {
        "message/rfc822"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        let named = matches!(input.extension().as_str(), "eml" | "mht" | "mhtml");
        let wanted = if named { 1 } else { 3 };
        if is_plain(input.bytes) && telling_headers(&sample(input.bytes)) >= wanted {
            Certainty::Content
        } else {
            Certainty::No
        }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        let mut builder = RenditionBuilder::new(&room.limits);
        let subject = push_mail(&mut builder, input.bytes, room)?;
        builder.finish(self.media_type(), subject)
    }
}

/// How many different headers of mails stand at the start, before the first line that is none.
pub(super) fn telling_headers(text: &str) -> usize {
    let mut found = std::collections::HashSet::new();
    for line in text.lines().take(200) {
        if line.starts_with([' ', '\t']) && !found.is_empty() {
            continue;
        }
        let Some((name, _)) = line.split_once(':') else { break };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            break;
        }
        if let Some(known) = TELLING_HEADERS.iter().find(|known| known.eq_ignore_ascii_case(name)) {
            found.insert(*known);
        }
    }
    found.len()
}

/// Adds a mail; answers its subject.
pub(super) fn push_mail(
    builder: &mut RenditionBuilder,
    bytes: &[u8],
    room: &mut Room<'_>,
) -> Result<Option<String>, ExtractError> {
    let Some(mail) = MessageParser::default().parse(bytes) else {
        return Err(ExtractError::damaged("it has no headers"));
    };
    let parts = count_parts(&mail, 0);
    if parts > u64::from(room.limits.mail_parts) {
        return Err(ExtractError::too_many("parts of the mail", room.limits.mail_parts));
    }
    let subject = mail.subject().map(crate::table::squeeze).filter(|subject| !subject.is_empty());
    let mut headers = String::new();
    for header in mail.headers() {
        let Some(kept) = KEPT_HEADERS.iter().find(|kept| kept.eq_ignore_ascii_case(header.name.as_str())) else {
            continue;
        };
        let value = crate::table::squeeze(&shown(&header.value));
        if !value.is_empty() {
            headers.extend([kept, ": "]);
            headers.extend(value.chars().take(HEADER_CHARS));
            headers.push('\n');
        }
    }
    if let Some(start) = builder.block(&headers, Gap::Paragraph)? {
        builder.mark_heading(1, subject.as_deref().unwrap_or("(no subject)"), start);
    }
    for part in mail.text_bodies() {
        match &part.body {
            PartType::Text(text) => {
                builder.block(text, Gap::Paragraph)?;
            }
            PartType::Html(html) => push_html(builder, html)?,
            _ => {}
        }
    }
    push_attachments(builder, &mail, room)?;
    Ok(subject)
}

fn push_attachments(
    builder: &mut RenditionBuilder,
    mail: &Message<'_>,
    room: &mut Room<'_>,
) -> Result<(), ExtractError> {
    let mut gap = Gap::Paragraph;
    for part in mail.attachments() {
        if room.enter().is_err() {
            builder.warn("attachments lie too deep and were left out");
            break;
        }
        let name = name_of(part);
        let child = room.child(&name, content_of(part))?;
        if gap == Gap::Paragraph {
            builder.block("Attachments:", gap)?;
            gap = Gap::Line;
        }
        builder.block(&format!("- {} ({}, {} bytes)", child.name, child.media_type, child.bytes), gap)?;
    }
    Ok(())
}

fn content_of<'p>(part: &'p MessagePart<'_>) -> &'p [u8] {
    match &part.body {
        PartType::Message(mail) => mail.raw_message(),
        _ => part.contents(),
    }
}

fn name_of(part: &MessagePart<'_>) -> String {
    if let Some(name) = part.attachment_name().filter(|name| !name.trim().is_empty()) {
        return name.to_owned();
    }
    match &part.body {
        PartType::Message(mail) => format!("{}.eml", mail.subject().unwrap_or("message")),
        PartType::Text(_) => "text.txt".to_owned(),
        PartType::Html(_) => "text.html".to_owned(),
        _ => "attachment".to_owned(),
    }
}

/// Parts, those of forwarded mails included.
fn count_parts(mail: &Message<'_>, depth: u32) -> u64 {
    let mut count = mail.parts.len() as u64;
    for part in &mail.parts {
        if let PartType::Message(inner) = &part.body
            && depth < 16
        {
            count += count_parts(inner, depth + 1);
        }
    }
    count
}

fn shown(value: &HeaderValue<'_>) -> String {
    match value {
        HeaderValue::Text(text) => text.to_string(),
        HeaderValue::TextList(texts) => texts.join(", "),
        HeaderValue::Address(address) => addresses(address),
        HeaderValue::DateTime(date) => date.to_rfc3339(),
        _ => String::new(),
    }
}

fn addresses(address: &Address<'_>) -> String {
    let shown: Vec<String> = address
        .iter()
        .map(|one| match (one.name(), one.address()) {
            (Some(name), Some(address)) => format!("{name} <{address}>"),
            (name, address) => name.or(address).unwrap_or_default().to_owned(),
        })
        .collect();
    shown.join(", ")
}
