//! What kind of container a file is, told by its content: zip packages and compound files hold many formats.

use crate::formats::find;
use std::io::{Cursor, Read};
use zip::ZipArchive;

/// Bytes of the parts that say what a package is.
const PART_BYTES: u64 = 1 << 20;
/// The first bytes of the container that the older Office formats use (MS-CFB).
const COMPOUND_FILE: &[u8] = &[0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1];

/// What a container holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    /// The file is no container of these kinds.
    None,
    Docx,
    Pptx,
    Xlsx,
    Xlsb,
    Odt,
    Ods,
    Odp,
    Epub,
    /// A zip archive of no known kind.
    Zip,
    Doc,
    Ppt,
    Xls,
    Msg,
    /// An Office document with a password.
    Encrypted,
    /// A compound file of no known kind.
    Compound,
}

impl Container {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        if bytes.starts_with(COMPOUND_FILE) {
            return compound(bytes);
        }
        // An archive may be empty, split, or follow a program that unpacks it; the last is not looked for.
        if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
            return package(bytes).unwrap_or_else(|| by_scanning(bytes));
        }
        Self::None
    }
}

/// By its declared type, else by the names of its members; `None` when its directory cannot be read.
fn package(bytes: &[u8]) -> Option<Container> {
    let mut zip = ZipArchive::new(Cursor::new(bytes)).ok()?;
    // OpenDocument 1.3 part 2, section 3.3, and EPUB 3.3, section 4.2: the first member names the type.
    if let Some(declared) = part(&mut zip, "mimetype")
        && let Some(kind) = by_media_type(declared.trim())
    {
        return Some(kind);
    }
    // Open Packaging Conventions (ECMA-376 part 2): the content type of the main part.
    if let Some(types) = part(&mut zip, "[Content_Types].xml")
        && let Some(kind) = by_content_types(&types)
    {
        return Some(kind);
    }
    let has = |name: &str| zip.index_for_name(name).is_some();
    let kind = if zip.file_names().flatten().any(|name| name.starts_with("word/document")) {
        Container::Docx
    } else if has("ppt/presentation.xml") {
        Container::Pptx
    } else if has("xl/workbook.xml") {
        Container::Xlsx
    } else if has("xl/workbook.bin") {
        Container::Xlsb
    } else if has("META-INF/container.xml") && zip.file_names().flatten().any(|name| name.ends_with(".opf")) {
        Container::Epub
    } else {
        Container::Zip
    };
    Some(kind)
}

fn part(zip: &mut ZipArchive<Cursor<&[u8]>>, name: &str) -> Option<String> {
    let member = zip.by_name(name).ok()?;
    let mut bytes = Vec::new();
    member.take(PART_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn by_media_type(declared: &str) -> Option<Container> {
    let kind = declared.strip_prefix("application/vnd.oasis.opendocument.");
    let kind = kind.or_else(|| declared.strip_prefix("application/vnd.sun.xml."));
    match kind {
        Some(kind) if kind.starts_with("text") || kind.starts_with("writer") => Some(Container::Odt),
        Some(kind) if kind.starts_with("spreadsheet") || kind.starts_with("calc") => Some(Container::Ods),
        Some(kind)
            if kind.starts_with("presentation") || kind.starts_with("graphics") || kind.starts_with("impress") =>
        {
            Some(Container::Odp)
        }
        _ => (declared == "application/epub+zip").then_some(Container::Epub),
    }
}

fn by_content_types(types: &str) -> Option<Container> {
    let has = |part: &str| types.contains(part);
    if has("wordprocessingml.document.main") || has("wordprocessingml.template.main") || has("ms-word.document.macro") {
        return Some(Container::Docx);
    }
    let is_presentation =
        ["presentation", "slideshow", "template"].iter().any(|kind| has(&format!("presentationml.{kind}.main")));
    if is_presentation || has("ms-powerpoint.presentation.macro") || has("ms-powerpoint.slideshow.macro") {
        return Some(Container::Pptx);
    }
    if has("ms-excel.sheet.binary") {
        return Some(Container::Xlsb);
    }
    let is_workbook = has("spreadsheetml.sheet.main") || has("spreadsheetml.template.main");
    (is_workbook || has("ms-excel.sheet.macro")).then_some(Container::Xlsx)
}

/// For archives whose directory is damaged: the names stand before the members too.
fn by_scanning(bytes: &[u8]) -> Container {
    let has = |name: &str| find(bytes, name.as_bytes()).is_some();
    if has("word/document") {
        Container::Docx
    } else if has("ppt/slides/") {
        Container::Pptx
    } else if has("xl/worksheets/") {
        Container::Xlsx
    } else {
        Container::Zip
    }
}

/// By the streams that each format must have.
fn compound(bytes: &[u8]) -> Container {
    const STREAMS: &[(&str, Container)] = &[
        ("EncryptedPackage", Container::Encrypted),
        ("__properties_version1.0", Container::Msg),
        ("WordDocument", Container::Doc),
        ("PowerPoint Document", Container::Ppt),
        ("Workbook", Container::Xls),
        ("Book", Container::Xls),
    ];
    let found = match cfb::CompoundFile::open(Cursor::new(bytes)) {
        Ok(file) => STREAMS.iter().find(|(name, _)| file.is_stream(format!("/{name}"))),
        Err(_) => STREAMS.iter().find(|(name, _)| {
            let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
            find(bytes, &name).is_some()
        }),
    };
    found.map_or(Container::Compound, |(_, kind)| *kind)
}
