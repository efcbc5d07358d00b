//! Which byte was changed: its block's digest says so, when one byte alone was.

use carrel_domain::digest::Digest;
use sha2::{Digest as _, Sha256};

/// Bytes that SHA-256 takes at a time (FIPS 180-4).
const CHUNK: usize = 64;

/// The byte of `block` that was changed, with what stood there, if `block` had the digest `expected` before and one byte of
/// it was changed since. Tries flipped bits first, which takes a tenth of a second for 4,096 bytes, then every value of
/// every byte, which takes seconds.
pub(crate) fn changed_byte(block: &[u8], expected: Digest) -> Option<(usize, u8)> {
    let bits = |byte: u8| (0..8).map(move |bit| byte ^ (1 << bit)).collect();
    let values = |byte: u8| (0..=u8::MAX).filter(|value| *value != byte).collect();
    search(block, expected, &bits).or_else(|| search(block, expected, &values))
}

fn search(block: &[u8], expected: Digest, candidates: &dyn Fn(u8) -> Vec<u8>) -> Option<(usize, u8)> {
    let mut before = Sha256::new();
    for (number, chunk) in block.chunks(CHUNK).enumerate() {
        let (start, rest) = (number * CHUNK, &block[number * CHUNK + chunk.len()..]);
        let mut tried = chunk.to_vec();
        for place in 0..chunk.len() {
            for value in candidates(chunk[place]) {
                tried[place] = value;
                // What lies before was digested once for all.
                let mut digest = before.clone();
                digest.update(&tried);
                digest.update(rest);
                if digest.finalize()[..] == expected.0 {
                    return Some((start + place, value));
                }
            }
            tried[place] = chunk[place];
        }
        before.update(chunk);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::changed_byte;
    use crate::contents::sha256;

    #[test]
    fn the_byte_is_named_with_what_stood_there() {
        let sound: Vec<u8> = (0..300_u32).map(|number| (number % 251) as u8).collect();
        let expected = sha256(&sound);
        for (place, value) in [(0, 1), (63, 0xff), (64, b'x'), (299, 0)] {
            let mut changed = sound.clone();
            changed[place] = value;
            assert_eq!(changed_byte(&changed, expected), Some((place, sound[place])), "{place}");
        }
        let mut twice = sound.clone();
        twice[3] ^= 1;
        twice[200] ^= 1;
        assert_eq!(changed_byte(&twice, expected), None);
    }
}
