//! The two HTTP clients against servers that speak the documented formats, well and badly.

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use carrel_inference::wire::{EmbeddingsRequest, EmbeddingsResponse};
use carrel_inference::{Embedder, InferenceError, InputKind, OllamaEmbedder, OpenAiEmbedder, RemoteOptions};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Answers the n-th call, from 0.
type Answer = fn(usize, &Value) -> Response;
type Calls = Arc<Mutex<Vec<(HeaderMap, Value)>>>;

/// A server that answers as `answer` says and remembers its calls.
async fn serve(path: &str, answer: Answer) -> (RemoteOptions, Calls) {
    let calls = Calls::default();
    let seen = Arc::clone(&calls);
    let handler = move |headers: HeaderMap, Json(body): Json<Value>| {
        let mut seen = seen.lock().unwrap();
        seen.push((headers, body.clone()));
        std::future::ready(answer(seen.len() - 1, &body))
    };
    let router = Router::new().route(path, post(handler));
    (start(router).await, calls)
}

async fn start(router: Router) -> RemoteOptions {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut options = RemoteOptions::new(&format!("http://{address}/"), "tiny", 3);
    options.backoff = Duration::from_millis(1);
    options
}

/// Each text's vector is its length and two constants, so that order shows.
fn vector(text: &Value) -> Value {
    json!([text.as_str().unwrap().len(), 3.0, 4.0])
}

