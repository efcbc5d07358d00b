//! MinHash: how alike two texts are, told from 512 bytes of each.
//!
//! A text is the set of its word shingles (five words that follow each other). Of that set, 128 hash functions each keep
//! their least value; the share of values that two texts have in common estimates the Jaccard similarity of the sets, with
//! a standard error of at most 0.044 (Broder, "On the resemblance and containment of documents", 1997). To find alike
//! texts without comparing all, the values are cut into 32 bands of four: texts that share a band are candidates, which at
//! a similarity of 0.7 happens with a probability of 0.9998, at 0.5 of 0.87, at 0.1 of 0.003 (Leskovec, Rajaraman and Ullman,
//! "Mining of Massive Datasets", section 3.4).

use unicode_segmentation::UnicodeSegmentation;

/// Values of a signature.
const PERMUTATIONS: usize = 128;
/// Bands that a signature is cut into.
const BANDS: usize = 32;
/// Words of a shingle.
const SHINGLE: usize = 5;

/// What is kept of a text to compare it with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    values: [u32; PERMUTATIONS],
    shingles: u32,
}

impl Signature {
    /// The signature of a text; `None` when it has no word. Case, punctuation and white space do not count; a text of fewer
    /// than five words is one shingle.
    pub fn of(text: &str) -> Option<Self> {
        let words: Vec<u64> = text.unicode_words().map(hash_word).collect();
        if words.is_empty() {
            return None;
        }
        let mut shingles: Vec<u64> = words.windows(SHINGLE.min(words.len())).map(hash_shingle).collect();
        // The set counts, not how often a line is repeated; and fewer values are quicker.
        shingles.sort_unstable();
        shingles.dedup();
        let mut values = [u32::MAX; PERMUTATIONS];
        for shingle in &shingles {
            for (value, (factor, addend)) in values.iter_mut().zip(&FUNCTIONS) {
                // Multiply-shift (Dietzfelbinger et al., 1997): the upper half of a product modulo 2^64.
                let hashed = (factor.wrapping_mul(*shingle).wrapping_add(*addend) >> 32) as u32;
                *value = hashed.min(*value);
            }
        }
        Some(Self { values, shingles: u32::try_from(shingles.len()).unwrap_or(u32::MAX) })
    }

    /// The signature that [`Signature::to_bytes`] wrote; `None` when it is not 512 bytes long.
    pub fn from_bytes(bytes: &[u8], shingles: u32) -> Option<Self> {
        let mut values = [0; PERMUTATIONS];
        if bytes.len() != PERMUTATIONS * 4 {
            return None;
        }
        for (value, four) in values.iter_mut().zip(bytes.chunks_exact(4)) {
            *value = u32::from_le_bytes(four.try_into().ok()?);
        }
        Some(Self { values, shingles })
    }

    /// 128 numbers, least significant byte first.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    /// Different shingles of the text.
    pub fn shingles(&self) -> u32 {
        self.shingles
    }

    /// One number for each band, which names its place as well.
    pub fn bands(&self) -> Vec<i64> {
        let bands = self.values.chunks_exact(PERMUTATIONS / BANDS).enumerate();
        let hash = |(place, band): (usize, &[u32])| {
            band.iter().fold(mix(place as u64), |sum, value| mix(sum ^ u64::from(*value))).cast_signed()
        };
        bands.map(hash).collect()
    }

    /// Estimated Jaccard similarity of the two sets of shingles, 0 to 1.
    pub fn similarity(&self, other: &Self) -> f32 {
        let equal = self.values.iter().zip(&other.values).filter(|(a, b)| a == b).count();
        equal as f32 / PERMUTATIONS as f32
    }
}

/// Odd factors and addends of the hash functions. They are part of what is stored: other ones would make every signature
/// incomparable, so they come from a fixed sequence.
static FUNCTIONS: [(u64, u64); PERMUTATIONS] = functions();

const fn functions() -> [(u64, u64); PERMUTATIONS] {
    let mut out = [(0, 0); PERMUTATIONS];
    let mut place = 0;
    while place < PERMUTATIONS {
        let seed = 2 * place as u64;
        out[place] = (mix(seed) | 1, mix(seed + 1));
        place += 1;
    }
    out
}

/// SplitMix64's step (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// FNV-1a over the lower-case letters (RFC 9923).
fn hash_word(word: &str) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    let mut push = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    if word.is_ascii() {
        word.bytes().for_each(|byte| push(byte.to_ascii_lowercase()));
    } else {
        word.to_lowercase().bytes().for_each(push);
    }
    hash
}

fn hash_shingle(words: &[u64]) -> u64 {
    words.iter().fold(0, |sum, word| mix(sum ^ word))
}

#[cfg(test)]
mod tests {
    use super::{BANDS, Signature};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn text(words: impl Iterator<Item = u32>) -> String {
        words.map(|word| format!("word{word} ")).collect()
    }

    fn of(text: &str) -> Signature {
        Signature::of(text).expect("it has words")
    }

    #[test]
    fn the_same_words_are_the_same_whatever_stands_between() {
        let plain = of("The outer gate must close within ninety seconds.");
        assert!(
            (plain.similarity(&of("the OUTER gate\n\nmust close — within ninety seconds")) - 1.0).abs() < f32::EPSILON
        );
        assert!(plain.similarity(&of("A dredger lies in the dock and waits for high water.")) < 0.05);
        assert_eq!(Signature::of(" \n … "), None);
        assert_eq!(of("one two").shingles(), 1);
        assert_eq!(of("Über Öl").bands(), of("über öl").bands());
    }

    /// The first and the last band of the sentence below, worked out by a program of its own.
    const PINNED: (i64, i64) = (8_646_860_872_664_353_674, -4_167_062_541_932_277_331);

    #[test]
    fn signatures_never_change() {
        // They are stored: another function would compare apples with pears.
        let bands = of("The outer gate must close within ninety seconds.").bands();
        assert_eq!((bands.len(), bands[0], bands[31]), (BANDS, PINNED.0, PINNED.1));
    }

    #[test]
    fn an_alike_text_shares_a_band_and_a_strange_one_does_not() {
        let before = of(&text(0..500));
        let edited = of(&text((0..500).map(|word| if word % 100 == 50 { word + 10_000 } else { word })));
        assert!(before.similarity(&edited) > 0.85);
        let share = |a: &Signature, b: &Signature| a.bands().iter().any(|band| b.bands().contains(band));
        assert!(share(&before, &edited));
        assert!(!share(&before, &of(&text(1_000..1_500))));
    }

    #[test]
    fn bytes_come_back() {
        let signature = of(&text(0..50));
        let back = Signature::from_bytes(&signature.to_bytes(), signature.shingles());
        assert_eq!(back, Some(signature));
        assert_eq!(Signature::from_bytes(&[0; 511], 1), None);
    }

    proptest! {
        #[test]
        fn the_estimate_is_near_the_truth(shared in 20_u32..400, own in 0_u32..400) {
            let first: Vec<u32> = (0..shared).chain(1_000..1_000 + own).collect();
            let second: Vec<u32> = (0..shared).chain(2_000..2_000 + own).collect();
            let set = |words: &[u32]| words.windows(5).map(<[u32]>::to_vec).collect::<BTreeSet<_>>();
            let (a, b) = (set(&first), set(&second));
            let truth = a.intersection(&b).count() as f32 / a.union(&b).count() as f32;
            let estimate = of(&text(first.into_iter())).similarity(&of(&text(second.into_iter())));
            // Five standard errors.
            prop_assert!((estimate - truth).abs() < 0.22, "{estimate} for {truth}");
        }
    }
}
