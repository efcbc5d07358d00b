//! From passages to weighed sentences.

use crate::ResearchError;
use crate::kind::{Kind, asks, is_fragment};
use crate::plan::MAX_QUESTION_CHARS;
use crate::score::{Features, Rules, cosine, logistic};
use carrel_domain::search::Hit;
use carrel_domain::text::{Language, Span};
use carrel_domain::{DocumentId, VersionId};
use carrel_inference::{Embedder, EmbeddingSpace, InputKind};
use carrel_text::{Analyzer, CharIndex, MAX_SENTENCE_CHARS, query_terms, sentences};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Sentences that one step weighs, at most; the passages with the best ranks come first.
pub const MAX_SENTENCES: usize = 400;

/// Sentences that a step hands on to the report, at most.
const MAX_EVIDENCE: usize = 32;

/// Cosine taken for sentences that the model cannot judge, when asking whether there is an answer at all: about a third
/// of the question's terms, weighed by rarity, must then stand together.
const UNKNOWN_COSINE: f32 = 0.5;

/// How far below the best sentence (log odds) a sentence is still handed on.
const EVIDENCE_REACH: f32 = 3.0;

/// A passage that a step's search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PassageEvidence {
    /// The document.
    pub document: DocumentId,
    /// The version.
    pub version: VersionId,
    /// Number of the passage in the version, from 0.
    pub ordinal: u32,
    /// Where it stands in the rendition.
    pub span: Span,
    /// Page of its first character.
    pub page: Option<u32>,
    /// Language of the version.
    pub language: Language,
    /// The rendition's text at `span`.
    pub text: String,
    /// Fused rank, in 0 to 1.
    pub rank: f32,
}

impl From<Hit> for PassageEvidence {
    fn from(hit: Hit) -> Self {
        Self {
            document: hit.document,
            version: hit.version,
            ordinal: hit.ordinal,
            span: hit.span,
            page: hit.page,
            language: hit.language,
            text: hit.text,
            rank: hit.scores.rank,
        }
    }
}

/// A sentence of a passage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Index of its passage in what was given.
    pub passage: usize,
    /// Where it stands in the rendition.
    pub span: Span,
    /// Its words.
    pub text: String,
}

/// A sentence that may be cited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The document.
    pub document: DocumentId,
    /// The version.
    pub version: VersionId,
    /// Where it stands in the rendition.
    pub span: Span,
    /// Page on which its passage begins.
    pub page: Option<u32>,
    /// The exact words.
    pub quote: String,
    /// How well it answers the step, in 0 to 1.
    pub score: f32,
    /// Its vector, for telling repetitions; `None` without a model.
    pub vector: Option<Vec<f32>>,
}

/// What a step found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gathered {
    /// Best first; empty when nothing answers.
    pub evidence: Vec<Evidence>,
    /// Passages that were read.
    pub passages: usize,
    /// Sentences that were weighed.
    pub sentences: usize,
    /// How well the passages answer at all, in 0 to 1, whatever the order among them.
    pub answerable: f32,
}

/// The sentences of `passages` that have words, in the order of the passages and of the text, with their places in the
/// renditions; at most [`MAX_SENTENCES`]. A passage that is given twice counts once.
pub fn candidate_sentences(passages: &[PassageEvidence]) -> Vec<Candidate> {
    let mut order: Vec<usize> = (0..passages.len()).collect();
    order.sort_by(|left, right| passages[*right].rank.total_cmp(&passages[*left].rank));
    let mut seen = BTreeSet::new();
    let mut candidates = Vec::new();
    for passage in order {
        let PassageEvidence { version, span, text, .. } = &passages[passage];
        if !seen.insert((*version, *span)) {
            continue;
        }
        let index = CharIndex::new(text);
        for local in uncased(&index, sentences(text)) {
            let Some(words) = index.slice(local) else {
                continue;
            };
            if !words.chars().any(char::is_alphanumeric) {
                continue;
            }
            if candidates.len() == MAX_SENTENCES {
                return candidates;
            }
            let span = Span { start: span.start + local.start, end: span.start + local.end };
            candidates.push(Candidate { passage, span, text: words.to_owned() });
        }
    }
    candidates
}

