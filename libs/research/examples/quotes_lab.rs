//! Measures the quotes of the extractive engine on a set of questions with exact excerpts, without a database: BM25 and
//! exact cosines in memory, fused as the search statement fuses them.
//!
//! `quotes_lab SET MODEL CACHE [--passages N] [--target CHARS] [--plan] [--features FILE] [--foreign QUERIES.jsonl] [--set key=value]…`
//!
//! `SET` is a folder for `carrel_retrieval::quotes_set`, `MODEL` a folder of the built-in model, `CACHE` a file for
//! vectors. `--features` writes one line per sentence for fitting weights, `--foreign` tells how many questions about
//! something else are answered all the same, `--set` overrides a rule, for example `--set drop=1.5`.

#![expect(clippy::print_stdout, reason = "a laboratory prints its figures")]

use carrel_domain::text::{Language, Span, TextMap};
use carrel_domain::{DocumentId, StepId, VersionId};
use carrel_inference::{BuiltinEmbedder, BuiltinOptions, Embedder, InputKind};
use carrel_research::{
    Candidate, Meaning, PassageEvidence, Rules, StepEvidence, candidate_sentences, compose, features, plan, select,
};
use carrel_retrieval::quotes_set::{Coverage, QuotesSet, cover, mean};
use carrel_text::{Analyzer, CharIndex, PassageRules, passages, query_terms};
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Candidates from each half of the search.
const DEPTH: usize = 100;

struct Options {
    set: PathBuf,
    model: PathBuf,
    cache: PathBuf,
    passages: usize,
    target: u32,
    plan: bool,
    features: Option<PathBuf>,
    foreign: Option<PathBuf>,
    rules: Rules,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next();
    let usage = "quotes_lab SET MODEL CACHE [--passages N] [--target CHARS] [--plan] [--features FILE] [--foreign FILE] [--set key=value]";
    let (Some(set), Some(model), Some(cache)) = (next(), next(), next()) else {
        return Err(usage.into());
    };
    let mut options = Options {
        set: set.into(),
        model: model.into(),
        cache: cache.into(),
        passages: 12,
        target: PassageRules::default().target,
        plan: false,
        features: None,
        foreign: None,
        rules: Rules::default(),
    };
    while let Some(flag) = next() {
        match flag.as_str() {
            "--plan" => options.plan = true,
            "--passages" => options.passages = next().ok_or(usage)?.parse()?,
            "--target" => options.target = next().ok_or(usage)?.parse()?,
            "--features" => options.features = Some(next().ok_or(usage)?.into()),
            "--foreign" => options.foreign = Some(next().ok_or(usage)?.into()),
            "--set" => override_rule(&mut options.rules, &next().ok_or(usage)?)?,
            _ => return Err(usage.into()),
        }
    }
    Ok(options)
}

/// `drop=1.5` or `weights.cosine=2`.
fn override_rule(rules: &mut Rules, assignment: &str) -> Result<(), Box<dyn Error>> {
    let (key, value) = assignment.split_once('=').ok_or("--set key=value")?;
    let mut json = serde_json::to_value(*rules)?;
    let pointer = format!("/{}", key.replace('.', "/"));
    *json.pointer_mut(&pointer).ok_or("no such rule")? = serde_json::from_str(value)?;
    *rules = serde_json::from_value(json)?;
    Ok(())
}

/// All passages with what ranks them.
struct Library {
    names: Vec<String>,
    passages: Vec<PassageEvidence>,
    corpus_of: Vec<usize>,
    postings: HashMap<String, Vec<(usize, f32)>>,
    lengths: Vec<f32>,
    vectors: HashMap<String, Vec<f32>>,
}

impl Library {
    fn of(set: &QuotesSet, rules: PassageRules) -> Self {
        let analyzer = Analyzer::for_language(Language::ENGLISH);
        let mut library = Self {
            names: Vec::new(),
            passages: Vec::new(),
            corpus_of: Vec::new(),
            postings: HashMap::new(),
            lengths: Vec::new(),
            vectors: HashMap::new(),
        };
        for (corpus, (name, text)) in set.corpora.iter().enumerate() {
            library.names.push(name.clone());
            let index = CharIndex::new(text);
            for passage in passages(text, &TextMap::default(), &rules) {
                let number = library.passages.len();
                let words = index.slice(passage.span).unwrap_or_default();
                let mut counts: BTreeMap<String, f32> = BTreeMap::new();
                for term in analyzer.terms(words) {
                    *counts.entry(term).or_default() += 1.0;
                }
                library.lengths.push(counts.values().sum());
                for (term, count) in counts {
                    library.postings.entry(term).or_default().push((number, count));
                }
                library.corpus_of.push(corpus);
                library.passages.push(PassageEvidence {
                    document: DocumentId(Uuid::from_u128(corpus as u128)),
                    version: VersionId(Uuid::from_u128(corpus as u128)),
                    ordinal: passage.ordinal,
                    span: passage.span,
                    page: None,
                    language: Language::ENGLISH,
                    text: words.to_owned(),
                    rank: 0.0,
                });
            }
        }
        library
    }

