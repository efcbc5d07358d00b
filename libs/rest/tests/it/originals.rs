//! Originals: ranges, entity tags, and headers that keep a browser from running them.

use carrel_domain::Scopes;
use carrel_testkit::{Client, TestApp, problem};
use reqwest::{Method, Response};

const BYTES: &[u8] = b"0123456789 the quick brown fox jumps over the lazy dog, again and again. 0123456789";

async fn get(client: &Client, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = client.request(Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

async fn with_original() -> (TestApp, Client, String) {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let uploaded = client.upload(collection, "Grüße \"1\".txt", BYTES).await;
    app.idle().await;
    let path = format!("/api/v1/versions/{}/original", uploaded.version_id);
    (app, client, path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bytes_come_back_as_they_came() {
    let (_app, client, path) = with_original().await;
    let whole = client.get(&path).await;
    assert_eq!(whole.status(), 200);
    let headers = whole.headers().clone();
    assert_eq!(headers["content-length"], BYTES.len().to_string());
    assert_eq!(headers["accept-ranges"], "bytes");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert!(headers["content-security-policy"].to_str().unwrap().contains("sandbox"));
    let disposition = headers["content-disposition"].to_str().unwrap();
    assert!(disposition.starts_with("attachment;") && disposition.contains("Gr%C3%BC%C3%9Fe"), "{disposition}");
    assert_eq!(whole.bytes().await.unwrap(), BYTES);

    let etag = headers["etag"].to_str().unwrap();
    for known in [etag.to_owned(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
        let answer = get(&client, &path, &[("if-none-match", &known)]).await;
        assert_eq!(answer.status(), 304, "{known}");
        assert_eq!(answer.headers()["etag"], etag);
        assert!(answer.bytes().await.unwrap().is_empty());
    }
    assert_eq!(get(&client, &path, &[("if-none-match", "\"x\"")]).await.status(), 200);
    let head = client.request(Method::HEAD, &path).send().await.unwrap();
    assert_eq!((head.status().as_u16(), &head.headers()["etag"]), (200, &headers["etag"]));
    assert!(head.bytes().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_are_honoured() {
    let (_app, client, path) = with_original().await;
    let size = BYTES.len();
    let cases = [
        ("bytes=0-9", 0..10),
        ("bytes=11-", 11..size),
        ("bytes=-10", size - 10..size),
        ("bytes=0-0", 0..1),
        ("bytes=80-1000000", 80..size),
        ("bytes=-1000000", 0..size),
    ];
    for (range, part) in cases {
        // A part must not be compressed: its bytes are the original's.
        let answer = get(&client, &path, &[("range", range), ("accept-encoding", "gzip")]).await;
        assert_eq!(answer.status(), 206, "{range}");
        assert!(!answer.headers().contains_key("content-encoding"), "{range}");
        let expected = format!("bytes {}-{}/{size}", part.start, part.end - 1);
        assert_eq!(answer.headers()["content-range"], expected.as_str(), "{range}");
        assert_eq!(answer.bytes().await.unwrap(), &BYTES[part], "{range}");
    }
    for range in ["bytes=1000-".to_owned(), format!("bytes={size}-{}", size + 7)] {
        let answer = get(&client, &path, &[("range", &range)]).await;
        assert_eq!(answer.headers()["content-range"], format!("bytes */{size}").as_str(), "{range}");
        problem(answer, 416, "range_not_satisfiable").await;
    }
    for range in ["bytes=0-4,8-9", "lines=1-2", "bytes=a-b", "bytes=9-1", "bytes"] {
        let answer = get(&client, &path, &[("range", range)]).await;
        assert_eq!(answer.status(), 200, "{range}");
        assert_eq!(answer.bytes().await.unwrap(), BYTES, "{range}");
    }
    let etag = client.get(&path).await.headers()["etag"].to_str().unwrap().to_owned();
    for (condition, status) in [(etag.as_str(), 206), ("\"other\"", 200)] {
        let answer = get(&client, &path, &[("range", "bytes=0-4"), ("if-range", condition)]).await;
        assert_eq!(answer.status().as_u16(), status, "{condition}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_part_is_not_compressed() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let text = "The same line of text again and again.\n".repeat(500);
    let uploaded = client.upload(collection, "lines.txt", text.clone()).await;
    app.idle().await;
    let path = format!("/api/v1/versions/{}/original", uploaded.version_id);
    let answer = get(&client, &path, &[("range", "bytes=100-8099"), ("accept-encoding", "gzip")]).await;
    assert_eq!(answer.status(), 206);
    assert!(!answer.headers().contains_key("content-encoding"), "{:?}", answer.headers());
    assert_eq!(answer.bytes().await.unwrap(), &text.as_bytes()[100..8_100]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_stays_a_download() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let page = "<html><body><script>alert(1)</script><p>Words of a page about the harbour.</p></body></html>";
    let uploaded = client.upload(collection, "page.html", page).await;
    app.idle().await;
    let answer = client.get(&format!("/api/v1/versions/{}/original", uploaded.version_id)).await;
    assert!(answer.headers()["content-disposition"].to_str().unwrap().starts_with("attachment"));
    assert_eq!(answer.headers()["content-security-policy"], "default-src 'none'; sandbox");
    assert_eq!(answer.text().await.unwrap(), page);
}
