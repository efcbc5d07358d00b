//! Row-wise loops between the multiplications, written once and compiled for each instruction set.
//!
//! Widths are multiples of 64 (checked when the model is opened), so that no loop has a tail.

#![expect(clippy::inline_always, reason = "instruction sets reach only what is inlined into the dispatched function")]

use rten_simd::ops::{BitOps, FloatOps, NarrowSaturate, NumOps, ToFloat};
use rten_simd::{Isa, Simd, SimdOp};

/// Rows of floats to unsigned bytes with one scale and zero point per row: `float ≈ (byte - zero point) · scale`.
pub(super) struct Quantise<'a> {
    pub(super) width: usize,
    /// Largest byte used.
    pub(super) top: u8,
    pub(super) input: &'a [f32],
    pub(super) output: &'a mut [u8],
    pub(super) scales: &'a mut [f32],
    pub(super) zero_points: &'a mut [f32],
}

impl SimdOp for Quantise<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let floats = isa.f32();
        let integers = isa.i32();
        let lanes = floats.len();
        let top = f32::from(self.top);
        let rows = self.input.chunks_exact(self.width).zip(self.output.chunks_exact_mut(self.width));
        for ((input, output), (scale, zero_point)) in rows.zip(self.scales.iter_mut().zip(self.zero_points)) {
            // Zero must be exact, so it always lies in the range.
            let (mut low, mut high) = (floats.zero(), floats.zero());
            for chunk in input.chunks_exact(lanes) {
                let x = floats.load(chunk);
                low = floats.min(low, x);
                high = floats.max(high, x);
            }
            let low = low.to_array().into_iter().fold(0.0, f32::min);
            let high = high.to_array().into_iter().fold(0.0, f32::max);
            let range = (high - low).max(f32::MIN_POSITIVE * top);
            *scale = range / top;
            let zero = (-low / *scale).round_ties_even().clamp(0.0, top);
            *zero_point = zero;

            let inverse = floats.splat(1.0 / *scale);
            let shift = integers.splat(zero as i32);
            let largest = integers.splat(i32::from(self.top));
            for (from, to) in input.chunks_exact(4 * lanes).zip(output.chunks_exact_mut(4 * lanes)) {
                let [a, b, c, d] = floats.load_many::<4>(from).map(
                    #[inline(always)]
                    |x| {
                        let rounded = integers.add(floats.to_int_round(floats.mul(x, inverse)), shift);
                        integers.min(rounded, largest)
                    },
                );
                let words = isa.i16();
                let bytes = words.narrow_saturate(integers.narrow_saturate(a, b), integers.narrow_saturate(c, d));
                isa.u8().store(bytes, to);
            }
        }
    }
}

/// Integer sums back to floats: `output = (sums - zero point · column sum) · row scale · column scale + bias`.
pub(super) struct Dequantise<'a> {
    pub(super) width: usize,
    pub(super) sums: &'a [i32],
    pub(super) row_scales: &'a [f32],
    pub(super) zero_points: &'a [f32],
    pub(super) column_scales: &'a [f32],
    pub(super) column_sums: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) output: &'a mut [f32],
}

impl SimdOp for Dequantise<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let floats = isa.f32();
        let integers = isa.i32();
        let lanes = floats.len();
        let rows = self.sums.chunks_exact(self.width).zip(self.output.chunks_exact_mut(self.width));
        for ((sums, output), (row_scale, zero_point)) in rows.zip(self.row_scales.iter().zip(self.zero_points)) {
            let row_scale = floats.splat(*row_scale);
            let shift = floats.splat(-zero_point);
            let weights = self.column_scales.chunks_exact(lanes).zip(self.column_sums.chunks_exact(lanes));
            let columns = weights.zip(self.bias.chunks_exact(lanes));
            let values = sums.chunks_exact(lanes).zip(output.chunks_exact_mut(lanes));
            for ((sums, output), ((scale, column_sum), bias)) in values.zip(columns) {
                let sum = integers.to_float(integers.load(sums));
                let sum = floats.mul_add(shift, floats.load(column_sum), sum);
                let scale = floats.mul(row_scale, floats.load(scale));
                floats.store(floats.mul_add(sum, scale, floats.load(bias)), output);
            }
        }
    }
}

/// `hidden = normalised(hidden + addend) · gain + bias` per row (layer normalisation, Ba et al. 2016).
pub(super) struct AddNorm<'a> {
    pub(super) hidden: &'a mut [f32],
    pub(super) addend: &'a [f32],
    pub(super) gain: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) epsilon: f32,
}

impl SimdOp for AddNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let floats = isa.f32();
        let lanes = floats.len();
        let width = self.gain.len();
        for (hidden, addend) in self.hidden.chunks_exact_mut(width).zip(self.addend.chunks_exact(width)) {
            let mut sum = floats.zero();
            for (hidden, addend) in hidden.chunks_exact_mut(lanes).zip(addend.chunks_exact(lanes)) {
                let x = floats.add(floats.load(hidden), floats.load(addend));
                floats.store(x, hidden);
                sum = floats.add(sum, x);
            }
            let mean = floats.splat(floats.sum(sum) / width as f32);
            let mut squares = floats.zero();
            for hidden in hidden.chunks_exact(lanes) {
                let x = floats.sub(floats.load(hidden), mean);
                squares = floats.mul_add(x, x, squares);
            }
            let variance = floats.sum(squares) / width as f32;
            let inverse = floats.splat(1.0 / (variance + self.epsilon).sqrt());
            let parameters = self.gain.chunks_exact(lanes).zip(self.bias.chunks_exact(lanes));
            for (hidden, (gain, bias)) in hidden.chunks_exact_mut(lanes).zip(parameters) {
                let x = floats.mul(floats.sub(floats.load(hidden), mean), inverse);
                floats.store(floats.mul_add(x, floats.load(gain), floats.load(bias)), hidden);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AddNorm, Quantise};
    use rten_simd::SimdOp;

    #[test]
    fn bytes_stand_for_the_floats_of_their_row() {
        let width = 64;
        let mut input: Vec<f32> = (0..3 * width).map(|i| (i as f32 * 0.7).sin() * 3.0 + 1.0).collect();
        input[2 * width..].fill(0.0);
        for top in [127, 255] {
            let (mut output, mut scales, mut zero_points) = (vec![0; input.len()], vec![0.0; 3], vec![0.0; 3]);
            let quantise = Quantise {
                width,
                top,
                input: &input,
                output: &mut output,
                scales: &mut scales,
                zero_points: &mut zero_points,
            };
            quantise.dispatch();
            assert!(output.iter().all(|&byte| byte <= top));
            for (index, (x, byte)) in input.iter().zip(&output).enumerate() {
                let row = index / width;
                let back = (f32::from(*byte) - zero_points[row]) * scales[row];
                assert!((x - back).abs() <= scales[row], "{x} became {back}");
            }
        }
    }

    #[test]
    fn rows_are_normalised() {
        let mut hidden: Vec<f32> = (0..128).map(|i| i as f32).collect();
        let addend = vec![5.0; 128];
        let (gain, bias) = (vec![2.0; 64], vec![1.0; 64]);
        AddNorm { hidden: &mut hidden, addend: &addend, gain: &gain, bias: &bias, epsilon: 1e-12 }.dispatch();
        for row in hidden.chunks_exact(64) {
            let mean = row.iter().sum::<f32>() / 64.0;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 64.0;
            assert!((mean - 1.0).abs() < 1e-5 && (variance - 4.0).abs() < 1e-4, "{mean} {variance}");
        }
    }
}
