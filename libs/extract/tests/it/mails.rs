//! What the readers of mails make of them.

use carrel_extract::{Limits, extract_in_process};
use std::io::{Cursor, Write as _};

const MAIL: &str = "Received: from a by b; Mon, 1 Jan 2024 10:00:00 +0000\r\nFrom: =?utf-8?q?Ada_L=C3=B6ve?= <ada@example.org>\r\nTo: bob@example.org, \"C, D\" <cd@example.org>\r\n\
    Date: Mon, 1 Jan 2024 10:00:00 +0100\r\nSubject: The\r\n  plan\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n\
    --x\r\nContent-Type: multipart/alternative; boundary=y\r\n\r\n--y\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello Bob,\r\nsee below.\r\n--y\r\n\
    Content-Type: text/html\r\n\r\n<p>Hello <b>HTML</b></p>\r\n--y--\r\n--x\r\nContent-Type: text/csv; name=\"../a.csv\"\r\n\
    Content-Disposition: attachment; filename=\"../a.csv\"\r\n\r\na,b\r\n1,2\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nFrom: c@example.org\r\nSubject: Inner\r\n\r\nforwarded\r\n--x--\r\n";

const SHOWN: &str = "From: Ada Löve <ada@example.org>\nTo: bob@example.org, C, D <cd@example.org>\nDate: 2024-01-01T10:00:00+01:00\nSubject: The plan\n\nHello Bob,\nsee below.";

#[test]
fn a_mail_keeps_its_headers_and_names_its_attachments() {
    let rendition = extract_in_process(MAIL.as_bytes(), Some("x.txt"), &Limits::default()).unwrap();
    assert!(rendition.text.starts_with(SHOWN), "{}", rendition.text);
    let rest = &rendition.text[SHOWN.len()..];
    assert!(rest.starts_with("\n\nAttachments:\n- a.csv (text/csv, "), "{rest}");
    assert!(rest.contains("\n- Inner.eml (message/rfc822, "), "{rest}");
    assert_eq!(rendition.media_type, "message/rfc822");
    assert_eq!(rendition.title.as_deref(), Some("The plan"));
    assert_eq!(rendition.map.sections[0].heading, "The plan");
    assert!(rendition.warnings.iter().any(|warning| warning.contains("names of files")));
}

#[test]
fn a_mail_of_html_becomes_text() {
    let mail = "From: a@b.c\nTo: d@e.f\nSubject: x\nContent-Type: text/html\n\n<html><body><h1>Big</h1><p>words<script>x</script></body></html>";
    let rendition = extract_in_process(mail.as_bytes(), None, &Limits::default()).unwrap();
    assert!(rendition.text.ends_with("Big\n\nwords"), "{}", rendition.text);
}

#[test]
fn words_with_colons_are_no_mail() {
    let text = "Note: this is about\nTo: be or not to be\nand more.";
    assert_eq!(extract_in_process(text.as_bytes(), None, &Limits::default()).unwrap().media_type, "text/plain");
}

#[test]
fn a_mailbox_is_pages_of_mails() {
    let mbox = "From a@b Mon Jan  1 10:00:00 2024\nFrom: a@b.c\nTo: x@y.z\nSubject: First\n\nOne.\n>From here on.\n\nFrom c@d Mon Jan  1 11:00:00 2024\nFrom: c@d.e\nTo: x@y.z\nSubject: Second\n\nTwo.\n";
    let rendition = extract_in_process(mbox.as_bytes(), None, &Limits::default()).unwrap();
    assert_eq!(rendition.media_type, "application/mbox");
    let pages: Vec<_> = rendition.map.pages.iter().map(|p| p.span.slice(&rendition.text).unwrap()).collect();
    assert_eq!(
        pages,
        [
            "From: a@b.c\nTo: x@y.z\nSubject: First\n\nOne.\nFrom here on.",
            "From: c@d.e\nTo: x@y.z\nSubject: Second\n\nTwo."
        ]
    );
    let headings: Vec<_> = rendition.map.sections.iter().map(|s| s.heading.as_str()).collect();
    assert_eq!(headings, ["First", "Second"]);
}

#[test]
fn mails_of_a_mailbox_may_lack_headers() {
    let mbox = "From someone Mon Jun 01 10:00:00 2009\n\nOne.\n\nFrom someone Mon Jun 01 11:00:00 2010\n\nTwo.\n";
    let rendition = extract_in_process(mbox.as_bytes(), None, &Limits::default()).unwrap();
    assert_eq!((rendition.media_type.as_str(), rendition.text.as_str()), ("application/mbox", "One.\n\nTwo."));
    let text = "From here to there it took many hours.";
    assert_eq!(extract_in_process(text.as_bytes(), None, &Limits::default()).unwrap().media_type, "text/plain");
}

#[test]
fn a_mail_of_outlook_is_read_property_by_property() {
    let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
    let mut table = vec![0; 32];
    // 2024-01-01T00:00:00Z in steps of 100 ns since 1601.
    table.extend([0x40, 0, 0x39, 0, 0, 0, 0, 0]);
    table.extend(((1_704_067_200_u64 + 11_644_473_600) * 10_000_000).to_le_bytes());
    file.create_stream("/__properties_version1.0").unwrap().write_all(&table).unwrap();
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    for (tag, text) in [
        ("0037", "The plan"),
        ("0C1A", "Ada"),
        ("5D01", "ada@example.org"),
        ("0E04", "Bob"),
        ("1000", "Hello.\r\nBye."),
    ] {
        file.create_stream(format!("/__substg1.0_{tag}001F")).unwrap().write_all(&wide(text)).unwrap();
    }
    file.create_storage("/__attach_version1.0_#00000000").unwrap();
    for (name, bytes) in [("3707001F", wide("note.txt")), ("37010102", b"words".to_vec())] {
        file.create_stream(format!("/__attach_version1.0_#00000000/__substg1.0_{name}"))
            .unwrap()
            .write_all(&bytes)
            .unwrap();
    }
    let rendition = extract_in_process(&file.into_inner().into_inner(), None, &Limits::default()).unwrap();
    assert_eq!(
        rendition.text,
        "From: Ada <ada@example.org>\nTo: Bob\nDate: 2024-01-01T00:00:00Z\nSubject: The plan\n\nHello.\nBye.\n\nAttachments:\n- note.txt (text/plain, 5 bytes)"
    );
    assert_eq!(rendition.media_type, "application/vnd.ms-outlook");
}
