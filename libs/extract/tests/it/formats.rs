//! What the readers of Office files, books, archives and pictures make of them.

use crate::fixtures::{archive, cell, docx_with, odf, paragraph, pdf, xlsx};
use crate::sandbox::config;
use carrel_domain::text::Rendition;
use carrel_extract::{Extraction, Limits, Request, Sandbox, SandboxConfig, extract_in_process};
use std::io::{Cursor, Write as _};

fn read(bytes: &[u8]) -> Rendition {
    extract_in_process(bytes, None, &Limits::default()).unwrap()
}

fn pages(rendition: &Rendition) -> Vec<(u32, &str)> {
    rendition.map.pages.iter().map(|page| (page.number, page.span.slice(&rendition.text).unwrap())).collect()
}

fn sections(rendition: &Rendition) -> Vec<(u8, &str)> {
    rendition.map.sections.iter().map(|section| (section.level, section.heading.as_str())).collect()
}

/// The extraction, and the content of the children.
async fn unpack(config: SandboxConfig, bytes: &[u8], name: &str) -> (Extraction, Vec<Vec<u8>>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    let kept = tempfile::tempdir().unwrap();
    let request = Request { input: &path, name: Some(name), depth: 0, children: Some(kept.path()) };
    let extraction = Sandbox::new(config).extract_with_children(&request).await.unwrap();
    let contents = extraction.children.iter().map(|child| std::fs::read(child.path.as_ref().unwrap()).unwrap());
    let contents = contents.collect();
    (extraction, contents)
}

fn names(extraction: &Extraction) -> Vec<(&str, &str)> {
    extraction.children.iter().map(|child| (child.name.as_str(), child.media_type.as_str())).collect()
}

#[test]
fn slides_are_pages_with_titles_tables_and_notes() {
    let text = |text: &str| format!("<a:p><a:r><a:t>{text}</a:t></a:r></a:p>");
    let shape = |kind: &str, body: &str| {
        format!("<p:sp><p:nvSpPr><p:nvPr><p:ph type=\"{kind}\"/></p:nvPr></p:nvSpPr><p:txBody>{body}</p:txBody></p:sp>")
    };
    let tc = |body: &str| format!("<a:tc><a:txBody>{}</a:txBody></a:tc>", text(body));
    let table = format!(
        "<p:graphicFrame><a:tbl><a:tr>{}{}</a:tr><a:tr>{}{}</a:tr></a:tbl></p:graphicFrame>",
        tc("Item"),
        tc("Price"),
        tc("Tea"),
        tc("2")
    );
    let first = format!(
        "<p:sld>{}{}{}{table}</p:sld>",
        shape("title", &text("Aims &amp; scope")),
        shape("body", &format!("{}<a:p><a:pPr lvl=\"1\"/><a:r><a:t>deeper</a:t></a:r></a:p>", text("point"))),
        shape("sldNum", &text("7")),
    );
    let second = format!("<p:sld>{}</p:sld>", shape("ctrTitle", &text("End")));
    let notes = format!("<p:notes>{}{}</p:notes>", shape("sldImg", &text("x")), shape("body", &text("Say it slowly.")));
    let relation = |id: &str, kind: &str, target: &str| {
        format!("<Relationship Id=\"{id}\" Type=\"http://x/{kind}\" Target=\"{target}\"/>")
    };
    let bytes = archive(&[
        ("[Content_Types].xml", b"<Types><Override ContentType=\"application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml\"/></Types>"),
        ("ppt/presentation.xml", b"<p:presentation><p:sldIdLst><p:sldId id=\"256\" r:id=\"r2\"/><p:sldId id=\"257\" r:id=\"r1\"/></p:sldIdLst></p:presentation>"),
        ("ppt/_rels/presentation.xml.rels", [relation("r1", "slide", "slides/slide1.xml"), relation("r2", "slide", "slides/slide2.xml")].concat().as_bytes()),
        ("ppt/slides/slide1.xml", second.as_bytes()),
        ("ppt/slides/slide2.xml", first.as_bytes()),
        ("ppt/slides/_rels/slide2.xml.rels", relation("r1", "notesSlide", "../notesSlides/n.xml").as_bytes()),
        ("ppt/notesSlides/n.xml", notes.as_bytes()),
    ]);
    let rendition = read(&bytes);
    assert_eq!(
        pages(&rendition),
        [(1, "Aims & scope\n\npoint\n- deeper\n\nItem: Tea | Price: 2\n\nNotes: Say it slowly."), (2, "End")]
    );
    assert_eq!(sections(&rendition), [(1, "Aims & scope"), (1, "End")]);
    assert_eq!(rendition.title.as_deref(), Some("Aims & scope"));
}

