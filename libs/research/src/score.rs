//! How well a sentence answers a question.

use serde::{Deserialize, Serialize};

/// What is known of a sentence beside its words. Values lie in 0 to 1 unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// Cosine between question and sentence, below 0 as 0; `None` when the model does not know the language.
    pub cosine: Option<f32>,
    /// Share of the question's terms in the sentence, each weighed by how rare it is among all sentences.
    pub coverage: f32,
    /// The same for the sentence with its neighbours.
    pub context: f32,
    /// Fused rank of its passage.
    pub rank: f32,
    /// Its terms, eight or more being 1: headings and fragments say little.
    pub length: f32,
    /// 1 when it asks instead of telling.
    pub asks: f32,
    /// 1 for what is no sentence: a heading, a line of a letter's head. Rows of tables are none of these.
    pub fragment: f32,
    /// 1 when it has what the question wants (a number, a name), -1 when it has not, 0 when the question wants neither.
    pub kind: f32,
}

/// Weights of a logistic regression over [`Features`], fitted on questions with known excerpts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weights {
    /// Of nothing.
    pub bias: f32,
    /// Of the cosine.
    pub cosine: f32,
    /// Of the coverage.
    pub coverage: f32,
    /// Of the context.
    pub context: f32,
    /// Of the passage's rank.
    pub rank: f32,
    /// Of the length.
    pub length: f32,
    /// Of asking.
    pub asks: f32,
    /// Of being a fragment.
    pub fragment: f32,
    /// Of having what the question wants.
    pub kind: f32,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            bias: -8.5,
            cosine: 4.0,
            coverage: 2.5,
            context: 0.5,
            rank: 3.5,
            length: 0.2,
            asks: -2.2,
            fragment: -1.2,
            kind: 0.4,
        }
    }
}

/// A cosine that neither helps nor harms, for sentences that the model cannot judge.
const NEUTRAL_COSINE: f32 = 0.4;

impl Weights {
    /// Log odds that the sentence belongs to the answer.
    pub fn logit(&self, features: &Features) -> f32 {
        self.bias
            + self.cosine * features.cosine.unwrap_or(NEUTRAL_COSINE)
            + self.coverage * features.coverage
            + self.context * features.context
            + self.rank * features.rank
            + self.length * features.length
            + self.asks * features.asks
            + self.fragment * features.fragment
            + self.kind * features.kind
    }
}

/// What the engine may do; part of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// How sentences are weighed.
    pub weights: Weights,
    /// A step has an answer when some sentence reaches this by its meaning and its words, whatever its rank: 0.6 times
    /// the cosine and 0.4 times the context.
    pub answerable: f32,
    /// A step has an answer when its best score reaches this.
    pub likely: f32,
    /// No sentence with a lower score is cited, however low the best one is.
    pub floor: f32,
    /// A sentence is cited when its log odds lie at most this far below the best of its step.
    pub drop: f32,
    /// Added to the log odds of a sentence next to a chosen one.
    pub attraction: f32,
    /// Taken from the log odds of a sentence that repeats a chosen one, times their likeness above 0.7 (over 0.3).
    pub redundancy: f32,
    /// Sentences that one step may cite.
    pub sentences_per_step: usize,
    /// Sentences that a whole report may cite.
    pub sentences: usize,
    /// Citations of one claim, when several documents have the same wording.
    pub citations_per_claim: usize,
    /// Code points of one quote, when neighbours are joined.
    pub quote_chars: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            weights: Weights::default(),
            answerable: 0.42,
            likely: 0.08,
            floor: 0.03,
            drop: 1.75,
            attraction: 0.2,
            redundancy: 1.0,
            sentences_per_step: 8,
            sentences: 20,
            citations_per_claim: 5,
            quote_chars: 800,
        }
    }
}

/// 0 to 1 from log odds.
pub(crate) fn logistic(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// Log odds from 0 to 1; finite at both ends.
pub(crate) fn logit(probability: f32) -> f32 {
    let bounded = probability.clamp(1e-6, 1.0 - 1e-6);
    (bounded / (1.0 - bounded)).ln()
}

/// Cosine of two vectors of unit length; 0 when they do not belong together.
pub(crate) fn cosine(left: &[f32], right: &[f32]) -> f32 {
    if left.len() != right.len() {
        return 0.0;
    }
    left.iter().zip(right).map(|(a, b)| a * b).sum::<f32>().clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::{Features, Weights, logistic, logit};

    #[test]
    fn log_odds_and_back() {
        for value in [0.001, 0.2, 0.5, 0.97] {
            assert!((logistic(logit(value)) - value).abs() < 1e-4);
        }
        assert!(logit(0.0).is_finite() && logit(1.0).is_finite());
    }

    #[test]
    fn better_features_score_higher() {
        let weights = Weights::default();
        let weak =
            Features { cosine: Some(0.2), coverage: 0.1, context: 0.2, rank: 0.3, length: 1.0, ..Features::default() };
        let strong =
            Features { cosine: Some(0.7), coverage: 0.8, context: 0.9, rank: 0.9, length: 1.0, ..Features::default() };
        assert!(weights.logit(&strong) > weights.logit(&weak));
        assert!(weights.logit(&Features { asks: 1.0, ..strong }) < weights.logit(&strong));
    }
}
