//! nDCG, recall and reciprocal rank as trec_eval defines them, ranges of characters, and percentiles.
//!
//! Source of the definitions: trec_eval 9 (`ndcg_cut`, `recall`, `recip_rank`), NIST.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Relevance of the judged documents of one query: document id to grade. A grade below 1 is not relevant.
pub type Judgements = BTreeMap<String, i32>;

/// Puts a ranking in trec_eval's order: higher scores first, equal scores by document id, descending bytes.
/// A score that is not a number comes last.
pub fn trec_order<I: AsRef<str>>(ranking: &mut [(I, f32)]) {
    ranking.sort_by(|(left_id, left), (right_id, right)| {
        let key = |score: f32| {
            if score.is_nan() { f32::NEG_INFINITY } else { score }
        };
        key(*right).total_cmp(&key(*left)).then_with(|| right_id.as_ref().as_bytes().cmp(left_id.as_ref().as_bytes()))
    });
}

fn gain(judged: &Judgements, id: &str) -> f64 {
    judged.get(id).map_or(0.0, |&grade| f64::from(grade.max(0)))
}

fn discount(index: usize) -> f64 {
    (index as f64 + 2.0).log2()
}

/// The first `k` distinct documents: a document that a ranking names twice counts where it stands first.
fn top<I: AsRef<str>>(k: usize, ranking: &[I]) -> impl Iterator<Item = &str> {
    let mut seen = BTreeSet::new();
    ranking.iter().map(AsRef::as_ref).filter(move |id| seen.insert(*id)).take(k)
}

/// Normalised discounted cumulative gain of the first `k` documents: the gain is the grade, the discount
/// log2(rank + 1), the ideal taken over all judged documents. 0 when nothing is relevant.
pub fn ndcg_at<I: AsRef<str>>(k: usize, ranking: &[I], judged: &Judgements) -> f64 {
    let mut ideal: Vec<i32> = judged.values().copied().filter(|grade| *grade > 0).collect();
    ideal.sort_unstable_by(|left, right| right.cmp(left));
    let best: f64 = ideal.iter().take(k).enumerate().map(|(index, &grade)| f64::from(grade) / discount(index)).sum();
    if best == 0.0 {
        return 0.0;
    }
    let reached: f64 = top(k, ranking).enumerate().map(|(index, id)| gain(judged, id) / discount(index)).sum();
    reached / best
}

/// Share of the relevant documents among the first `k`. 0 when nothing is relevant.
pub fn recall_at<I: AsRef<str>>(k: usize, ranking: &[I], judged: &Judgements) -> f64 {
    let relevant = judged.values().filter(|grade| **grade > 0).count();
    if relevant == 0 {
        return 0.0;
    }
    top(k, ranking).filter(|id| gain(judged, id) > 0.0).count() as f64 / relevant as f64
}

/// One divided by the rank of the first relevant document, 0 when none is among the first `k`.
pub fn mrr_at<I: AsRef<str>>(k: usize, ranking: &[I], judged: &Judgements) -> f64 {
    top(k, ranking).position(|id| gain(judged, id) > 0.0).map_or(0.0, |index| 1.0 / (index as f64 + 1.0))
}

/// Means over the queries of a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// Queries with at least one relevant document; the means are over these.
    pub queries: usize,
    /// nDCG of the first 10.
    pub ndcg_at_10: f64,
    /// Recall of the first 10.
    pub recall_at_10: f64,
    /// Recall of the first 100.
    pub recall_at_100: f64,
    /// Reciprocal rank within the first 10.
    pub mrr_at_10: f64,
}

/// The measures of one query.
pub fn measure<I: AsRef<str>>(ranking: &[I], judged: &Judgements) -> Measures {
    Measures {
        queries: 1,
        ndcg_at_10: ndcg_at(10, ranking, judged),
        recall_at_10: recall_at(10, ranking, judged),
        recall_at_100: recall_at(100, ranking, judged),
        mrr_at_10: mrr_at(10, ranking, judged),
    }
}

