//! Books (EPUB 2 and 3).

use super::html::push_page;
use super::ooxml::{attribute, element_text, join, next, part, reader};
use super::{Certainty, Format, Input};
use crate::archive::Archive;
use crate::builder::RenditionBuilder;
use crate::container::Container;
use crate::error::ExtractError;
use crate::room::Room;
use carrel_domain::text::Rendition;
use quick_xml::events::Event;
use std::collections::HashMap;

/// Books (.epub).
///
/// Keeps the chapters in their reading order, each read as a page of HTML: headings (as sections), paragraphs, lists,
/// tables, pictures' descriptions. Drops pictures, styles, scripts, audio, the table of contents where it is no part of
/// the reading order. Books with a copy protection are [`ExtractError::Encrypted`].
pub(super) struct Epub;

/// Ways of hiding fonts, which are no protection of the text (EPUB 3.3, section 4.2.6.3.1).
const FONT_METHODS: &[&str] = &["http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"];

impl Format for Epub {
    fn name(&self) -> &'static str {
        "epub"
    }

    fn media_type(&self) -> &'static str {
        "application/epub+zip"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        if input.container() == Container::Epub { Certainty::Content } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        let mut archive = Archive::open(input.bytes, &room.limits)?;
        if is_protected(&mut archive)? {
            return Err(ExtractError::Encrypted);
        }
        let container = part(&mut archive, "META-INF/container.xml")?.unwrap_or_default();
        let Some(package_name) = root_file(&container)? else {
            return Err(ExtractError::damaged("it does not say where the book begins"));
        };
        let Some(package) = part(&mut archive, &package_name)? else {
            return Err(ExtractError::damaged("the main part is missing"));
        };
        let folder = package_name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut builder = RenditionBuilder::new(&room.limits);
        for href in spine(&package)? {
            match part(&mut archive, &join(folder, &unescape(&href)))? {
                Some(chapter) => push_page(&mut builder, &chapter)?,
                None => builder.warn("a chapter is missing"),
            }
        }
        builder.finish(self.media_type(), element_text(&package, "title"))
    }
}

fn is_protected(archive: &mut Archive<'_>) -> Result<bool, ExtractError> {
    let Some(xml) = part(archive, "META-INF/encryption.xml")? else { return Ok(false) };
    let mut reader = reader(&xml);
    loop {
        match next(&mut reader)? {
            Event::Start(element) | Event::Empty(element) if element.local_name().as_ref() == "EncryptionMethod" => {
                let method = attribute(&element, "Algorithm").unwrap_or_default();
                if !FONT_METHODS.contains(&method.as_str()) {
                    return Ok(true);
                }
            }
            Event::Eof => return Ok(false),
            _ => {}
        }
    }
}

fn root_file(container: &str) -> Result<Option<String>, ExtractError> {
    let mut reader = reader(container);
    loop {
        match next(&mut reader)? {
            Event::Start(element) | Event::Empty(element) if element.local_name().as_ref() == "rootfile" => {
                return Ok(attribute(&element, "full-path"));
            }
            Event::Eof => return Ok(None),
            _ => {}
        }
    }
}

/// The files of the reading order.
fn spine(package: &str) -> Result<Vec<String>, ExtractError> {
    let mut files: HashMap<String, String> = HashMap::new();
    let mut order = Vec::new();
    let mut reader = reader(package);
    loop {
        match next(&mut reader)? {
            Event::Start(element) | Event::Empty(element) => match element.local_name().as_ref() {
                "item" => {
                    let kind = attribute(&element, "media-type").unwrap_or_default();
                    let file = attribute(&element, "id").zip(attribute(&element, "href"));
                    if kind.contains("html") || kind.contains("xml") && !kind.contains("svg") {
                        files.extend(file);
                    }
                }
                "itemref" => order.extend(attribute(&element, "idref")),
                _ => {}
            },
            Event::Eof => break,
            _ => {}
        }
    }
    Ok(order.iter().filter_map(|id| files.get(id).cloned()).collect())
}

/// Undoes `%20` and its like.
fn unescape(href: &str) -> String {
    let mut bytes = Vec::with_capacity(href.len());
    let mut rest = href.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()).filter(|_| byte == b'%') {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
