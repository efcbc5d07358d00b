//! The token endpoint (RFC 6749) and discovery (RFC 7517, RFC 8414).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use carrel_domain::Scopes;
use carrel_testkit::TestApp;
use chrono::Utc;
use reqwest::Response;
use serde_json::Value;
use uuid::Uuid;

async fn token(app: &TestApp, form: &[(&str, &str)]) -> Response {
    app.http().post(format!("{}/oauth/token", app.url)).form(form).send().await.unwrap()
}

async fn refused(answer: Response, status: u16, error: &str) {
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers().contains_key("www-authenticate"), status == 401, "RFC 6749 section 5.2");
    let found = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    assert_eq!((found, body["error"].as_str()), (status, Some(error)), "{body}");
    let description = body["error_description"].as_str().unwrap();
    assert!(!description.is_empty());
    // The characters of section 5.2.
    assert!(description.chars().all(|c| matches!(c, ' '..='~') && c != '"' && c != '\\'), "{description}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_gets_a_token_by_form_or_by_basic() {
    let app = TestApp::start().await;
    let (id, secret) = app.credentials(app.workspace, &"search documents:read".parse().unwrap()).await;
    let id = id.to_string();
    let grant = ("grant_type", "client_credentials");
    let answer = token(&app, &[grant, ("client_id", &id), ("client_secret", &secret)]).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(
        (&answer.headers()["cache-control"], &answer.headers()["pragma"]),
        (&"no-store".parse().unwrap(), &"no-cache".parse().unwrap())
    );
    let body: Value = answer.json().await.unwrap();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&"Bearer".into(), &3_600.into()));
    assert_eq!(body["scope"], "documents:read search");

    let narrow = app
        .http()
        .post(format!("{}/oauth/token", app.url))
        .basic_auth(&id, Some(&secret))
        .form(&[grant, ("scope", "search")])
        .send()
        .await
        .unwrap();
    let narrow: Value = narrow.json().await.unwrap();
    assert_eq!(narrow["scope"], "search");
    let listed =
        app.http().get(format!("{}/api/v1/collections", app.url)).bearer_auth(narrow["access_token"].as_str().unwrap());
    assert_eq!(listed.send().await.unwrap().status(), 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_refused_in_the_words_of_the_standard() {
    let app = TestApp::start().await;
    let (id, secret) = app.credentials(app.workspace, &"search".parse().unwrap()).await;
    let id = id.to_string();
    let stranger = Uuid::now_v7().to_string();
    let grant = ("grant_type", "client_credentials");
    let credentials = [("client_id", id.as_str()), ("client_secret", secret.as_str())];
    let with = |more: &[(&'static str, &'static str)]| -> Vec<(&str, &str)> { [&credentials[..], more].concat() };

    refused(token(&app, &with(&[])).await, 400, "invalid_request").await;
    refused(token(&app, &with(&[grant, grant])).await, 400, "invalid_request").await;
    // A parameter without a value counts as left out (section 3.2).
    refused(token(&app, &with(&[("grant_type", "")])).await, 400, "invalid_request").await;
    for other in ["password", "authorization_code", "CLIENT_CREDENTIALS"] {
        refused(token(&app, &with(&[("grant_type", other)])).await, 400, "unsupported_grant_type").await;
    }
    for scope in ["se\u{e4}rch\"\\", "jobs:read", "search jobs:write", "everything", "search,research"] {
        refused(token(&app, &with(&[grant, ("scope", scope)])).await, 400, "invalid_scope").await;
    }
    for (client, secret) in [
        (id.as_str(), "wrong"),
        (id.as_str(), ""),
        (stranger.as_str(), secret.as_str()),
        ("carrel", secret.as_str()),
        ("", ""),
        ("\0", "\0"),
    ] {
        let form = [grant, ("client_id", client), ("client_secret", secret)];
        refused(token(&app, &form).await, 401, "invalid_client").await;
    }
    refused(token(&app, &[grant]).await, 401, "invalid_client").await;
    refused(token(&app, &[grant, ("client_id", &id)]).await, 401, "invalid_client").await;
    for header in
        [format!("Basic {}", STANDARD.encode(format!("{id}:wrong"))), "Basic %%%".to_owned(), "Basic".to_owned()]
    {
        let request =
            app.http().post(format!("{}/oauth/token", app.url)).header("authorization", header).form(&[grant]);
        refused(request.send().await.unwrap(), 401, "invalid_client").await;
    }
    let url = format!("{}/oauth/token", app.url);
    let json = app.http().post(&url).json(&serde_json::json!({ "grant_type": "client_credentials" }));
    refused(json.send().await.unwrap(), 400, "invalid_request").await;
    let broken = app.http().post(&url).header("content-type", "application/x-www-form-urlencoded").body("%%%=\u{0}");
    refused(broken.send().await.unwrap(), 400, "invalid_request").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_shows_itself_in_one_way_and_says_everything_once() {
    let app = TestApp::start().await;
    let (id, secret) = app.credentials(app.workspace, &"search".parse().unwrap()).await;
    let id = id.to_string();
    let url = format!("{}/oauth/token", app.url);
    let grant = ("grant_type", "client_credentials");
    let basic = |form: &[(&str, &str)]| app.http().post(&url).basic_auth(&id, Some(&secret)).form(form);

    // Two ways at once, although both are right (section 2.3).
    let both = basic(&[grant, ("client_id", &id), ("client_secret", &secret)]);
    refused(both.send().await.unwrap(), 400, "invalid_request").await;
    refused(basic(&[grant, ("client_secret", &secret)]).send().await.unwrap(), 400, "invalid_request").await;
    let other = Uuid::now_v7().to_string();
    refused(basic(&[grant, ("client_id", &other)]).send().await.unwrap(), 400, "invalid_request").await;
    assert_eq!(basic(&[grant, ("client_id", &id)]).send().await.unwrap().status(), 200, "its own name is no secret");
    // A header that cannot be read does not make the form count.
    for header in ["Basic %%%", "Basic", "Bearer abc", "Digest a=b"] {
        let form = [grant, ("client_id", id.as_str())];
        let request = app.http().post(&url).header("authorization", header).form(&form);
        let answer = request.send().await.unwrap();
        assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic"), "{header}");
        refused(answer, 401, "invalid_client").await;
    }
    let twice = basic(&[grant]).header("authorization", "Basic Y2FycmVsOmNhcnJlbA==");
    refused(twice.send().await.unwrap(), 400, "invalid_request").await;

    // Every parameter once (section 3.2); what is unknown is ignored.
    let credentials = [grant, ("client_id", id.as_str()), ("client_secret", secret.as_str()), ("scope", "search")];
    for repeated in credentials {
        let form = [&credentials[..], &[repeated]].concat();
        refused(token(&app, &form).await, 400, "invalid_request").await;
    }
    let unknown = [&credentials[..], &[("audience", "a"), ("audience", "b"), ("scope", "")]].concat();
    assert_eq!(token(&app, &unknown).await.status(), 200);

    // Nothing in the address, where it would be logged (section 2.3.1).
    let addressed = app.http().post(format!("{url}?client_secret={secret}")).form(&[grant, ("client_id", &id)]);
    refused(addressed.send().await.unwrap(), 400, "invalid_request").await;
    // Both parts of Basic are form-encoded before (section 2.3.1).
    let encoded = STANDARD.encode(format!("{}:{}", id.replace('-', "%2D"), secret.replace('_', "%5F")));
    let request = app.http().post(&url).header("authorization", format!("basic {encoded}")).form(&[grant]);
    assert_eq!(request.send().await.unwrap().status(), 200);
    let large = "a".repeat(3 << 20);
    refused(token(&app, &[grant, ("client_id", &large)]).await, 400, "invalid_request").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_client_gets_no_token() {
    let app = TestApp::start().await;
    let (id, secret) = app.credentials(app.workspace, &Scopes::all()).await;
    let text = id.to_string();
    let form = [("grant_type", "client_credentials"), ("client_id", text.as_str()), ("client_secret", secret.as_str())];
    assert_eq!(token(&app, &form).await.status(), 200);
    assert!(app.admin().revoke_client(id, Utc::now()).await.unwrap());
    refused(token(&app, &form).await, 401, "invalid_client").await;
    assert!(!app.admin().revoke_client(id, Utc::now()).await.unwrap(), "it is revoked once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discovery_leads_to_the_key_that_signs() {
    let app = TestApp::start().await;
    let read = async |path: &str| -> Value {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", app.url) };
        app.http().get(url).send().await.unwrap().json().await.unwrap()
    };
    let metadata = read("/.well-known/oauth-authorization-server").await;
    assert_eq!(metadata["issuer"], app.url.as_str());
    assert_eq!(metadata["token_endpoint"], format!("{}/oauth/token", app.url));
    assert_eq!(metadata["grant_types_supported"], serde_json::json!(["client_credentials"]));
    assert_eq!(metadata["scopes_supported"].as_array().unwrap().len(), carrel_domain::Scope::ALL.len());
    let keys = read(metadata["jwks_uri"].as_str().unwrap()).await;
    let key = &keys["keys"][0];
    assert_eq!((&key["kty"], &key["crv"], &key["alg"]), (&"EC".into(), &"P-256".into(), &"ES256".into()));
    assert!(key.get("d").is_none(), "the private part stays private");

    let client = app.client(Scopes::all()).await;
    let header = client.token.split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    assert_eq!((&header["alg"], &header["typ"]), (&"ES256".into(), &"at+jwt".into()));
    assert_eq!(header["kid"], key["kid"]);
}
