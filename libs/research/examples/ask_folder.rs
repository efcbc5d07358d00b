//! Asks a folder of text files without a database: `ask_folder MODEL FOLDER QUESTIONS`, one question per line.
//!
//! A line may carry words that the answer must contain after a bar (`What was the limit? | 4.2 m`), or a bar and
//! nothing for a question that must stay without an answer.

#![expect(clippy::print_stdout, reason = "a laboratory prints its answers")]

use carrel_domain::text::TextMap;
use carrel_domain::{DocumentId, StepId, VersionId};
use carrel_inference::{BuiltinEmbedder, BuiltinOptions, Embedder, InputKind};
use carrel_research::{PassageEvidence, Rules, StepEvidence, compose, gather, plan};
use carrel_retrieval::fusion::{Weights, fuse};
use carrel_text::{Analyzer, CharIndex, PassageRules, detect_language, normalise, passages, query_terms};
use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use uuid::Uuid;

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "txt" || extension == "md") {
            found.push(path);
        }
    }
    found.sort();
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, folder, questions] = arguments.as_slice() else {
        return Err("ask_folder MODEL FOLDER QUESTIONS".into());
    };
    let embedder = BuiltinEmbedder::load(BuiltinOptions::new(model)).await?;
    let mut paths = Vec::new();
    files(Path::new(folder), &mut paths)?;
    let mut all: Vec<PassageEvidence> = Vec::new();
    let mut texts = Vec::new();
    for (number, path) in paths.iter().enumerate() {
        let text = normalise(&std::fs::read_to_string(path)?);
        let index = CharIndex::new(&text);
        for passage in passages(&text, &TextMap::default(), &PassageRules::default()) {
            all.push(PassageEvidence {
                document: DocumentId(Uuid::from_u128(number as u128)),
                version: VersionId(Uuid::from_u128(number as u128)),
                ordinal: passage.ordinal,
                span: passage.span,
                page: None,
                language: detect_language(&text),
                text: index.slice(passage.span).unwrap_or_default().to_owned(),
                rank: 0.0,
            });
        }
        texts.push(text.clone());
    }
    let words: Vec<String> = all.iter().map(|passage| passage.text.clone()).collect();
    let vectors = embedder.embed(&words, InputKind::Passage).await?;
    let (mut right, mut late, mut count) = (0, 0, 0);
    for line in std::fs::read_to_string(questions)?.lines().filter(|line| !line.trim().is_empty()) {
        let (question, expected) = line.split_once('|').map_or((line, None), |(q, e)| (q.trim(), Some(e.trim())));
        let mut found = Vec::new();
        let mut answerable = 0.0f32;
        for (number, step) in plan(question, detect_language(question)).into_iter().enumerate() {
            let asked = embedder.embed(std::slice::from_ref(&step), InputKind::Query).await?.remove(0);
            let passages = search(&step, &asked, &all, &vectors);
            let gathered = gather(&step, &passages, &embedder, &Rules::default()).await?;
            answerable = answerable.max(gathered.answerable);
            found.push(StepEvidence { step: StepId(Uuid::from_u128(number as u128)), evidence: gathered.evidence });
        }
        let composition = compose(&found, &Rules::default());
        let quotes: Vec<String> = composition
            .claims
            .iter()
            .map(|claim| {
                let quote = &claim.quotes[0];
                let text = CharIndex::new(&texts[quote.version.0.as_u128() as usize])
                    .slice(quote.span)
                    .unwrap_or("?")
                    .replace('\n', " ");
                let name = paths[quote.version.0.as_u128() as usize]
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                format!("{:.2} [{name} +{}] {text}", claim.score, claim.quotes.len() - 1)
            })
            .collect();
        let (first, anywhere) = match expected {
            Some("") => (quotes.is_empty(), false),
            Some(words) => (
                quotes.first().is_some_and(|quote| quote.contains(words)),
                quotes.iter().any(|quote| quote.contains(words)),
            ),
            None => (true, false),
        };
        count += 1;
        right += usize::from(first);
        late += usize::from(anywhere && !first);
        let verdict = if first {
            "ok  "
        } else if anywhere {
            "late"
        } else {
            "MISS"
        };
        println!("\n{verdict} {question} ({answerable:.2})");
        for quote in quotes {
            println!("       {quote}");
        }
    }
    println!("\n{right} of {count} first, {late} more further down");
    Ok(())
}

fn search(question: &str, vector: &[f32], all: &[PassageEvidence], vectors: &[Vec<f32>]) -> Vec<PassageEvidence> {
    let mut counts: Vec<HashMap<String, f32>> = Vec::new();
    for passage in all {
        let mut count = HashMap::new();
        for term in Analyzer::for_language(passage.language).terms(&passage.text) {
            *count.entry(term).or_insert(0.0) += 1.0;
        }
        counts.push(count);
    }
    let lengths: Vec<f32> = counts.iter().map(|count| count.values().sum()).collect();
    let average = lengths.iter().sum::<f32>() / lengths.len() as f32;
    let mut languages: Vec<_> = all.iter().map(|passage| passage.language).collect();
    languages.sort_unstable();
    languages.dedup();
    let mut lexical: Vec<(usize, f32)> = Vec::new();
    let terms = query_terms(question, &languages);
    for (number, count) in counts.iter().enumerate() {
        let mut score = 0.0;
        for term in &terms {
            let Some(frequency) = count.get(term) else { continue };
            let found = counts.iter().filter(|count| count.contains_key(term)).count() as f32;
            let rarity = (1.0 + (all.len() as f32 - found + 0.5) / (found + 0.5)).ln();
            score += rarity * frequency * 2.2 / (frequency + 1.2 * (0.25 + 0.75 * lengths[number] / average));
        }
        if score > 0.0 {
            lexical.push((number, score));
        }
    }
    let meaning: Vec<(usize, f32)> = vectors
        .iter()
        .enumerate()
        .map(|(number, other)| (number, vector.iter().zip(other).map(|(a, b)| a * b).sum()))
        .collect();
    fuse(&lexical, &meaning, Weights::default())
        .into_iter()
        .take(12)
        .map(|fused| PassageEvidence { rank: fused.rank, ..all[fused.id].clone() })
        .collect()
}
