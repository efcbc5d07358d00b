//! What the readers of formats make of documents.

use crate::fixtures::{archive, docx, docx_with, paragraph, pdf};
use carrel_domain::text::Rendition;
use carrel_extract::{ExtractError, Limits, extract_in_process};

fn extract(bytes: &[u8], name: &str) -> Result<Rendition, ExtractError> {
    extract_in_process(bytes, Some(name), &Limits::default())
}

fn reason(bytes: &[u8], name: &str) -> &'static str {
    extract(bytes, name).map(|rendition| rendition.media_type).unwrap_err().reason()
}

#[test]
fn plain_text_is_kept_as_it_is() {
    let rendition = extract(b"\xEF\xBB\xBFone\r\n  two\n\n\n\n\nthree", "a.txt").unwrap();
    assert_eq!(rendition.text, "one\n  two\n\n\nthree");
    assert_eq!(rendition.media_type, "text/plain");
    assert!(rendition.warnings.is_empty());
}

#[test]
fn invalid_utf8_is_repaired_with_a_warning() {
    let mut bytes = "Grüße aus der schönen Stadt Köln an der Donau, ".repeat(4).into_bytes();
    bytes.insert(3, 0xFE);
    let rendition = extract(&bytes, "a.txt").unwrap();
    assert!(rendition.text.starts_with("Gr\u{FFFD}") || rendition.text.contains('\u{FFFD}'));
    assert_eq!(rendition.warnings.len(), 1);
}

