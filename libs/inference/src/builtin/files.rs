//! The model directory: configuration, and tensors read from a safetensors file by position.

use crate::InferenceError;
use serde::Deserialize;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A header larger than this is not a model of the kind that this engine runs.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// Sequence limit when the model does not state one.
const DEFAULT_MAX_TOKENS: usize = 256;

/// The fields of `config.json` that the engine depends on.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct BertConfig {
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) num_attention_heads: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) layer_norm_eps: f32,
    pub(super) max_position_embeddings: usize,
    pub(super) vocab_size: usize,
    pub(super) type_vocab_size: usize,
    hidden_act: String,
    model_type: String,
}

#[derive(Deserialize)]
struct SequenceLimit {
    max_seq_length: usize,
}

#[derive(Deserialize)]
struct TensorEntry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// An opened model directory.
pub(super) struct ModelFiles {
    directory: PathBuf,
    pub(super) config: BertConfig,
    max_tokens: usize,
    tensors_path: PathBuf,
    file: File,
    tensors: HashMap<String, TensorEntry>,
    data_start: u64,
}

/// A matrix of floats that stays in the file.
pub(super) struct FileMatrix {
    file: File,
    path: PathBuf,
    start: u64,
    rows: usize,
    columns: usize,
}

pub(super) fn broken(path: &Path, detail: impl Into<String>) -> InferenceError {
    InferenceError::ModelFiles { path: path.to_owned(), detail: detail.into() }
}

fn unreadable(path: &Path, error: &std::io::Error) -> InferenceError {
    if error.kind() == std::io::ErrorKind::NotFound {
        return broken(path, "does not exist; `carrel setup` (in a checkout: scripts/setup) installs the model");
    }
    broken(path, format!("cannot be read: {error}"))
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, InferenceError> {
    let text = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    serde_json::from_slice(&text).map_err(|error| broken(path, format!("is not as expected: {error}")))
}

impl ModelFiles {
    pub(super) fn open(directory: &Path) -> Result<Self, InferenceError> {
        let config_path = directory.join("config.json");
        let config: BertConfig = read_json(&config_path)?;
        config.check().map_err(|detail| broken(&config_path, detail))?;

        let limit_path = directory.join("sentence_bert_config.json");
        let max_tokens = if limit_path.exists() {
            read_json::<SequenceLimit>(&limit_path)?.max_seq_length
        } else {
            DEFAULT_MAX_TOKENS
        };

        let tensors_path = directory.join("model.safetensors");
        let file = File::open(&tensors_path).map_err(|error| unreadable(&tensors_path, &error))?;
        let (tensors, data_start) = read_header(&file).map_err(|detail| broken(&tensors_path, detail))?;
        let max_tokens = max_tokens.min(config.max_position_embeddings);
        Ok(Self { directory: directory.to_owned(), config, max_tokens, tensors_path, file, tensors, data_start })
    }

    pub(super) fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    pub(super) fn tokenizer_path(&self) -> PathBuf {
        self.directory.join("tokenizer.json")
    }

    /// Start of a float32 tensor of exactly this shape, counted from the beginning of the file.
    fn locate(&self, name: &str, shape: &[usize]) -> Result<u64, InferenceError> {
        let refuse = |detail: String| broken(&self.tensors_path, detail);
        let entry = self.tensors.get(name).ok_or_else(|| refuse(format!("has no tensor {name}")))?;
        if entry.dtype != "F32" || entry.shape != shape {
            return Err(refuse(format!("tensor {name} is {} {:?}, not F32 {shape:?}", entry.dtype, entry.shape)));
        }
        let bytes = shape.iter().product::<usize>() as u64 * 4;
        if entry.data_offsets[1].checked_sub(entry.data_offsets[0]) != Some(bytes) {
            return Err(refuse(format!("tensor {name} has a wrong length")));
        }
        Ok(self.data_start + entry.data_offsets[0])
    }

    /// All values of a tensor, in row order.
    pub(super) fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, InferenceError> {
        let start = self.locate(name, shape)?;
        let mut values = vec![0.0; shape.iter().product()];
        read_floats(&self.file, start, &mut values, &mut Vec::new())
            .map_err(|error| unreadable(&self.tensors_path, &error))?;
        Ok(values)
    }

    /// A two-dimensional tensor left where it is.
    pub(super) fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<FileMatrix, InferenceError> {
        let start = self.locate(name, &[rows, columns])?;
        let file = self.file.try_clone().map_err(|error| unreadable(&self.tensors_path, &error))?;
        Ok(FileMatrix { file, path: self.tensors_path.clone(), start, rows, columns })
    }
}

impl FileMatrix {
    /// Reads one row into `values`; `bytes` is working memory.
    pub(super) fn read_row(&self, row: usize, values: &mut [f32], bytes: &mut Vec<u8>) -> Result<(), InferenceError> {
        if row >= self.rows || values.len() != self.columns {
            return Err(broken(&self.path, format!("has no row {row}; tokenizer.json belongs to another model")));
        }
        let start = self.start + (row * self.columns * 4) as u64;
        read_floats(&self.file, start, values, bytes).map_err(|error| unreadable(&self.path, &error))
    }
}

fn read_floats(file: &File, start: u64, values: &mut [f32], bytes: &mut Vec<u8>) -> std::io::Result<()> {
    bytes.resize(values.len() * 4, 0);
    file.read_exact_at(bytes, start)?;
    for (value, bytes) in values.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *value = f32::from_le_bytes(*bytes);
    }
    Ok(())
}

