//! Pictures of text: kept without character recognition, read once there is some.

use crate::upkeep::enqueue;
use carrel_domain::Scopes;
use carrel_operations::kinds::TidyWorkspace;
use carrel_testkit::{Client, OcrConfig, Setup, TestApp};
use serde_json::Value;
use std::process::Command;

/// A page with two lines on it.
const PAGE: &str = "%PDF-1.4
1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj
2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> endobj
3 0 obj << /Type /Page /Parent 2 0 R /MediaBox [0 0 400 120] /Resources << /Font << /F1 4 0 R >> >> /Contents 5 0 R >> endobj
4 0 obj << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> endobj
5 0 obj << /Length 90 >> stream
BT /F1 18 Tf 20 80 Td 26 TL (The harbour master closes) Tj T* (the outer gate at dusk.) Tj ET

endstream endobj
trailer << /Root 1 0 R >>
";
/// The page as a picture and as a PDF that holds nothing but that picture, drawn by poppler, which `scripts/setup`
/// installs for the tests together with tesseract.
fn scanned() -> (Vec<u8>, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("page.pdf"), PAGE).unwrap();
    let draw = |arguments: &[&str]| {
        let drawn = Command::new("pdftoppm").args(arguments).current_dir(folder.path()).status();
        assert!(drawn.expect("pdftoppm is installed").success());
    };
    draw(&["-png", "-r", "200", "-singlefile", "page.pdf", "page"]);
    draw(&["-jpeg", "-r", "200", "-singlefile", "page.pdf", "page"]);
    let picture = std::fs::read(folder.path().join("page.jpg")).unwrap();
    // Baseline and progressive pictures tell their size in the same way (ITU-T T.81, B.2.2).
    let frame = picture.windows(2).position(|mark| matches!(mark, [0xff, 0xc0 | 0xc2])).unwrap();
    let number = |at: usize| u16::from_be_bytes([picture[frame + at], picture[frame + at + 1]]);
    let (height, width) = (number(5), number(7));
    let content = "q 400 0 0 120 0 0 cm /I Do Q";
    let mut scan = format!(
        "%PDF-1.4\n1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj\n2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> endobj\n\
         3 0 obj << /Type /Page /Parent 2 0 R /MediaBox [0 0 400 120] /Resources << /XObject << /I 4 0 R >> >> /Contents 5 0 R >> endobj\n\
         5 0 obj << /Length {} >> stream\n{content}\nendstream endobj\n\
         4 0 obj << /Type /XObject /Subtype /Image /Width {width} /Height {height} /ColorSpace /DeviceRGB /BitsPerComponent 8 \
         /Filter /DCTDecode /Length {} >> stream\n",
        content.len(),
        picture.len()
    )
    .into_bytes();
    scan.extend(&picture);
    scan.extend(b"\nendstream endobj\ntrailer << /Root 1 0 R >>\n");
    (std::fs::read(folder.path().join("page.png")).unwrap(), scan)
}

async fn state(client: &Client, version: impl std::fmt::Display) -> (String, Option<String>) {
    let page: Value = client.read(&format!("/api/v1/versions/{version}")).await;
    let code = page["version"]["failure"]["code"].as_str().map(str::to_owned);
    (page["version"]["state"].as_str().unwrap().to_owned(), code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_are_kept_without_recognition_and_read_once_there_is_some() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("tesseract");
    let ocr = OcrConfig { program: Some(program.clone()), ..OcrConfig::default() };
    let app = TestApp::start_with(Setup { ocr, ..Setup::default() }).await;
    for code in ["needs_ocr", "no_text"] {
        app.expect_failure(code);
    }
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("scans").await;
    let (picture, scan) = scanned();
    let picture = client.upload(collection, "page.png", picture).await.version_id;
    let scan = client.upload(collection, "scan.pdf", scan).await.version_id;
    let blank = client.upload(collection, "blank.bmp", grey()).await.version_id;
    app.idle().await;
    for version in [picture, scan, blank] {
        assert_eq!(state(&client, version).await, ("failed".to_owned(), Some("needs_ocr".to_owned())));
        let original = client.get(&format!("/api/v1/versions/{version}/original")).await;
        assert_eq!(original.status(), 200, "it is kept");
    }
    // Nothing can read them yet, so a night changes nothing.
    enqueue(&app, &TidyWorkspace {}).await;
    app.idle().await;
    assert_eq!(state(&client, picture).await.1.as_deref(), Some("needs_ocr"));

    std::os::unix::fs::symlink("/usr/bin/tesseract", &program).unwrap();
    assert!(program.exists(), "tesseract is installed");
    enqueue(&app, &TidyWorkspace {}).await;
    app.idle_within(std::time::Duration::from_secs(90)).await;
    for version in [picture, scan] {
        assert_eq!(state(&client, version).await, ("searchable".to_owned(), None));
        let page: Value = client.read(&format!("/api/v1/versions/{version}")).await;
        assert!(!page["version"]["warnings"].as_array().unwrap().is_empty(), "it says that it was recognised");
    }
    let hits = client.find("harbour master outer gate dusk").await.hits;
    assert_eq!(hits.len(), 2);
    assert!(hits.iter().all(|hit| hit.snippet.text.contains("harbour master")));
    // The reason is the newest one, and what holds no words is not read every night.
    assert_eq!(state(&client, blank).await, ("failed".to_owned(), Some("no_text".to_owned())));
    let before = app.database.number("select count(*) from carrel.job_all where kind = 'document.extract'").await;
    enqueue(&app, &TidyWorkspace {}).await;
    app.idle().await;
    let after = app.database.number("select count(*) from carrel.job_all where kind = 'document.extract'").await;
    assert_eq!(before, after);
}

/// A grey square (BMP, 24 bits a pixel).
fn grey() -> Vec<u8> {
    let (side, header) = (64_u32, 54_u32);
    let mut bytes = b"BM".to_vec();
    for field in [header + side * side * 3, 0, header, 40, side, side] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend([1, 0, 24, 0]);
    bytes.extend([0; 24]);
    bytes.resize((header + side * side * 3) as usize, 200);
    bytes
}
