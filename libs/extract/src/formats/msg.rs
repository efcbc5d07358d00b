//! Mails of Outlook (MS-OXMSG), a compound file read by `cfb`.

use super::html::push_html;
use super::{Certainty, Format, Input, rtf};
use crate::builder::{Gap, RenditionBuilder};
use crate::container::Container;
use crate::decode::decode;
use crate::error::ExtractError;
use crate::room::Room;
use crate::table::squeeze;
use carrel_domain::text::Rendition;
use std::io::{Cursor, Read};

/// Mails of Outlook (.msg).
///
/// Keeps sender, recipients, date and subject (one a line), the body (as plain text, HTML or RTF, the first there is),
/// and a list of the attachments, each of which becomes a document of its own. Drops the transport headers, categories,
/// flags, and mails that are embedded as an object of the file (they are named).
pub(super) struct Msg;

/// Bytes of one property.
const PROPERTY_BYTES: u64 = 256 << 20;
/// Seconds from 1601, where Windows' clock begins, to 1970.
const WINDOWS_EPOCH: i64 = 11_644_473_600;

/// Tags of properties (MS-OXPROPS).
mod tag {
    pub(super) const SUBJECT: u16 = 0x0037;
    pub(super) const SENDER_NAME: u16 = 0x0C1A;
    pub(super) const SENDER_ADDRESS: u16 = 0x0C1F;
    pub(super) const SENDER_SMTP: u16 = 0x5D01;
    pub(super) const TO: u16 = 0x0E04;
    pub(super) const CC: u16 = 0x0E03;
    pub(super) const BCC: u16 = 0x0E02;
    pub(super) const MESSAGE_ID: u16 = 0x1035;
    pub(super) const SUBMITTED: u16 = 0x0039;
    pub(super) const DELIVERED: u16 = 0x0E06;
    pub(super) const BODY: u16 = 0x1000;
    pub(super) const HTML: u16 = 0x1013;
    pub(super) const RTF: u16 = 0x1009;
    pub(super) const LONG_FILE_NAME: u16 = 0x3707;
    pub(super) const FILE_NAME: u16 = 0x3704;
    pub(super) const DISPLAY_NAME: u16 = 0x3001;
    pub(super) const CONTENT: u16 = 0x3701;
}

type File<'b> = cfb::CompoundFile<Cursor<&'b [u8]>>;

impl Format for Msg {
    fn name(&self) -> &'static str {
        "msg"
    }

    fn media_type(&self) -> &'static str {
        "application/vnd.ms-outlook"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        if input.container() == Container::Msg { Certainty::Content } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        let mut file = cfb::CompoundFile::open(Cursor::new(input.bytes))
            .map_err(|_| ExtractError::damaged("the compound file cannot be opened"))?;
        let mut builder = RenditionBuilder::new(&room.limits);
        let subject = text(&mut file, "", tag::SUBJECT).map(|subject| squeeze(&subject));
        let sender = text(&mut file, "", tag::SENDER_NAME);
        let address = text(&mut file, "", tag::SENDER_SMTP).or_else(|| text(&mut file, "", tag::SENDER_ADDRESS));
        let from = match (sender, address.filter(|address| address.contains('@'))) {
            (Some(name), Some(address)) if name != address => Some(format!("{name} <{address}>")),
            (name, address) => address.or(name),
        };
        let headers = [
            ("From", from),
            ("To", text(&mut file, "", tag::TO)),
            ("Cc", text(&mut file, "", tag::CC)),
            ("Bcc", text(&mut file, "", tag::BCC)),
            ("Date", time(&mut file, tag::SUBMITTED).or_else(|| time(&mut file, tag::DELIVERED))),
            ("Subject", subject.clone()),
            ("Message-ID", text(&mut file, "", tag::MESSAGE_ID)),
        ];
        let mut block = String::new();
        for (name, value) in headers {
            let value = squeeze(&value.unwrap_or_default());
            if !value.is_empty() {
                block.extend([name, ": ", &value, "\n"]);
            }
        }
        if let Some(start) = builder.block(&block, Gap::Paragraph)? {
            builder.mark_heading(1, subject.as_deref().unwrap_or("(no subject)"), start);
        }
        push_body(&mut builder, &mut file)?;
        push_attachments(&mut builder, &mut file, room)?;
        builder.finish(self.media_type(), subject)
    }
}

