//! The built-in engine with the real model. `minilm.json` holds the first and last eight components of vectors that
//! sentence-transformers 6.2.0 (PyTorch, float32) computes from the same files.
//!
//! `CARREL_TEST_MODEL_DIR` names the model; the test script sets it. Without it these tests say so and pass.

use super::cosine;
use carrel_inference::{BuiltinEmbedder, BuiltinOptions, Embedder, InferenceError, InputKind, Precision};
use serde::Deserialize;

#[derive(Deserialize)]
struct Snapshot {
    name: String,
    text: String,
    repeat: usize,
    first: Vec<f32>,
    last: Vec<f32>,
}

fn load(precision: Precision) -> Option<BuiltinEmbedder> {
    let Some(directory) = std::env::var_os("CARREL_TEST_MODEL_DIR") else {
        eprintln!("CARREL_TEST_MODEL_DIR is not set: the built-in engine is not tested with its model");
        return None;
    };
    let mut options = BuiltinOptions::new(directory);
    options.precision = precision;
    options.threads = 2;
    Some(BuiltinEmbedder::load_blocking(&options).unwrap())
}

fn snapshots() -> Vec<Snapshot> {
    serde_json::from_str(include_str!("minilm.json")).unwrap()
}

/// The components that a snapshot holds.
fn ends(vector: &[f32]) -> Vec<f32> {
    [&vector[..8], &vector[vector.len() - 8..]].concat()
}

async fn compare(precision: Precision, least_cosine: f32, tolerance: f32) {
    let Some(embedder) = load(precision) else { return };
    let snapshots = snapshots();
    let texts: Vec<String> = snapshots.iter().map(|snapshot| snapshot.text.repeat(snapshot.repeat)).collect();
    let vectors = embedder.embed(&texts, InputKind::Passage).await.unwrap();
    assert_eq!(vectors.len(), texts.len());
    for (snapshot, vector) in snapshots.iter().zip(&vectors) {
        assert_eq!(vector.len(), embedder.space().dimension);
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((length - 1.0).abs() < 1e-5, "{}: length {length}", snapshot.name);
        let (found, expected) = (ends(vector), [&snapshot.first[..], &snapshot.last].concat());
        let likeness = cosine(&found, &expected);
        assert!(likeness > least_cosine, "{}: cosine {likeness}", snapshot.name);
        let worst = found.iter().zip(&expected).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
        assert!(worst < tolerance, "{}: off by {worst}", snapshot.name);
    }
}

#[tokio::test]
async fn float32_equals_sentence_transformers() {
    compare(Precision::Float32, 0.9999, 1e-4).await;
}

#[tokio::test]
async fn int8_is_near_sentence_transformers() {
    compare(Precision::Int8, 0.98, 0.02).await;
}

#[tokio::test]
async fn a_text_gets_the_same_vector_alone_and_in_company() {
    let Some(embedder) = load(Precision::Int8) else { return };
    let company: Vec<String> = (0..70).map(|words| "the turbine report ".repeat(words)).collect();
    let together = embedder.embed(&company, InputKind::Passage).await.unwrap();
    for index in [0, 1, 33, 69] {
        let alone = embedder.embed(&company[index..=index], InputKind::Query).await.unwrap();
        assert!(cosine(&alone[0], &together[index]) > 0.9999, "text {index}");
    }
}

#[tokio::test]
async fn meaning_is_found_without_shared_words() {
    let Some(embedder) = load(Precision::Int8) else { return };
    let texts = ["How do I reset my password?", "Recovering access to an account", "The turbine blades were cooled"];
    let vectors = embedder.embed(&texts.map(str::to_owned), InputKind::Passage).await.unwrap();
    assert!(cosine(&vectors[0], &vectors[1]) > cosine(&vectors[0], &vectors[2]) + 0.3);
}

#[tokio::test]
async fn nothing_in_is_nothing_out_and_too_much_is_refused() {
    let Some(embedder) = load(Precision::Int8) else { return };
    assert!(embedder.embed(&[], InputKind::Passage).await.unwrap().is_empty());
    embedder.check().await.unwrap();
    let huge = "a ".repeat(carrel_inference::MAX_INPUT_BYTES);
    let refused = embedder.embed(&[huge], InputKind::Passage).await.unwrap_err();
    assert!(matches!(refused, InferenceError::InputTooLarge { .. }) && !refused.is_retryable());
}

#[test]
fn spaces_of_the_two_precisions_differ_in_name() {
    let Some(int8) = load(Precision::Int8) else { return };
    assert_eq!(int8.space().name, "all-MiniLM-L6-v2/int8");
    assert_eq!((int8.space().dimension, int8.space().max_tokens), (384, 256));
    assert!(int8.space().knows(carrel_domain::Language::ENGLISH));
    assert!(!int8.space().knows(carrel_domain::Language::parse("de").unwrap()));
}
