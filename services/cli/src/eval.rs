//! `carrel eval`: retrieval and quotes, measured through the normal path.

use crate::add::collection;
use crate::output;
use anyhow::{Context, Result, bail};
use carrel_client::{Client, UploadFields};
use carrel_domain::{CollectionId, Span};
use carrel_retrieval::beir::BeirSet;
use carrel_retrieval::measures::{evaluate, percentile};
use carrel_retrieval::quotes_set::{Coverage, QuotesQuestion, QuotesSet, cover, mean};
use carrel_wire::{FilterBody, ModeBody, QuestionBody, SearchBody, SpanBody};
use clap::{Subcommand, ValueHint};
use futures::stream::{self, StreamExt};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Passages that count as retrieved in the test of quotes.
const TOP: u32 = 5;

#[derive(Subcommand)]
pub(crate) enum Eval {
    /// nDCG, recall and MRR on a set in BEIR's columns (corpus.jsonl, queries.jsonl, qrels.tsv or qrels/test.tsv).
    Retrieval {
        /// Folder of the set.
        #[arg(long, value_hint = ValueHint::DirPath)]
        dir: PathBuf,
        /// Keep the collection, so that the next run need not fill it again.
        #[arg(long)]
        keep: bool,
        /// Ask only so many of the queries.
        #[arg(long)]
        queries: Option<usize>,
    },
    /// Recall, precision and IoU of retrieved passages and cited quotes over exact excerpts (questions_df.csv and .md
    /// files).
    Quotes {
        /// Folder of the set.
        #[arg(long, value_hint = ValueHint::DirPath)]
        dir: PathBuf,
        /// Keep the collections, so that the next run need not fill them again.
        #[arg(long)]
        keep: bool,
        /// Ask only so many of the questions.
        #[arg(long)]
        questions: Option<usize>,
    },
}

impl Eval {
    pub(crate) async fn run(&self, client: &Client, json: bool) -> Result<()> {
        match self {
            Self::Retrieval { dir, keep, queries } => retrieval(client, dir, *keep, *queries, json).await,
            Self::Quotes { dir, keep, questions } => quotes(client, dir, *keep, *questions, json).await,
        }
    }
}

fn set_name(dir: &Path) -> Result<String> {
    let dir = dir.canonicalize().with_context(|| format!("{} cannot be read", dir.display()))?;
    let name = dir.file_name().context("the folder has no name")?.to_string_lossy().into_owned();
    Ok(format!("eval-{name}"))
}

async fn retrieval(client: &Client, dir: &Path, keep: bool, first: Option<usize>, json: bool) -> Result<()> {
    let set = BeirSet::open(dir)?;
    let collection = collection(client, &set_name(dir)?).await?;
    let started = Instant::now();
    let added = fill(client, collection.id, &set, json).await?;
    let filled = started.elapsed();
    let judged: Vec<_> = set.queries.iter().filter(|query| set.judgements.contains_key(&query.id)).collect();
    let asked = &judged[..first.unwrap_or(judged.len()).min(judged.len())];
    let mut rows = Vec::new();
    for (name, mode) in [("lexical", ModeBody::Lexical), ("semantic", ModeBody::Semantic), ("hybrid", ModeBody::Hybrid)]
    {
        let bar = output::bar(asked.len() as u64, !json);
        bar.set_prefix(name);
        let mut rankings: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut seconds = Vec::with_capacity(asked.len());
        for query in asked {
            let body = SearchBody {
                query: query.text.clone(),
                mode,
                collections: vec![collection.id],
                filter: FilterBody::default(),
                limit: 100,
            };
            let began = Instant::now();
            let answer = client.search(&body).await?;
            seconds.push(began.elapsed().as_secs_f64() * 1e3);
            let mut seen = HashSet::new();
            let documents = answer.hits.into_iter().map(|hit| hit.external_id);
            rankings.insert(query.id.clone(), documents.filter(|id| seen.insert(id.clone())).collect());
            bar.inc(1);
        }
        bar.finish_and_clear();
        let judgements = asked.iter().map(|query| (query.id.clone(), set.judgements[&query.id].clone())).collect();
        let measures = evaluate(&rankings, &judgements);
        rows.push(json!({
            "system": name,
            "queries": measures.queries,
            "ndcg_at_10": measures.ndcg_at_10,
            "recall_at_10": measures.recall_at_10,
            "recall_at_100": measures.recall_at_100,
            "mrr_at_10": measures.mrr_at_10,
            "query_ms_p50": percentile(&seconds, 50.0),
            "query_ms_p95": percentile(&seconds, 95.0),
        }));
    }
    if !keep {
        client.delete_collection(collection.id).await?;
    }
    let documents_per_second = added as f64 / filled.as_secs_f64().max(1e-9);
    if json {
        return output::json(&json!({
            "set": collection.name, "documents_added": added, "documents_per_second": documents_per_second,
            "systems": rows,
        }));
    }
    println!("{}: {added} documents added at {documents_per_second:.1} a second", collection.name);
    println!(
        "{:<9} {:>8} {:>10} {:>11} {:>8} {:>8} {:>8}",
        "system", "nDCG@10", "recall@10", "recall@100", "MRR@10", "p50 ms", "p95 ms"
    );
    for row in &rows {
        let number = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
        println!(
            "{:<9} {:>8.4} {:>10.4} {:>11.4} {:>8.4} {:>8.1} {:>8.1}",
            row["system"].as_str().unwrap_or_default(),
            number("ndcg_at_10"),
            number("recall_at_10"),
            number("recall_at_100"),
            number("mrr_at_10"),
            number("query_ms_p50"),
            number("query_ms_p95")
        );
    }
    Ok(())
}

