//! Screening, from the upload to what can be read of it: masks, quarantine, reviews, reports, and a policy that changes.

use carrel_domain::Scopes;
use carrel_testkit::{Client, TestApp, problem};
use carrel_wire::{DocumentScreeningBody, Page, PolicyViewBody, TextBody, UploadBody, VersionPageBody};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

/// Values that no part of the archive may repeat.
const CARD: &str = "4111 1111 1111 1111";
const IBAN: &str = "DE89370400440532013000";
const TOKEN: &str = "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";

const LETTER: &str = "# Payment of the pilot fee\n\nThe pilot fee was paid by card 4111 1111 1111 1111 on the third of May.\n\n\
    ## Account DE89370400440532013000\n\nThe harbour account for refunds is DE89370400440532013000 at the harbour bank.\n";

/// Sets rules and answers the view.
async fn set(client: &Client, path: &str, policy: Value) -> PolicyViewBody {
    let answer = client.request(Method::PUT, path).json(&policy).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    client.read(path).await
}

async fn version(client: &Client, uploaded: &UploadBody) -> VersionPageBody {
    client.read(&format!("/api/v1/versions/{}", uploaded.version_id)).await
}

/// Tables in which one of the values stands, whatever the column.
async fn places(app: &TestApp, value: &str) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'carrel' and c.relkind in ('r', 'p') and not c.relispartition order by 1",
    )
    .fetch_all(&app.database.owner)
    .await
    .unwrap();
    let mut found = Vec::new();
    for table in tables {
        let sql = format!("select count(*) from carrel.{table} t where lower(t::text) ~ $1");
        // Four digits also stand in a moment or an id now and then, where they mean nothing.
        let edge = "[^0-9a-f.:-]";
        let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(format!("(^|{edge}){}($|{edge})", value.to_lowercase()))
            .fetch_one(&app.database.owner)
            .await
            .unwrap();
        if count > 0 {
            found.push(table);
        }
    }
    found
}

/// The same in an answer.
fn stands_in(text: &str, value: &str) -> bool {
    let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_hexdigit() && !['.', ':', '-'].contains(&c));
    text.match_indices(value)
        .any(|(at, _)| is_edge(text[..at].chars().next_back()) && is_edge(text[at + value.len()..].chars().next()))
}