fn openai(body: &Value) -> Response {
    let inputs = body["input"].as_array().unwrap();
    let entry = |(index, text)| json!({"object": "embedding", "index": index, "embedding": vector(text)});
    // Backwards: the index counts, not the place.
    let data: Vec<Value> = inputs.iter().enumerate().map(entry).rev().collect();
    let usage = json!({"prompt_tokens": 5, "total_tokens": 5});
    Json(json!({"object": "list", "data": data, "model": body["model"], "usage": usage})).into_response()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// The length that `vector` was made of.
fn length(vector: &[f32]) -> usize {
    (vector[0] / vector[1] * 3.0).round() as usize
}

#[tokio::test]
async fn ollama_is_spoken_to_as_documented() {
    let (mut options, calls) = serve("/api/embed", |_, body| {
        let embeddings: Vec<Value> = body["input"].as_array().unwrap().iter().map(vector).collect();
        Json(json!({"model": "tiny", "embeddings": embeddings, "total_duration": 14_143_917})).into_response()
    })
    .await;
    options.space.query_prefix = "query: ".to_owned();
    let embedder = OllamaEmbedder::new(options).unwrap();
    let vectors = embedder.embed(&texts(&["a", "four"]), InputKind::Query).await.unwrap();
    assert_eq!(vectors.iter().map(|vector| length(vector)).collect::<Vec<_>>(), [8, 11]);
    assert!((vectors[0].iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-6);
    assert_eq!(
        calls.lock().unwrap()[0].1,
        json!({"model": "tiny", "input": ["query: a", "query: four"], "truncate": true})
    );
}

#[tokio::test]
async fn openai_is_spoken_to_as_documented() {
    let (mut options, calls) = serve("/v1/embeddings", |_, body| openai(body)).await;
    options.api_key = Some("k3y".to_owned().into());
    options.batch_inputs = 2;
    let embedder = OpenAiEmbedder::new(options).unwrap();
    let vectors = embedder.embed(&texts(&["a", "bb", "ccc"]), InputKind::Passage).await.unwrap();
    assert_eq!(vectors.iter().map(|vector| length(vector)).collect::<Vec<_>>(), [1, 2, 3]);

    let calls = calls.lock().unwrap();
    assert_eq!(calls.len(), 2, "batches are bounded");
    assert_eq!(calls[0].0["authorization"], "Bearer k3y");
    assert_eq!(calls[0].1, json!({"model": "tiny", "input": ["a", "bb"], "encoding_format": "float"}));
}

#[tokio::test]
async fn long_texts_go_in_smaller_batches() {
    let (mut options, calls) = serve("/v1/embeddings", |_, body| openai(body)).await;
    options.batch_bytes = 10;
    let embedder = OpenAiEmbedder::new(options).unwrap();
    let inputs = texts(&["123456", "123", "12", "longer than a whole batch", "1"]);
    embedder.embed(&inputs, InputKind::Passage).await.unwrap();
    let calls = calls.lock().unwrap();
    let sizes: Vec<usize> = calls.iter().map(|(_, body)| body["input"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [2, 1, 1, 1]);
}

#[tokio::test]
async fn our_own_service_is_told_what_the_inputs_are() {
    let (options, calls) = serve("/v1/embeddings", |_, body| {
        let request: EmbeddingsRequest = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(request.input_type, Some(InputKind::Query));
        let space = RemoteOptions::new("http://unused", "tiny", 3).space;
        let vectors = request.into_inputs().iter().map(|text| vec![text.len() as f32, 3.0, 4.0]).collect();
        Json(EmbeddingsResponse::new(&space, vectors)).into_response()
    })
    .await;
    let embedder = OpenAiEmbedder::for_carrel(options).unwrap();
    let vectors = embedder.embed(&texts(&["four"]), InputKind::Query).await.unwrap();
    assert_eq!(length(&vectors[0]), 4);
    assert_eq!(calls.lock().unwrap()[0].1["input_type"], "query");
}

#[tokio::test]
async fn vectors_of_another_space_are_refused() {
    let (mut options, _) = serve("/v1/embeddings", |_, body| openai(body)).await;
    options.space.name = "tiny/int8".to_owned();
    let error = OpenAiEmbedder::for_carrel(options).unwrap().check().await.unwrap_err();
    assert!(error.to_string().contains("vectors are of space tiny, wanted tiny/int8"), "{error}");
}

#[tokio::test]
async fn overload_and_failure_are_tried_again() {
    let (options, calls) = serve("/v1/embeddings", |call, body| match call {
        0 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")]).into_response(),
        1 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        _ => openai(body),
    })
    .await;
    let embedder = OpenAiEmbedder::new(options).unwrap();
    embedder.embed(&texts(&["a"]), InputKind::Passage).await.unwrap();
    assert_eq!(calls.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_long_retry_after_is_handed_on_instead_of_waited_for() {
    let (options, calls) = serve("/v1/embeddings", |_, _| {
        let body = Json(json!({"error": {"message": "quota used up", "type": "tokens"}}));
        (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "3600")], body).into_response()
    })
    .await;
    let error = OpenAiEmbedder::new(options).unwrap().check().await.unwrap_err();
    assert_eq!((error.is_retryable(), error.retry_after()), (true, Some(Duration::from_hours(1))));
    assert!(error.to_string().contains("quota used up"), "{error}");
    assert_eq!(calls.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn attempts_run_out() {
    let (options, calls) = serve("/api/embed", |_, _| StatusCode::SERVICE_UNAVAILABLE.into_response()).await;
    let error = OllamaEmbedder::new(options).unwrap().check().await.unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(calls.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_refusal_is_final_and_keeps_the_providers_words() {
    let (options, calls) = serve("/api/embed", |_, _| {
        (StatusCode::NOT_FOUND, Json(json!({"error": "model \"tiny\" not found, try pulling it first"})))
            .into_response()
    })
    .await;
    let error = OllamaEmbedder::new(options).unwrap().check().await.unwrap_err();
    assert!(matches!(&error, InferenceError::Refused { status: 404, detail, .. } if detail.contains("try pulling")));
    assert!(!error.is_retryable());
    assert_eq!(calls.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn answers_outside_the_protocol_are_refused() {
    let answers: [(&str, Answer); 8] = [
        ("JSON", |_, _| "<html>busy</html>".into_response()),
        ("JSON", |_, _| Json(json!({"vectors": []})).into_response()),
        ("0 vectors for 1", |_, _| Json(json!({"data": []})).into_response()),
        ("2 components", |_, _| Json(json!({"data": [{"index": 0, "embedding": [1, 2]}]})).into_response()),
        ("out of range", |_, _| Json(json!({"data": [{"index": 1, "embedding": [1, 2, 3]}]})).into_response()),
        ("direction", |_, _| Json(json!({"data": [{"index": 0, "embedding": [0, 0, 0]}]})).into_response()),
        ("direction", |_, _| Json(json!({"data": [{"index": 0, "embedding": [1e39, 0, 0]}]})).into_response()),
        ("longer than", |_, _| Bytes::from(vec![b' '; 1 << 20]).into_response()),
    ];
    for (words, answer) in answers {
        let (options, calls) = serve("/v1/embeddings", answer).await;
        let error = OpenAiEmbedder::new(options).unwrap().check().await.unwrap_err();
        assert!(matches!(error, InferenceError::Protocol { .. }), "{error}");
        assert!(error.to_string().contains(words) && !error.is_retryable(), "{words}: {error}");
        assert_eq!(calls.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up_on() {
    let silent = || async { std::future::pending::<Response>().await };
    let mut options = start(Router::new().route("/v1/embeddings", post(silent))).await;
    options.timeout = Duration::from_millis(50);
    options.attempts = 1;
    let error = OpenAiEmbedder::new(options).unwrap().check().await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("no answer in time"), "{error}");
}

#[tokio::test]
async fn nobody_there_is_retryable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = RemoteOptions::new(&format!("http://{}", listener.local_addr().unwrap()), "tiny", 3);
    drop(listener);
    options.attempts = 1;
    let error = OllamaEmbedder::new(options).unwrap().check().await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("cannot connect"), "{error}");
}

#[test]
fn addresses_and_dimensions_are_checked_at_once() {
    for (url, dimension, words) in
        [("ftp://host", 3, "http://"), ("not an address", 3, "url"), ("http://host", 0, "dimension")]
    {
        let error = OllamaEmbedder::new(RemoteOptions::new(url, "tiny", dimension)).err().unwrap();
        assert!(matches!(error, InferenceError::Configuration { .. }));
        assert!(error.to_string().contains(words), "{error}");
    }
}
