//! A typed client of the REST API, for the command and for tests.
//!
//! Invariants: the secret is sent to the token endpoint only; a token is renewed before it ends; a problem arrives as
//! [`ClientError::Problem`] with its code, never as bare text.
//!
//! ```no_run
//! # async fn example() -> Result<(), carrel_client::ClientError> {
//! let credentials = carrel_client::Credentials {
//!     url: "http://127.0.0.1:8080".to_owned(),
//!     client_id: "0199d2a0-0000-7000-8000-000000000000".to_owned(),
//!     client_secret: "…".to_owned().into(),
//! };
//! let client = carrel_client::Client::new(credentials)?;
//! for collection in client.collections(None).await? {
//!     assert!(!collection.name.is_empty());
//! }
//! # Ok(()) }
//! ```

mod events;
mod resources;

pub use events::RunEvents;

use carrel_wire::{Page, ProblemBody, TokenBody};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// What a client shows to get a token.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Address of the server, without a slash at the end.
    pub url: String,
    /// The client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server cannot be reached, or the connection broke.
    #[error("{url} does not answer")]
    Unreachable {
        /// Address of the server.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The server refused the client or its secret.
    #[error("the server does not accept the client: {0}")]
    Unauthorized(String),
    /// The server refused the request.
    #[error("{}: {}", .0.title, .0.detail)]
    Problem(Box<ProblemBody>),
    /// The answer is not what the API promises.
    #[error("the answer of {url} is not understood (status {status})")]
    Protocol {
        /// Address that was asked.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// A local file cannot be read.
    #[error("{path} cannot be read")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl ClientError {
    /// The code of a problem.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Problem(problem) => Some(&problem.code),
            _ => None,
        }
    }
}

struct Token {
    value: SecretString,
    until: Instant,
}

/// What is sent along with a file.
#[derive(Clone, Debug, Default)]
pub struct UploadFields {
    /// Name of the file for the server.
    pub file_name: String,
    /// The sender's own id.
    pub external_id: Option<String>,
    /// Title to show.
    pub title: Option<String>,
    /// The sender's own fields.
    pub metadata: Option<Map<String, Value>>,
}

/// A connection to one server as one client.
pub struct Client {
    http: reqwest::Client,
    credentials: Credentials,
    token: Mutex<Option<Token>>,
}

impl Client {
    /// Prepares a client; nothing is contacted yet.
    pub fn new(credentials: Credentials) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .user_agent(concat!("carrel/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|source| ClientError::Unreachable { url: credentials.url.clone(), source })?;
        Ok(Self { http, credentials, token: Mutex::new(None) })
    }

    /// Address of the server.
    pub fn url(&self) -> &str {
        &self.credentials.url
    }

    fn unreachable(&self, source: reqwest::Error) -> ClientError {
        ClientError::Unreachable { url: self.credentials.url.clone(), source }
    }

    async fn bearer(&self) -> Result<SecretString, ClientError> {
        let mut token = self.token.lock().await;
        if let Some(known) = &*token
            && known.until > Instant::now()
        {
            return Ok(known.value.clone());
        }
        let url = format!("{}/oauth/token", self.credentials.url);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &self.credentials.client_id),
            ("client_secret", self.credentials.client_secret.expose_secret()),
        ];
        let answer = self.http.post(&url).form(&form).send().await.map_err(|error| self.unreachable(error))?;
        let status = answer.status();
        if status == StatusCode::UNAUTHORIZED {
            return Err(ClientError::Unauthorized("its id or its secret is wrong, or it was revoked".to_owned()));
        }
        let body: TokenBody =
            answer.json().await.map_err(|_| ClientError::Protocol { url, status: status.as_u16() })?;
        // Renewed a little early, so that no request travels with a token that ends on the way.
        let lifetime = Duration::from_secs(body.expires_in.saturating_sub(30));
        let value: SecretString = body.access_token.into();
        *token = Some(Token { value: value.clone(), until: Instant::now() + lifetime });
        Ok(value)
    }

    async fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, ClientError> {
        let bearer = self.bearer().await?;
        let url = format!("{}{path}", self.credentials.url);
        Ok(self.http.request(method, url).bearer_auth(bearer.expose_secret()))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let answer = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let url = answer.url().to_string();
        match answer.json::<ProblemBody>().await {
            Ok(problem) => Err(ClientError::Problem(Box::new(problem))),
            Err(_) => Err(ClientError::Protocol { url, status: status.as_u16() }),
        }
    }

    async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let answer = self.send(request).await?;
        let (url, status) = (answer.url().to_string(), answer.status().as_u16());
        answer.json().await.map_err(|_| ClientError::Protocol { url, status })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, ClientError> {
        let request = self.request(Method::GET, path).await?.query(query);
        self.read(request).await
    }

    async fn all_pages<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Vec<T>, ClientError> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = query.to_vec();
            query.push(("limit", "200".to_owned()));
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let page: Page<T> = self.get(path, &query).await?;
            items.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(items),
            }
        }
    }
}
