//! A signed-in client with the few calls that most tests need.

use carrel_domain::ClientId;
use carrel_wire::{ProblemBody, RunPageBody, SearchAnswerBody, SearchBody, UploadBody};
use reqwest::header::CONTENT_TYPE;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

/// Speaks to a [`crate::TestApp`] with a token.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its id.
    pub id: ClientId,
    /// Its access token.
    pub token: String,
    http: reqwest::Client,
    base: String,
}

impl Client {
    pub(crate) async fn sign_in(http: reqwest::Client, base: &str, id: ClientId, secret: &str) -> Self {
        let form = [("grant_type", "client_credentials"), ("client_id", &id.to_string()), ("client_secret", secret)];
        let answer: Value =
            http.post(format!("{base}/oauth/token")).form(&form).send().await.unwrap().json().await.unwrap();
        let token = answer["access_token"].as_str().expect("a token").to_owned();
        Self { id, token, http, base: base.to_owned() }
    }

    /// The same client at another address of the same application.
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    /// A request with the token; `path` begins with a slash.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// GET, which must succeed.
    pub async fn read<T: DeserializeOwned>(&self, path: &str) -> T {
        expect(self.get(path).await, StatusCode::OK).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Response {
        self.request(Method::DELETE, path).send().await.unwrap()
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.request(Method::POST, path).json(body).send().await.unwrap()
    }

    /// Makes a collection.
    pub async fn collection(&self, name: &str) -> Uuid {
        let response = self.post("/api/v1/collections", &json!({ "name": name })).await;
        let made: Value = expect(response, StatusCode::CREATED).await;
        made["id"].as_str().unwrap().parse().unwrap()
    }

    /// Sends a form to a collection.
    pub async fn send(&self, collection: Uuid, form: Form) -> Response {
        let path = format!("/api/v1/collections/{collection}/documents");
        self.request(Method::POST, &path).multipart(form).send().await.unwrap()
    }

    /// Uploads a file, which must be taken.
    pub async fn upload(&self, collection: Uuid, name: &str, bytes: impl Into<Vec<u8>>) -> UploadBody {
        let form = Form::new().part("file", Part::bytes(bytes.into()).file_name(name.to_owned()));
        let response = self.send(collection, form).await;
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status == StatusCode::OK || status == StatusCode::ACCEPTED, "{name}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Searches everywhere in hybrid mode.
    pub async fn find(&self, query: &str) -> SearchAnswerBody {
        self.search(&SearchBody { query: query.to_owned(), limit: 10, ..SearchBody::default() }).await
    }

    /// Searches, which must succeed.
    pub async fn search(&self, body: &SearchBody) -> SearchAnswerBody {
        let response = self.post("/api/v1/search", &serde_json::to_value(body).unwrap()).await;
        expect(response, StatusCode::OK).await
    }

    /// Asks a question and answers the id of the run.
    pub async fn ask(&self, question: &str) -> Uuid {
        let response = self.post("/api/v1/research", &json!({ "question": question })).await;
        let run: Value = expect(response, StatusCode::ACCEPTED).await;
        run["id"].as_str().unwrap().parse().unwrap()
    }

    /// A run with all that it has produced.
    pub async fn run(&self, id: Uuid) -> RunPageBody {
        self.read(&format!("/api/v1/research/{id}")).await
    }
}

/// The body of an answer that must have this status.
async fn expect<T: DeserializeOwned>(response: Response, status: StatusCode) -> T {
    let (url, found) = (response.url().clone(), response.status());
    let text = response.text().await.unwrap();
    assert_eq!(found, status, "{url}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{url}: {error}: {text}"))
}

/// The problem in an answer that must have this status and this code.
pub async fn problem(response: Response, status: u16, code: &str) -> ProblemBody {
    let (url, found) = (response.url().clone(), response.status().as_u16());
    let media_type =
        response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
    let text = response.text().await.unwrap();
    assert_eq!(found, status, "{url} should be {code}: {text}");
    assert_eq!(media_type, "application/problem+json", "{url}: {text}");
    let body: ProblemBody = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{url}: {error}: {text}"));
    assert_eq!((body.status, body.code.as_str()), (status, code), "{url}: {text}");
    assert!(!body.request_id.is_empty(), "{url}: the problem names its request");
    let entry = carrel_rest::problem::CODES.iter().find(|entry| entry.code == code).expect("a code of the table");
    let expected = (entry.status, entry.title, entry.advice, entry.retryable);
    assert_eq!((body.status, body.title.as_str(), body.advice.as_str(), body.retryable), expected, "{url}");
    body
}

/// A server-sent event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// Its name.
    pub event: String,
    /// Its data.
    pub data: String,
}

/// The events of a stream that has ended; comments are left out.
pub fn events(text: &str) -> Vec<Event> {
    let mut events = Vec::new();
    for block in text.split("\n\n") {
        let field = |name: &str| {
            let lines = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            lines.map(|value| value.strip_prefix(' ').unwrap_or(value)).collect::<Vec<_>>().join("\n")
        };
        let event = Event { id: field("id"), event: field("event"), data: field("data") };
        if !event.data.is_empty() {
            events.push(event);
        }
    }
    events
}