fn push_body(builder: &mut RenditionBuilder, file: &mut File<'_>) -> Result<(), ExtractError> {
    if let Some(body) = text(file, "", tag::BODY).filter(|body| !body.trim().is_empty()) {
        builder.block(&body, Gap::Paragraph)?;
        return Ok(());
    }
    let html = binary(file, "", tag::HTML).map(|html| decode(&html, None).text.into_owned());
    if let Some(html) = html.or_else(|| text(file, "", tag::HTML)) {
        return push_html(builder, &html);
    }
    let rich = binary(file, "", tag::RTF).and_then(|packed| rtf::unpack(&packed));
    if let Some(rich) = rich {
        rtf::push_rtf(builder, &rich)?;
    }
    Ok(())
}

fn push_attachments(
    builder: &mut RenditionBuilder,
    file: &mut File<'_>,
    room: &mut Room<'_>,
) -> Result<(), ExtractError> {
    let folders: Vec<String> = file
        .read_root_storage()
        .filter(|entry| entry.is_storage() && entry.name().starts_with("__attach_version1.0_#"))
        .map(|entry| format!("/{}", entry.name()))
        .collect();
    let mut gap = Gap::Paragraph;
    for folder in folders {
        if room.enter().is_err() {
            builder.warn("attachments lie too deep and were left out");
            break;
        }
        let name = [tag::LONG_FILE_NAME, tag::FILE_NAME, tag::DISPLAY_NAME]
            .iter()
            .find_map(|tag| text(file, &folder, *tag).filter(|name| !name.trim().is_empty()));
        let name = name.unwrap_or_else(|| "attachment".to_owned());
        if gap == Gap::Paragraph {
            builder.block("Attachments:", gap)?;
            gap = Gap::Line;
        }
        match binary(file, &folder, tag::CONTENT) {
            Some(bytes) => {
                let child = room.child(&name, &bytes)?;
                let line = format!("- {} ({}, {} bytes)", child.name, child.media_type, child.bytes);
                builder.block(&line, gap)?;
            }
            None => {
                builder.block(&format!("- {} (embedded, not read)", crate::children::safe_name(&name)), gap)?;
                builder.warn("an object embedded in the mail was left out");
            }
        }
    }
    Ok(())
}

/// A property of text, in UTF-16 or in the encoding of the machine that wrote it.
fn text(file: &mut File<'_>, folder: &str, tag: u16) -> Option<String> {
    if let Some(bytes) = stream(file, &format!("{folder}/__substg1.0_{tag:04X}001F")) {
        let text = encoding_rs::UTF_16LE.decode_without_bom_handling(&bytes).0.into_owned();
        return Some(text.trim_end_matches('\0').to_owned());
    }
    let bytes = stream(file, &format!("{folder}/__substg1.0_{tag:04X}001E"))?;
    Some(decode(&bytes, None).text.trim_end_matches('\0').to_owned())
}

fn binary(file: &mut File<'_>, folder: &str, tag: u16) -> Option<Vec<u8>> {
    stream(file, &format!("{folder}/__substg1.0_{tag:04X}0102"))
}

/// A property of time, from the table of fixed properties: 32 bytes of header, then 16 bytes each.
fn time(file: &mut File<'_>, tag: u16) -> Option<String> {
    let table = stream(file, "/__properties_version1.0")?;
    let (row, _) = table.get(32..)?.as_chunks::<16>();
    let row = row.iter().find(|row| row[..4] == [0x40, 0, tag.to_le_bytes()[0], tag.to_le_bytes()[1]])?;
    let ticks = u64::from_le_bytes(row[8..].try_into().ok()?);
    let seconds = i64::try_from(ticks / 10_000_000).ok()?.checked_sub(WINDOWS_EPOCH)?;
    Some(mail_parser::DateTime::from_timestamp(seconds).to_rfc3339())
}

fn stream(file: &mut File<'_>, path: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    file.open_stream(path).ok()?.take(PROPERTY_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