#[test]
fn sheets_are_pages_whose_cells_keep_their_headings() {
    let rows = [
        format!("<row r=\"1\">{}{}</row>", cell("A1", "Region"), cell("B1", "Sales")),
        format!("<row r=\"2\">{}<c r=\"B2\"><v>1.5</v></c></row>", cell("A2", "North &amp; East")),
        format!("<row r=\"3\">{}<c r=\"B3\" t=\"b\"><v>1</v></c></row>", cell("A3", "South")),
        format!("<row r=\"9\">{}</row>", cell("C9", "a remark")),
    ];
    let rendition = read(&xlsx(&rows.concat()));
    assert_eq!(
        pages(&rendition),
        [(1, "Sales\n\nRegion: North & East | Sales: 1.5\nRegion: South | Sales: true\n\na remark")]
    );
    assert_eq!(sections(&rendition), [(1, "Sales")]);
    let far = [cell("A1", "near"), cell("XFD1048576", "far")];
    let rendition = read(&xlsx(&format!("<row r=\"1\">{}</row><row r=\"1048576\">{}</row>", far[0], far[1])));
    assert_eq!(rendition.text, "Sales\n\nnear\n\nfar");
}

#[test]
fn open_documents_keep_structure() {
    let text = "<text:h text:outline-level=\"2\">Aims<text:s text:c=\"2\"/>here</text:h><text:p>One<text:line-break/>two<text:note>\
        <text:note-citation>1</text:note-citation><text:note-body><text:p>a note</text:p></text:note-body></text:note><office:annotation>\
        <text:p>no</text:p></office:annotation></text:p><text:list><text:list-item><text:p>a</text:p></text:list-item>\
        <text:list-item><text:p>b</text:p></text:list-item></text:list><table:table><table:table-header-rows><table:table-row>\
        <table:table-cell><text:p>x</text:p></table:table-cell><table:table-cell><text:p>y</text:p></table:table-cell></table:table-row>\
        </table:table-header-rows><table:table-row><table:table-cell><text:p>1</text:p></table:table-cell><table:table-cell>\
        <text:p>2</text:p></table:table-cell></table:table-row></table:table>";
    let rendition = read(&odf("text", text));
    assert_eq!(rendition.text, "Aims here\n\nOne\ntwo[a note]\n\n- a\n- b\n\nx: 1 | y: 2");
    assert_eq!(sections(&rendition), [(2, "Aims here")]);
    assert_eq!(rendition.title.as_deref(), Some("The title"));

    let cell = |text: &str| format!("<table:table-cell><text:p>{text}</text:p></table:table-cell>");
    let sheet = format!(
        "<table:table table:name=\"Prices\"><table:table-row>{}{}</table:table-row><table:table-row table:number-rows-repeated=\"2\">{}{}\
         <table:table-cell table:number-columns-repeated=\"16382\"/></table:table-row><table:table-row table:number-rows-repeated=\"1048574\">\
         <table:table-cell table:number-columns-repeated=\"16384\"/></table:table-row></table:table>",
        cell("Item"),
        cell("Price"),
        cell("Tea"),
        cell("2")
    );
    let rendition = read(&odf("spreadsheet", &sheet));
    assert_eq!(pages(&rendition), [(1, "Prices\n\nItem: Tea | Price: 2\nItem: Tea | Price: 2")]);

    let slide = "<draw:page><draw:frame presentation:class=\"title\"><draw:text-box><text:p>Aims</text:p></draw:text-box></draw:frame>\
        <draw:frame><draw:text-box><text:list><text:list-item><text:p>point</text:p></text:list-item></text:list></draw:text-box></draw:frame>\
        <presentation:notes><draw:frame><draw:text-box><text:p>slowly</text:p></draw:text-box></draw:frame></presentation:notes></draw:page><draw:page/>";
    let rendition = read(&odf("presentation", slide));
    assert_eq!(pages(&rendition), [(1, "Aims\n\n- point\n\nNotes: slowly"), (2, "")]);
    assert_eq!(sections(&rendition), [(1, "Aims")]);
}

