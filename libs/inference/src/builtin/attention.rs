//! Scaled dot-product attention of one sequence (Vaswani et al. 2017, 3.2), head by head.
//!
//! Works on blocks of eight queries: their scores against all keys, the softmax, and the weighted sum of values stay
//! in the core's nearest cache, and each loaded vector of keys or values serves eight queries.

#![expect(clippy::inline_always, reason = "instruction sets reach only what is inlined into the dispatched function")]

use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, Simd, SimdOp, SimdUnaryOp};
use rten_vecmath::Exp;

/// Queries computed together: as many sums as hide the latency of two multipliers, with registers to spare.
const QUERIES: usize = 8;

/// Rows of scores are padded to whole vectors of the widest instruction set.
const PADDING: usize = 16;

/// A score that the softmax turns into nothing.
const NEVER: f32 = -1e30;

/// Working memory of one thread.
#[derive(Default)]
pub(super) struct AttentionScratch {
    keys: Vec<f32>,
    queries: Vec<f32>,
    scores: Vec<f32>,
}

/// Attention of one sequence.
pub(super) struct Attention<'a> {
    /// Rows of queries, keys and values side by side: `3 · heads · head_width` each.
    pub(super) projected: &'a [f32],
    pub(super) heads: usize,
    /// A multiple of 16.
    pub(super) head_width: usize,
    /// Rows of `heads · head_width`.
    pub(super) output: &'a mut [f32],
    pub(super) scratch: &'a mut AttentionScratch,
}

impl SimdOp for Attention<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { projected, heads, head_width, output, scratch } = self;
        let hidden = heads * head_width;
        let tokens = output.len() / hidden;
        let padded = tokens.next_multiple_of(PADDING);
        let scale = 1.0 / (head_width as f32).sqrt();
        scratch.keys.clear();
        scratch.keys.resize(head_width * padded, 0.0);
        scratch.queries.resize(head_width * QUERIES, 0.0);
        scratch.scores.resize(padded * QUERIES, 0.0);

        for head in 0..heads {
            let first = head * head_width;
            for (token, row) in projected.chunks_exact(3 * hidden).enumerate() {
                let key = &row[hidden + first..hidden + first + head_width];
                for (column, x) in scratch.keys.chunks_exact_mut(padded).zip(key) {
                    column[token] = *x;
                }
            }
            let values = &projected[2 * hidden + first..];
            for start in (0..tokens).step_by(QUERIES) {
                let count = QUERIES.min(tokens - start);
                scratch.queries.fill(0.0);
                for (index, row) in projected.chunks_exact(3 * hidden).skip(start).take(count).enumerate() {
                    for (column, x) in scratch.queries.chunks_exact_mut(QUERIES).zip(&row[first..first + head_width]) {
                        column[index] = x * scale;
                    }
                }
                scores(isa, &scratch.queries, &scratch.keys, padded, &mut scratch.scores);
                let mut inverse_sums = [0.0; QUERIES];
                for (row, inverse) in scratch.scores.chunks_exact_mut(padded).zip(&mut inverse_sums) {
                    row[tokens..].fill(NEVER);
                    *inverse = 1.0 / exponentials(isa, row);
                }
                let output = &mut output[start * hidden..(start + count) * hidden];
                for column in (0..head_width).step_by(isa.f32().len()) {
                    let sums = weighted(isa, &scratch.scores, padded, &values[column..], 3 * hidden, tokens);
                    for ((row, sum), inverse) in output.chunks_exact_mut(hidden).zip(sums).zip(inverse_sums) {
                        let floats = isa.f32();
                        let scaled = floats.mul(sum, floats.splat(inverse));
                        floats.store(scaled, &mut row[first + column..]);
                    }
                }
            }
        }
    }
}

/// Dot products of eight queries with all keys; both are given component by component.
#[inline(always)]
fn scores<I: Isa>(isa: I, queries: &[f32], keys: &[f32], padded: usize, output: &mut [f32]) {
    let floats = isa.f32();
    for column in (0..padded).step_by(floats.len()) {
        let mut sums = [floats.zero(); QUERIES];
        for (query, key) in queries.as_chunks::<QUERIES>().0.iter().zip(keys.chunks_exact(padded)) {
            let key = floats.load(&key[column..]);
            for (sum, q) in sums.iter_mut().zip(query) {
                *sum = floats.mul_add(floats.splat(*q), key, *sum);
            }
        }
        for (row, sum) in output.chunks_exact_mut(padded).zip(sums) {
            floats.store(sum, &mut row[column..]);
        }
    }
}

/// Replaces `row` by `exp(x - largest)` and answers the sum.
#[inline(always)]
fn exponentials<I: Isa>(isa: I, row: &mut [f32]) -> f32 {
    let floats = isa.f32();
    let mut largest = floats.splat(NEVER);
    for chunk in row.chunks_exact(floats.len()) {
        largest = floats.max(largest, floats.load(chunk));
    }
    let largest = floats.splat(largest.to_array().into_iter().fold(NEVER, f32::max));
    let mut sum = floats.zero();
    for chunk in row.chunks_exact_mut(floats.len()) {
        let x = Exp::apply(isa, floats.sub(floats.load(chunk), largest));
        floats.store(x, chunk);
        sum = floats.add(sum, x);
    }
    floats.sum(sum)
}

/// Sums of value rows (`stride` apart, one vector wide) weighted by each query's scores.
#[inline(always)]
fn weighted<I: Isa>(
    isa: I,
    scores: &[f32],
    padded: usize,
    values: &[f32],
    stride: usize,
    tokens: usize,
) -> [I::F32; QUERIES] {
    let floats = isa.f32();
    let rows: [&[f32]; QUERIES] = std::array::from_fn(
        #[inline(always)]
        |index| &scores[index * padded..][..tokens],
    );
    let mut sums = [floats.zero(); QUERIES];
    for token in 0..tokens {
        let value = floats.load(&values[token * stride..]);
        for (sum, row) in sums.iter_mut().zip(rows) {
            *sum = floats.mul_add(floats.splat(row[token]), value, *sum);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::{Attention, AttentionScratch};
    use rten_simd::SimdOp;

    #[test]
    fn attention_follows_its_definition() {
        let (heads, head_width) = (2, 32);
        let hidden = heads * head_width;
        let mut scratch = AttentionScratch::default();
        // A longer sequence first, so that what it leaves in the working memory would show.
        for tokens in [21, 1, 8] {
            let projected: Vec<f32> = (0..tokens * 3 * hidden).map(|i| (i as f32 * 1.3).sin() * 2.0).collect();
            let mut output = vec![0.0; tokens * hidden];
            let attention =
                Attention { projected: &projected, heads, head_width, output: &mut output, scratch: &mut scratch };
            attention.dispatch();

            let part = |token: usize, which: usize, head: usize| {
                &projected[token * 3 * hidden + which * hidden + head * head_width..][..head_width]
            };
            for token in 0..tokens {
                for head in 0..heads {
                    let query = part(token, 0, head);
                    let weights: Vec<f32> = (0..tokens)
                        .map(|other| query.iter().zip(part(other, 1, head)).map(|(q, k)| q * k).sum::<f32>())
                        .map(|score| (score / (head_width as f32).sqrt()).exp())
                        .collect();
                    let total: f32 = weights.iter().sum();
                    for column in 0..head_width {
                        let sum: f32 =
                            weights.iter().enumerate().map(|(other, w)| w * part(other, 2, head)[column]).sum();
                        let found = output[token * hidden + head * head_width + column];
                        assert!((found - sum / total).abs() < 1e-4, "{found} is not {}", sum / total);
                    }
                }
            }
        }
    }
}