/// The table of tensors and where data begins (safetensors format: length as u64 LE, JSON header, data).
fn read_header(file: &File) -> Result<(HashMap<String, TensorEntry>, u64), String> {
    let cut = |error: std::io::Error| format!("is not a safetensors file: {error}");
    let mut length = [0; 8];
    file.read_exact_at(&mut length, 0).map_err(cut)?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER_BYTES {
        return Err("is not a safetensors file: its header is too long".to_owned());
    }
    let mut header = vec![0; length as usize];
    file.read_exact_at(&mut header, 8).map_err(cut)?;
    let mut entries: HashMap<String, serde_json::Value> =
        serde_json::from_slice(&header).map_err(|error| format!("has a broken header: {error}"))?;
    entries.remove("__metadata__");
    let mut tensors = HashMap::with_capacity(entries.len());
    for (name, entry) in entries {
        let entry = serde_json::from_value(entry).map_err(|error| format!("tensor {name}: {error}"))?;
        tensors.insert(name, entry);
    }
    Ok((tensors, 8 + length))
}

impl BertConfig {
    /// Widths must fill whole vectors of the widest instruction set (64 bytes), so that loops need no tails.
    fn check(&self) -> Result<(), String> {
        if self.model_type != "bert" || self.hidden_act != "gelu" {
            return Err(format!(
                "describes {} with {}, the engine runs bert with gelu",
                self.model_type, self.hidden_act
            ));
        }
        let heads = self.num_attention_heads.max(1);
        let fits = self.hidden_size > 0
            && self.hidden_size.is_multiple_of(64)
            && self.intermediate_size.is_multiple_of(64)
            && self.hidden_size.is_multiple_of(heads)
            && (self.hidden_size / heads).is_multiple_of(16);
        if fits { Ok(()) } else { Err("has widths that the engine does not support".to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::ModelFiles;
    use std::path::Path;

    const CONFIG: &str = r#"{"hidden_size":64,"intermediate_size":64,"num_attention_heads":2,"num_hidden_layers":1,
        "layer_norm_eps":1e-12,"max_position_embeddings":512,"vocab_size":10,"type_vocab_size":2,"hidden_act":"gelu","model_type":"bert"}"#;

    fn open(config: &str, tensors: &[u8]) -> String {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("config.json"), config).unwrap();
        std::fs::write(directory.path().join("model.safetensors"), tensors).unwrap();
        let files = ModelFiles::open(directory.path());
        match files.and_then(|files| files.read("w", &[2, 2])) {
            Ok(values) => format!("{values:?}"),
            Err(error) => error.to_string(),
        }
    }

    fn tensors(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    #[test]
    fn tensors_are_read_by_position() {
        let header = r#"{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2,2],"data_offsets":[4,20]}}"#;
        let data: Vec<u8> = [9.0f32, 1.0, 2.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(open(CONFIG, &tensors(header, &data)), "[1.0, 2.0, 3.0, 4.0]");
    }

    #[test]
    fn damaged_files_are_named_not_trusted() {
        let wrong_shape = r#"{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#;
        assert!(open(CONFIG, &tensors(wrong_shape, &[0; 16])).contains("not F32 [2, 2]"));
        let wrong_length = r#"{"w":{"dtype":"F32","shape":[2,2],"data_offsets":[16,0]}}"#;
        assert!(open(CONFIG, &tensors(wrong_length, &[0; 16])).contains("wrong length"));
        let cut = r#"{"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"#;
        assert!(open(CONFIG, &tensors(cut, &[0; 3])).contains("cannot be read"));
        assert!(open(CONFIG, &[255; 32]).contains("header is too long"));
        assert!(open(CONFIG, b"abc").contains("not a safetensors file"));
        assert!(open(&CONFIG.replace("gelu", "relu"), &[]).contains("bert with gelu"));
        assert!(open(&CONFIG.replace("\"hidden_size\":64", "\"hidden_size\":65"), &[]).contains("widths"));
    }

    #[test]
    fn a_missing_directory_says_what_to_do() {
        let error = ModelFiles::open(Path::new("/nonexistent")).err().unwrap().to_string();
        assert!(error.contains("/nonexistent/config.json") && error.contains("scripts/setup"), "{error}");
    }
}
