//! `carrel label`, `carrel scan`, `carrel hold`, `carrel erase` and `carrel receipt`

use crate::output;
use crate::search::named;
use anyhow::{Context, Result, bail};
use carrel_client::Client;
use carrel_domain::{DocumentId, HoldId};
use carrel_wire::{ActorBody, CustodyEventBody, CustodyKindBody, HoldBody, NewHoldBody, ScanBody};
use clap::{Args, Subcommand, ValueHint};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Args)]
pub(crate) struct Label {
    /// The document.
    document: DocumentId,
    /// Where to write the picture (SVG); standard output when not given.
    #[arg(long, short, value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

impl Label {
    pub(crate) async fn run(&self, client: &Client, json: bool) -> Result<()> {
        let drawn = client.label(self.document).await?;
        let Some(path) = &self.output else {
            println!("{drawn}");
            return Ok(());
        };
        std::fs::write(path, &drawn).with_context(|| format!("{} cannot be written", path.display()))?;
        if json {
            return output::json(&json!({ "path": path }));
        }
        println!("{} (62 by 29 mm)", path.display());
        Ok(())
    }
}

#[derive(Args)]
pub(crate) struct Scan {
    /// What the label's code says.
    code: String,
    /// What happened: received, stored, moved, handed_over, returned, inspected, copied or disposed.
    event: String,
    /// Where.
    #[arg(long)]
    place: Option<String>,
    /// What else is to be said.
    #[arg(long)]
    note: Option<String>,
}

impl Scan {
    pub(crate) async fn run(&self, client: &Client, json: bool) -> Result<()> {
        let event: CustodyKindBody = serde_json::from_value(self.event.clone().into())
            .with_context(|| format!("{:?} is no event; `carrel scan --help` lists them", self.event))?;
        let body = ScanBody { code: self.code.clone(), event, place: self.place.clone(), note: self.note.clone() };
        let scanned = client.scan(&body).await?;
        if json {
            return output::json(&scanned);
        }
        println!("{} ({})", output::line(&scanned.document_name, 80), scanned.event.document_id);
        println!("{}", describe_event(&scanned.event));
        Ok(())
    }
}

#[derive(Args)]
pub(crate) struct Custody {
    /// The document.
    document: DocumentId,
}

impl Custody {
    pub(crate) async fn run(&self, client: &Client, json: bool) -> Result<()> {
        let events = client.custody(self.document).await?;
        if json {
            return output::json(&events);
        }
        if events.is_empty() {
            println!("Its label was never scanned. `carrel label {}` prints one.", self.document);
        }
        for event in &events {
            println!("{}", describe_event(event));
        }
        Ok(())
    }
}

fn describe_event(event: &CustodyEventBody) -> String {
    let kind = serde_json::to_value(event.event).ok();
    let kind = kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or_default().to_owned();
    let place = event.place.as_deref().map(|place| format!(", {}", output::line(place, 80))).unwrap_or_default();
    let note = event.note.as_deref().map(|note| format!(": {}", output::line(note, 160))).unwrap_or_default();
    format!("{}  {kind}{place}{note}  by {}", event.at.format("%Y-%m-%d %H:%M:%S UTC"), actor(&event.by))
}

fn actor(actor: &ActorBody) -> String {
    match actor {
        ActorBody::Client { id } => format!("client {id}"),
        ActorBody::Job { id } => format!("job {id}"),
        ActorBody::Operator => "the operator".to_owned(),
    }
}

#[derive(Subcommand)]
pub(crate) enum Hold {
    /// Place a legal hold: what it covers can be neither deleted nor erased.
    Place {
        /// The document.
        #[arg(required_unless_present = "collection")]
        document: Option<DocumentId>,
        /// Or the collection, by name.
        #[arg(long, short, conflicts_with = "document")]
        collection: Option<String>,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Release a legal hold.
    Release {
        /// The hold.
        hold: HoldId,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// List legal holds.
    List {
        /// Also those that were released.
        #[arg(long)]
        all: bool,
    },
}

impl Hold {
    pub(crate) async fn run(&self, client: &Client, json: bool) -> Result<()> {
        let holds = match self {
            Self::Place { document, collection, reason } => {
                let collections = named(client, &collection.iter().cloned().collect::<Vec<_>>()).await?;
                let body = NewHoldBody {
                    document_id: *document,
                    collection_id: collections.first().copied(),
                    reason: reason.clone(),
                };
                vec![client.place_hold(&body).await?]
            }
            Self::Release { hold, reason } => vec![client.release_hold(*hold, reason).await?],
            Self::List { all } => {
                let query = [("standing", (!all).to_string())];
                let holds = client.holds(&query).await?;
                if holds.is_empty() && !json {
                    println!("There is no legal hold.");
                }
                holds
            }
        };
        if json {
            return output::json(&holds);
        }
        for hold in &holds {
            println!("{}", describe_hold(hold));
        }
        Ok(())
    }
}

fn describe_hold(hold: &HoldBody) -> String {
    let subject = match (hold.document_id, hold.collection_id) {
        (Some(id), _) => format!("document {id}"),
        (_, Some(id)) => format!("collection {id}"),
        _ => String::new(),
    };
    let released = match (hold.released_at, &hold.release_reason) {
        (Some(at), Some(reason)) => {
            format!(", released {}: {}", at.format("%Y-%m-%d %H:%M:%S UTC"), output::line(reason, 120))
        }
        _ => String::new(),
    };
    format!(
        "{}  {subject}, since {} by {}: {}{released}",
        hold.id,
        hold.placed_at.format("%Y-%m-%d %H:%M:%S UTC"),
        actor(&hold.placed_by),
        output::line(&hold.reason, 120)
    )
}

#[derive(Args)]
pub(crate) struct Erase {
    /// The document; all its versions go, and all that was found inside of it.
    document: DocumentId,
    /// Why; the receipt and the audit trail keep it.
    #[arg(long)]
    reason: String,
    /// Where to write the receipt; by default carrel-erasure-ID.jws.
    #[arg(long, short, value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

impl Erase {
    pub(crate) async fn run(&self, client: &Client, json: bool) -> Result<()> {
        let mut erasure = client.erase(self.document, &self.reason).await?;
        while erasure.state != "completed" {
            let job = client.job(erasure.job_id).await?.job;
            if let ("discarded" | "cancelled", Some(error)) = (job.state.as_str(), &job.last_error) {
                bail!(
                    "the job gave up ({}): {}. `carrel jobs retry {}` runs it again",
                    error.code,
                    error.message,
                    erasure.job_id
                );
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
            erasure = client.erasure(erasure.id).await?;
        }
        let receipt = client.receipt(erasure.id).await?;
        let path = self.output.clone().unwrap_or_else(|| PathBuf::from(format!("carrel-erasure-{}.jws", erasure.id)));
        std::fs::write(&path, &receipt).with_context(|| format!("{} cannot be written", path.display()))?;
        if json {
            return output::json(&json!({ "erasure": erasure, "receipt": path }));
        }
        println!("Erased: {} documents. The receipt is {}.", erasure.documents.len(), path.display());
        println!("Check it anywhere: carrel receipt verify {}", path.display());
        Ok(())
    }
}

#[derive(Subcommand)]
pub(crate) enum Receipt {
    /// Check a receipt, without a server, and show what it says.
    Verify {
        /// The receipt.
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Thumbprint of the key that must have signed it (`kid` of the Ed25519 key at /.well-known/jwks.json).
        #[arg(long, value_name = "THUMBPRINT")]
        key: Option<String>,
    },
}

impl Receipt {
    pub(crate) fn run(&self, json: bool) -> Result<ExitCode> {
        let Self::Verify { file, key } = self;
        let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let (receipt, signed_by) =
            carrel_bundle::verify_receipt(text.trim_end()).with_context(|| format!("{}", file.display()))?;
        let foreign = key.as_ref().is_some_and(|key| *key != signed_by);
        if json {
            output::json(
                &json!({ "sound": !foreign, "signed_by": signed_by, "key_expected": key, "receipt": receipt }),
            )?;
        } else {
            println!("Document {} and all that was found inside of it:", receipt.document);
            println!("  {} documents, {} versions", receipt.documents.len(), receipt.versions.len());
            println!("  asked for  {}: {}", receipt.requested_at, output::line(&receipt.reason, 160));
            println!("  completed  {}", receipt.completed_at);
            for place in &receipt.places {
                println!("  cleared    {:<18} {}", place.place, place.count);
            }
            for check in &receipt.checks {
                println!("  looked at  {} ({}): found {}", check.check, check.looked_at, check.found);
            }
            for rest in &receipt.remains {
                println!("  stays      {:<18} {}: {}", rest.place, rest.count, output::line(&rest.why, 160));
            }
            if let Some(seal) = &receipt.seal {
                println!("  audit seal {}:{}", seal.number, seal.sha256);
            }
            println!("Signed by {signed_by}");
            if foreign {
                println!("That is another key than {}", key.as_deref().unwrap_or_default());
            } else if key.is_none() {
                println!("Compare that with the instance's key (/.well-known/jwks.json), or give it with --key.");
            }
        }
        Ok(if foreign { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
