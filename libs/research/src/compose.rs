//! From the evidence of all steps to the claims of a report.

use crate::evidence::Evidence;
use crate::score::{Rules, cosine, logit};
use carrel_domain::text::Span;
use carrel_domain::{DocumentId, StepId, VersionId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Sentences of a step that are considered, at most; the best come first.
const CONSIDERED_PER_STEP: usize = 64;

/// Code points between two sentences that stand next to each other: a space, or an empty line.
const NEIGHBOUR_GAP: u32 = 2;

/// Likeness from which a sentence counts as a repetition.
const LIKE: f32 = 0.7;

/// A step with what it found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepEvidence {
    /// The step.
    pub step: StepId,
    /// Its evidence, best first.
    pub evidence: Vec<Evidence>,
}

/// What a report will state, before the texts are read again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Composition {
    /// In the report's order: by step, best first.
    pub claims: Vec<DraftClaim>,
}

impl Composition {
    /// True when nothing was found that answers.
    pub fn abstained(&self) -> bool {
        self.claims.is_empty()
    }

    /// The versions whose texts [`crate::cite`] needs.
    pub fn versions(&self) -> BTreeSet<VersionId> {
        self.claims.iter().flat_map(|claim| &claim.quotes).map(|quote| quote.version).collect()
    }
}

/// One claim: the places of the words that it will quote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DraftClaim {
    /// The step that it answers.
    pub step: StepId,
    /// How well, in 0 to 1.
    pub score: f32,
    /// At least one. The first is the claim; the others have the same wording, or a part of it, elsewhere.
    pub quotes: Vec<Quote>,
}

/// A place that is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Quote {
    /// The document.
    pub document: DocumentId,
    /// The version.
    pub version: VersionId,
    /// Where it stands in the rendition.
    pub span: Span,
}

/// A sentence that was chosen.
struct Chosen<'a> {
    step: usize,
    evidence: &'a Evidence,
    logit: f32,
    wording: String,
    numbers: BTreeSet<String>,
    /// Sentences elsewhere with the same wording.
    same: Vec<&'a Evidence>,
}

/// Chooses sentences step by step: those near the best of the step, drawn to their neighbours and away from what is
/// chosen already; joins neighbours into one quote; and gathers the same wording of several documents in one claim.
///
/// Sentences that differ in a number never count as repetitions: two versions that contradict each other are both
/// cited.
pub fn compose(steps: &[StepEvidence], rules: &Rules) -> Composition {
    let mut chosen: Vec<Chosen<'_>> = Vec::new();
    for (step, found) in steps.iter().enumerate() {
        choose(step, &found.evidence, rules, &mut chosen);
    }
    let mut claims = join(chosen, steps, rules);
    claims.sort_by(|left, right| {
        left.0.cmp(&right.0).then(right.1.score.total_cmp(&left.1.score)).then(left.1.quotes.cmp(&right.1.quotes))
    });
    Composition { claims: claims.into_iter().map(|(_, claim)| claim).collect() }
}

fn choose<'a>(step: usize, evidence: &'a [Evidence], rules: &Rules, chosen: &mut Vec<Chosen<'a>>) {
    let mut open: Vec<(&Evidence, f32)> =
        evidence.iter().filter(|found| !found.span.is_empty()).map(|found| (found, logit(found.score))).collect();
    open.sort_by(|left, right| right.1.total_cmp(&left.1).then_with(|| place(left.0).cmp(&place(right.0))));
    open.truncate(CONSIDERED_PER_STEP);
    let Some(best) = open.first().map(|(_, logit)| *logit) else {
        return;
    };
    let least = (best - rules.drop).max(logit(rules.floor)).min(best);
    let mut taken = 0;
    while taken < rules.sentences_per_step && chosen.len() < rules.sentences {
        let Some((at, value)) = open
            .iter()
            .enumerate()
            .map(|(at, (found, logit))| (at, adjusted(found, *logit, chosen, rules)))
            .reduce(|left, right| if right.1 > left.1 { right } else { left })
        else {
            return;
        };
        if value < least {
            return;
        }
        let (found, odds) = open.remove(at);
        if chosen
            .iter()
            .any(|other| overlaps(other.evidence, found) || other.same.iter().any(|same| overlaps(same, found)))
        {
            continue;
        }
        let wording = wording(&found.quote);
        if let Some(other) = chosen.iter_mut().find(|other| other.wording == wording) {
            if other.same.len() + 1 < rules.citations_per_claim {
                other.same.push(found);
            }
            continue;
        }
        let numbers = numbers(&found.quote);
        chosen.push(Chosen { step, evidence: found, logit: odds, wording, numbers, same: Vec::new() });
        taken += 1;
    }
}

