//! What the two clients share: bounded batches, timeouts, retries with backoff, bounded answers, checked vectors.

use crate::embedding::normalise;
use crate::{EmbeddingSpace, InferenceError};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// How to reach a remote embedder and what it answers.
#[derive(Clone, Debug)]
pub struct RemoteOptions {
    /// Address without the API's path.
    pub url: String,
    /// What the vectors are; `space.model` is sent as the model's name.
    pub space: EmbeddingSpace,
    /// Sent as a bearer token.
    pub api_key: Option<SecretString>,
    /// Longest wait for one answer.
    pub timeout: Duration,
    /// Most inputs in one request.
    pub batch_inputs: usize,
    /// Most bytes of text in one request; a longer single text still goes alone.
    pub batch_bytes: usize,
    /// Requests made for one batch before giving up.
    pub attempts: u32,
    /// Wait before the first retry; doubles with each.
    pub backoff: Duration,
    /// Longest wait between two attempts; a provider that asks for more gets its error reported instead.
    pub longest_wait: Duration,
    /// The caller's W3C `traceparent`, sent along when there is one; `None` sends none.
    pub traceparent: Option<fn() -> Option<String>>,
}

impl RemoteOptions {
    /// Usual limits for `model` with `dimension` components at `url`; the space is named after the model.
    pub fn new(url: &str, model: &str, dimension: usize) -> Self {
        Self {
            url: url.to_owned(),
            space: EmbeddingSpace {
                name: model.to_owned(),
                model: model.to_owned(),
                dimension,
                max_tokens: 512,
                query_prefix: String::new(),
                passage_prefix: String::new(),
                languages: Vec::new(),
            },
            api_key: None,
            timeout: Duration::from_mins(1),
            batch_inputs: 64,
            batch_bytes: 256 << 10,
            attempts: 3,
            backoff: Duration::from_millis(250),
            longest_wait: Duration::from_secs(10),
            traceparent: None,
        }
    }
}

/// A client for one endpoint.
pub(super) struct Endpoint {
    client: Client,
    address: Url,
    provider: String,
    options: RemoteOptions,
}