/// Means over all judged queries that have a relevant document. A query without a ranking counts with zeros
/// (trec_eval's `-c`), so that a failed query cannot flatter the result.
pub fn evaluate(rankings: &BTreeMap<String, Vec<String>>, judged: &BTreeMap<String, Judgements>) -> Measures {
    let mut sum = Measures::default();
    for (query, judgements) in judged {
        if !judgements.values().any(|grade| *grade > 0) {
            continue;
        }
        let one = measure(rankings.get(query).map_or(&[][..], Vec::as_slice), judgements);
        sum.queries += 1;
        sum.ndcg_at_10 += one.ndcg_at_10;
        sum.recall_at_10 += one.recall_at_10;
        sum.recall_at_100 += one.recall_at_100;
        sum.mrr_at_10 += one.mrr_at_10;
    }
    let count = sum.queries.max(1) as f64;
    Measures {
        queries: sum.queries,
        ndcg_at_10: sum.ndcg_at_10 / count,
        recall_at_10: sum.recall_at_10 / count,
        recall_at_100: sum.recall_at_100 / count,
        mrr_at_10: sum.mrr_at_10 / count,
    }
}

/// The smallest of `values` that at least `percent` of them do not exceed (nearest rank); `None` when there are none.
///
/// ```
/// use carrel_retrieval::measures::percentile;
///
/// let millis = [9.0, 3.0, 5.0, 4.0];
/// assert_eq!((percentile(&millis, 50.0), percentile(&millis, 95.0)), (Some(4.0), Some(9.0)));
/// ```
pub fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent.clamp(0.0, 100.0) / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(pairs: &[(&str, i32)]) -> Judgements {
        pairs.iter().map(|(id, grade)| ((*id).to_owned(), *grade)).collect()
    }

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-9, "{left} is not {right}");
    }

    #[test]
    fn graded_gain_by_hand() {
        // Found: grade 2 at rank 2, grade 1 at rank 4; ideal: 3, 2, 1 at ranks 1, 2, 3.
        let judgements = judged(&[("a", 3), ("b", 2), ("c", 1), ("n", 0), ("bad", -1)]);
        let found = ["n", "b", "bad", "c", "x"];
        let reached = 2.0 / 3_f64.log2() + 1.0 / 5_f64.log2();
        let ideal = 3.0 + 2.0 / 3_f64.log2() + 1.0 / 2.0;
        close(ndcg_at(10, &found, &judgements), reached / ideal);
        close(ndcg_at(2, &found, &judgements), (2.0 / 3_f64.log2()) / (3.0 + 2.0 / 3_f64.log2()));
        close(ndcg_at(1, &found, &judgements), 0.0);
        close(recall_at(10, &found, &judgements), 2.0 / 3.0);
        close(recall_at(3, &found, &judgements), 1.0 / 3.0);
        close(mrr_at(10, &found, &judgements), 0.5);
        close(mrr_at(1, &found, &judgements), 0.0);
    }

    #[test]
    fn the_ideal_counts_judged_documents_that_were_not_found() {
        let judgements = judged(&[("a", 1), ("b", 1)]);
        close(ndcg_at(10, &["a"], &judgements), 1.0 / (1.0 + 1.0 / 3_f64.log2()));
        close(ndcg_at(1, &["a"], &judgements), 1.0);
    }

    #[test]
    fn a_document_counts_once() {
        let judgements = judged(&[("a", 1), ("b", 1)]);
        close(recall_at(2, &["a", "a", "a"], &judgements), 0.5);
        close(ndcg_at(2, &["a", "a", "b"], &judgements), 1.0);
    }

    #[test]
    fn ties_go_to_the_greater_id() {
        let mut ranking = [("d1", 0.5), ("d3", f32::NAN), ("d2", 0.5), ("d10", 0.5), ("d0", 0.9)];
        trec_order(&mut ranking);
        assert_eq!(ranking.map(|(id, _)| id), ["d0", "d2", "d10", "d1", "d3"]);
    }

    #[test]
    fn means_leave_out_queries_without_relevant_documents_and_keep_unanswered_ones() {
        let set = BTreeMap::from([
            ("q1".to_owned(), judged(&[("a", 1)])),
            ("q2".to_owned(), judged(&[("a", 0)])),
            ("q3".to_owned(), judged(&[("b", 1)])),
        ]);
        let rankings = BTreeMap::from([("q1".to_owned(), vec!["x".to_owned(), "a".to_owned()])]);
        let means = evaluate(&rankings, &set);
        assert_eq!(means.queries, 2);
        close(means.mrr_at_10, 0.25);
        close(means.recall_at_100, 0.5);
        close(means.ndcg_at_10, 0.5 / 3_f64.log2());
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&hundred, 50.0), Some(50.0));
        assert_eq!(percentile(&hundred, 95.0), Some(95.0));
        assert_eq!(percentile(&hundred, 0.0), Some(1.0));
        assert_eq!(percentile(&hundred, 100.0), Some(100.0));
        assert_eq!(percentile(&[7.0], 95.0), Some(7.0));
        assert_eq!(percentile(&[], 50.0), None);
    }
}