#[test]
fn names_are_not_believed() {
    assert_eq!(extract(b"just words", "a.pdf").unwrap().media_type, "text/plain");
    assert_eq!(extract(&pdf(&["Real page"], "", &[]), "a.txt").unwrap().media_type, "application/pdf");
    assert_eq!(extract(b"<!DOCTYPE html><p>words", "a.docx").unwrap().media_type, "text/html");
    assert_eq!(reason(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a.txt"), "needs_ocr");
    assert_eq!(extract(&archive(&[("a.txt", b"x")]), "a.docx").unwrap().media_type, "application/zip");
    assert_eq!(reason(b"7z\xBC\xAF\x27\x1C\0\x04\0\0\0\0\0\0\0\0\0\0", "a.txt"), "unsupported_type");
    assert_eq!(extract(b"BMW sells cars.", "a.txt").unwrap().media_type, "text/plain");
    assert_eq!(reason(&(0..4000_u32).map(|n| (n * 7919 % 251) as u8).collect::<Vec<_>>(), "a.md"), "unsupported_type");
}

#[test]
fn what_is_empty_is_said_to_be() {
    assert_eq!(reason(b"", "a.txt"), "empty");
    assert_eq!(reason(b" \r\n\t \n", "a.txt"), "empty");
    assert_eq!(reason(&docx(""), "a.docx"), "empty");
}

#[test]
fn pdf_pages_and_bookmarks_are_mapped() {
    let outline = "<< /Type /Outlines /First 9 0 R /Last 9 0 R /Count 1 >>";
    let bookmark = "<< /Title (Second part) /Parent 8 0 R /Dest [6 0 R /Fit] >>";
    let bytes = pdf(
        &["The first page says this.", "Second part\nThe second page says that."],
        "/Info 10 0 R",
        &[outline, bookmark, "<< /Title (A report) >>"],
    );
    let rendition = extract(&bytes, "a.pdf").unwrap();
    let pages: Vec<_> =
        rendition.map.pages.iter().map(|p| (p.number, p.span.slice(&rendition.text).unwrap().to_owned())).collect();
    assert_eq!(pages[0], (1, "The first page says this.".to_owned()));
    assert_eq!(pages[1].0, 2);
    assert!(pages[1].1.contains("The second page says that."));
    assert_eq!(rendition.title.as_deref(), Some("A report"));
    let sections: Vec<_> = rendition.map.sections.iter().map(|s| (s.level, s.heading.as_str(), s.span.start)).collect();
    assert_eq!(sections, [(1, "Second part", rendition.map.pages[1].span.start)]);
}

#[test]
fn pdfs_without_text_need_ocr_and_broken_ones_are_damaged() {
    assert_eq!(reason(&pdf(&["", ""], "", &[]), "a.pdf"), "needs_ocr");
    assert_eq!(reason(b"%PDF-1.7\ngarbage garbage garbage", "a.pdf"), "damaged");
    let whole = pdf(&["One page"], "", &[]);
    assert!(extract(&whole[..whole.len() / 3], "a.pdf").is_err());
    // A page tree without pages is no scan, whatever programs there are.
    assert_eq!(reason(&pdf(&[], "", &[]), "a.pdf"), "damaged");
}

#[test]
fn a_text_made_of_its_own_entities_is_no_empty_file() {
    let types = "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;\">]>";
    assert_eq!(reason(format!("{types}<x>&b;</x>").as_bytes(), "a.xml"), "damaged");
    let rendition = extract(format!("{types}<x><y>kept &b;</y></x>").as_bytes(), "a.xml").unwrap();
    assert!(rendition.text.contains("kept") && !rendition.text.contains("ha"), "{}", rendition.text);
    assert_eq!(rendition.warnings, ["entities that the file defines itself were left out"]);
    assert_eq!(reason(format!("{types}<x><y/></x>").as_bytes(), "a.xml"), "empty");
}

#[test]
fn pdfs_with_a_password_are_refused() {
    let key = "0123456789abcdef0123456789abcdef";
    let encrypt = format!("<< /Filter /Standard /V 1 /R 2 /O <{key}{key}> /U <{key}{key}> /P -4 >>");
    let bytes = pdf(&["Secret"], "/Encrypt 6 0 R /ID [<00> <00>]", &[&encrypt]);
    assert_eq!(reason(&bytes, "a.pdf"), "encrypted");
}

#[test]
fn a_word_document_becomes_text_with_sections() {
    let styles = "<w:styles xmlns:w=\"w\"><w:style w:type=\"paragraph\" w:styleId=\"berschrift1\"><w:name w:val=\"heading 1\"/></w:style>\
        <w:style w:styleId=\"Mine\"><w:name w:val=\"Mine\"/><w:basedOn w:val=\"Two\"/></w:style>\
        <w:style w:styleId=\"Two\"><w:name w:val=\"Heading 2\"/><w:basedOn w:val=\"Mine\"/></w:style></w:styles>";
    let list = "<w:numPr><w:ilvl w:val=\"0\"/><w:numId w:val=\"3\"/></w:numPr>";
    let inner = "<w:numPr><w:ilvl w:val=\"1\"/><w:numId w:val=\"3\"/></w:numPr>";
    let cell = |text: &str| format!("<w:tc>{}</w:tc>", paragraph("", text));
    let two = [paragraph("", "2"), paragraph("", "3")].concat();
    let two = format!("<w:tc>{two}</w:tc>");
    let body = [
        paragraph("<w:pStyle w:val=\"berschrift1\"/>", "Aims &amp; scope"),
        paragraph("", "Fish &#38; chips &lt;now&gt;&unknown;"),
        "<w:p><w:r><w:t>kept</w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:r><w:tab/><w:t>tab</w:t><w:br/><w:t>line</w:t></w:r>\
         <w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r><w:r><w:footnoteReference w:id=\"1\"/></w:r></w:p>".into(),
        paragraph(list, "one"),
        paragraph(list, "two"),
        paragraph(inner, "two a"),
        paragraph("<w:pStyle w:val=\"Mine\"/>", "Numbers"),
        format!("<w:tbl><w:tr>{}{}</w:tr><w:tr>{}{two}</w:tr></w:tbl>", cell("a"), cell("b"), cell("1")),
        "<w:p><w:r><mc:AlternateContent><mc:Choice><w:txbxContent><w:p><w:r><w:t>box</w:t></w:r></w:p></w:txbxContent></mc:Choice>\
         <mc:Fallback><w:p><w:r><w:t>box</w:t></w:r></w:p></mc:Fallback></mc:AlternateContent><w:t>after</w:t></w:r></w:p>".into(),
    ]
    .concat();
    let rels = "<Relationships><Relationship Type=\"http://x/styles\" Target=\"styles.xml\"/><Relationship Type=\"http://x/footnotes\" Target=\"footnotes.xml\"/>\
        <Relationship Type=\"http://x/header\" Target=\"/word/header1.xml\"/><Relationship Type=\"http://x/hyperlink\" Target=\"http://evil\" TargetMode=\"External\"/></Relationships>";
    let notes = format!(
        "<w:footnotes><w:footnote w:type=\"separator\" w:id=\"0\">{}</w:footnote><w:footnote w:id=\"1\">{}</w:footnote></w:footnotes>",
        paragraph("", "----"),
        paragraph("", "The note.")
    );
    let header = format!("<w:hdr>{}</w:hdr>", paragraph("", "Confidential"));
    let core = "<cp:coreProperties><dc:title>The &quot;Aims&quot;</dc:title></cp:coreProperties>";
    let bytes = docx_with(
        &body,
        &[
            ("word/_rels/document.xml.rels", rels.as_bytes()),
            ("word/styles.xml", styles.as_bytes()),
            ("word/footnotes.xml", notes.as_bytes()),
            ("word/header1.xml", header.as_bytes()),
            ("docProps/core.xml", core.as_bytes()),
        ],
    );
    let rendition = extract(&bytes, "a.docx").unwrap();
    assert_eq!(
        rendition.text,
        "Aims & scope\n\nFish & chips <now>\n\nkept\ttab\nline[1]\n\n- one\n- two\n  - two a\n\nNumbers\n\na: 1 | b: 2 3\n\nbox\n\nafter\n\n[1] The note.\n\nConfidential"
    );
    assert_eq!(rendition.title.as_deref(), Some("The \"Aims\""));
    let sections: Vec<_> = rendition.map.sections.iter().map(|s| (s.level, s.heading.as_str())).collect();
    assert_eq!(sections, [(1, "Aims & scope"), (2, "Numbers")]);
}

#[test]
fn hostile_word_documents_are_refused() {
    let bomb = format!("<w:p><w:r><w:t>{}</w:t></w:r></w:p>", "a".repeat(16 << 20));
    assert_eq!(reason(&docx(&bomb), "a.docx"), "too_large");
    let whole = docx(&paragraph("", &"words ".repeat(1000)));
    assert_eq!(reason(&whole[..whole.len() / 2], "a.docx"), "damaged");
    assert_eq!(reason(&archive(&[("word/document2.xml", b"x"), ("_rels/.rels", b"<a/>")]), "a.docx"), "damaged");
    let many: Vec<(String, Vec<u8>)> = (0..300).map(|n| (format!("word/document{n}"), Vec::new())).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let limits = Limits { archive_entries: 100, ..Limits::default() };
    assert_eq!(extract_in_process(&archive(&many), None, &limits).unwrap_err().reason(), "too_many");
    let mut encrypted = vec![0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1];
    encrypted.extend("EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes));
    assert_eq!(reason(&encrypted, "a.docx"), "encrypted");
}

#[test]
fn entities_are_never_expanded() {
    let mut bytes = docx(&paragraph("", "before &lol9; after"));
    let evil = "<?xml version=\"1.0\"?><!DOCTYPE d [<!ENTITY lol \"lol\"><!ENTITY lol9 \"&lol;&lol;&lol;\"><!ENTITY x SYSTEM \"file:///etc/passwd\">]>\
        <w:document><w:body><w:p><w:r><w:t>before &lol9;&x; after</w:t></w:r></w:p></w:body></w:document>";
    assert_eq!(extract(&bytes, "a.docx").unwrap().text, "before  after");
    bytes = archive(&[("word/document.xml", evil.as_bytes())]);
    assert_eq!(extract(&bytes, "a.docx").unwrap().text, "before  after");
}

#[test]
fn deeply_nested_xml_is_harmless() {
    let body = format!("{}{}", "<w:tbl><w:tr><w:tc>".repeat(50_000), paragraph("", "deep"));
    let result = extract(&docx(&body), "a.docx");
    assert!(result.is_err() || result.unwrap().text.contains("deep"));
}

#[test]
fn ten_megabytes_on_one_line_are_text() {
    let text = "word ".repeat(2_000_000);
    let rendition = extract(text.as_bytes(), "a.txt").unwrap();
    assert_eq!(rendition.text.len(), text.len() - 1);
    let small = Limits { output_bytes: 1 << 20, ..Limits::default() };
    assert_eq!(extract_in_process(text.as_bytes(), None, &small).unwrap_err().reason(), "too_large");
}