impl Endpoint {
    pub(super) fn new(path: &str, options: RemoteOptions) -> Result<Self, InferenceError> {
        let configuration = |detail: String| InferenceError::Configuration { detail };
        let base = format!("{}/", options.url.trim_end_matches('/'));
        let address = Url::parse(&base)
            .and_then(|base| base.join(path))
            .map_err(|error| configuration(format!("url {}: {error}", options.url)))?;
        if !matches!(address.scheme(), "http" | "https") {
            return Err(configuration(format!("url {}: must begin with http:// or https://", options.url)));
        }
        if options.space.dimension == 0 {
            return Err(configuration("dimension must be at least 1".to_owned()));
        }
        let client = Client::builder()
            .timeout(options.timeout)
            .connect_timeout(options.timeout.min(Duration::from_secs(10)))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| configuration(format!("HTTP client: {error}")))?;
        let provider = format!("{} at {}", options.space.model, address.host_str().unwrap_or("?"));
        Ok(Self { client, address, provider, options })
    }

    pub(super) fn space(&self) -> &EmbeddingSpace {
        &self.options.space
    }

    pub(super) fn protocol(&self, detail: impl Into<String>) -> InferenceError {
        InferenceError::Protocol { provider: self.provider.clone(), detail: detail.into() }
    }

    fn unavailable(&self, detail: String, retry_after: Option<Duration>) -> InferenceError {
        InferenceError::Unavailable { provider: self.provider.clone(), detail, retry_after }
    }

    /// The inputs as runs that fit one request each.
    pub(super) fn batches<'a>(&self, inputs: &'a [String]) -> Vec<&'a [String]> {
        let mut batches = Vec::new();
        let (mut start, mut bytes) = (0, 0);
        for (index, input) in inputs.iter().enumerate() {
            let full =
                index - start >= self.options.batch_inputs.max(1) || bytes + input.len() > self.options.batch_bytes;
            if full && index > start {
                batches.push(&inputs[start..index]);
                (start, bytes) = (index, 0);
            }
            bytes += input.len();
        }
        if start < inputs.len() {
            batches.push(&inputs[start..]);
        }
        batches
    }

    /// Posts until it is answered, refused, or attempts run out.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        body: &impl Serialize,
        inputs: usize,
    ) -> Result<T, InferenceError> {
        let mut backoff = self.options.backoff;
        let mut attempt = 1;
        loop {
            let error = match self.post_once(body, inputs).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let wait = error.retry_after().unwrap_or(backoff);
            if !error.is_retryable() || attempt >= self.options.attempts || wait > self.options.longest_wait {
                return Err(error);
            }
            tracing::debug!(provider = %self.provider, attempt, wait_ms = wait.as_millis(), "embedding request retried");
            tokio::time::sleep(wait).await;
            backoff = (backoff * 2).min(self.options.longest_wait);
            attempt += 1;
        }
    }

    async fn post_once<T: DeserializeOwned>(&self, body: &impl Serialize, inputs: usize) -> Result<T, InferenceError> {
        let mut request = self.client.post(self.address.clone()).json(body);
        if let Some(key) = &self.options.api_key {
            request = request.bearer_auth(key.expose_secret());
        }
        if let Some(parent) = self.options.traceparent.and_then(|current| current()) {
            request = request.header("traceparent", parent);
        }
        let response = request.send().await.map_err(|error| self.unavailable(reason(&error), None))?;
        let status = response.status();
        let retry_after = retry_after(response.headers());
        if status.is_success() {
            let bytes = self.read(response, self.answer_limit(inputs)).await?;
            return serde_json::from_slice(&bytes)
                .map_err(|error| self.protocol(format!("not the expected JSON (line {})", error.line())));
        }
        let detail = match self.read(response, 4096).await {
            Ok(bytes) => provider_words(&bytes),
            Err(_) => String::new(),
        };
        let overloaded = status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT;
        if overloaded || status.is_server_error() {
            return Err(self.unavailable(format!("status {}: {detail}", status.as_u16()), retry_after));
        }
        Err(InferenceError::Refused { provider: self.provider.clone(), status: status.as_u16(), detail })
    }

    /// Generous: 32 characters per component, so that only a broken or hostile answer is cut off.
    fn answer_limit(&self, inputs: usize) -> usize {
        (64 << 10) + inputs * (self.options.space.dimension * 32 + 256)
    }

    async fn read(&self, mut response: reqwest::Response, limit: usize) -> Result<Vec<u8>, InferenceError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unavailable(reason(&error), None))? {
            if bytes.len() + chunk.len() > limit {
                return Err(self.protocol(format!("answer longer than {limit} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// Checks number, length and values, and scales to unit length.
    pub(super) fn checked(&self, mut vectors: Vec<Vec<f32>>, inputs: usize) -> Result<Vec<Vec<f32>>, InferenceError> {
        if vectors.len() != inputs {
            return Err(self.protocol(format!("{} vectors for {inputs} inputs", vectors.len())));
        }
        for vector in &mut vectors {
            let dimension = self.options.space.dimension;
            if vector.len() != dimension {
                let found = vector.len();
                return Err(
                    self.protocol(format!("vectors have {found} components, the configuration says {dimension}"))
                );
            }
            if vector.iter().any(|x| !x.is_finite()) || vector.iter().all(|&x| x == 0.0) {
                return Err(self.protocol("a vector without direction"));
            }
            normalise(vector);
        }
        Ok(vectors)
    }
}

/// Why a request got no answer, without the address (it may carry a password).
fn reason(error: &reqwest::Error) -> String {
    let kind = match error {
        e if e.is_timeout() => "no answer in time",
        e if e.is_connect() => "cannot connect",
        _ => "connection lost",
    };
    let mut cause = std::error::Error::source(error);
    let mut deepest = None;
    while let Some(source) = cause {
        deepest = Some(source.to_string());
        cause = source.source();
    }
    deepest.map_or_else(|| kind.to_owned(), |deepest| format!("{kind} ({deepest})"))
}

/// Seconds of a `Retry-After`; its date form is not used by these services (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The message inside an error body: `{"error": "…"}` (Ollama) or `{"error": {"message": "…"}}` (OpenAI).
fn provider_words(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let error = json.as_ref().and_then(|json| json.get("error"));
    let message = error.and_then(|error| error.get("message").or(Some(error))).and_then(|message| message.as_str());
    message.unwrap_or("no reason given").chars().take(200).collect()
}
