//! Uploads that are wrong, and files that are not what they seem.

use crate::files;
use carrel_domain::Scopes;
use carrel_testkit::{Client, TestApp, problem};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::Value;
use std::fmt::Write;
use std::time::Duration;
use uuid::Uuid;

fn part(bytes: impl Into<Vec<u8>>, name: &str) -> Part {
    Part::bytes(bytes.into()).file_name(name.to_owned())
}

async fn state_of(client: &Client, version: impl std::fmt::Display) -> (String, Option<String>) {
    let page: Value = client.read(&format!("/api/v1/versions/{version}")).await;
    let version = &page["version"];
    let code = version["failure"]["code"].as_str().map(str::to_owned);
    (version["state"].as_str().unwrap().to_owned(), code)
}

fn staged(app: &TestApp) -> usize {
    std::fs::read_dir(app.store().join("staging")).map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_are_wrong_leave_nothing_behind() {
    let app = TestApp::start_with(carrel_testkit::Setup { upload_bytes: 100_000, ..Default::default() }).await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let file = || part(files::TEXT, "a.txt");
    let malformed = [
        ("no part", Form::new()),
        ("no file", Form::new().text("title", "A title")),
        ("two files", Form::new().part("file", file()).part("file", part("b", "b.txt"))),
        ("an unknown part", Form::new().part("file", file()).text("colour", "red")),
        ("metadata that is no JSON", Form::new().part("file", file()).text("metadata", "{")),
        ("metadata that is no object", Form::new().part("file", file()).text("metadata", "[1]")),
        ("a text that is not UTF-8", Form::new().part("file", file()).part("title", Part::bytes(&b"\xff\xfe"[..]))),
        ("a text without end", Form::new().part("file", file()).text("title", "t".repeat(70_000))),
    ];
    for (what, form) in malformed {
        let refused = problem(client.send(collection, form).await, 400, "malformed_multipart").await;
        assert!(!refused.detail.is_empty(), "{what}");
    }
    let invalid = [
        ("no file name", Form::new().part("file", Part::bytes(&b"text"[..]))),
        ("a file name of nothing but a folder", Form::new().part("file", part("text", "folder/"))),
        ("a long file name", Form::new().part("file", part("text", &"n".repeat(1_025)))),
        ("an empty external id", Form::new().part("file", file()).text("external_id", "")),
        ("a control character", Form::new().part("file", file()).text("title", "a\u{7}b")),
        ("NUL in the metadata", Form::new().part("file", file()).text("metadata", "{\"a\":\"\\u0000\"}")),
        ("NUL in a name", Form::new().part("file", file()).text("metadata", "{\"\\u0000\":1}")),
        (
            "metadata without end",
            Form::new().part("file", file()).text("metadata", format!("{{\"a\":\"{}\"}}", "b".repeat(20_000))),
        ),
    ];
    for (what, form) in invalid {
        let refused = problem(client.send(collection, form).await, 422, "invalid_value").await;
        assert!(!refused.detail.is_empty(), "{what}");
    }
    let empty = Form::new().part("file", part("", "empty.txt"));
    problem(client.send(collection, empty).await, 422, "empty_file").await;
    let large = Form::new().part("file", part(vec![b'a'; 150_000], "large.txt"));
    problem(client.send(collection, large).await, 413, "body_too_large").await;
    let nowhere = Form::new().part("file", file());
    problem(client.send(Uuid::now_v7(), nowhere).await, 404, "not_found").await;

    assert_eq!(staged(&app), 0, "what was staged is removed");
    assert_eq!(app.database.number("select count(*) from carrel.document").await, 0);
    assert_eq!(app.database.number("select count(*) from carrel.job").await, 0);
    client.upload(collection, "a.txt", files::TEXT).await;
    app.idle().await;
    assert_eq!(client.find("dredger").await.hits.len(), 1);
    assert_eq!(staged(&app), 0, "what was kept is no longer staged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn multipart_that_breaks_off() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let path = format!("/api/v1/collections/{collection}/documents");
    let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n";
    let cases = [
        ("multipart/form-data; boundary=b", format!("{head}half a fi")),
        ("multipart/form-data; boundary=b", format!("{head}no final boundary\r\n--b\r\n")),
        ("multipart/form-data; boundary=other", format!("{head}text\r\n--b--\r\n")),
        ("multipart/form-data; boundary=b", String::new()),
        ("multipart/form-data; boundary=b", "no multipart at all".to_owned()),
        ("multipart/form-data", format!("{head}text\r\n--b--\r\n")),
        ("application/json", "{}".to_owned()),
    ];
    for (media_type, body) in cases {
        let request = client.request(Method::POST, &path).header("content-type", media_type).body(body.clone());
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let code = if status == 415 { "unsupported_media_type" } else { "malformed_multipart" };
        problem(answer, if status == 415 { 415 } else { 400 }, code).await;
        assert!(status == 400 || media_type == "application/json", "{media_type} {body}");
    }
    assert_eq!(staged(&app), 0);
    assert_eq!(app.database.number("select count(*) from carrel.document").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_lie_fail_alone_and_say_why() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let noise: Vec<u8> = (0_u32..20_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let hopeless: [(&str, Vec<u8>); 8] = [
        ("lying.pdf", b"%PDF-1.7\nthis is no PDF at all".to_vec()),
        ("cut.docx", files::docx(&["A paragraph that is cut off."])[..200].to_vec()),
        ("noise.bin", noise.clone()),
        ("noise.pdf", noise),
        ("encrypted.pdf", files::encrypted_pdf()),
        ("blank.txt", b" \n\t\n ".to_vec()),
        ("blank.html", b"<html><body></body></html>".to_vec()),
        ("nul.txt", vec![0; 5_000]),
    ];
    let mut versions = Vec::new();
    for (name, bytes) in hopeless {
        versions.push((name, client.upload(collection, name, bytes).await.version_id));
    }
    app.idle().await;
    for (name, version) in versions {
        let (state, code) = state_of(&client, version).await;
        let code = code.unwrap_or_else(|| panic!("{name} should have failed and is {state}"));
        if name == "encrypted.pdf" {
            assert_eq!(code, "encrypted", "{name}");
        }
        let jobs: Value = client.read(&format!("/api/v1/jobs?version_id={version}&state=discarded")).await;
        let error = &jobs["items"][0]["last_error"];
        assert_eq!(error["code"], code.as_str(), "{name}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{name}");
        app.expect_failure(&code);
    }
    // The same bytes again are tried again.
    let again = client.upload(collection, "blank.txt", " \n\t\n ").await;
    assert!(again.job_id.is_some());
    let good = client.upload(collection, "gate.md", files::MARKDOWN).await;
    app.idle().await;
    assert_eq!(state_of(&client, good.version_id).await.0, "searchable");
    assert_eq!(client.find("lock gate").await.hits[0].document_name, "gate.md");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_only_odd_are_read() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let utf16: Vec<u8> = "\u{feff}The wharfinger kept a ledger.".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let endless = format!("{} quayside", "x".repeat(50_000));
    let odd: [(&str, Vec<u8>, &str); 7] = [
        ("latin.txt", b"The caf\xe9 by the mole serves haddock.".to_vec(), "haddock"),
        ("broken.txt", b"The bosun \xff\xfe\x80 whistles at dawn.".to_vec(), "bosun"),
        ("utf16.txt", utf16, "wharfinger"),
        ("nul.txt", format!("A stevedore{}. {}", '\0', "He carries sacks. ".repeat(60)).into_bytes(), "stevedore"),
        ("page.txt", files::HTML.into(), "pilot"),
        ("text.pdf", b"Plain words that call themselves a bollard.".to_vec(), "bollard"),
        ("endless.txt", endless.into_bytes(), "quayside"),
    ];
    for (name, bytes, _) in &odd {
        client.upload(collection, name, bytes.clone()).await;
    }
    app.idle().await;
    for (name, _, word) in &odd {
        let names: Vec<String> = client.find(word).await.hits.into_iter().map(|hit| hit.document_name).collect();
        assert_eq!(names.first().map(String::as_str), Some(*name), "{word}: {names:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_megabytes_in_one_line() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let mut line = String::with_capacity(10 << 20);
    let mut number = 0_u64;
    while line.len() < 10 << 20 {
        number += 1;
        write!(line, "crate{} of hemp lies in shed {} ", number % 5_000, number % 97).unwrap();
    }
    line.push_str("beside the narwhal");
    let uploaded = client.upload(collection, "line.txt", line).await;
    let small = client.upload(collection, "gate.md", files::MARKDOWN).await;
    app.idle_within(Duration::from_secs(240)).await;
    assert_eq!(state_of(&client, small.version_id).await.0, "searchable");
    assert_eq!(state_of(&client, uploaded.version_id).await, ("searchable".to_owned(), None));
    assert_eq!(client.find("narwhal").await.hits[0].document_name, "line.txt");
    let again = app.database.number("select count(*) from carrel.job where attempt > 1").await;
    assert_eq!(again, 0, "jobs needed more than one attempt");
}
