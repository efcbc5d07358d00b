//! The audit trail as a chain, labels and their scans, legal holds.

use crate::files;
use carrel_bundle::chain::ChainCheck;
use carrel_domain::Scopes;
use carrel_testkit::{Client, Setup, TestApp, problem};
use carrel_wire::{AuditEntryBody, CustodyEventBody, HoldBody, Page, ScannedBody};
use chrono::Utc;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::collections::BTreeSet;
use uuid::Uuid;

async fn check(app: &TestApp) -> ChainCheck {
    let (admin, workspace) = (app.admin(), app.workspace);
    let mut check = ChainCheck::new(workspace, None);
    for seal in admin.seals(workspace, 0).await.unwrap() {
        check.seal(&seal, &admin.chain_part(workspace, &seal).await.unwrap());
    }
    check.finish(&admin.unsealed(workspace).await.unwrap(), Utc::now())
}

async fn read_only() -> (TestApp, Client, Uuid, carrel_wire::UploadBody) {
    let app = TestApp::start_with(Setup { jobs: 0, ..Setup::default() }).await;
    app.expect_unfinished();
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let uploaded = client.upload(collection, "gate.md", files::MARKDOWN).await;
    (app, client, collection, uploaded)
}

/// Changes the trail as somebody who may do everything.
async fn forge(app: &TestApp, statement: String) -> Result<u64, sqlx::Error> {
    let mut transaction = app.database.owner.begin().await?;
    sqlx::query("set local session_replication_role = replica").execute(&mut *transaction).await?;
    let done = sqlx::query(AssertSqlSafe(statement)).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(done.rows_affected())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_access_to_an_original_is_chained() {
    let (app, client, _, uploaded) = read_only().await;
    let version = uploaded.version_id;
    let part = client.request(Method::GET, &format!("/api/v1/versions/{version}/original"));
    assert_eq!(part.header("range", "bytes=2-5").send().await.unwrap().status(), 206);
    assert_eq!(client.get(&format!("/api/v1/documents/{}/label.svg", uploaded.document_id)).await.status(), 200);
    assert!(app.operations.seal_all().await.unwrap() >= 4);
    client.collection("second").await;
    app.operations.seal_all().await.unwrap();
    assert_eq!(app.operations.seal_all().await.unwrap(), 0);
    let found = check(&app).await;
    assert_eq!((found.faults.as_slice(), found.seals), (&[] as &[String], 2));

    let page: Page<AuditEntryBody> = client.read(&format!("/api/v1/audit?subject={version}")).await;
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.items[0].details["range"], "bytes=2-5");
    assert!(page.items[0].position.is_some() && page.items[0].digest.is_some());
    let first: Page<AuditEntryBody> = client.read("/api/v1/audit?limit=3").await;
    let cursor = first.next_cursor.unwrap();
    let second: Page<AuditEntryBody> = client.read(&format!("/api/v1/audit?limit=3&cursor={cursor}")).await;
    assert!(first.items.iter().all(|entry| entry.seq > second.items[0].seq), "newest first");
    problem(client.get(&format!("/api/v1/audit?action=x&cursor={cursor}")).await, 400, "foreign_cursor").await;
    let actor: Page<AuditEntryBody> =
        client.read(&format!("/api/v1/audit?actor={}&action=add_document", client.id)).await;
    assert_eq!(actor.items.len(), 1);
    let soon: Page<AuditEntryBody> = client.read("/api/v1/audit?from=2100-01-01T00:00:00Z").await;
    assert!(soon.items.is_empty());
    let stranger: Page<AuditEntryBody> = app.stranger().await.read("/api/v1/audit").await;
    assert!(stranger.items.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_commit_is_sealed_all_the_same() {
    let (app, client, ..) = read_only().await;
    // It takes its number first and commits last.
    let mut slow = app.database.owner.begin().await.unwrap();
    sqlx::query(
        "insert into carrel.audit_entry (workspace_id, at, actor, action, request_id)
         values ($1, now(), '{\"kind\": \"operator\"}', 'slow', gen_random_uuid())",
    )
    .bind(app.workspace.0)
    .execute(&mut *slow)
    .await
    .unwrap();
    client.collection("quick").await;
    app.operations.seal_all().await.unwrap();
    slow.commit().await.unwrap();
    client.collection("quicker").await;
    assert_eq!(app.operations.seal_all().await.unwrap(), 2);
    assert_eq!(check(&app).await.faults, Vec::<String>::new());
    let unsealed = "select count(*) from carrel.audit_entry e
                    where not exists (select from carrel.audit_link l where l.seq = e.seq)";
    assert_eq!(app.database.number(unsealed).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_changes_or_removes_entries() {
    let (app, ..) = read_only().await;
    app.operations.seal_all().await.unwrap();
    for table in ["audit_entry", "audit_link", "audit_seal"] {
        for statement in [
            format!("delete from carrel.{table}"),
            format!("update carrel.{table} set workspace_id = workspace_id"),
            format!("truncate carrel.{table}"),
        ] {
            let mut service = app.database.owner.begin().await.unwrap();
            let act = format!("set local role carrel_app; set local carrel.workspace = '{}'", app.workspace);
            sqlx::raw_sql(AssertSqlSafe(act)).execute(&mut *service).await.unwrap();
            let refused = sqlx::query(AssertSqlSafe(statement.clone())).execute(&mut *service).await.unwrap_err();
            assert_eq!(refused.as_database_error().unwrap().code().as_deref(), Some("42501"), "service: {statement}");
            drop(service);
            let refused = sqlx::query(AssertSqlSafe(statement.clone())).execute(&app.database.owner).await.unwrap_err();
            assert_eq!(refused.as_database_error().unwrap().code().as_deref(), Some("23001"), "owner: {statement}");
        }
    }
}

/// Statements that change a column of an entry by one bit, as far as its type can hold the result.
fn flips(column: &str, seq: i64) -> Vec<String> {
    let row = format!("where seq = {seq}");
    let bits = |count: usize, change: &dyn Fn(usize) -> String| -> Vec<String> {
        (0..count).map(|bit| format!("update carrel.audit_entry set {column} = {} {row}", change(bit))).collect()
    };
    match column {
        "transaction_id" => {
            bits(63, &|bit| format!("((transaction_id::text::bigint # (1::bigint << {bit}))::text)::xid8"))
        }
        // The last bits of a time that the calendar still has.
        "at" => bits(40, &|bit| {
            let flipped = format!("((extract(epoch from at) * 1000000)::bigint # (1::bigint << {bit}))");
            format!("timestamptz 'epoch' + {flipped} * interval '1 microsecond'")
        }),
        "subject" | "request_id" | "workspace_id" => bits(128, &|bit| {
            format!("encode(set_bit(uuid_send({column}), {bit}, 1 - get_bit(uuid_send({column}), {bit})), 'hex')::uuid")
        }),
        _ => {
            let cast = if column == "action" { "text" } else { "jsonb" };
            bits(200, &|bit| {
                let bytes = format!("convert_to({column}::text, 'UTF8')");
                format!("convert_from(set_bit({bytes}, {bit}, 1 - get_bit({bytes}, {bit})), 'UTF8')::{cast}")
            })
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_forged_in_the_database_is_found_and_named() {
    let (app, client, _, uploaded) = read_only().await;
    client.get(&format!("/api/v1/versions/{}/original", uploaded.version_id)).await;
    app.operations.seal_all().await.unwrap();
    let seq: i64 = sqlx::query_scalar("select seq from carrel.audit_entry where action = 'add_document'")
        .fetch_one(&app.database.owner)
        .await
        .unwrap();
    sqlx::query("create table kept as select * from carrel.audit_entry").execute(&app.database.owner).await.unwrap();
    let mut tried = 0;
    for column in ["transaction_id", "at", "subject", "request_id", "workspace_id", "actor", "action", "details"] {
        for flip in flips(column, seq) {
            // What the column cannot hold cannot be there.
            let Ok(rows) = forge(&app, flip.clone()).await else { continue };
            assert_eq!(rows, 1);
            let same = format!(
                "select count(*) from carrel.audit_entry e join public.kept k using (seq)
                 where seq = {seq} and (e.workspace_id, e.at, e.actor, e.action, e.subject, e.request_id, e.details)
                     = (k.workspace_id, k.at, k.actor, k.action, k.subject, k.request_id, k.details)
                   and e.transaction_id = k.transaction_id"
            );
            let same: i64 = sqlx::query_scalar(AssertSqlSafe(same)).fetch_one(&app.database.owner).await.unwrap();
            // JSON does not keep the case of an escape or the spaces between values.
            if same == 0 {
                let found = check(&app).await.faults;
                assert!(found.iter().any(|fault| fault.starts_with(&format!("entry {seq} at"))), "{flip}: {found:?}");
                tried += 1;
            }
            let back = format!(
                "update carrel.audit_entry e
                 set workspace_id = k.workspace_id, at = k.at, actor = k.actor, action = k.action, subject = k.subject,
                     request_id = k.request_id, details = k.details, transaction_id = k.transaction_id
                 from public.kept k where k.seq = e.seq and e.seq = {seq}"
            );
            forge(&app, back).await.unwrap();
        }
    }
    assert!(tried > 500, "{tried}");
    assert_eq!(check(&app).await.faults, Vec::<String>::new());
    forge(&app, format!("delete from carrel.audit_entry where seq = {seq}")).await.unwrap();
    let found = check(&app).await.faults;
    assert!(found.iter().any(|fault| fault.contains(&format!("entry {seq} at")) && fault.ends_with("was removed")));
}

async fn label(client: &Client, document: impl std::fmt::Display) -> String {
    let answer = client.get(&format!("/api/v1/documents/{document}/label.svg")).await;
    assert_eq!(answer.headers()["content-type"], "image/svg+xml");
    answer.text().await.unwrap()
}

/// What a scanner reads in a label that was printed with so many dots per inch: the squares of the path, where the
/// transformation of the drawing puts them on the paper.
fn scanned(label: &str, dots: f64) -> String {
    let between = |from: &str, to: &str| label.split_once(from).unwrap().1.split_once(to).unwrap().0;
    assert!(label.contains(r#"width="62mm" height="29mm" viewBox="0 0 62 29""#), "a unit is a millimetre");
    let scale: f64 = between("<g transform=\"translate(1 1) scale(", ") translate(4 4)\">").parse().unwrap();
    let squares = between("<path d=\"", "\"").split('M').skip(1).map(|square| {
        let (x, y) = square.strip_suffix("h1v1h-1z").unwrap().split_once(' ').unwrap();
        (x.parse().unwrap(), y.parse().unwrap())
    });
    let dark: BTreeSet<(i64, i64)> = squares.collect();
    let millimetre = dots / 25.4;
    let square = |at: usize| (((at as f64 + 0.5) / millimetre - 1.0) / scale - 4.0).floor() as i64;
    let (width, height) = ((62.0 * millimetre) as usize, (29.0 * millimetre) as usize);
    let paint = |x, y| if dark.contains(&(square(x), square(y))) { 0 } else { 255 };
    let mut seen = rqrr::PreparedImage::prepare_from_greyscale(width, height, paint);
    let codes = seen.detect_grids();
    assert_eq!(codes.len(), 1, "one code in the label at {dots} dots per inch");
    codes[0].decode().unwrap().1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_scanner_sees_in_a_printed_label_is_what_a_scan_takes() {
    let (_app, client, collection, gate) = read_only().await;
    // A name that does its best to stand in the way.
    let name = "</text></svg> & \u{202e}a very long name of the gate in the outer harbour.md";
    let part = reqwest::multipart::Part::bytes(files::TEXT.as_bytes()).file_name(name);
    let odd = client.send(collection, reqwest::multipart::Form::new().part("file", part)).await;
    let odd: carrel_wire::UploadBody = odd.json().await.unwrap();
    for document in [gate.document_id, odd.document_id] {
        let label = label(&client, document).await;
        // What printers of labels have, and a coarse picture of a camera.
        for dots in [600.0, 300.0, 203.0, 110.0] {
            let code = scanned(&label, dots);
            let answer = client.post("/api/v1/custody/scan", &json!({ "code": code, "event": "inspected" })).await;
            assert_eq!(answer.status(), 201, "{code}");
            let scanned: ScannedBody = answer.json().await.unwrap();
            assert_eq!(scanned.event.document_id, document);
        }
        let events: Page<CustodyEventBody> = client.read(&format!("/api/v1/documents/{document}/custody")).await;
        assert_eq!(events.items.len(), 4);
    }
}

/// The code that stands in a label.
async fn code(client: &Client, document: impl std::fmt::Display) -> String {
    let drawn = label(client, document).await;
    drawn.split_once("<desc>").unwrap().1.split_once("</desc>").unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_are_scanned_and_cannot_be_made_for_another_document() {
    let (app, client, collection, gate) = read_only().await;
    let other = client.upload(collection, "other.txt", files::TEXT).await;
    let genuine = code(&client, gate.document_id).await;
    let body = json!({ "code": genuine, "event": "moved", "place": "Shelf 4", "note": "two boxes" });
    let answer = client.post("/api/v1/custody/scan", &body).await;
    assert_eq!(answer.status(), 201);
    let scanned: ScannedBody = answer.json().await.unwrap();
    assert_eq!((scanned.event.document_id, scanned.document_name.as_str()), (gate.document_id, "gate.md"));
    let events: Page<CustodyEventBody> = client.read(&format!("/api/v1/documents/{}/custody", gate.document_id)).await;
    assert_eq!(events.items.len(), 1);
    assert_eq!(events.items[0].place.as_deref(), Some("Shelf 4"));
    let trail: Page<AuditEntryBody> = client.read("/api/v1/audit?action=scan_label").await;
    assert_eq!(trail.items[0].subject, Some(gate.document_id.0));
    assert!(trail.items[0].details.get("note").is_none(), "the trail never changes, so it holds no free text");

    // Every changed character is found, and so is the mark of one document on the id of another.
    let scan = async |client: &Client, code: &str| {
        client.post("/api/v1/custody/scan", &json!({ "code": code, "event": "moved" })).await
    };
    let theirs = code(&client, other.document_id).await;
    let swapped = format!("{}{}", &theirs[..34], &genuine[34..]);
    problem(scan(&client, &swapped).await, 422, "label_forged").await;
    for at in 8..genuine.len() {
        let mut bytes = genuine.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let refused = scan(&client, std::str::from_utf8(&bytes).unwrap()).await;
        assert_eq!(refused.status(), 422, "character {at}");
    }
    for unreadable in ["", "https://example.org", "CARREL1:", "CARREL2:AAAA"] {
        problem(scan(&client, unreadable).await, 422, "label_unreadable").await;
    }
    problem(scan(&app.stranger().await, &genuine).await, 422, "label_forged").await;
    let unknown = json!({ "code": genuine, "event": "burnt" });
    problem(client.post("/api/v1/custody/scan", &unknown).await, 400, "malformed_body").await;
    let empty = json!({ "code": genuine, "event": "moved", "place": "" });
    problem(client.post("/api/v1/custody/scan", &empty).await, 422, "invalid_value").await;
    client.delete(&format!("/api/v1/documents/{}", gate.document_id)).await;
    problem(scan(&client, &genuine).await, 404, "not_found").await;
}

async fn hold(client: &Client, subject: Value) -> HoldBody {
    let answer = client.post("/api/v1/holds", &subject).await;
    assert_eq!(answer.status(), 201);
    answer.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_is_neither_deleted_nor_erased() {
    let (app, client, collection, gate) = read_only().await;
    let other = client.upload(collection, "other.txt", files::TEXT).await;
    let document = format!("/api/v1/documents/{}", gate.document_id);
    let whole = format!("/api/v1/collections/{collection}");
    let why = json!({ "reason": "asked for" });
    let held = hold(&client, json!({ "document_id": gate.document_id, "reason": "The claim of 3 May." })).await;

    let refused = problem(client.delete(&document).await, 409, "legal_hold").await;
    for said in ["The claim of 3 May.", &client.id.to_string(), &held.id.to_string()] {
        assert!(refused.detail.contains(said), "{}", refused.detail);
    }
    problem(client.post(&format!("{document}/erase"), &why).await, 409, "legal_hold").await;
    problem(client.delete(&whole).await, 409, "legal_hold").await;
    // The schema itself refuses whoever forgets to ask: the job that clears a collection, for one.
    let batch = sqlx::query("delete from carrel.document").execute(&app.database.owner).await.unwrap_err();
    assert_eq!(batch.as_database_error().unwrap().constraint(), Some("legal_hold"));
    let cascade = sqlx::query("delete from carrel.collection").execute(&app.database.owner).await.unwrap_err();
    assert_eq!(cascade.as_database_error().unwrap().constraint(), Some("legal_hold"));
    // A new version takes nothing away.
    assert_eq!(client.upload(collection, "gate.md", "# Other words\n").await.document_id, gate.document_id);
    assert_eq!(client.get(&format!("/api/v1/versions/{}", gate.version_id)).await.status(), 200);
    // What is not held goes.
    assert_eq!(client.delete(&format!("/api/v1/documents/{}", other.document_id)).await.status(), 204);

    let release = format!("/api/v1/holds/{}/release", held.id);
    let released: HoldBody =
        client.post(&release, &json!({ "reason": "Settled on 9 June." })).await.json().await.unwrap();
    assert_eq!(released.release_reason.as_deref(), Some("Settled on 9 June."));
    let again: HoldBody = client.post(&release, &json!({ "reason": "Once more." })).await.json().await.unwrap();
    assert_eq!(again.release_reason.as_deref(), Some("Settled on 9 June."));

    let on_all = hold(&client, json!({ "collection_id": collection, "reason": "The whole case." })).await;
    problem(client.delete(&document).await, 409, "legal_hold").await;
    problem(client.delete(&whole).await, 409, "legal_hold").await;
    problem(client.post(&format!("{document}/erase"), &why).await, 409, "legal_hold").await;
    let standing: Page<HoldBody> = client.read("/api/v1/holds?standing=true").await;
    assert_eq!(standing.items.iter().map(|hold| hold.id).collect::<Vec<_>>(), [on_all.id]);
    let of_document: Page<HoldBody> = client.read(&format!("/api/v1/holds?subject={}", gate.document_id)).await;
    assert_eq!(of_document.items.len(), 1);
    client.post(&format!("/api/v1/holds/{}/release", on_all.id), &json!({ "reason": "Closed." })).await;
    assert_eq!(client.delete(&whole).await.status(), 204);
    for (action, entries) in [("place_hold", 2), ("release_hold", 3)] {
        let trail: Page<AuditEntryBody> = client.read(&format!("/api/v1/audit?action={action}")).await;
        assert_eq!(trail.items.len(), entries, "{action}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_have_one_subject_and_a_reason() {
    let (app, client, collection, gate) = read_only().await;
    for body in [
        json!({ "reason": "x" }),
        json!({ "reason": "x", "document_id": gate.document_id, "collection_id": collection }),
        json!({ "reason": "  ", "document_id": gate.document_id }),
        json!({ "reason": "x".repeat(2_001), "document_id": gate.document_id }),
    ] {
        problem(client.post("/api/v1/holds", &body).await, 422, "invalid_value").await;
    }
    for body in [
        json!({ "reason": "x", "document_id": Uuid::now_v7() }),
        json!({ "reason": "x", "collection_id": Uuid::now_v7() }),
    ] {
        problem(client.post("/api/v1/holds", &body).await, 404, "not_found").await;
    }
    let foreign = json!({ "reason": "x", "document_id": gate.document_id });
    problem(app.stranger().await.post("/api/v1/holds", &foreign).await, 404, "not_found").await;
}

/// Two who want opposite things at the same moment: one of them wins, and the other is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_and_a_deletion_at_once_leave_no_held_document_deleted() {
    let (app, client, collection, _) = read_only().await;
    for number in 0..10 {
        let made = client.upload(collection, &format!("{number}.txt"), files::TEXT).await;
        let body = json!({ "document_id": made.document_id, "reason": "claim" });
        let path = format!("/api/v1/documents/{}", made.document_id);
        let (held, deleted) = tokio::join!(client.post("/api/v1/holds", &body), client.delete(&path));
        let outcome = (held.status().as_u16(), deleted.status().as_u16());
        assert!(matches!(outcome, (201, 409) | (404, 204)), "{outcome:?}");
    }
    let lost = "select count(*) from carrel.legal_hold h
                where not exists (select from carrel.document d where d.id = h.document_id)";
    assert_eq!(app.database.number(lost).await, 0);
}