/// Sentences of a text that was written without capitals end at a full stop too, although a small letter follows.
fn uncased(index: &CharIndex<'_>, spans: Vec<Span>) -> Vec<Span> {
    let letters = index.text().chars().filter(|c| c.is_lowercase() || c.is_uppercase()).count();
    let capitals = index.text().chars().filter(|c| c.is_uppercase()).count();
    if letters < 200 || capitals * 200 > letters {
        return spans;
    }
    // What was broken only because it was long is put together again first.
    let mut whole: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        let broken = |last: &Span| {
            last.len() > MAX_SENTENCE_CHARS as u32 / 3
                && span.start <= last.end + 1
                && !index.slice(*last).is_some_and(|text| text.ends_with(['.', '!', '?']))
        };
        match whole.last_mut() {
            Some(last) if broken(last) => last.end = span.end,
            _ => whole.push(span),
        }
    }
    let mut out = Vec::with_capacity(whole.len() * 2);
    for span in whole {
        let Some(text) = index.slice(span) else { continue };
        let chars: Vec<char> = text.chars().collect();
        let mut start = 0;
        // Letters and digits just before the character at hand.
        let mut word = 0;
        for (at, c) in chars.iter().enumerate() {
            let ends = *c == '.'
                && chars.get(at + 1).is_some_and(|c| c.is_whitespace())
                && chars.get(at + 2).is_some_and(|c| c.is_alphanumeric());
            // A word of four letters or a closing bracket before the stop is no abbreviation.
            let closed = word >= 4 || at > 0 && matches!(chars[at - 1], ')' | '%');
            if ends && closed && at + 1 >= start + 20 {
                out.push(Span { start: span.start + start as u32, end: span.start + at as u32 + 1 });
                start = at + 2;
            }
            word = if c.is_alphanumeric() { word + 1 } else { 0 };
        }
        if start < chars.len() {
            out.push(Span { start: span.start + start as u32, end: span.end });
        }
    }
    out
}

/// Weighs the sentences of a step's passages with a model; one batch for all sentences.
pub async fn gather<E: Embedder + ?Sized>(
    question: &str,
    passages: &[PassageEvidence],
    embedder: &E,
    rules: &Rules,
) -> Result<Gathered, ResearchError> {
    let candidates = candidate_sentences(passages);
    if candidates.is_empty() || !question.chars().any(char::is_alphanumeric) {
        return Ok(Gathered { passages: passages.len(), sentences: candidates.len(), ..Gathered::default() });
    }
    let mut asked = embedder.embed(&[question.to_owned()], InputKind::Query).await?;
    let texts: Vec<String> = candidates.iter().map(|candidate| candidate.text.clone()).collect();
    let vectors = embedder.embed(&texts, InputKind::Passage).await?;
    let (Some(asked), true) = (asked.pop(), vectors.len() == texts.len()) else {
        return Err(ResearchError::Vectors { wanted: texts.len(), got: vectors.len() });
    };
    let meaning = Meaning { question: &asked, sentences: &vectors, space: embedder.space() };
    Ok(select(question, passages, &candidates, Some(&meaning), rules))
}

/// Vectors of a question and of its candidates.
#[derive(Clone, Copy, Debug)]
pub struct Meaning<'a> {
    /// The question's.
    pub question: &'a [f32],
    /// One for each candidate.
    pub sentences: &'a [Vec<f32>],
    /// Where they belong.
    pub space: &'a EmbeddingSpace,
}

/// Weighs `candidates` and keeps the best, or none when none answers the question. Without vectors, words alone decide.
pub fn select(
    question: &str,
    passages: &[PassageEvidence],
    candidates: &[Candidate],
    meaning: Option<&Meaning<'_>>,
    rules: &Rules,
) -> Gathered {
    let features = features(question, passages, candidates, meaning);
    let answerable = features.iter().map(answers).fold(0.0, f32::max);
    let mut gathered =
        Gathered { evidence: Vec::new(), passages: passages.len(), sentences: candidates.len(), answerable };
    let logits: Vec<f32> = features.iter().map(|features| rules.weights.logit(features)).collect();
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|&left, &right| logits[right].total_cmp(&logits[left]).then(left.cmp(&right)));
    let Some(best) = order.first().map(|&first| logits[first]) else { return gathered };
    if answerable < rules.answerable || logistic(best) < rules.likely {
        return gathered;
    }
    for index in order.into_iter().take(MAX_EVIDENCE).take_while(|&index| logits[index] >= best - EVIDENCE_REACH) {
        let passage = &passages[candidates[index].passage];
        gathered.evidence.push(Evidence {
            document: passage.document,
            version: passage.version,
            span: candidates[index].span,
            page: passage.page,
            quote: candidates[index].text.clone(),
            score: logistic(logits[index]),
            vector: meaning.and_then(|meaning| meaning.sentences.get(index).cloned()),
        });
    }
    gathered
}

