//! Joining a ranking by words and a ranking by meaning, in memory: the same rule as the search statement's.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Power of scaled scores in the sum; 1 is plain min-max. Below 1 the top of one half no longer outshouts the other.
const FLATTEN: f32 = 0.7;

/// What each half is worth; they need not add up to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    /// Of the ranking by words.
    pub lexical: f32,
    /// Of the ranking by meaning.
    pub vector: f32,
}

impl Default for Weights {
    fn default() -> Self {
        Self { lexical: 0.55, vector: 0.45 }
    }
}

/// One candidate with all its scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fused<I> {
    /// The candidate.
    pub id: I,
    /// What it is ordered by.
    pub rank: f32,
    /// Its score by words, when it has one.
    pub lexical: Option<f32>,
    /// Its score by meaning, when it has one.
    pub vector: Option<f32>,
}

/// Weighted sum of both scores, each scaled to 0 to 1 over its own list (min-max) and flattened; a candidate that a list lacks gets
/// nothing for it, a list with one score throughout gives its candidates 1. Best first, equal ranks by id.
///
/// ```
/// use carrel_retrieval::fusion::{Weights, fuse};
///
/// let fused = fuse(&[("a", 9.0), ("b", 4.0), ("c", 1.0)], &[("b", 0.8), ("d", 0.2)], Weights::default());
/// let order: Vec<&str> = fused.iter().map(|candidate| candidate.id).collect();
/// assert_eq!(order, ["b", "a", "c", "d"]);
/// ```
pub fn fuse<I: Copy + Ord>(lexical: &[(I, f32)], vector: &[(I, f32)], weights: Weights) -> Vec<Fused<I>> {
    let by_words = scale(lexical);
    let by_meaning = scale(vector);
    join(lexical, vector, |id| {
        weights.lexical * by_words.get(&id).copied().unwrap_or(0.0)
            + weights.vector * by_meaning.get(&id).copied().unwrap_or(0.0)
    })
}

fn scale<I: Copy + Ord>(list: &[(I, f32)]) -> BTreeMap<I, f32> {
    let high = list.iter().map(|(_, score)| *score).fold(f32::NEG_INFINITY, f32::max);
    let low = list.iter().map(|(_, score)| *score).fold(f32::INFINITY, f32::min);
    let scaled = |score: f32| {
        if high > low { ((score - low) / (high - low)).powf(FLATTEN) } else { 1.0 }
    };
    list.iter().map(|(id, score)| (*id, scaled(*score))).collect()
}

fn join<I: Copy + Ord>(lexical: &[(I, f32)], vector: &[(I, f32)], rank: impl Fn(I) -> f32) -> Vec<Fused<I>> {
    let words: BTreeMap<I, f32> = lexical.iter().copied().collect();
    let meanings: BTreeMap<I, f32> = vector.iter().copied().collect();
    let mut ids: Vec<I> = words.keys().chain(meanings.keys()).copied().collect();
    ids.sort_unstable();
    ids.dedup();
    let mut fused: Vec<Fused<I>> = ids
        .into_iter()
        .map(|id| Fused { id, rank: rank(id), lexical: words.get(&id).copied(), vector: meanings.get(&id).copied() })
        .collect();
    fused.sort_by(|left, right| right.rank.total_cmp(&left.rank));
    fused
}

#[cfg(test)]
mod tests {
    use super::{Weights, fuse};
    use proptest::prelude::*;

    #[test]
    fn min_max_by_hand() {
        let fused = fuse(
            &[(1, 10.0), (2, 6.0), (3, 2.0)],
            &[(3, 0.9), (2, 0.8), (4, 0.5)],
            Weights { lexical: 0.5, vector: 0.5 },
        );
        let ranks: Vec<(i32, f32)> = fused.iter().map(|f| (f.id, (f.rank * 1000.0).round() / 1000.0)).collect();
        // 2: 0.5 * 0.5^0.7 + 0.5 * 0.75^0.7; 1: 0.5 * 1; 3: 0.5 * 0 + 0.5 * 1; 4: 0. Equal ranks by id.
        assert_eq!(ranks, [(2, 0.717), (1, 0.5), (3, 0.5), (4, 0.0)]);
        assert_eq!((fused[0].lexical, fused[0].vector), (Some(6.0), Some(0.8)));
        assert_eq!((fused[1].lexical, fused[1].vector), (Some(10.0), None));
    }

    #[test]
    fn one_score_throughout_is_the_best() {
        let fused = fuse(&[(7, 3.0)], &[], Weights { lexical: 1.0, vector: 0.0 });
        assert_eq!(fused.len(), 1);
        assert!((fused[0].rank - 1.0).abs() < f32::EPSILON);
        assert!(fuse::<i32>(&[], &[], Weights::default()).is_empty());
    }

    proptest! {
        #[test]
        fn ranks_stay_between_0_and_1_and_every_candidate_occurs_once(
            lexical in prop::collection::btree_map(0..40, 0.0f32..30.0, 0..30),
            vector in prop::collection::btree_map(0..40, -1.0f32..1.0, 0..30),
        ) {
            let lexical: Vec<_> = lexical.into_iter().collect();
            let vector: Vec<_> = vector.into_iter().collect();
            let fused = fuse(&lexical, &vector, Weights::default());
            let mut ids: Vec<i32> = fused.iter().map(|f| f.id).collect();
            prop_assert!(fused.iter().all(|f| (-1e-6..=1.000_001).contains(&f.rank)));
            prop_assert!(fused.windows(2).all(|pair| pair[0].rank >= pair[1].rank));
            ids.sort_unstable();
            ids.dedup();
            prop_assert_eq!(ids.len(), fused.len());
            for (id, _) in lexical.iter().chain(&vector) {
                prop_assert!(ids.binary_search(id).is_ok());
            }
        }
    }
}
