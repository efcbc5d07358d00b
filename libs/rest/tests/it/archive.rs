//! The main path: a document goes in, is found, is replaced, is deleted.

use crate::files;
use carrel_domain::Scopes;
use carrel_testkit::{Client, Setup, TestApp, problem};
use carrel_wire::{DocumentBody, ModeBody, SearchBody, TextBody, UploadOutcome, VersionBody};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use std::collections::BTreeSet;

async fn found(client: &Client, query: &str, mode: ModeBody) -> Vec<String> {
    let answer = client.search(&SearchBody { query: query.to_owned(), mode, limit: 10, ..SearchBody::default() }).await;
    answer.hits.into_iter().map(|hit| hit.document_name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_format_becomes_searchable_in_every_mode() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let word = files::docx(&["The customs shed was rebuilt with slate after the storm of 1904."]);
    let cases: [(&str, Vec<u8>, &str, &str); 4] = [
        ("gate.md", files::MARKDOWN.into(), "lock gate closes ninety seconds", "text/markdown"),
        ("pilots.html", files::HTML.into(), "pilot signal tower channel twelve", "text/html"),
        ("minutes.txt", files::TEXT.into(), "dredger Albatross silt", "text/plain"),
        (
            "shed.docx",
            word,
            "customs shed slate storm",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
    ];
    for (name, bytes, ..) in &cases {
        let uploaded = client.upload(collection, name, bytes.clone()).await;
        assert_eq!(uploaded.outcome, UploadOutcome::Created, "{name}");
        assert!(uploaded.job_id.is_some(), "{name}");
    }
    app.idle().await;
    for (name, _, query, media_type) in &cases {
        for mode in [ModeBody::Hybrid, ModeBody::Lexical, ModeBody::Semantic] {
            assert_eq!(found(&client, query, mode).await.first().map(String::as_str), Some(*name), "{query} {mode:?}");
        }
        let page: Value = client.read(&format!("/api/v1/collections/{collection}/documents?external_id={name}")).await;
        let latest = &page["items"][0]["latest"];
        assert_eq!(latest["state"], "searchable", "{name}");
        assert_eq!(latest["media_type"], *media_type, "{name}");
    }
}

/// What two versions of a document and another document leave in the index, as one digest for each table.
async fn index_of(at_once: bool) -> (Vec<String>, Vec<String>) {
    let app = TestApp::start_with(Setup { at_once, ..Setup::default() }).await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    for (name, text) in [("gate.md", files::MARKDOWN), ("minutes.txt", files::TEXT), ("gate.md", files::HTML)] {
        client.upload(collection, name, text).await;
        app.idle().await;
    }
    assert_eq!(found(&client, "pilot signal tower channel twelve", ModeBody::Hybrid).await.first().unwrap(), "gate.md");
    let mut tables = Vec::new();
    for sql in [
        "select md5(string_agg(concat_ws('|', d.name, v.number, v.state, p.ordinal, p.span_start, p.span_end, p.page,
                    p.headings, p.language, p.tokens, p.searchable, p.text), '~' order by d.name, v.number, p.ordinal))
         from carrel.passage p join carrel.document_version v on v.id = p.version_id
         join carrel.document d on d.id = p.document_id and (v.id = d.current_version_id) = p.searchable",
        "select md5(string_agg(concat_ws('|', d.name, p.version_id = d.current_version_id, p.ordinal, e.searchable,
                    e.vector), '~' order by d.name, p.version_id, p.ordinal))
         from carrel.embedding e join carrel.passage p on p.no = e.passage_no
         join carrel.document d on d.id = p.document_id",
        "select md5(string_agg(concat_ws('|', t.term, cardinality(t.passages), t.impacts), '~'
                    order by t.term, t.impacts))
         from carrel.posting t",
        "select md5(string_agg(concat_ws('|', s.level, s.passages, s.tokens), '~' order by s.no)) from carrel.segment s",
        "select count(*)::text from carrel.tombstone",
    ] {
        tables.push(sqlx::query_scalar::<_, String>(sql).fetch_one(&app.database.owner).await.unwrap());
    }
    let jobs: Value = client.read("/api/v1/jobs").await;
    let kinds = jobs["items"].as_array().unwrap().iter().map(|job| job["kind"].as_str().unwrap().to_owned());
    (tables, kinds.collect::<BTreeSet<_>>().into_iter().collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_job_or_two_leave_the_same_index() {
    let (at_once, one_job) = index_of(true).await;
    let (in_turn, two_jobs) = index_of(false).await;
    assert_eq!(one_job, ["document.extract"]);
    assert_eq!(two_jobs, ["document.extract", "document.index"]);
    assert_eq!(at_once, in_turn);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hit_points_at_its_words() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    client.upload(collection, "gate.md", files::MARKDOWN).await;
    app.idle().await;
    let answer = client.find("when does the gate close").await;
    let hit = &answer.hits[0];
    let (start, end) = (hit.passage.span.start, hit.passage.span.end);
    let text: TextBody =
        client.read(&format!("/api/v1/versions/{}/text?start={start}&end={end}", hit.version_id)).await;
    assert_eq!(text.text, hit.passage.text);
    assert_eq!(text.span, hit.passage.span);
    assert!(!hit.snippet.highlights.is_empty());
    let snippet: Vec<char> = hit.snippet.text.chars().collect();
    for span in &hit.snippet.highlights {
        let word: String = snippet[span.start as usize..span.end as usize].iter().collect();
        assert!(["gate", "close", "closes"].contains(&word.to_lowercase().as_str()), "{word}");
    }
    assert!(hit.scores.lexical.is_some() && hit.scores.vector.is_some());
    assert!(answer.terms.contains(&"gate".to_owned()), "{:?}", answer.terms);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hit_names_the_page_of_its_words() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    // Short pages share a passage.
    let pages = ["The gate closes at dusk.", "The pump starts at noon.", "The crane rests on Sundays."];
    client.upload(collection, "log.pdf", files::pdf_of_pages(&pages)).await;
    app.idle().await;
    for (query, page) in [("gate", 1), ("pump", 2), ("crane", 3)] {
        let answer = client.find(query).await;
        assert_eq!((answer.hits[0].passage.page, answer.hits[0].snippet.page), (Some(1), Some(page)), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_version_takes_the_place_of_the_old_one() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let first = client.upload(collection, "gate.txt", "The lock gate closes in ninety seconds, says the manual.").await;
    app.idle().await;
    let again = client.upload(collection, "gate.txt", "The lock gate closes in ninety seconds, says the manual.").await;
    assert_eq!(again.outcome, UploadOutcome::Unchanged);
    assert_eq!((again.version_id, again.job_id), (first.version_id, None));

    let second =
        client.upload(collection, "gate.txt", "The lock gate closes in sixty seconds, says the bulletin.").await;
    assert_eq!(second.outcome, UploadOutcome::Revised);
    assert_eq!(second.document_id, first.document_id);
    app.idle().await;
    for mode in [ModeBody::Hybrid, ModeBody::Lexical, ModeBody::Semantic] {
        let query = SearchBody { query: "lock gate closes".to_owned(), mode, limit: 10, ..SearchBody::default() };
        let answer = client.search(&query).await;
        let versions: Vec<_> = answer.hits.iter().map(|hit| hit.version_id).collect();
        assert_eq!(versions, [second.version_id], "{mode:?}");
    }
    let document: DocumentBody = client.read(&format!("/api/v1/documents/{}", first.document_id)).await;
    assert_eq!(document.current_version_id, Some(second.version_id));
    assert_eq!((document.versions, document.latest.number), (2, 2));
    // The old version stays what it was.
    let versions: Vec<VersionBody> = client.read(&format!("/api/v1/documents/{}/versions", first.document_id)).await;
    assert_eq!(versions.iter().map(|version| version.number).collect::<Vec<_>>(), [2, 1]);
    let old: TextBody = client.read(&format!("/api/v1/versions/{}/text", first.version_id)).await;
    assert!(old.text.contains("ninety"), "{}", old.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_external_id_joins_files_of_different_names() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let form = |name: &'static str, text: &'static str| {
        Form::new()
            .text("external_id", "case-17")
            .text("title", "The gate")
            .text("metadata", r#"{"case":"A-17","pages":3}"#)
            .part("file", Part::bytes(text.as_bytes()).file_name(name))
    };
    let first: Value = client.send(collection, form("a.txt", "Gate report, first draft.")).await.json().await.unwrap();
    let second: Value = client.send(collection, form("b.txt", "Gate report, final text.")).await.json().await.unwrap();
    assert_eq!((&first["outcome"], &second["outcome"]), (&json!("created"), &json!("revised")));
    assert_eq!(first["document_id"], second["document_id"]);
    app.idle().await;
    let filter = json!({ "query": "report", "filter": { "metadata": { "case": "A-17" } } });
    let answer: Value = client.post("/api/v1/search", &filter).await.json().await.unwrap();
    assert_eq!(answer["hits"][0]["title"], "The gate");
    let other = json!({ "query": "report", "filter": { "metadata": { "case": "B-1" } } });
    let answer: Value = client.post("/api/v1/search", &other).await.json().await.unwrap();
    assert_eq!(answer["hits"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_no_longer_answers() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let kept = client.upload(collection, "kept.txt", files::TEXT).await;
    let twin = client.upload(collection, "twin.txt", files::TEXT).await;
    assert_eq!(twin.same_bytes, [kept.document_id]);
    let gone = client.upload(collection, "gate.md", files::MARKDOWN).await;
    app.idle().await;
    for id in [gone.document_id, twin.document_id] {
        assert_eq!(client.delete(&format!("/api/v1/documents/{id}")).await.status(), 204);
        problem(client.delete(&format!("/api/v1/documents/{id}")).await, 404, "not_found").await;
    }
    for mode in [ModeBody::Hybrid, ModeBody::Lexical, ModeBody::Semantic] {
        let names = found(&client, "gate dredger", mode).await;
        assert_eq!(names, ["kept.txt"], "{mode:?}");
    }
    app.idle().await;
    problem(client.get(&format!("/api/v1/versions/{}/original", gone.version_id)).await, 404, "not_found").await;
    // Bytes that another document holds stay.
    assert_eq!(client.get(&format!("/api/v1/versions/{}/original", kept.version_id)).await.status(), 200);
    assert_eq!(app.database.number("select count(*) from carrel.original").await, 1);
    assert_eq!(files_below(&app.store()), 1);

    assert_eq!(client.delete(&format!("/api/v1/collections/{collection}")).await.status(), 204);
    app.idle().await;
    assert!(client.find("dredger").await.hits.is_empty());
    assert_eq!(files_below(&app.store()), 0);
}

fn files_below(folder: &std::path::Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.map(|entry| entry.unwrap().path()).map(|path| if path.is_dir() { files_below(&path) } else { 1 }).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_join_without_gaps() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    for number in 0..7 {
        client.upload(collection, &format!("{number}.txt"), format!("Note {number} about the quay.")).await;
        client.collection(&format!("c{number}")).await;
    }
    app.idle().await;
    for (list, expected) in [
        (format!("/api/v1/collections/{collection}/documents"), 7),
        ("/api/v1/collections".to_owned(), 8),
        ("/api/v1/jobs".to_owned(), 7),
    ] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let page: Value = client.read(&format!("{list}?limit=3{cursor}")).await;
            seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            let Some(next) = page["next_cursor"].as_str() else { break };
            assert_eq!(page["items"].as_array().unwrap().len(), 3, "{list}");
            cursor = format!("&cursor={next}");
        }
        let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
        assert_eq!((seen.len(), distinct.len()), (expected, expected), "{list}");
    }
}
