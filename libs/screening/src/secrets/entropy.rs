//! Shannon entropy.

/// Bits per byte of the distribution of bytes in `value`; 0 for an empty one.
pub(crate) fn entropy(value: &[u8]) -> f32 {
    let mut counts = [0u16; 256];
    for byte in value.iter().take(usize::from(u16::MAX)) {
        counts[usize::from(*byte)] += 1;
    }
    let length = value.len().min(usize::from(u16::MAX)) as f32;
    -counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f32::from(*count) / length;
            share * share.log2()
        })
        .sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::entropy;

    #[test]
    fn known_values() {
        assert!(entropy(b"aaaaaaaa").abs() < 1e-6);
        assert!((entropy(b"abcdabcd") - 2.0).abs() < 1e-6);
        assert!((entropy(b"0123456789abcdef") - 4.0).abs() < 1e-6);
        assert!(entropy(b"").abs() < 1e-6);
    }
}
