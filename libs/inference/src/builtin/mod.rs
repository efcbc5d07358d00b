//! The engine inside this process: a BERT encoder on the CPU, written for short texts in bulk.
//!
//! Sequences of a batch are laid end to end in one matrix of tokens, so nothing is spent on padding; only attention
//! looks at one sequence at a time. In `Int8` the linear layers multiply 8-bit integers (weights scaled per output
//! channel when loaded, activations per token as they come), everything between them stays float32.
//! Instruction sets are chosen when the program runs (AVX2, AVX-512 with VNNI, Neon, or none).
//!
//! Invariants: word embeddings stay in the file and are read where they are needed (the open file keeps the model
//! that was loaded, even when another takes its place); computing threads are our own.

mod attention;
mod bert;
mod files;
mod linear;
mod rows;
mod tokens;
mod workers;

use crate::embedding::check_inputs;
use crate::measured::count_tokens;
use crate::{Embedder, EmbeddingSpace, InferenceError, InputKind};
use async_trait::async_trait;
use bert::{Bert, Scratch};
use carrel_domain::Language;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use tokens::Tokens;
use workers::Workers;

/// Tokens in one pass through the model: enough rows to keep the multiplication busy, few enough that a waiting
/// query is served soon and the activations stay small.
const BATCH_TOKENS: usize = 512;

/// Texts tokenised in one go.
const TOKENISE_TEXTS: usize = 32;

/// Arithmetic of the linear layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floats: the model's own numbers.
    Float32,
    /// 8-bit integers: several times faster and smaller; search quality is measured by `scripts/bench.d/embedding`.
    #[default]
    Int8,
}

impl Precision {
    fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Int8 => "int8",
        }
    }
}

/// What to load and how to run it.
#[derive(Clone, Debug)]
pub struct BuiltinOptions {
    /// Directory with `model.safetensors`, `config.json` and `tokenizer.json`.
    pub model_dir: PathBuf,
    /// The model's name, first part of the space's name.
    pub model: String,
    /// Arithmetic of the linear layers.
    pub precision: Precision,
    /// Computing threads, at least one.
    pub threads: usize,
    /// Languages that the model knows; empty for all.
    pub languages: Vec<Language>,
}

impl BuiltinOptions {
    /// all-MiniLM-L6-v2 from `model_dir` in 8-bit integers on all cores.
    pub fn new(model_dir: impl Into<PathBuf>) -> Self {
        Self {
            model_dir: model_dir.into(),
            model: "all-MiniLM-L6-v2".to_owned(),
            precision: Precision::default(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            languages: vec![Language::ENGLISH],
        }
    }
}

/// A sentence-transformers BERT model with mean pooling.
pub struct BuiltinEmbedder {
    space: EmbeddingSpace,
    tokens: Arc<Tokens>,
    bert: Arc<Bert>,
    workers: Workers<Scratch>,
}

impl BuiltinEmbedder {
    /// Reads the model on a blocking thread and starts the computing threads.
    ///
    /// # Errors
    /// [`InferenceError::ModelFiles`] naming the file.
    pub async fn load(options: BuiltinOptions) -> Result<Self, InferenceError> {
        let directory = options.model_dir.clone();
        tokio::task::spawn_blocking(move || Self::load_blocking(&options)).await.unwrap_or_else(|error| {
            Err(InferenceError::ModelFiles { path: directory, detail: format!("loading stopped: {error}") })
        })
    }

    /// As [`BuiltinEmbedder::load`], on the calling thread.
    ///
    /// # Errors
    /// As [`BuiltinEmbedder::load`].
    pub fn load_blocking(options: &BuiltinOptions) -> Result<Self, InferenceError> {
        let files = files::ModelFiles::open(&options.model_dir)?;
        let max_tokens = files.max_tokens();
        let tokens = Arc::new(Tokens::load(&files.tokenizer_path(), max_tokens)?);
        let bert = Arc::new(Bert::load(&files, options.precision)?);
        let space = EmbeddingSpace {
            name: format!("{}/{}", options.model, options.precision.name()),
            model: options.model.clone(),
            dimension: bert.dimension(),
            max_tokens,
            query_prefix: String::new(),
            passage_prefix: String::new(),
            languages: options.languages.clone(),
        };
        let workers = Workers::start(options.threads, Scratch::default)?;
        tracing::info!(space = %space.name, threads = options.threads, "embedding model loaded");
        Ok(Self { space, tokens, bert, workers })
    }

    /// Token ids of every input, in their order.
    async fn tokenise(&self, inputs: &[String], kind: InputKind) -> Result<Vec<Vec<u32>>, InferenceError> {
        let mut parts = Vec::new();
        for part in inputs.chunks(TOKENISE_TEXTS) {
            let tokens = Arc::clone(&self.tokens);
            let texts: Vec<String> = part.iter().map(|text| tokens.shorten(text).to_owned()).collect();
            parts.push(self.workers.run(kind, move |_| texts.iter().map(|text| tokens.ids(text)).collect::<Vec<_>>()));
        }
        let mut ids = Vec::with_capacity(inputs.len());
        for part in parts {
            for sequence in self.workers.answer(part).await? {
                ids.push(sequence?);
            }
        }
        Ok(ids)
    }
}

#[async_trait]
impl Embedder for BuiltinEmbedder {
    fn space(&self) -> &EmbeddingSpace {
        &self.space
    }

    async fn embed(&self, inputs: &[String], kind: InputKind) -> Result<Vec<Vec<f32>>, InferenceError> {
        check_inputs(inputs)?;
        let mut sequences = self.tokenise(inputs, kind).await?;
        let lengths: Vec<usize> = sequences.iter().map(Vec::len).collect();
        count_tokens(&self.space.model, lengths.iter().sum::<usize>() as u64);
        let mut running = Vec::new();
        for batch in batches(&lengths) {
            let bert = Arc::clone(&self.bert);
            let ids: Vec<Vec<u32>> = batch.iter().map(|&index| std::mem::take(&mut sequences[index])).collect();
            running.push((batch, self.workers.run(kind, move |scratch| bert.embed(&ids, scratch))));
        }
        let mut vectors = vec![Vec::new(); inputs.len()];
        for (batch, answer) in running {
            for (index, vector) in batch.into_iter().zip(self.workers.answer(answer).await??) {
                vectors[index] = vector;
            }
        }
        Ok(vectors)
    }
}

/// Sequences grouped to at most [`BATCH_TOKENS`] tokens, neighbours in length together.
fn batches(lengths: &[usize]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&index| lengths[index]);
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for index in order {
        match batches.last_mut() {
            Some(batch) if lengths[index] <= room => batch.push(index),
            _ => {
                batches.push(vec![index]);
                room = BATCH_TOKENS;
            }
        }
        room = room.saturating_sub(lengths[index]);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::{BATCH_TOKENS, batches};

    #[test]
    fn batches_keep_every_sequence_once_and_the_budget() {
        let lengths = [256, 3, 256, 100, 2, 256, 90, 256];
        let batches = batches(&lengths);
        let mut seen: Vec<usize> = batches.iter().flatten().copied().collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
        for batch in &batches {
            assert!(batch.iter().map(|&index| lengths[index]).sum::<usize>() <= BATCH_TOKENS);
        }
        assert!(super::batches(&[]).is_empty());
    }
}