    /// Numbers of the best passages with their fused rank.
    fn search(&self, question: &str, vector: &[f32]) -> Vec<(usize, f32)> {
        let count = self.passages.len() as f32;
        let average = self.lengths.iter().sum::<f32>() / count;
        let mut lexical: HashMap<usize, f32> = HashMap::new();
        for term in query_terms(question, &[Language::ENGLISH]) {
            let Some(found) = self.postings.get(&term) else {
                continue;
            };
            let rarity = (1.0 + (count - found.len() as f32 + 0.5) / (found.len() as f32 + 0.5)).ln();
            for &(passage, frequency) in found {
                let norm = 1.2 * (0.25 + 0.75 * self.lengths[passage] / average);
                *lexical.entry(passage).or_default() += rarity * frequency * 2.2 / (frequency + norm);
            }
        }
        let mut words: Vec<(usize, f32)> = lexical.iter().map(|(passage, score)| (*passage, *score)).collect();
        let mut meanings: Vec<(usize, f32)> = self
            .passages
            .iter()
            .enumerate()
            .map(|(number, passage)| (number, dot(vector, &self.vectors[&passage.text])))
            .collect();
        for list in [&mut words, &mut meanings] {
            list.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
            list.truncate(DEPTH);
        }
        let bounds = |list: &[(usize, f32)]| {
            let high = list.first().map_or(1.0, |first| first.1);
            (if list.len() < DEPTH { 0.0 } else { list.last().map_or(0.0, |last| last.1) }, high)
        };
        let ((word_low, word_high), (meaning_low, meaning_high)) = (bounds(&words), bounds(&meanings));
        let mut all: Vec<usize> = words.iter().chain(&meanings).map(|(passage, _)| *passage).collect();
        all.sort_unstable();
        all.dedup();
        let scaled = |score: f32, low: f32, high: f32| ((score - low) / (high - low).max(1e-6)).max(0.0);
        let mut ranked: Vec<(usize, f32)> = all
            .into_iter()
            .map(|passage| {
                let word = lexical.get(&passage).map_or(0.0, |score| scaled(*score, word_low, word_high));
                let cosine = dot(vector, &self.vectors[&self.passages[passage].text]);
                (passage, 0.5 * word + 0.5 * scaled(cosine, meaning_low, meaning_high))
            })
            .collect();
        ranked.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
        ranked
    }

    fn evidence(&self, ranked: &[(usize, f32)]) -> Vec<PassageEvidence> {
        ranked.iter().map(|(number, rank)| PassageEvidence { rank: *rank, ..self.passages[*number].clone() }).collect()
    }

    fn sentence_vectors(&self, candidates: &[Candidate]) -> Vec<Vec<f32>> {
        candidates.iter().map(|candidate| self.vectors[&candidate.text].clone()).collect()
    }
}

fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(a, b)| a * b).sum()
}

/// Vectors of all texts, from the cache where it has them.
async fn embed(
    texts: Vec<String>,
    embedder: &BuiltinEmbedder,
    cache: &Path,
) -> Result<HashMap<String, Vec<f32>>, Box<dyn Error>> {
    let mut vectors: HashMap<String, Vec<f32>> = HashMap::new();
    let dimension = embedder.space().dimension;
    let key = |text: &str| Uuid::from_u128(fnv(text)).to_string();
    let mut known: HashMap<String, Vec<f32>> = HashMap::new();
    if let Ok(bytes) = std::fs::read(cache) {
        for entry in bytes.chunks_exact(36 + 4 * dimension) {
            let vector = entry[36..].chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            known.insert(String::from_utf8_lossy(&entry[..36]).into_owned(), vector);
        }
    }
    let mut missing: Vec<String> = texts.iter().filter(|text| !known.contains_key(&key(text))).cloned().collect();
    missing.sort();
    missing.dedup();
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(cache)?;
    for (done, part) in missing.chunks(512).enumerate() {
        println!("embedding {} of {}", done * 512, missing.len());
        for (text, vector) in part.iter().zip(embedder.embed(part, InputKind::Passage).await?) {
            file.write_all(key(text).as_bytes())?;
            file.write_all(&vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
            known.insert(key(text), vector);
        }
    }
    for text in texts {
        if let Some(vector) = known.get(&key(&text)) {
            vectors.insert(text, vector.clone());
        }
    }
    Ok(vectors)
}

fn fnv(text: &str) -> u128 {
    text.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    })
}