/// Adds the documents that are not there yet and waits until all answer; tells how many were added.
async fn fill(client: &Client, id: CollectionId, set: &BeirSet, json: bool) -> Result<usize> {
    let known: BTreeSet<String> =
        client.documents(id).await?.into_iter().map(|document| document.external_id).collect();
    let documents = set.corpus()?.collect::<Result<Vec<_>, _>>()?;
    let missing: Vec<_> = documents
        .into_iter()
        .filter(|document| !(known.contains(&document.id) || document.title.is_empty() && document.text.is_empty()))
        .collect();
    let bar = output::bar(missing.len() as u64, !json);
    bar.set_prefix("adding");
    let uploads = stream::iter(missing.iter().map(|document| async {
        // The body of some documents is empty; then the title is all there is.
        let text = if document.text.trim().is_empty() { &document.title } else { &document.text };
        let title: String = document.title.chars().filter(|c| !c.is_control()).take(1_000).collect();
        let fields = UploadFields {
            file_name: "document.txt".to_owned(),
            external_id: Some(document.id.clone()),
            title: Some(title).filter(|title| !title.trim().is_empty()),
            metadata: None,
        };
        let result = client.upload_bytes(id, text.clone().into_bytes(), fields).await;
        bar.inc(1);
        result.with_context(|| format!("document {}", document.id))
    }));
    let results: Vec<Result<_>> = uploads.buffer_unordered(8).collect().await;
    for result in results {
        result?;
    }
    bar.finish_and_clear();
    settle(client, id, json).await?;
    Ok(missing.len())
}

/// Waits until no document of the collection is on its way any more.
async fn settle(client: &Client, id: CollectionId, json: bool) -> Result<()> {
    let bar = output::bar(0, !json);
    bar.set_prefix("indexing");
    loop {
        let documents = client.documents(id).await?;
        let waiting = documents
            .iter()
            .filter(|document| matches!(document.latest.state.as_str(), "received" | "extracted"))
            .count();
        bar.set_length(documents.len() as u64);
        bar.set_position((documents.len() - waiting) as u64);
        if waiting == 0 {
            bar.finish_and_clear();
            let failed: Vec<&str> = documents
                .iter()
                .filter(|document| document.latest.state != "searchable")
                .map(|document| document.external_id.as_str())
                .collect();
            if !failed.is_empty() {
                eprintln!("{} documents could not be read: {}", failed.len(), output::line(&failed.join(", "), 200));
            }
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(if waiting > 100 { 500 } else { 50 })).await;
    }
}

