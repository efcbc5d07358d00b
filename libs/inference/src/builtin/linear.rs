//! Linear layers: `output = input · weightsᵀ + bias`, in float32 or in 8-bit integers.

use super::Precision;
use super::rows::{Dequantise, Quantise};
use rten_gemm::{BiasVector, GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_simd::SimdOp;
use rten_tensor::NdTensorView;

/// Rows multiplied at a time in integers, so that the sums are still in the core's cache when they are read.
const INTEGER_ROWS: usize = 128;

/// One layer's weights, packed for the kernel of this machine.
pub(super) struct Linear {
    inputs: usize,
    outputs: usize,
    bias: Vec<f32>,
    weights: Weights,
}

enum Weights {
    Float32(PackedBMatrix<f32>),
    Int8(PackedIntegers),
}

struct PackedIntegers {
    weights: PackedBMatrix<i8>,
    /// What one step of an output's weights is worth.
    scales: Vec<f32>,
    /// Sums of an output's integers: what a zero point of one adds to its product.
    sums: Vec<f32>,
}

/// Kernels and working memory of one thread.
#[derive(Default)]
pub(super) struct Multiplier {
    float: GemmExecutor<f32, f32, f32>,
    integer: GemmExecutor<u8, i8, i32>,
    input: Vec<u8>,
    scales: Vec<f32>,
    zero_points: Vec<f32>,
    sums: Vec<i32>,
}

impl Linear {
    /// `weights` has one row of `inputs` values per output.
    pub(super) fn new(weights: &[f32], bias: Vec<f32>, inputs: usize, precision: Precision) -> Self {
        let outputs = bias.len();
        let weights = match precision {
            Precision::Float32 => {
                let matrix = NdTensorView::from_data([outputs, inputs], weights);
                Weights::Float32(GemmExecutor::<f32, f32, f32>::default().prepack_b(matrix.transposed()))
            }
            Precision::Int8 => {
                let (integers, scales) = quantise_weights(weights, inputs);
                let sums = integers.chunks_exact(inputs).map(|row| row.iter().map(|&x| f32::from(x)).sum()).collect();
                let matrix = NdTensorView::from_data([outputs, inputs], integers.as_slice());
                let weights = GemmExecutor::<u8, i8, i32>::default().prepack_b(matrix.transposed());
                Weights::Int8(PackedIntegers { weights, scales, sums })
            }
        };
        Self { inputs, outputs, bias, weights }
    }

    /// Fills `output` (rows of `outputs` values) from `input` (as many rows of `inputs` values).
    ///
    /// # Panics
    /// When the lengths do not belong together: a mistake of this crate, caught at the thread's edge.
    pub(super) fn apply(&self, input: &[f32], output: &mut [f32], multiplier: &mut Multiplier) {
        assert_eq!(input.len() / self.inputs, output.len() / self.outputs, "rows of input and output");
        match &self.weights {
            Weights::Float32(weights) => {
                let rows = NdTensorView::from_data([input.len() / self.inputs, self.inputs], input);
                let bias = Some(BiasVector::Row(&self.bias));
                let options = GemmOptions { bias, ..GemmOptions::default() };
                let product =
                    multiplier.float.gemm(output, GemmInputA::Unpacked(rows), GemmInputB::Packed(weights), options);
                assert!(product.is_ok(), "matrix shapes: {product:?}");
            }
            Weights::Int8(weights) => {
                let blocks =
                    input.chunks(INTEGER_ROWS * self.inputs).zip(output.chunks_mut(INTEGER_ROWS * self.outputs));
                for (input, output) in blocks {
                    self.apply_integers(weights, input, output, multiplier);
                }
            }
        }
    }

    fn apply_integers(&self, weights: &PackedIntegers, input: &[f32], output: &mut [f32], multiplier: &mut Multiplier) {
        let rows = input.len() / self.inputs;
        // Without VNNI, AVX2 adds pairs of products in 16 bits: 7-bit inputs cannot overflow there.
        let top = if multiplier.integer.may_saturate() { 127 } else { 255 };
        multiplier.input.resize(input.len(), 0);
        multiplier.scales.resize(rows, 0.0);
        multiplier.zero_points.resize(rows, 0.0);
        multiplier.sums.resize(output.len(), 0);
        Quantise {
            width: self.inputs,
            top,
            input,
            output: &mut multiplier.input,
            scales: &mut multiplier.scales,
            zero_points: &mut multiplier.zero_points,
        }
        .dispatch();

        let matrix = NdTensorView::from_data([rows, self.inputs], multiplier.input.as_slice());
        // Zero points are taken out below, for a few operations per output: rten-gemm 0.27 applies those of the first
        // rows to all.
        let product = multiplier.integer.gemm(
            &mut multiplier.sums,
            GemmInputA::Unpacked(matrix),
            GemmInputB::Packed(&weights.weights),
            GemmOptions::default(),
        );
        assert!(product.is_ok(), "matrix shapes: {product:?}");
        Dequantise {
            width: self.outputs,
            sums: &multiplier.sums,
            row_scales: &multiplier.scales,
            zero_points: &multiplier.zero_points,
            column_scales: &weights.scales,
            column_sums: &weights.sums,
            bias: &self.bias,
            output,
        }
        .dispatch();
    }
}

/// Each output's weights as -127..=127 with their own scale.
fn quantise_weights(weights: &[f32], inputs: usize) -> (Vec<i8>, Vec<f32>) {
    let mut integers = Vec::with_capacity(weights.len());
    let mut scales = Vec::with_capacity(weights.len() / inputs);
    for row in weights.chunks_exact(inputs) {
        let largest = row.iter().fold(f32::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
        let scale = largest / 127.0;
        integers.extend(row.iter().map(|x| (x / scale).round() as i8));
        scales.push(scale);
    }
    (integers, scales)
}

#[cfg(test)]
mod tests {
    use super::{Linear, Multiplier};
    use crate::Precision;

    /// Repeatable numbers in -1..1.
    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from((state >> 16) as i16) / 32_768.0
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn both_precisions_multiply_like_the_definition() {
        let (inputs, outputs) = (128, 192);
        let weights = numbers(inputs * outputs, 1);
        let bias = numbers(outputs, 2);
        // More rows than one integer block, and a single row.
        for rows in [1, 131] {
            let input = numbers(rows * inputs, 3);
            for (precision, tolerance) in [(Precision::Float32, 1e-4), (Precision::Int8, 0.1)] {
                let layer = Linear::new(&weights, bias.clone(), inputs, precision);
                let mut output = vec![0.0; rows * outputs];
                layer.apply(&input, &mut output, &mut Multiplier::default());
                for (row, output) in input.chunks_exact(inputs).zip(output.chunks_exact(outputs)) {
                    for (index, found) in output.iter().enumerate() {
                        let products = row.iter().zip(&weights[index * inputs..(index + 1) * inputs]);
                        let expected = bias[index] + products.map(|(x, w)| x * w).sum::<f32>();
                        assert!((found - expected).abs() < tolerance, "{precision:?}: {found} is not {expected}");
                    }
                }
            }
        }
    }
}