#[test]
fn books_are_read_in_their_order() {
    let package = "<package><metadata><dc:title>The Book</dc:title></metadata><manifest><item id=\"b\" href=\"text/two%20.xhtml\" media-type=\"application/xhtml+xml\"/>\
        <item id=\"a\" href=\"text/one.xhtml\" media-type=\"application/xhtml+xml\"/><item id=\"i\" href=\"i.png\" media-type=\"image/png\"/></manifest>\
        <spine><itemref idref=\"a\"/><itemref idref=\"i\"/><itemref idref=\"b\"/></spine></package>";
    let members: Vec<(&str, &[u8])> = vec![
        ("mimetype", b"application/epub+zip"),
        (
            "META-INF/container.xml",
            b"<container><rootfiles><rootfile full-path=\"OPS/book.opf\"/></rootfiles></container>",
        ),
        ("OPS/book.opf", package.as_bytes()),
        ("OPS/text/two .xhtml", b"<html><body><p>later</p></body></html>"),
        (
            "OPS/text/one.xhtml",
            b"<?xml version=\"1.0\"?><html><head><title>x</title></head><body><h1>One</h1><p>first</p></body></html>",
        ),
    ];
    let rendition = read(&archive(&members));
    assert_eq!(rendition.text, "One\n\nfirst\n\nlater");
    assert_eq!((rendition.title.as_deref(), rendition.media_type.as_str()), (Some("The Book"), "application/epub+zip"));
    let mut locked = members;
    locked.push((
        "META-INF/encryption.xml",
        b"<encryption><EncryptionMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#aes128-cbc\"/></encryption>",
    ));
    assert_eq!(extract_in_process(&archive(&locked), None, &Limits::default()).unwrap_err().reason(), "encrypted");
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_are_folders_of_documents() {
    let inner = archive(&[("x.txt", b"deep")]);
    let bytes = archive(&[("a/one.txt", b"words"), ("a/", b""), ("page", b"<html><p>x"), ("in.zip", &inner)]);
    let (extraction, contents) = unpack(config(), &bytes, "a.zip").await;
    assert_eq!(names(&extraction), [("a/one.txt", "text/plain"), ("page", "text/html"), ("in.zip", "application/zip")]);
    assert_eq!(contents, [b"words".to_vec(), b"<html><p>x".to_vec(), inner]);
    assert!(extraction.rendition.text.starts_with("Files: 3\n- a/one.txt (text/plain, 5 bytes)"));

    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_cksum();
    tar.append_data(&mut header, "b/two.md", &b"words"[..]).unwrap();
    let tar = tar.into_inner().unwrap();
    let (extraction, contents) = unpack(config(), &tar, "x").await;
    assert_eq!(names(&extraction), [("b/two.md", "text/markdown")]);
    assert_eq!(contents, [b"words".to_vec()]);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(&tar).unwrap();
    let (extraction, _) = unpack(config(), &packed.finish().unwrap(), "x.tgz").await;
    assert_eq!(names(&extraction), [("b/two.md", "text/markdown")]);
    assert_eq!(extraction.rendition.media_type, "application/gzip");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(b"one file").unwrap();
    let (extraction, contents) = unpack(config(), &packed.finish().unwrap(), "notes.txt.gz").await;
    assert_eq!((names(&extraction), contents), (vec![("notes.txt", "text/plain")], vec![b"one file".to_vec()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_embedded_in_documents_become_documents() {
    let mut object = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
    let mut native = vec![0; 6];
    native.extend(b"note.txt\0C:\\note.txt\0\0\0\x03\0\x04\0\0\0tmp\0\x05\0\0\0words");
    object.create_stream("/\u{1}Ole10Native").unwrap().write_all(&native).unwrap();
    let object = object.into_inner().into_inner();
    let inner = docx_with(&paragraph("", "inner"), &[]);
    let bytes = docx_with(
        &paragraph("", "outer"),
        &[("word/embeddings/oleObject1.bin", &object), ("word/embeddings/in.docx", &inner)],
    );
    let (extraction, contents) = unpack(config(), &bytes, "a.docx").await;
    assert_eq!(
        extraction.children.iter().map(|child| child.name.as_str()).collect::<Vec<_>>(),
        ["note.txt", "in.docx"]
    );
    assert_eq!(contents, [b"words".to_vec(), inner]);
}

/// Pictures of letters, by a program that draws them; `None` where it is missing.
fn picture(of: &[u8]) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.pdf"), of).unwrap();
    let output = std::process::Command::new("pdftoppm")
        .args(["-png", "-r", "150", "-singlefile", "a.pdf", "a"])
        .current_dir(folder.path())
        .status()
        .ok()?;
    output.success().then(|| std::fs::read(folder.path().join("a.png")).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_read_where_the_program_is_installed() {
    let Some(png) = picture(&pdf(&["The quick brown fox jumps\nover the lazy dog today."], "", &[])) else { return };
    assert_eq!(extract_in_process(&png, None, &Limits::default()).unwrap_err().reason(), "needs_ocr");
    let mut reading = config();
    reading.ocr.enabled = true;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, &png).unwrap();
    let result = Sandbox::new(reading).extract(&path, Some("lies.txt")).await;
    if std::path::Path::new("/usr/bin/tesseract").exists() {
        let rendition = result.unwrap();
        assert!(rendition.text.contains("quick brown fox"), "{}", rendition.text);
        assert_eq!(rendition.media_type, "image/png");
        assert!(!rendition.warnings.is_empty());
    } else {
        assert_eq!(result.unwrap_err().reason(), "needs_ocr");
    }
}
