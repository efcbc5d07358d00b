//! A bag-of-words embedder that needs no model: for tests, and for trying Carrel without model files.
//!
//! Every word is hashed to a component and a sign (feature hashing, Weinberger et al. 2009), so texts that share
//! words are near each other. It knows nothing of meaning.

use crate::embedding::{check_inputs, normalise};
use crate::{Embedder, EmbeddingSpace, InferenceError, InputKind};
use async_trait::async_trait;

/// Deterministic on every machine; answers at once.
#[derive(Clone, Debug)]
pub struct HashingEmbedder {
    space: EmbeddingSpace,
}

impl HashingEmbedder {
    /// An embedder with `dimension` components (at least one).
    pub fn new(dimension: usize) -> Self {
        let dimension = dimension.max(1);
        let space = EmbeddingSpace {
            name: format!("hashing/{dimension}"),
            model: "hashing".to_owned(),
            dimension,
            max_tokens: usize::MAX,
            query_prefix: String::new(),
            passage_prefix: String::new(),
            languages: Vec::new(),
        };
        Self { space }
    }

    /// The vector of one text. Text without a word gets the first unit vector, because a zero vector has no
    /// direction to compare.
    pub fn vector(&self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.0; self.space.dimension];
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            let digest = blake3::hash(word.to_lowercase().as_bytes());
            let mut number = [0; 8];
            number.copy_from_slice(&digest.as_bytes()[..8]);
            let number = u64::from_le_bytes(number);
            let component = (number >> 1) % self.space.dimension as u64;
            vector[component as usize] += if number & 1 == 0 { 1.0 } else { -1.0 };
        }
        normalise(&mut vector);
        if vector.iter().all(|&x| x == 0.0) {
            vector[0] = 1.0;
        }
        vector
    }
}

#[async_trait]
impl Embedder for HashingEmbedder {
    fn space(&self) -> &EmbeddingSpace {
        &self.space
    }

    async fn embed(&self, inputs: &[String], _kind: InputKind) -> Result<Vec<Vec<f32>>, InferenceError> {
        check_inputs(inputs)?;
        Ok(inputs.iter().map(|text| self.vector(text)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::HashingEmbedder;

    fn dot(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn shared_words_are_near() {
        let embedder = HashingEmbedder::new(256);
        let desk = embedder.vector("A quiet desk in the library");
        let near = embedder.vector("the library desk");
        let far = embedder.vector("turbine blade cooling");
        assert!((dot(&desk, &desk) - 1.0).abs() < 1e-5);
        assert!(dot(&desk, &near) > 0.6);
        assert!(dot(&desk, &far).abs() < 0.3);
    }

    #[test]
    fn case_and_punctuation_do_not_matter_and_empty_text_has_a_direction() {
        let embedder = HashingEmbedder::new(32);
        assert_eq!(embedder.vector("Über, alles!"), embedder.vector("über alles"));
        assert!((dot(&embedder.vector(" "), &embedder.vector("")) - 1.0).abs() < 1e-6);
    }
}
