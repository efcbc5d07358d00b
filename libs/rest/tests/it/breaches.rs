//! The collection of breaches: asked for data sets, over its documented protocol, and never in the way of an upload.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use carrel_domain::Scopes;
use carrel_operations::screening::BreachService;
use carrel_operations::{Screening, ScreeningKey};
use carrel_screening::Options;
use carrel_screening::breach::{HaveIBeenPwned, HibpSettings};
use carrel_testkit::{Setup, TestApp};
use carrel_wire::DocumentScreeningBody;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

type Asked = Arc<Mutex<Vec<String>>>;

const ROWS: &str = "email,password\nann@example.org,password\nbob@example.org,plinth-orbit-kazoo-93\n";

/// Speaks the range and the account API (version 3) and writes down what it was asked.
async fn service() -> (String, Asked) {
    async fn range(State(asked): State<Asked>, Path(prefix): Path<String>, headers: HeaderMap) -> Response {
        assert_eq!(headers["add-padding"], "true");
        assert!(headers.contains_key("user-agent"));
        asked.lock().unwrap().push(prefix.clone());
        // SHA-1 of "password" is 5BAA6 1E4C9B93F3F0682250B6CF8331B7EE68FD8.
        let known = if prefix == "5BAA6" { "1E4C9B93F3F0682250B6CF8331B7EE68FD8:9659365\r\n" } else { "" };
        format!("{known}0018A45C4D1DEF81644B54AB7F969B88D65:0\r\n").into_response()
    }
    async fn account(State(asked): State<Asked>, Path(account): Path<String>, headers: HeaderMap) -> Response {
        if headers.get("hibp-api-key").is_none_or(|key| key != "k-1") {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        asked.lock().unwrap().push(account.clone());
        if account.starts_with("ann") {
            r#"[{"Name":"Adobe"}]"#.into_response()
        } else {
            StatusCode::NOT_FOUND.into_response()
        }
    }
    let asked = Asked::default();
    let app = Router::new()
        .route("/range/{prefix}", get(range))
        .route("/api/v3/breachedaccount/{account}", get(account))
        .with_state(Arc::clone(&asked));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, app).into_future());
    (base, asked)
}

fn screening(base: &str) -> Screening {
    let settings = HibpSettings {
        passwords: format!("{base}/"),
        accounts: format!("{base}/api/v3/"),
        key: Some("k-1".into()),
        account_interval: Duration::from_millis(1),
        timeout: Duration::from_secs(2),
        ..HibpSettings::default()
    };
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let client = HaveIBeenPwned::new(http, settings, [3; 32]).unwrap();
    let service = BreachService { client, passwords: 100, accounts: 10, keep: Duration::from_secs(3_600) };
    Screening::new(Options::default(), Some(ScreeningKey::derive(b"test")), Some(service))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_and_accounts_of_a_data_set_are_looked_up_once() {
    let (base, asked) = service().await;
    let app = TestApp::start_with(Setup { screening: Some(screening(&base)), ..Setup::default() }).await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let uploaded = client.upload(collection, "people.csv", ROWS).await;
    app.idle().await;
    let path = format!("/api/v1/documents/{}/screening", uploaded.document_id);
    let report: DocumentScreeningBody = client.read(&path).await;
    let breaches = report.breaches.expect("an answer");
    assert_eq!((&breaches["passwords_asked"], &breaches["passwords_breached"]), (&2.into(), &1.into()), "{breaches}");
    assert_eq!((&breaches["accounts_asked"], &breaches["accounts_breached"]), (&2.into(), &1.into()), "{breaches}");
    assert_eq!(breaches["breaches"]["Adobe"], 1);
    let sent = asked.lock().unwrap().clone();
    assert_eq!(sent.len(), 4, "{sent:?}");
    assert!(sent.iter().all(|one| !one.contains("password") && (one.len() == 5 || one.contains('@'))), "{sent:?}");
    // A process that starts afresh finds the answers in the database.
    let kept = app.database.number("select count(*) from carrel.breach_answer").await;
    assert_eq!(kept, 4);
    let held = app.database.number("select count(*) from carrel.breach_answer where key like '%@%'").await;
    assert_eq!(held, 0, "addresses are kept as digests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_away_is_named_in_the_report_and_stops_nothing() {
    let app = TestApp::start_with(Setup { screening: Some(screening("http://127.0.0.1:9")), ..Setup::default() }).await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let uploaded = client.upload(collection, "people.csv", ROWS).await;
    app.idle().await;
    let path = format!("/api/v1/documents/{}/screening", uploaded.document_id);
    let report: DocumentScreeningBody = client.read(&path).await;
    assert_eq!(report.state, "searchable");
    let breaches = report.breaches.expect("a reason");
    assert_eq!(breaches["passwords_unavailable"], "unreachable", "{breaches}");
    assert_eq!(breaches["passwords_asked"], 0);
    let markdown = client.get(&format!("{path}.md")).await.text().await.unwrap();
    assert!(markdown.contains("gave no further answer (unreachable)"), "{markdown}");
}