/// How well one sentence answers by itself. The passage's rank takes no part: it only says that a passage is the best
/// there is, not that it is any good.
fn answers(features: &Features) -> f32 {
    0.6 * features.cosine.unwrap_or(UNKNOWN_COSINE) + 0.4 * features.context
}

/// The features of every candidate.
pub fn features(
    question: &str,
    passages: &[PassageEvidence],
    candidates: &[Candidate],
    meaning: Option<&Meaning<'_>>,
) -> Vec<Features> {
    // Each passage is analysed by its own language, and so is the question for it.
    let mut languages: BTreeMap<Language, (Analyzer, Vec<String>)> = BTreeMap::new();
    for candidate in candidates {
        let language = passages[candidate.passage].language;
        languages.entry(language).or_insert_with(|| asked_in(language, question));
    }
    let mut terms: Vec<HashSet<String>> = Vec::with_capacity(candidates.len());
    let mut lengths = Vec::with_capacity(candidates.len());
    let mut frequency: HashMap<&str, u32> = HashMap::new();
    for candidate in candidates {
        let (analyzer, _) = &languages[&passages[candidate.passage].language];
        let words = analyzer.terms(&candidate.text);
        lengths.push(words.len());
        terms.push(words.into_iter().collect());
    }
    for (_, asked) in languages.values() {
        for term in asked {
            let count = terms.iter().filter(|sentence| sentence.contains(term)).count();
            frequency.insert(term, count as u32);
        }
    }
    let total = candidates.len() as f32;
    let weight = |term: &str| {
        let count = frequency.get(term).copied().unwrap_or(0) as f32;
        (1.0 + (total - count + 0.5) / (count + 0.5)).ln()
    };
    let covered = |asked: &[String], has: &dyn Fn(&str) -> bool| {
        let whole: f32 = asked.iter().map(|term| weight(term)).sum();
        let part: f32 = asked.iter().filter(|term| has(term)).map(|term| weight(term)).sum();
        if whole > 0.0 { part / whole } else { 0.0 }
    };
    let wanted = Kind::wanted_by(question);
    let same_passage = |left: usize, right: usize| candidates[left].passage == candidates[right].passage;
    candidates
        .iter()
        .enumerate()
        .map(|(at, candidate)| {
            let passage = &passages[candidate.passage];
            let (_, asked) = &languages[&passage.language];
            let before = at.checked_sub(1).filter(|&before| same_passage(before, at));
            let after = Some(at + 1).filter(|&after| after < candidates.len() && same_passage(after, at));
            let near = |term: &str| {
                terms[at].contains(term)
                    || before.is_some_and(|before| terms[before].contains(term))
                    || after.is_some_and(|after| terms[after].contains(term))
            };
            let judged = meaning.filter(|meaning| meaning.space.knows(passage.language));
            Features {
                cosine: judged.and_then(|meaning| {
                    meaning.sentences.get(at).map(|vector| cosine(meaning.question, vector).max(0.0))
                }),
                coverage: covered(asked, &|term| terms[at].contains(term)),
                context: covered(asked, &near),
                rank: passage.rank.clamp(0.0, 1.0),
                length: lengths[at].min(8) as f32 / 8.0,
                asks: indicator(asks(&candidate.text)),
                fragment: indicator(is_fragment(&candidate.text)),
                kind: wanted.map_or(0.0, |kind| if kind.is_in(&candidate.text) { 1.0 } else { -1.0 }),
            }
        })
        .collect()
}

/// The question's terms in a language, and the analyzer that finds them in sentences.
fn asked_in(language: Language, question: &str) -> (Analyzer, Vec<String>) {
    let analyzer = Analyzer::for_language(language);
    // A question of stop words alone ("who is who?") is taken by its stop words.
    let bare = analyzer.terms(&question.chars().take(MAX_QUESTION_CHARS).collect::<String>()).is_empty();
    let analyzer = if bare { analyzer.with_stop_words() } else { analyzer };
    (analyzer, query_terms(question, &[language]))
}

fn indicator(holds: bool) -> f32 {
    f32::from(u8::from(holds))
}
