//! `carrel search`

use crate::baseline;
use crate::output::{self, printable};
use anyhow::{Result, bail};
use carrel_client::Client;
use carrel_domain::CollectionId;
use carrel_wire::{FilterBody, HitBody, ModeBody, SearchBody, SnippetBody};
use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};

#[derive(Args)]
pub(crate) struct Search {
    /// What to look for.
    query: String,
    /// Collections to look in, by name; all when none is named.
    #[arg(long, short)]
    collection: Vec<String>,
    /// By words and meaning, by words only, or by meaning only.
    #[arg(long, short, value_enum, default_value_t = Mode::Hybrid)]
    mode: Mode,
    /// Hits wanted, 1 to 100.
    #[arg(long, short, default_value_t = 10)]
    limit: u32,
    /// Only documents in these languages (ISO 639).
    #[arg(long)]
    language: Vec<String>,
    #[command(flatten)]
    pin: Pin,
}

/// Which versions answer, when not the current ones.
#[derive(Args)]
pub(crate) struct Pin {
    /// Look in the versions of this baseline.
    #[arg(long, conflicts_with = "as_of")]
    baseline: Option<String>,
    /// Look in what was current at this time, for example 2026-11-21T12:00:00Z, or as a day began: 2026-11-21.
    #[arg(long, value_name = "TIME", value_parser = output::moment)]
    as_of: Option<DateTime<Utc>>,
}

impl Pin {
    /// The filter that pins to it.
    pub(crate) async fn filter(&self, client: &Client) -> Result<FilterBody> {
        let baseline = match &self.baseline {
            Some(name) => Some(baseline::find(client, name).await?.id),
            None => None,
        };
        Ok(FilterBody { baseline, as_of: self.as_of, ..FilterBody::default() })
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Mode {
    Hybrid,
    Lexical,
    Semantic,
}

impl From<Mode> for ModeBody {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Hybrid => Self::Hybrid,
            Mode::Lexical => Self::Lexical,
            Mode::Semantic => Self::Semantic,
        }
    }
}

impl Search {
    pub(crate) async fn run(&self, client: &Client, json: bool) -> Result<()> {
        let body = SearchBody {
            query: self.query.clone(),
            mode: self.mode.into(),
            collections: named(client, &self.collection).await?,
            filter: FilterBody { languages: self.language.clone(), ..self.pin.filter(client).await? },
            limit: self.limit,
        };
        let answer = client.search(&body).await?;
        if json {
            return output::json(&answer);
        }
        if answer.hits.is_empty() {
            println!("Nothing was found. Other words may help, or --mode semantic; `carrel show` lists what is there.");
        }
        for (index, hit) in answer.hits.iter().enumerate() {
            show(index + 1, hit, client.url());
        }
        Ok(())
    }
}

fn show(number: usize, hit: &HitBody, url: &str) {
    let page = hit.snippet.page.or(hit.passage.page).map(|page| format!(", page {page}")).unwrap_or_default();
    let name = output::line(&hit.document_name, 80);
    println!("{number:>3}. {name} (version {}{page})  {:.3}", hit.version_number, hit.scores.rank);
    for line in highlighted(&hit.snippet).lines() {
        println!("     {line}");
    }
    let span = hit.passage.span;
    println!("     {url}/#v={}&start={}&end={}\n", hit.version_id, span.start, span.end);
}

fn highlighted(snippet: &SnippetBody) -> String {
    if !output::colour() {
        return printable(&snippet.text);
    }
    let mut out = String::new();
    for (index, c) in snippet.text.chars().enumerate() {
        let index = index as u32;
        if snippet.highlights.iter().any(|span| span.start == index) {
            out.push_str("\u{1b}[1m");
        }
        if snippet.highlights.iter().any(|span| span.end == index) {
            out.push_str("\u{1b}[0m");
        }
        out.push_str(&printable(&c.to_string()));
    }
    out.push_str("\u{1b}[0m");
    out
}

/// Ids of collections by name.
pub(crate) async fn named(client: &Client, names: &[String]) -> Result<Vec<CollectionId>> {
    let mut ids = Vec::with_capacity(names.len());
    for name in names {
        match client.collections(Some(name)).await?.pop() {
            Some(found) => ids.push(found.id),
            None => {
                let all = client.collections(None).await?;
                let known: Vec<&str> = all.iter().map(|collection| collection.name.as_str()).collect();
                if known.is_empty() {
                    bail!("there is no collection yet; make one with `carrel add PATH… --collection {name}`");
                }
                bail!("there is no collection named {name:?}; there are: {}", known.join(", "));
            }
        }
    }
    Ok(ids)
}