fn place(evidence: &Evidence) -> (VersionId, Span) {
    (evidence.version, evidence.span)
}

fn overlaps(left: &Evidence, right: &Evidence) -> bool {
    left.version == right.version && left.span.overlaps(right.span)
}

fn adjusted(found: &Evidence, logit: f32, chosen: &[Chosen<'_>], rules: &Rules) -> f32 {
    let mut value = logit;
    if chosen.iter().any(|other| adjacent(other.evidence, found)) {
        value += rules.attraction;
    }
    let likest = chosen
        .iter()
        .filter(|other| other.evidence.version != found.version || !adjacent(other.evidence, found))
        .filter_map(|other| {
            let likeness = cosine(other.evidence.vector.as_deref()?, found.vector.as_deref()?);
            (likeness > LIKE && other.numbers == numbers(&found.quote) && other.wording != wording(&found.quote))
                .then_some(likeness)
        })
        .fold(LIKE, f32::max);
    value - rules.redundancy * (likest - LIKE) / (1.0 - LIKE)
}

fn adjacent(left: &Evidence, right: &Evidence) -> bool {
    left.version == right.version && (follows(left.span, right.span) || follows(right.span, left.span))
}

fn follows(first: Span, second: Span) -> bool {
    first.end <= second.start && second.start - first.end <= NEIGHBOUR_GAP
}

/// The words of a sentence without case, marks and spacing.
fn wording(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().flat_map(char::to_lowercase));
    }
    out
}

fn numbers(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().any(char::is_numeric))
        .map(str::to_lowercase)
        .collect()
}

/// Claims of the chosen sentences, each with the index of its step.
fn join(mut chosen: Vec<Chosen<'_>>, steps: &[StepEvidence], rules: &Rules) -> Vec<(usize, DraftClaim)> {
    chosen.sort_by_key(|one| (one.step, place(one.evidence)));
    let mut groups: Vec<Vec<Chosen<'_>>> = Vec::new();
    for next in chosen {
        if let Some(group) = groups.last_mut()
            && let (Some(first), Some(last)) = (group.first(), group.last())
            && last.step == next.step
            && last.evidence.version == next.evidence.version
            && follows(last.evidence.span, next.evidence.span)
            && next.evidence.span.end - first.evidence.span.start <= rules.quote_chars
        {
            group.push(next);
        } else {
            groups.push(vec![next]);
        }
    }
    groups
        .into_iter()
        .map(|group| {
            let step = group[0].step;
            let best = group.iter().max_by(|left, right| left.logit.total_cmp(&right.logit));
            let score = best.map_or(0.0, |best| best.evidence.score);
            let mut quotes = merged(group.iter().map(|part| part.evidence), rules);
            for quote in merged(group.iter().flat_map(|part| part.same.iter().copied()), rules) {
                if quotes.len() < rules.citations_per_claim {
                    quotes.push(quote);
                }
            }
            (step, DraftClaim { step: steps[step].step, score, quotes })
        })
        .collect()
}

/// One quote for each run of neighbours.
fn merged<'a>(evidence: impl Iterator<Item = &'a Evidence>, rules: &Rules) -> Vec<Quote> {
    let mut quotes: Vec<Quote> =
        evidence.map(|found| Quote { document: found.document, version: found.version, span: found.span }).collect();
    quotes.sort_by_key(|quote| (quote.version, quote.span));
    let mut out: Vec<Quote> = Vec::new();
    for quote in quotes {
        if let Some(last) = out.last_mut()
            && last.version == quote.version
            && follows(last.span, quote.span)
            && quote.span.end - last.span.start <= rules.quote_chars
        {
            last.span.end = quote.span.end;
        } else {
            out.push(quote);
        }
    }
    out
}