async fn audited(app: &TestApp, action: &str, subject: Uuid) -> i64 {
    sqlx::query_scalar("select count(*) from carrel.audit_entry where action = $1 and subject = $2")
        .bind(action)
        .bind(subject)
        .fetch_one(&app.database.owner)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_masked_stands_nowhere() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let uploaded = client.upload(collection, "fee.md", LETTER).await;
    app.idle().await;
    let text: TextBody = client.read(&format!("/api/v1/versions/{}/text", uploaded.version_id)).await;
    assert!(text.text.contains("paid by card •••• •••• •••• •••• on the third"), "{}", text.text);
    let plain = LETTER.replace("# ", "").replace('#', "");
    assert_eq!(text.text.matches("harbour account for refunds").count(), plain.matches("harbour account").count());
    let run = client.ask("By which card was the pilot fee paid, and to which account?").await;
    app.idle().await;
    let report = serde_json::to_string(&client.run(run).await).unwrap();
    assert!(report.contains('•'), "a quote shows the mask: {report}");
    for value in [CARD, "4111111111111111", "4111", IBAN, "0532013000"] {
        assert_eq!(places(&app, value).await, Vec::<String>::new(), "{value}");
        assert!(!stands_in(&report, value), "{report}");
        let found = serde_json::to_string(&client.find(value).await.hits).unwrap();
        assert!(!stands_in(&found, value), "{found}");
    }
    // Quotes equal the text at their spans, masks and all.
    let proof: Value = client.read(&format!("/api/v1/research/{run}/verification")).await;
    assert_eq!((proof["citations"].clone(), &proof["deleted"]), (proof["exact"].clone(), &json!(0)), "{proof}");
    assert_eq!(audited(&app, "screen_version", uploaded.version_id.0).await, 1);
    let shown = version(&client, &uploaded).await.version;
    assert_eq!((shown.state.as_str(), shown.screening.unwrap().verdict.as_str()), ("searchable", "masked"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_original_with_masks_takes_a_reviewer() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let reader = app.client("documents:read".parse().unwrap()).await;
    let collection = client.collection("harbour").await;
    let masked = client.upload(collection, "fee.md", LETTER).await;
    let clean = client.upload(collection, "clean.md", "The lock gate closes in ninety seconds.").await;
    app.idle().await;
    let original = |uploaded: &UploadBody| format!("/api/v1/versions/{}/original", uploaded.version_id);
    problem(reader.get(&original(&masked)).await, 403, "scope_missing").await;
    assert_eq!(reader.get(&original(&clean)).await.status(), 200);
    assert_eq!(audited(&app, "get_original", masked.version_id.0).await, 0);
    assert_eq!(client.get(&original(&masked)).await.text().await.unwrap(), LETTER);
    assert_eq!(audited(&app, "get_original", masked.version_id.0).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_waits_for_a_reviewer() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    set(&client, "/api/v1/screening/policy", json!({ "categories": { "credential": "hold", "financial": "mask" } }))
        .await;
    let text = format!("The signal tower uses the token {TOKEN} for the gate. Card {CARD} pays for it.");
    let uploaded = client.upload(collection, "tower.txt", text.clone()).await;
    app.idle().await;
    let id = uploaded.version_id;
    let shown = version(&client, &uploaded).await;
    assert_eq!(shown.version.state, "quarantined");
    assert_eq!(shown.document.current_version_id, None);
    problem(client.get(&format!("/api/v1/versions/{id}/text")).await, 409, "withheld").await;
    problem(client.get(&format!("/api/v1/versions/{id}/diff?from={id}")).await, 409, "withheld").await;
    assert!(client.find("signal tower").await.hits.is_empty());
    for word in [TOKEN, "signal tower", CARD] {
        assert_eq!(places(&app, word).await, Vec::<String>::new(), "{word}");
    }
    let frozen: Value = client.post("/api/v1/baselines", &json!({ "name": "frozen" })).await.json().await.unwrap();
    assert_eq!(frozen["documents"], 0, "a baseline does not hold it either");
    let job: Value = client.read(&format!("/api/v1/jobs/{}", uploaded.job_id.unwrap())).await;
    assert_eq!(job["state"], "completed", "{job}");
    // Who may not release may not, and a reason is needed.
    let release = format!("/api/v1/versions/{id}/release");
    let others = app.client("documents:read documents:write screening:policy".parse().unwrap()).await;
    problem(others.post(&release, &json!({ "reason": "mine" })).await, 403, "scope_missing").await;
    problem(client.post(&release, &json!({ "reason": "  " })).await, 422, "invalid_value").await;
    let released = client.post(&release, &json!({ "reason": "the token was revoked", "as": "plain" })).await;
    assert_eq!(released.status(), 202);
    app.idle().await;
    assert_eq!(version(&client, &uploaded).await.version.state, "searchable");
    let shown: TextBody = client.read(&format!("/api/v1/versions/{id}/text")).await;
    assert!(shown.text.contains(TOKEN), "what was held may be seen: {}", shown.text);
    assert!(!shown.text.contains(CARD), "what is masked stays masked: {}", shown.text);
    assert_eq!(client.find("signal tower").await.hits.len(), 1);
    assert_eq!(audited(&app, "release_version", id.0).await, 1);
    problem(client.post(&release, &json!({ "reason": "again" })).await, 409, "not_quarantined").await;
    let report: DocumentScreeningBody =
        client.read(&format!("/api/v1/documents/{}/screening", uploaded.document_id)).await;
    assert_eq!(report.review.unwrap().reason, "the token was revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_released_masked_or_rejected_is_never_shown() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    set(&client, "/api/v1/screening/policy", json!({ "categories": { "credential": "hold" } })).await;
    let masked = client.upload(collection, "one.txt", format!("The first tower uses {TOKEN} daily.")).await;
    let rejected = client.upload(collection, "two.txt", format!("The second tower uses {TOKEN} weekly.")).await;
    app.idle().await;
    let review = |uploaded: &UploadBody, what: &str| format!("/api/v1/versions/{}/{what}", uploaded.version_id);
    let reason = json!({ "reason": "seen" });
    assert_eq!(client.post(&review(&masked, "release"), &reason).await.status(), 202);
    assert_eq!(client.post(&review(&rejected, "reject"), &reason).await.status(), 204);
    app.idle().await;
    assert_eq!(client.find("first tower").await.hits.len(), 1);
    assert!(client.find("second tower").await.hits.iter().all(|hit| hit.version_id != rejected.version_id));
    for word in [TOKEN, "second tower"] {
        assert_eq!(places(&app, word).await, Vec::<String>::new(), "{word}");
    }
    let page = version(&client, &rejected).await.version;
    assert_eq!((page.state.as_str(), page.failure.unwrap().message.as_str()), ("rejected", "seen"));
    problem(client.get(&review(&rejected, "text")).await, 409, "withheld").await;
    assert_eq!(audited(&app, "reject_version", rejected.version_id.0).await, 1);
    // Running its old job again does not bring it back.
    let retry = format!("/api/v1/jobs/{}/retry", rejected.job_id.unwrap());
    client.request(Method::POST, &retry).send().await.unwrap();
    app.idle().await;
    assert_eq!(version(&client, &rejected).await.version.state, "rejected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_policy_reaches_what_was_indexed_before() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let policy = format!("/api/v1/collections/{collection}/screening/policy");
    set(&client, &policy, json!({ "categories": { "financial": "allow" } })).await;
    let uploaded = client.upload(collection, "fee.md", LETTER).await;
    app.idle().await;
    let run = client.ask("By which card was the pilot fee paid?").await;
    app.idle().await;
    assert!(serde_json::to_string(&client.run(run).await).unwrap().contains(CARD), "allowed, so it is quoted");
    assert!(!places(&app, "4111").await.is_empty());
    let frozen = client.post("/api/v1/baselines", &json!({ "name": "frozen" })).await;
    assert_eq!(frozen.status(), 201);

    let rescreen = format!("/api/v1/collections/{collection}/rescreen");
    set(&client, &policy, json!({ "categories": { "financial": "mask" } })).await;
    assert_eq!(client.post(&rescreen, &json!({})).await.status(), 202);
    app.idle().await;
    assert_eq!(version(&client, &uploaded).await.version.state, "searchable");
    assert_eq!(client.find("pilot fee").await.hits.len(), 1);
    let report = serde_json::to_string(&client.run(run).await).unwrap();
    assert!(!report.contains(CARD) && report.contains("•••• ••••"), "{report}");
    for value in [CARD, "4111", IBAN] {
        assert_eq!(places(&app, value).await, Vec::<String>::new(), "{value}");
    }
    let proof: Value = client.read(&format!("/api/v1/research/{run}/verification")).await;
    assert_eq!(proof["citations"], proof["exact"], "quotes follow their text: {proof}");
    assert_eq!(audited(&app, "rescreen_version", uploaded.version_id.0).await, 1);

    set(&client, &policy, json!({ "categories": { "financial": "hold" } })).await;
    client.post(&rescreen, &json!({})).await;
    app.idle().await;
    assert_eq!(version(&client, &uploaded).await.version.state, "quarantined");
    assert!(client.find("pilot fee").await.hits.is_empty());
    let pinned = json!({ "query": "pilot fee", "filter": { "as_of": "2100-01-01T00:00:00Z" } });
    let answer: Value = client.post("/api/v1/search", &pinned).await.json().await.unwrap();
    assert_eq!(answer["hits"], json!([]), "nor from the past");

    set(&client, &policy, json!({ "categories": { "financial": "allow" } })).await;
    client.post(&rescreen, &json!({})).await;
    app.idle().await;
    assert_eq!(version(&client, &uploaded).await.version.state, "searchable");
    let text: TextBody = client.read(&format!("/api/v1/versions/{}/text", uploaded.version_id)).await;
    assert!(text.text.contains(CARD));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_are_layered_and_changed_by_revision() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let (workspace, own) = ("/api/v1/screening/policy", format!("/api/v1/collections/{collection}/screening/policy"));
    let before: PolicyViewBody = client.read(workspace).await;
    assert_eq!(before.revision, 0);
    let put = |path: &str, tag: &str, policy: Value| {
        client.request(Method::PUT, path).header("if-match", tag).json(&policy).send()
    };
    let contacts = json!({ "categories": { "contact": "mask" }, "kinds": { "email": "allow" } });
    let made = put(workspace, "\"0\"", contacts.clone()).await.unwrap();
    assert_eq!((made.status().as_u16(), made.headers()["etag"].to_str().unwrap()), (200, "\"1\""));
    problem(put(workspace, "\"0\"", contacts.clone()).await.unwrap(), 412, "policy_changed").await;
    problem(put(workspace, "one", contacts.clone()).await.unwrap(), 400, "invalid_parameter").await;
    problem(put(&own, "\"3\"", contacts).await.unwrap(), 412, "policy_changed").await;
    let view = set(&client, &own, json!({ "categories": { "network": "hold" } })).await;
    let effective = serde_json::to_value(&view.effective).unwrap();
    assert_eq!(effective["categories"], json!({ "contact": "mask", "network": "hold" }));
    assert_eq!(effective["kinds"], json!({ "email": "allow" }));
    assert_eq!(audited(&app, "set_collection_screening_policy", collection).await, 1);
    for wrong in [
        json!({ "categories": { "shoe_size": "hold" } }),
        json!({ "kinds": { "email2": "mask" } }),
        json!({ "min_confidence": 101 }),
    ] {
        let answer = client.request(Method::PUT, workspace).json(&wrong).send().await.unwrap();
        problem(answer, 422, "invalid_value").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_name_kinds_and_never_values() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let rows = "name,email,card,password\nAnn,ann.lee@example.org,4111 1111 1111 1111,hunter2\n\
                Bob,bob@example.org,5500 0000 0000 0004,letmein\nAnn,ann.lee@example.org,4111 1111 1111 1111,hunter2\n";
    let table = client.upload(collection, "people.csv", rows).await;
    let letter = client.upload(collection, "fee.md", LETTER).await;
    app.idle().await;
    let document = format!("/api/v1/documents/{}/screening", table.document_id);
    let report: DocumentScreeningBody = client.read(&document).await;
    let dataset = report.dataset.expect("a profile");
    assert_eq!((&dataset["rows"], &dataset["duplicates"]["rows"]), (&json!(3), &json!(1)), "{dataset}");
    assert!(dataset["risk"]["score"].as_u64().unwrap() > 30, "{dataset}");
    assert!(dataset["passwords"]["weak"].as_u64().unwrap() >= 2, "{dataset}");
    assert!(report.findings.iter().all(|finding| finding.digest.is_some()));
    let text: TextBody = client.read(&format!("/api/v1/versions/{}/text", table.version_id)).await;
    assert!(!text.text.contains("hunter2"), "passwords of a table are masked: {}", text.text);
    let whole = format!("/api/v1/collections/{collection}/screening");
    let mut pages = Vec::new();
    for path in [&document, &whole] {
        for form in ["", ".csv", ".md"] {
            let answer = client.get(&format!("{path}{form}")).await;
            assert_eq!(answer.status(), 200, "{path}{form}");
            let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
            // Markdown escapes what could be markup.
            let text = answer.text().await.unwrap().replace('\\', "");
            assert!(text.contains("payment_card"), "{path}{form}: {text}");
            for value in ["4111", "hunter2", "letmein", "ann.lee", IBAN] {
                assert!(!text.contains(value), "{value} in {path}{form}: {text}");
            }
            pages.push((kind, text.lines().count()));
        }
    }
    assert!(pages[1].0.starts_with("text/csv") && pages[2].0.starts_with("text/markdown"), "{pages:?}");
    let first: Value = client.read(&format!("{whole}?limit=1")).await;
    assert_eq!((first["documents"].clone(), first["items"].as_array().unwrap().len()), (json!(2), 1));
    let cursor = first["next_cursor"].as_str().unwrap();
    let second: Value = client.read(&format!("{whole}?limit=1&cursor={cursor}")).await;
    assert_eq!(second["items"][0]["document_id"], letter.document_id.to_string());
    let some: DocumentScreeningBody = client.read(&format!("{document}?limit=1")).await;
    assert_eq!((some.findings.len(), some.next_first), (1, Some(1)));
    // The same value, written otherwise, leads to its documents.
    let looked = client.post("/api/v1/screening/lookup", &json!({ "value": "4111-1111-1111-1111" })).await;
    let looked: Value = looked.json().await.unwrap();
    assert_eq!(looked["occurrences"].as_array().unwrap().len(), 2, "{looked}");
    let stranger = app.stranger().await;
    let other: Value = stranger.post("/api/v1/screening/lookup", &json!({ "value": CARD })).await.json().await.unwrap();
    assert_eq!(other["occurrences"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn titles_are_screened_like_texts() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let form = reqwest::multipart::Form::new()
        .part("file", reqwest::multipart::Part::bytes(&b"The gate closes at nine."[..]).file_name("gate.txt"))
        .text("title", format!("Refunds to {IBAN}"));
    let uploaded: UploadBody = client.send(collection, form).await.json().await.unwrap();
    app.idle().await;
    assert_eq!(places(&app, IBAN).await, Vec::<String>::new());
    let title = version(&client, &uploaded).await.version.title.unwrap();
    assert!(title.starts_with("Refunds to ••••"), "{title}");
    let held: Page<Value> = client.read(&format!("/api/v1/collections/{collection}/documents?state=quarantined")).await;
    assert!(held.items.is_empty());
}
