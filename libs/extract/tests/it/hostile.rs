//! Files made to exhaust, mislead or crash their reader, in a real child process: each fails with its reason, or is read,
//! within the limits.

use crate::fixtures::{archive, cell, docx, odf, pdf, xlsx};
use crate::sandbox::config;
use carrel_extract::{ExtractError, Extraction, Request, Sandbox, SandboxConfig};
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

/// Far above what any of these files may take.
fn strict() -> SandboxConfig {
    let mut config = config();
    config.wall = Duration::from_secs(100);
    config.cpu_seconds = 50;
    config
}

async fn run_at(depth: u32, config: SandboxConfig, bytes: &[u8]) -> Result<Extraction, ExtractError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    let kept = folder.path().join("children");
    std::fs::create_dir(&kept).unwrap();
    let request = Request { input: &path, name: None, depth, children: Some(&kept) };
    let result = Sandbox::new(config).extract_with_children(&request).await;
    // Nothing was written but what the parent wrote.
    let known = |name: &std::ffi::OsStr| name == "file" || name == "children";
    assert!(std::fs::read_dir(folder.path()).unwrap().all(|entry| known(&entry.unwrap().file_name())));
    result
}

async fn reason(bytes: &[u8]) -> &'static str {
    run_at(0, strict(), bytes).await.map(|extraction| extraction.rendition.text).unwrap_err().reason()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_are_not_unpacked() {
    let zeros = vec![0; 8 << 20];
    assert_eq!(reason(&archive(&[("zeros", &zeros)])).await, "too_large");
    assert_eq!(reason(&gzip(&zeros)).await, "too_large");
    assert_eq!(reason(&xlsx(&format!("<row>{}</row>", " ".repeat(4 << 20)))).await, "too_large");
    assert_eq!(reason(&odf("text", &" ".repeat(4 << 20))).await, "too_large");
    // Many small ones are one large one.
    let some = vec![b'x'; 300 << 10];
    let names: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), some.as_slice())).collect();
    assert_eq!(reason(&archive(&members)).await, "too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_of_many_files_are_refused() {
    let names: Vec<String> = (0..1_200).map(|n| n.to_string()).collect();
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let mut small = strict();
    (small.limits.archive_entries, small.limits.children) = (1_000, 100);
    assert_eq!(run_at(0, small.clone(), &archive(&members)).await.unwrap_err().reason(), "too_many");
    assert_eq!(run_at(0, small, &archive(&members[..900])).await.unwrap_err().reason(), "too_many");
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_within_archives_end_at_the_depth() {
    let mut bytes = archive(&[("words.txt", b"words")]);
    for _ in 0..20 {
        bytes = archive(&[("in.zip", &bytes)]);
    }
    // As the pipeline does it: every child is a document of its own, one level deeper.
    let limit = strict().limits.depth;
    for depth in 0..limit {
        let extraction = run_at(depth, strict(), &bytes).await.unwrap();
        assert_eq!(extraction.children[0].media_type, "application/zip");
    }
    assert_eq!(run_at(limit, strict(), &bytes).await.unwrap_err(), ExtractError::TooDeep { limit });
}

#[tokio::test(flavor = "multi_thread")]
async fn names_do_not_lead_out() {
    let hostile = ["../../etc/passwd", "/abs/file", "C:\\x\\..\\y", "a\u{202E}fdp.exe", "..", "nul\0byte"];
    let members: Vec<(&str, &[u8])> = hostile.iter().map(|name| (*name, &b"words"[..])).collect();
    let extraction = run_at(0, strict(), &archive(&members)).await.unwrap();
    let names: Vec<&str> = extraction.children.iter().map(|child| child.name.as_str()).collect();
    assert_eq!(names.len(), hostile.len());
    for child in &extraction.children {
        let parts: Vec<&str> = child.name.split('/').collect();
        assert!(!parts.iter().any(|part| part.is_empty() || *part == ".." || part.contains(['\0', '\u{202E}', '\\'])));
        assert_eq!(std::path::Path::new(child.path.as_ref().unwrap()).file_name().unwrap().len(), 6);
    }
    assert!(extraction.rendition.warnings.iter().any(|warning| warning.contains("unsafe")));
}

#[tokio::test(flavor = "multi_thread")]
async fn entities_are_never_expanded() {
    let mut types = String::from("<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a0 \"ha\">");
    for level in 1..30 {
        write!(types, "<!ENTITY a{level} \"&a{0};&a{0};&a{0};&a{0};\">", level - 1).unwrap();
    }
    types.push_str("]>");
    let xml = format!("{types}<a><name>before &a29; after</name></a>");
    assert_eq!(run_at(0, strict(), xml.as_bytes()).await.unwrap().rendition.text, "name: before after");
    let rows = format!("<row r=\"1\">{}</row>", cell("A1", "&a29;x"));
    let book = xlsx(&rows);
    assert!(run_at(0, strict(), &book).await.map_or(true, |extraction| extraction.rendition.text.len() < 100));
}

#[tokio::test(flavor = "multi_thread")]
async fn circles_in_pdfs_end() {
    let whole = String::from_utf8(pdf(&["One page", "Two pages"], "", &[])).unwrap();
    let circles = [
        whole.replacen("/Kids [4 0 R 6 0 R]", "/Kids [2 0 R 2 0 R]", 1),
        whole.replacen("/Parent 2 0 R", "/Parent 4 0 R", 1),
        whole.replacen("/Contents 5 0 R", "/Contents 4 0 R", 1),
        whole.replacen("/Length", "/Length 5 0 R /X", 1),
        whole.replacen("startxref\n", "startxref\n9", 1),
        whole.replacen("/Count 2", "/Count 2000000000", 1),
        whole.replacen("/MediaBox [0 0 612 792]", "/MediaBox [0 0 1e38 1e38]", 1),
    ];
    for (at, file) in circles.iter().enumerate() {
        assert_ne!(file, &whole, "{at}");
        if let Err(error) = run_at(0, strict(), file.as_bytes()).await {
            assert!(matches!(error.reason(), "damaged" | "needs_ocr" | "too_many"), "{at}: {error}");
        }
    }
    let loop_of_bookmarks = [
        "<< /Type /Outlines /First 7 0 R /Last 7 0 R /Count 1 >>",
        "<< /Title (again) /Parent 6 0 R /Next 7 0 R /First 7 0 R /Dest [4 0 R /Fit] >>",
    ];
    let extraction = run_at(0, strict(), &pdf(&["One page"], "", &loop_of_bookmarks)).await.unwrap();
    assert_eq!(extraction.rendition.text, "One page");
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_of_many_parts_are_refused() {
    let head = "From: a@b.c\r\nTo: d@e.f\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n";
    let part = "--x\r\nContent-Disposition: attachment; filename=a\r\n\r\nwords\r\n";
    assert_eq!(reason(format!("{head}{}--x--\r\n", part.repeat(10_000)).as_bytes()).await, "too_many");
    let mut nested = String::from("From: a@b.c\r\nTo: d@e.f\r\nSubject: x\r\n");
    for level in 0..5_000 {
        write!(nested, "Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n").unwrap();
    }
    nested.push_str("\r\nwords");
    let result = run_at(0, strict(), nested.as_bytes()).await;
    assert!(result.as_ref().map_or_else(|error| error.reason() == "too_many", |_| true), "{result:?}");
    let forwarded = "From: a@b.c\r\nSubject: x\r\nTo: d@e.f\r\nContent-Type: message/rfc822\r\n\r\n".repeat(5_000);
    let result = run_at(0, strict(), forwarded.as_bytes()).await;
    assert!(result.as_ref().map_or_else(|error| error.reason() != "crashed", |_| true), "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sheets_of_a_million_columns_are_refused() {
    let row = format!("a,b\n{}\n", "1,".repeat(1_000_000));
    let mut as_csv = strict();
    as_csv.limits.depth = 1;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, row).unwrap();
    assert_eq!(Sandbox::new(as_csv).extract(&path, Some("a.csv")).await.unwrap_err().reason(), "too_many");
    let wide = "<table:table table:name=\"x\"><table:table-row><table:table-cell table:number-columns-repeated=\"1000000\"><text:p>x</text:p></table:table-cell></table:table-row></table:table>";
    assert_eq!(reason(&odf("spreadsheet", wide)).await, "too_many");
    let far = format!("<row r=\"1\">{}</row>", cell("BDWGO1", "x"));
    assert!(matches!(reason(&xlsx(&far)).await, "too_many" | "damaged"));
    let html = format!("<html><body><table><tr>{}</tr></table>", "<td colspan=1000>x".repeat(1_000));
    assert_eq!(reason(html.as_bytes()).await, "too_many");
}

#[tokio::test(flavor = "multi_thread")]
async fn declared_sizes_are_only_claims() {
    let mut tar = tar::Header::new_gnu();
    tar.set_path("big").unwrap();
    tar.set_size(4 << 30);
    tar.set_cksum();
    let mut bytes = tar.as_bytes().to_vec();
    bytes.extend([b'x'; 1024]);
    assert_eq!(reason(&bytes).await, "damaged");
    // The sizes in the local header and in the directory of a zip archive.
    let mut zip = archive(&[("a.txt", b"words and more words")]);
    let directory = zip.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    zip[22..26].copy_from_slice(&[0xF0, 0xFF, 0xFF, 0xFF]);
    zip[directory + 24..directory + 28].copy_from_slice(&[0xF0, 0xFF, 0xFF, 0xFF]);
    let result = run_at(0, strict(), &zip).await;
    assert!(result.as_ref().map_or_else(|error| error.reason() != "crashed", |_| true), "{result:?}");
    let rtf = b"{\\rtf1 words\\bin4294967295 x}";
    assert_eq!(run_at(0, strict(), rtf).await.unwrap().rendition.text, "words");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_prefix_of_a_file_ends_with_a_reason() {
    let files = [
        docx("<w:p><w:r><w:t>words</w:t></w:r></w:p>"),
        xlsx(&format!("<row r=\"1\">{}</row>", cell("A1", "words"))),
        gzip(&archive(&[("a", b"words")])),
    ];
    for file in files {
        for cut in [9, 3, 2] {
            let result = run_at(0, strict(), &file[..file.len() - file.len() / cut]).await;
            let reason = result.map_or_else(|error| error.reason(), |_| "read");
            assert!(matches!(reason, "damaged" | "read" | "unsupported_type" | "empty"), "{reason}");
        }
    }
}
