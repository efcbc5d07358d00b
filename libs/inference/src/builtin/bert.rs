//! The encoder (Devlin et al. 2018) with mean pooling, over sequences laid end to end.

use super::Precision;
use super::attention::{Attention, AttentionScratch};
use super::files::{FileMatrix, ModelFiles};
use super::linear::{Linear, Multiplier};
use super::rows::AddNorm;
use crate::InferenceError;
use crate::embedding::normalise;
use rten_simd::{SimdOp, SimdUnaryOp};
use rten_vecmath::Gelu;

/// Rows that pass through the wide inner layer together, so that they stay in the core's cache.
const INNER_ROWS: usize = 64;

/// A loaded model. Word embeddings are read from the file as they are needed.
pub(super) struct Bert {
    hidden: usize,
    inner: usize,
    heads: usize,
    epsilon: f32,
    words: FileMatrix,
    /// Position embeddings with the embedding of the first (only) token type added.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

struct Layer {
    project: Linear,
    attend: Linear,
    attend_norm: Norm,
    widen: Linear,
    narrow: Linear,
    narrow_norm: Norm,
}

struct Norm {
    gain: Vec<f32>,
    bias: Vec<f32>,
}

/// Working memory of one thread, reused from batch to batch.
#[derive(Default)]
pub(super) struct Scratch {
    multiplier: Multiplier,
    attention: AttentionScratch,
    hidden: Vec<f32>,
    projected: Vec<f32>,
    context: Vec<f32>,
    addend: Vec<f32>,
    wide: Vec<f32>,
    bytes: Vec<u8>,
}

impl Norm {
    fn load(files: &ModelFiles, name: &str) -> Result<Self, InferenceError> {
        let width = [files.config.hidden_size];
        let gain = files.read(&format!("{name}.weight"), &width)?;
        Ok(Self { gain, bias: files.read(&format!("{name}.bias"), &width)? })
    }