fn print(name: &str, coverages: &[(usize, Coverage)], characters: f64) {
    let half = |which: usize| {
        let part: Vec<Coverage> = coverages.iter().filter(|(index, _)| index % 2 == which).map(|(_, c)| *c).collect();
        mean(&part)
    };
    let all = mean(&coverages.iter().map(|(_, coverage)| *coverage).collect::<Vec<_>>());
    let (even, odd) = (half(0), half(1));
    println!(
        "{name:28} recall {:.3} precision {:.3} IoU {:.3} whole {:.3} | even {:.3} {:.3} | odd {:.3} {:.3} | {characters:.0} characters",
        all.recall, all.precision, all.iou, all.whole, even.recall, even.iou, odd.recall, odd.iou
    );
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let set = QuotesSet::open(&options.set)?;
    let mut library = Library::of(&set, PassageRules { target: options.target, ..PassageRules::default() });
    let embedder = BuiltinEmbedder::load(BuiltinOptions::new(&options.model)).await?;
    let foreign = foreign(options.foreign.as_deref())?;
    let mut texts: Vec<String> = library.passages.iter().map(|passage| passage.text.clone()).collect();
    for passage in &library.passages {
        texts.extend(candidate_sentences(std::slice::from_ref(passage)).into_iter().map(|candidate| candidate.text));
    }
    for question in &set.questions {
        texts.push(question.text.clone());
        texts.extend(plan(&question.text, Language::ENGLISH));
    }
    texts.extend(foreign.iter().cloned());
    library.vectors = embed(texts, &embedder, &options.cache).await?;
    println!("{} passages, {} questions", library.passages.len(), set.questions.len());
    measure_passages(&set, &library);
    if let Some(file) = &options.features {
        write_features(&set, &library, &embedder, options.passages, file)?;
    }
    measure_quotes(&set, &library, &embedder, &options);
    measure_abstention(&set, &library, &embedder, &options, &foreign);
    Ok(())
}

fn foreign(file: Option<&Path>) -> Result<Vec<String>, Box<dyn Error>> {
    let Some(file) = file else {
        return Ok(Vec::new());
    };
    let mut questions = Vec::new();
    for line in std::fs::read_to_string(file)?.lines().step_by(5) {
        let query: serde_json::Value = serde_json::from_str(line)?;
        questions.extend(query["text"].as_str().map(str::to_owned));
    }
    Ok(questions)
}

fn measure_passages(set: &QuotesSet, library: &Library) {
    for count in [5, 10, 12] {
        let mut coverages = Vec::new();
        for (index, question) in set.questions.iter().enumerate() {
            let ranked = library.search(&question.text, &library.vectors[&question.text]);
            let spans: Vec<(&str, Span)> = ranked
                .iter()
                .take(count)
                .map(|(number, _)| (library.names[library.corpus_of[*number]].as_str(), library.passages[*number].span))
                .collect();
            coverages.push((index, cover(question, &spans)));
        }
        print(&format!("passages, top {count}"), &coverages, 0.0);
    }
}

fn measure_quotes(set: &QuotesSet, library: &Library, embedder: &BuiltinEmbedder, options: &Options) {
    for drop in [0.75, 1.0, 1.25, 1.5, 1.75, 2.0] {
        let rules = Rules { drop, ..options.rules };
        let mut coverages = Vec::new();
        let mut characters = 0.0;
        for (index, question) in set.questions.iter().enumerate() {
            let steps =
                if options.plan { plan(&question.text, Language::ENGLISH) } else { vec![question.text.clone()] };
            let mut found = Vec::new();
            for (number, step) in steps.iter().enumerate() {
                let mut ranked = library.search(step, &library.vectors[step]);
                ranked.truncate(options.passages);
                let passages = library.evidence(&ranked);
                let candidates = candidate_sentences(&passages);
                let vectors = library.sentence_vectors(&candidates);
                let meaning =
                    Meaning { question: &library.vectors[step], sentences: &vectors, space: embedder.space() };
                let gathered = select(step, &passages, &candidates, Some(&meaning), &rules);
                found.push(StepEvidence { step: StepId(Uuid::from_u128(number as u128)), evidence: gathered.evidence });
            }
            let composition = compose(&found, &rules);
            let spans: Vec<(&str, Span)> = composition
                .claims
                .iter()
                .flat_map(|claim| &claim.quotes)
                .map(|quote| (library.names[quote.version.0.as_u128() as usize].as_str(), quote.span))
                .collect();
            characters += spans.iter().map(|(_, span)| f64::from(span.len())).sum::<f64>();
            coverages.push((index, cover(question, &spans)));
        }
        print(&format!("quotes, drop {drop}"), &coverages, characters / set.questions.len() as f64);
    }
}

