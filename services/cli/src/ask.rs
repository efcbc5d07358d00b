//! `carrel ask`

use crate::output;
use crate::search::{Pin, named};
use anyhow::{Result, bail};
use carrel_client::Client;
use carrel_domain::RunId;
use carrel_wire::{QuestionBody, RunEventBody, RunPageBody};
use clap::Args;
use std::process::ExitCode;

#[derive(Args)]
pub(crate) struct Ask {
    /// The question.
    question: String,
    /// Collections to look in, by name; all when none is named.
    #[arg(long, short)]
    collection: Vec<String>,
    #[command(flatten)]
    pin: Pin,
}

impl Ask {
    pub(crate) async fn run(&self, client: &Client, json: bool) -> Result<ExitCode> {
        let body = QuestionBody {
            question: self.question.clone(),
            collections: named(client, &self.collection).await?,
            filter: self.pin.filter(client).await?,
        };
        let run = client.ask(&body).await?;
        let page = follow(client, run.id, !json).await?;
        if json {
            output::json(&page)?;
        } else {
            report(&page, client.url());
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Waits until a run has its report, and tells what happens.
pub(crate) async fn follow(client: &Client, id: RunId, aloud: bool) -> Result<RunPageBody> {
    let mut seen = 0;
    loop {
        let mut events = client.watch(id, seen).await?;
        while let Some(event) = events.next().await? {
            seen = event.seq;
            if aloud {
                tell(&event);
            }
        }
        let page = client.run(id).await?;
        match page.run.state.as_str() {
            "completed" | "abstained" => return Ok(page),
            "failed" | "cancelled" => {
                let why =
                    page.run.failure.map_or_else(|| page.run.state.clone(), |f| format!("{} ({})", f.message, f.code));
                bail!("the research did not end well: {why}; `carrel jobs` tells more");
            }
            // The stream ended before the run: look on.
            _ => {}
        }
    }
}

fn tell(event: &RunEventBody) {
    match event.kind.as_str() {
        "planned" => {
            let steps = event.payload["steps"].as_array().map_or(0, Vec::len);
            eprintln!("planned {steps} {}", if steps == 1 { "step" } else { "steps" });
        }
        "step_completed" => {
            let question = event.payload["question"].as_str().unwrap_or_default();
            eprintln!("read {} passages for: {}", event.payload["passages"], output::line(question, 100));
        }
        _ => {}
    }
}

fn report(page: &RunPageBody, url: &str) {
    println!("\n{}\n", output::printable(&page.run.question));
    if page.claims.is_empty() {
        println!("No answer: nothing that was searched answers the question well enough to be quoted.");
        println!(
            "Searched {} documents, read {} passages, weighed {} sentences.",
            page.searched.documents, page.searched.passages, page.searched.sentences
        );
        for question in &page.searched.questions {
            println!("  asked: {}", output::line(question, 100));
        }
    }
    for claim in &page.claims {
        for citation in &claim.citations {
            let place = citation.page.map(|page| format!(", page {page}")).unwrap_or_default();
            println!("[{}] “{}”", citation.number, output::printable(&citation.quote));
            println!(
                "    {}, version {}{place}, characters {}–{}",
                output::line(&citation.document_name, 80),
                citation.version_number,
                citation.span.start,
                citation.span.end
            );
            println!("    {url}/#v={}&start={}&end={}\n", citation.version_id, citation.span.start, citation.span.end);
        }
    }
    println!("The page: {url}/#r={}", page.run.id);
}