async fn quotes(client: &Client, dir: &Path, keep: bool, first: Option<usize>, json: bool) -> Result<()> {
    let set = QuotesSet::open(dir)?;
    let base = set_name(dir)?;
    let mut collections: BTreeMap<&str, (CollectionId, Vec<u32>)> = BTreeMap::new();
    for (name, text) in &set.corpora {
        let collection = collection(client, &format!("{base}-{name}")).await?;
        let fields = UploadFields { file_name: format!("{name}.txt"), ..UploadFields::default() };
        let uploaded = client.upload_bytes(collection.id, text.clone().into_bytes(), fields).await?;
        settle(client, collection.id, json).await?;
        let rendition = whole_text(client, uploaded.version_id).await?;
        collections.insert(name, (collection.id, align(&rendition, text)));
    }
    let asked = &set.questions[..first.unwrap_or(set.questions.len()).min(set.questions.len())];
    let bar = output::bar(asked.len() as u64, !json);
    bar.set_prefix("asking");
    let (mut retrieved, mut cited): (Vec<Coverage>, Vec<Coverage>) = (Vec::new(), Vec::new());
    let (mut citations, mut exact, mut abstained) = (0_u64, 0_u64, 0_u64);
    for question in asked {
        let Some((id, places)) = collections.get(question.corpus.as_str()) else {
            bail!("question {:?} names corpus {:?}, which has no file", question.text, question.corpus);
        };
        let body =
            SearchBody { query: question.text.clone(), collections: vec![*id], limit: TOP, ..SearchBody::default() };
        let hits = client.search(&body).await?.hits;
        let spans: Vec<SpanBody> = hits.iter().map(|hit| hit.passage.span).collect();
        retrieved.push(covered(question, &spans, places));

        let asked =
            QuestionBody { question: question.text.clone(), collections: vec![*id], filter: FilterBody::default() };
        let run = client.ask(&asked).await?;
        let page = loop {
            let mut events = client.watch(run.id, 0).await?;
            while events.next().await?.is_some() {}
            let page = client.run(run.id).await?;
            if !matches!(page.run.state.as_str(), "planning" | "gathering" | "writing") {
                break page;
            }
        };
        abstained += u64::from(page.claims.is_empty());
        let mut spans = Vec::new();
        for citation in page.claims.iter().flat_map(|claim| &claim.citations) {
            citations += 1;
            let text = client.text(citation.version_id, citation.span.start, Some(citation.span.end)).await?;
            exact += u64::from(text.text == citation.quote);
            spans.push(citation.span);
        }
        cited.push(covered(question, &spans, places));
        bar.inc(1);
    }
    bar.finish_and_clear();
    if !keep {
        for (id, _) in collections.values() {
            client.delete_collection(*id).await?;
        }
    }
    let (retrieved, cited) = (mean(&retrieved), mean(&cited));
    let row = |name: &str, found: &Coverage| -> Value {
        json!({ "system": name, "questions": found.questions, "recall": found.recall,
                "precision": found.precision, "iou": found.iou })
    };
    let rows = [row("passages", &retrieved), row("quotes", &cited)];
    if json {
        return output::json(&json!({
            "set": base, "systems": rows, "citations": citations, "exact": exact, "abstained": abstained,
        }));
    }
    println!("{base}: {} questions, {TOP} passages each", asked.len());
    println!("{:<9} {:>8} {:>10} {:>8}", "system", "recall", "precision", "IoU");
    for (name, found) in [("passages", &retrieved), ("quotes", &cited)] {
        println!("{name:<9} {:>8.4} {:>10.4} {:>8.4}", found.recall, found.precision, found.iou);
    }
    println!("{exact} of {citations} citations verified; {abstained} questions were not answered");
    Ok(())
}

async fn whole_text(client: &Client, version: carrel_domain::VersionId) -> Result<String> {
    let mut whole = String::new();
    let mut start = 0;
    loop {
        let part = client.text(version, start, None).await?;
        whole.push_str(&part.text);
        if part.span.end >= part.characters {
            return Ok(whole);
        }
        start = part.span.end;
    }
}

fn covered(question: &QuotesQuestion, spans: &[SpanBody], places: &[u32]) -> Coverage {
    let place = |position: u32| places.get(position as usize).copied().unwrap_or(u32::MAX);
    let spans: Vec<(&str, Span)> = spans
        .iter()
        .filter_map(|span| Span::new(place(span.start), place(span.end)))
        .map(|span| (question.corpus.as_str(), span))
        .collect();
    cover(question, &spans)
}

/// For every position of the rendition (and its end) the position in the source that it came from. Normalisation leaves
/// characters out and changes some, but never their order.
fn align(rendition: &str, source: &str) -> Vec<u32> {
    const WINDOW: usize = 400;
    let (from, to): (Vec<char>, Vec<char>) = (source.chars().collect(), rendition.chars().collect());
    let mut places = Vec::with_capacity(to.len() + 1);
    let mut at = 0;
    for (index, wanted) in to.iter().enumerate() {
        if from.get(at) != Some(wanted) {
            let next: Vec<char> = to[index..].iter().take(8).copied().collect();
            let end = (at + WINDOW).min(from.len());
            // The place from which the next few characters agree; else the same place, as for a changed character.
            if let Some(skip) = (at..end).position(|start| from[start..].starts_with(&next)) {
                at += skip;
            }
        }
        places.push(at as u32);
        at = (at + 1).min(from.len());
    }
    places.push(at as u32);
    places
}

#[cfg(test)]
mod tests {
    use super::align;

    #[test]
    fn places_survive_what_normalisation_leaves_out() {
        let places = align("one\n\ntwo three four", "one\r\n\r\n\r\n\r\ntwo three\u{ad} four");
        assert_eq!(places[0], 0);
        assert_eq!(places[5], 11);
        assert_eq!(places[15], 22);
    }
}