/// How many questions are answered: those of the set; the same after the passages with their excerpts (and those next
/// to them) were taken away; and questions about something else.
fn measure_abstention(
    set: &QuotesSet,
    library: &Library,
    embedder: &BuiltinEmbedder,
    options: &Options,
    foreign: &[String],
) {
    let answerable = |question: &str, keep: &dyn Fn(usize) -> bool| {
        let mut ranked = library.search(question, &library.vectors[question]);
        ranked.retain(|(number, _)| keep(*number));
        ranked.truncate(options.passages);
        let passages = library.evidence(&ranked);
        let candidates = candidate_sentences(&passages);
        let vectors = library.sentence_vectors(&candidates);
        let meaning = Meaning { question: &library.vectors[question], sentences: &vectors, space: embedder.space() };
        select(question, &passages, &candidates, Some(&meaning), &options.rules).answerable
    };
    let own: Vec<f32> = set.questions.iter().map(|question| answerable(&question.text, &|_| true)).collect();
    let without: Vec<f32> = set
        .questions
        .iter()
        .map(|question| {
            let holds = |number: usize| {
                library.names[library.corpus_of[number]] == question.corpus
                    && question.excerpts.iter().any(|excerpt| excerpt.overlaps(library.passages[number].span))
            };
            let near = |number: usize| {
                (number.saturating_sub(1)..=number + 1).any(|other| other < library.passages.len() && holds(other))
            };
            answerable(&question.text, &|number| !near(number))
        })
        .collect();
    let others: Vec<f32> = foreign.iter().map(|question| answerable(question, &|_| true)).collect();
    let share = |values: &[f32], threshold: f32| {
        values.iter().filter(|value| **value >= threshold).count() as f32 / values.len().max(1) as f32
    };
    for step in 4..16 {
        let threshold = step as f32 * 0.05;
        println!(
            "answered at {threshold:.2}: own {:.3}, own without its passages {:.3}, foreign {:.3}",
            share(&own, threshold),
            share(&without, threshold),
            share(&others, threshold)
        );
    }
}

fn write_features(
    set: &QuotesSet,
    library: &Library,
    embedder: &BuiltinEmbedder,
    count: usize,
    file: &Path,
) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::BufWriter::new(std::fs::File::create(file)?);
    writeln!(
        out,
        "question,passage,start,end,overlap,cosine,coverage,context,rank,length,asks,before,after,fragment,kind"
    )?;
    for (index, question) in set.questions.iter().enumerate() {
        let vector = &library.vectors[&question.text];
        let mut ranked = library.search(&question.text, vector);
        ranked.truncate(count);
        let passages = library.evidence(&ranked);
        let candidates = candidate_sentences(&passages);
        let vectors = library.sentence_vectors(&candidates);
        let meaning = Meaning { question: vector, sentences: &vectors, space: embedder.space() };
        let all = features(&question.text, &passages, &candidates, Some(&meaning));
        for (at, (candidate, found)) in candidates.iter().zip(&all).enumerate() {
            let corpus = &library.names[library.corpus_of[ranked[candidate.passage].0]];
            let overlap: u32 = question
                .excerpts
                .iter()
                .filter(|_| *corpus == question.corpus)
                .map(|e| e.end.min(candidate.span.end).saturating_sub(e.start.max(candidate.span.start)))
                .sum();
            let near = |other: Option<usize>| {
                other
                    .and_then(|other| {
                        candidates.get(other).filter(|c| c.passage == candidate.passage).and_then(|_| all[other].cosine)
                    })
                    .unwrap_or(0.0)
            };
            writeln!(
                out,
                "{index},{},{},{},{overlap},{},{},{},{},{},{},{},{},{},{}",
                candidate.passage,
                candidate.span.start,
                candidate.span.end,
                found.cosine.unwrap_or(0.0),
                found.coverage,
                found.context,
                found.rank,
                found.length,
                found.asks,
                near(at.checked_sub(1)),
                near(Some(at + 1)),
                found.fragment,
                found.kind,
            )?;
        }
    }
    Ok(())
}
