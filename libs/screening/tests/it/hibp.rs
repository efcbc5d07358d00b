//! Against a server on the loopback interface that speaks the documented wire format.

use carrel_screening::breach::{Breaches, HaveIBeenPwned, HibpSettings, Lookup, Reason};
use secrecy::SecretString;
use std::time::Duration;
use wiremock::matchers::{header, header_exists, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn client(server: &MockServer, change: impl FnOnce(&mut HibpSettings)) -> HaveIBeenPwned {
    let mut settings = HibpSettings {
        passwords: server.uri(),
        accounts: format!("{}/api/v3", server.uri()),
        account_interval: Duration::from_millis(40),
        password_interval: Duration::ZERO,
        ..HibpSettings::default()
    };
    change(&mut settings);
    HaveIBeenPwned::new(reqwest::Client::new(), settings, [1; 32]).unwrap()
}

/// SHA-1 of `password` is 5BAA6 1E4C9B93F3F0682250B6CF8331B7EE68FD8.
const RANGE: &str = "003D68EB55068C33ACE09247EE4C639306B:3\r\n1E4C9B93F3F0682250B6CF8331B7EE68FD8:9659365\r\n01330C689E5D64F660D6947A93AD634EF8F:0\r\n";

#[tokio::test]
async fn only_five_characters_of_the_hash_leave() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/range/5BAA6"))
        .and(header("add-padding", "true"))
        .and(header_exists("user-agent"))
        .respond_with(ResponseTemplate::new(200).set_body_string(RANGE))
        .expect(1)
        .mount(&server)
        .await;
    let client = client(&server, |_| {});
    assert_eq!(client.password("password").await, Lookup::Known(9_659_365));
    // The second look-up is answered from the cache.
    assert_eq!(client.password("password").await, Lookup::Known(9_659_365));
    let requests = server.received_requests().await.unwrap();
    let sent: Vec<String> = requests.iter().map(|request| format!("{request:?}").to_ascii_uppercase()).collect();
    assert!(sent.iter().all(|request| !request.contains("1E4C9B93") && !request.contains("PASSWORD\"")), "{sent:?}");
}

#[tokio::test]
async fn a_password_that_is_not_listed_is_known_to_be_absent() {
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(200).set_body_string(RANGE)).mount(&server).await;
    assert_eq!(client(&server, |_| {}).password("plinth-orbit-kazoo").await, Lookup::Known(0));
}

#[tokio::test]
async fn accounts_need_a_key_and_are_paced_and_cached() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(header("hibp-api-key", "k-1"))
        .respond_with(ResponseTemplate::new(404))
        .mount(&server)
        .await;
    let without = client(&server, |_| {});
    assert_eq!(without.account("ann@example.org").await, Lookup::Unavailable(Reason::NoKey));
    let client = client(&server, |settings| settings.key = Some(SecretString::from("k-1")));
    let started = std::time::Instant::now();
    for address in ["one@example.org", "two@example.org", "three@example.org", "one@example.org"] {
        assert_eq!(client.account(address).await, Lookup::Known(Vec::new()), "{address}");
    }
    assert!(started.elapsed() >= Duration::from_millis(80), "three requests are two pauses apart");
    assert_eq!(server.received_requests().await.unwrap().len(), 3);
    assert!(!format!("{client:?}").contains("k-1"));
}

#[tokio::test]
async fn names_of_breaches_come_back() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_string(r#"[{"Name":"Adobe"}]"#))
        .mount(&server)
        .await;
    let client = client(&server, |settings| settings.key = Some(SecretString::from("k-1")));
    let Lookup::Known(breaches) = client.account("../../admin?x=#@example.org").await else { panic!("no answer") };
    assert_eq!(breaches[0].name, "Adobe");
    let requests = server.received_requests().await.unwrap();
    assert!(requests[0].url.path().starts_with("/api/v3/breachedaccount/"), "{}", requests[0].url);
    assert_eq!(requests[0].url.query(), None);
}

#[tokio::test]
async fn an_order_to_wait_is_kept() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(429).insert_header("retry-after", "120"))
        .expect(1)
        .mount(&server)
        .await;
    let client = client(&server, |_| {});
    for password in ["one", "two", "three"] {
        assert_eq!(client.password(password).await, Lookup::Unavailable(Reason::Waiting));
    }
}

#[tokio::test]
async fn failures_are_answers_and_close_the_door_for_a_while() {
    for (template, reason) in [
        (ResponseTemplate::new(503), Reason::Unreachable),
        (ResponseTemplate::new(401), Reason::NoKey),
        (ResponseTemplate::new(200).set_body_string("<html>maintenance</html>"), Reason::Unexpected),
        (ResponseTemplate::new(200).set_delay(Duration::from_secs(30)), Reason::Unreachable),
    ] {
        let server = MockServer::start().await;
        Mock::given(method("GET")).respond_with(template).mount(&server).await;
        let client = client(&server, |settings| settings.timeout = Duration::from_millis(300));
        assert_eq!(client.password("x").await, Lookup::Unavailable(reason));
    }
    let nobody = HibpSettings { passwords: "http://127.0.0.1:9/".to_owned(), ..HibpSettings::default() };
    let client = HaveIBeenPwned::new(reqwest::Client::new(), nobody, [1; 32]).unwrap();
    assert_eq!(client.password("x").await, Lookup::Unavailable(Reason::Unreachable));
    assert_eq!(client.password("y").await, Lookup::Unavailable(Reason::Waiting));
    let settings = HibpSettings { passwords: "no url".to_owned(), ..HibpSettings::default() };
    assert!(HaveIBeenPwned::new(reqwest::Client::new(), settings, [1; 32]).is_err());
}