    fn apply(&self, hidden: &mut [f32], addend: &[f32], epsilon: f32) {
        AddNorm { hidden, addend, gain: &self.gain, bias: &self.bias, epsilon }.dispatch();
    }
}

impl Layer {
    fn load(files: &ModelFiles, index: usize, precision: Precision) -> Result<Self, InferenceError> {
        let (hidden, inner) = (files.config.hidden_size, files.config.intermediate_size);
        let layer = format!("encoder.layer.{index}");
        let linear = |names: &[&str], inputs: usize, outputs: usize| -> Result<Linear, InferenceError> {
            let (mut weights, mut bias) = (Vec::new(), Vec::new());
            for name in names {
                weights.extend(files.read(&format!("{layer}.{name}.weight"), &[outputs, inputs])?);
                bias.extend(files.read(&format!("{layer}.{name}.bias"), &[outputs])?);
            }
            Ok(Linear::new(&weights, bias, inputs, precision))
        };
        Ok(Self {
            project: linear(&["attention.self.query", "attention.self.key", "attention.self.value"], hidden, hidden)?,
            attend: linear(&["attention.output.dense"], hidden, hidden)?,
            attend_norm: Norm::load(files, &format!("{layer}.attention.output.LayerNorm"))?,
            widen: linear(&["intermediate.dense"], hidden, inner)?,
            narrow: linear(&["output.dense"], inner, hidden)?,
            narrow_norm: Norm::load(files, &format!("{layer}.output.LayerNorm"))?,
        })
    }
}

impl Bert {
    pub(super) fn load(files: &ModelFiles, precision: Precision) -> Result<Self, InferenceError> {
        let config = &files.config;
        let hidden = config.hidden_size;
        let mut positions =
            files.read("embeddings.position_embeddings.weight", &[config.max_position_embeddings, hidden])?;
        positions.truncate(files.max_tokens() * hidden);
        let types = files.read("embeddings.token_type_embeddings.weight", &[config.type_vocab_size, hidden])?;
        for position in positions.chunks_exact_mut(hidden) {
            for (position, x) in position.iter_mut().zip(&types) {
                *position += x;
            }
        }
        Ok(Self {
            hidden,
            inner: config.intermediate_size,
            heads: config.num_attention_heads,
            epsilon: config.layer_norm_eps,
            words: files.matrix("embeddings.word_embeddings.weight", config.vocab_size, hidden)?,
            positions,
            norm: Norm::load(files, "embeddings.LayerNorm")?,
            layers: (0..config.num_hidden_layers)
                .map(|index| Layer::load(files, index, precision))
                .collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn dimension(&self) -> usize {
        self.hidden
    }

    /// One unit vector per sequence. Sequences are not empty and not longer than the positions that were loaded.
    pub(super) fn embed(&self, sequences: &[Vec<u32>], scratch: &mut Scratch) -> Result<Vec<Vec<f32>>, InferenceError> {
        let tokens: usize = sequences.iter().map(Vec::len).sum();
        scratch.hidden.resize(tokens * self.hidden, 0.0);
        scratch.addend.resize(tokens * self.hidden, 0.0);
        scratch.context.resize(tokens * self.hidden, 0.0);
        scratch.projected.resize(tokens * 3 * self.hidden, 0.0);
        self.look_up(sequences, scratch)?;
        for layer in &self.layers {
            self.attend(layer, sequences, scratch);
            self.feed_forward(layer, scratch);
        }

        let mut rows = scratch.hidden.chunks_exact(self.hidden);
        let mut vectors = Vec::with_capacity(sequences.len());
        for sequence in sequences {
            let mut vector = vec![0.0; self.hidden];
            for row in rows.by_ref().take(sequence.len()) {
                for (sum, x) in vector.iter_mut().zip(row) {
                    *sum += x;
                }
            }
            // Scaling to unit length makes of the sum what it makes of the mean.
            normalise(&mut vector);
            vectors.push(vector);
        }
        Ok(vectors)
    }

    /// Word, position and type embeddings of all tokens, normalised, into `scratch.hidden`.
    fn look_up(&self, sequences: &[Vec<u32>], scratch: &mut Scratch) -> Result<(), InferenceError> {
        let rows = scratch.hidden.chunks_exact_mut(self.hidden).zip(scratch.addend.chunks_exact_mut(self.hidden));
        let placed =
            sequences.iter().flat_map(|sequence| sequence.iter().zip(self.positions.chunks_exact(self.hidden)));
        for ((hidden, addend), (&word, position)) in rows.zip(placed) {
            self.words.read_row(word as usize, hidden, &mut scratch.bytes)?;
            addend.copy_from_slice(position);
        }
        self.norm.apply(&mut scratch.hidden, &scratch.addend, self.epsilon);
        Ok(())
    }

    fn attend(&self, layer: &Layer, sequences: &[Vec<u32>], scratch: &mut Scratch) {
        layer.project.apply(&scratch.hidden, &mut scratch.projected, &mut scratch.multiplier);
        let (mut projected, mut output) = (scratch.projected.as_slice(), scratch.context.as_mut_slice());
        for sequence in sequences {
            let (own_projected, rest) = projected.split_at(sequence.len() * 3 * self.hidden);
            let (own_output, output_rest) = output.split_at_mut(sequence.len() * self.hidden);
            Attention {
                projected: own_projected,
                heads: self.heads,
                head_width: self.hidden / self.heads,
                output: own_output,
                scratch: &mut scratch.attention,
            }
            .dispatch();
            (projected, output) = (rest, output_rest);
        }
        layer.attend.apply(&scratch.context, &mut scratch.addend, &mut scratch.multiplier);
        layer.attend_norm.apply(&mut scratch.hidden, &scratch.addend, self.epsilon);
    }

    fn feed_forward(&self, layer: &Layer, scratch: &mut Scratch) {
        for hidden in scratch.hidden.chunks_mut(INNER_ROWS * self.hidden) {
            let rows = hidden.len() / self.hidden;
            scratch.wide.resize(rows * self.inner, 0.0);
            layer.widen.apply(hidden, &mut scratch.wide, &mut scratch.multiplier);
            Gelu {}.map_mut(&mut scratch.wide);
            let addend = &mut scratch.addend[..hidden.len()];
            layer.narrow.apply(&scratch.wide, addend, &mut scratch.multiplier);
            layer.narrow_norm.apply(hidden, addend, self.epsilon);
        }
    }
}
