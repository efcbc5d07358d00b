//! `carrel screening`: policies, reports and reviews of a server. Files without a server: `carrel screen`.

use crate::output;
use anyhow::{Result, bail};
use carrel_client::Client;
use carrel_domain::{CollectionId, DocumentId, VersionId};
use carrel_wire::{
    ActionBody, PolicyBody, PolicyViewBody, RejectionBody, ReleaseAsBody, ReleaseBody, ScreeningNoteBody,
};
use clap::{Args, Subcommand, ValueEnum};
use futures::StreamExt;
use std::io::{IsTerminal, Read, Write};

#[derive(Subcommand)]
pub(crate) enum Screening {
    /// See or set what happens to personal data and credentials.
    #[command(subcommand)]
    Policy(Policy),
    /// What was found in a collection or a document.
    Report(Report),
    /// Apply the policy of now to a collection's earlier documents.
    Rescreen {
        /// The collection's name.
        collection: String,
    },
    /// List the versions that wait for a reviewer.
    Held {
        /// The collection's name; every collection when absent.
        collection: Option<String>,
    },
    /// Let a held version go.
    Release {
        /// The version.
        version: VersionId,
        /// Why; it stands in the audit trail.
        #[arg(long)]
        reason: String,
        /// Show that for which it was held, instead of hiding it.
        #[arg(long)]
        plain: bool,
    },
    /// Keep a held version out for good.
    Reject {
        /// The version.
        version: VersionId,
        /// Why; it stands in the audit trail.
        #[arg(long)]
        reason: String,
    },
    /// Where a value occurs. The value is read from standard input, so that it is in no history of commands.
    Lookup,
}

#[derive(Subcommand)]
pub(crate) enum Policy {
    /// The policy of the workspace, or of a collection.
    Show(Whose),
    /// Change it: `carrel screening policy set credential=hold contact=mask email=allow`.
    Set {
        /// CATEGORY=ACTION or KIND=ACTION; the action is allow, mask, hold, or default to drop the rule.
        #[arg(required = true, value_name = "WHAT=ACTION")]
        rules: Vec<String>,
        /// Act only on findings from this confidence on (percent).
        #[arg(long)]
        min_confidence: Option<u8>,
        #[command(flatten)]
        whose: Whose,
    },
}

#[derive(Args)]
pub(crate) struct Whose {
    /// The collection's name; the workspace when absent.
    #[arg(long, short)]
    collection: Option<String>,
}

#[derive(Args)]
pub(crate) struct Report {
    /// A collection's name, or a document's id.
    what: String,
    /// How.
    #[arg(long, value_enum, default_value_t = Form::Markdown)]
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Markdown,
    Csv,
    Json,
}

impl Screening {
    pub(crate) async fn run(&self, client: &Client, json: bool) -> Result<()> {
        match self {
            Self::Policy(policy) => policy.run(client, json).await,
            Self::Report(report) => report.run(client, json).await,
            Self::Rescreen { collection } => {
                let made = client.rescreen(find(client, collection).await?).await?;
                if json {
                    return output::json(&made);
                }
                println!("job {} screens {collection} again", made.job_id);
                Ok(())
            }
            Self::Held { collection } => held(client, collection.as_deref(), json).await,
            Self::Release { version, reason, plain } => {
                let shown = if *plain { ReleaseAsBody::Plain } else { ReleaseAsBody::Masked };
                let made = client.release(*version, &ReleaseBody { reason: reason.clone(), shown }).await?;
                if json {
                    return output::json(&made);
                }
                println!("released; job {} indexes it", made.job_id);
                Ok(())
            }
            Self::Reject { version, reason } => {
                client.reject(*version, &RejectionBody { reason: reason.clone() }).await?;
                if json {
                    return output::json(&serde_json::json!({ "version_id": version }));
                }
                println!("rejected: nothing of it will be indexed");
                Ok(())
            }
            Self::Lookup => look_up(client, json).await,
        }
    }
}

/// The collection of a name.
async fn find(client: &Client, name: &str) -> Result<CollectionId> {
    match client.collections(Some(name)).await?.pop() {
        Some(found) => Ok(found.id),
        None => bail!("there is no collection named {name:?}; `carrel show` lists them"),
    }
}

impl Whose {
    async fn id(&self, client: &Client) -> Result<Option<CollectionId>> {
        match &self.collection {
            Some(name) => Ok(Some(find(client, name).await?)),
            None => Ok(None),
        }
    }
}

impl Policy {
    async fn run(&self, client: &Client, json: bool) -> Result<()> {
        let view = match self {
            Self::Show(whose) => client.screening_policy(whose.id(client).await?).await?,
            Self::Set { rules, min_confidence, whose } => {
                let id = whose.id(client).await?;
                let before = client.screening_policy(id).await?;
                let mut policy = before.policy;
                for rule in rules {
                    change(&mut policy, rule)?;
                }
                policy.min_confidence = min_confidence.or(policy.min_confidence);
                client.set_screening_policy(id, &policy, before.revision).await?
            }
        };
        if json {
            return output::json(&view);
        }
        print(&view);
        if matches!(self, Self::Set { .. }) {
            println!(
                "It holds for what comes from now on; `carrel screening rescreen COLLECTION` applies it to the rest."
            );
        }
        Ok(())
    }
}

fn change(policy: &mut PolicyBody, rule: &str) -> Result<()> {
    let Some((what, action)) = rule.split_once('=') else {
        bail!("{rule:?} is no rule; write WHAT=ACTION, for example credential=hold");
    };
    let action = match action {
        "allow" => Some(ActionBody::Allow),
        "mask" => Some(ActionBody::Mask),
        "hold" => Some(ActionBody::Hold),
        "default" => None,
        _ => bail!("{action:?} is no action; use allow, mask, hold or default"),
    };
    let is_category = carrel_screening::Category::ALL.iter().any(|category| category.as_str() == what);
    if !is_category && carrel_screening::Kind::parse(what).is_none() {
        let names: Vec<&str> = carrel_screening::Category::ALL.iter().map(|category| category.as_str()).collect();
        bail!("{what:?} is neither a category ({}) nor a kind such as email", names.join(", "));
    }
    let rules = if is_category { &mut policy.categories } else { &mut policy.kinds };
    match action {
        Some(action) => rules.insert(what.to_owned(), action),
        None => rules.remove(what),
    };
    Ok(())
}

fn print(view: &PolicyViewBody) {
    let action = |action: &ActionBody| match action {
        ActionBody::Allow => "allow",
        ActionBody::Mask => "mask",
        ActionBody::Hold => "hold",
    };
    println!("in force (revision {}):", view.revision);
    for category in carrel_screening::Category::ALL {
        let name = category.as_str();
        let own = if view.policy.categories.contains_key(name) { "" } else { "  (not set here)" };
        println!("  {name:<14} {}{own}", view.effective.categories.get(name).map_or("allow", action));
    }
    for (kind, set) in &view.effective.kinds {
        println!("  {kind:<14} {}", action(set));
    }
    let least = view.effective.min_confidence.unwrap_or(carrel_screening::MIN_CONFIDENCE);
    println!("  from a confidence of {least} % on");
}

impl Report {
    async fn run(&self, client: &Client, json: bool) -> Result<()> {
        let path = match client.collections(Some(&self.what)).await?.pop() {
            Some(found) => format!("collections/{}", found.id),
            None => match self.what.parse::<DocumentId>() {
                Ok(id) => format!("documents/{id}"),
                Err(_) => bail!("there is no collection named {:?}, and it is no document's id", self.what),
            },
        };
        let form = match self.form {
            Form::Json => "",
            _ if json => "",
            Form::Markdown => "md",
            Form::Csv => "csv",
        };
        let mut parts = std::pin::pin!(client.screening_report(&path, form).await?);
        let mut out = std::io::stdout().lock();
        while let Some(part) = parts.next().await {
            let part = part?;
            if std::io::stdout().is_terminal() {
                out.write_all(output::printable(&String::from_utf8_lossy(&part)).as_bytes())?;
            } else {
                out.write_all(&part)?;
            }
        }
        out.flush()?;
        Ok(())
    }
}

async fn held(client: &Client, collection: Option<&str>, json: bool) -> Result<()> {
    let mut waiting = Vec::new();
    for found in client.collections(collection).await? {
        waiting.extend(client.documents_in_state(found.id, "quarantined").await?);
    }
    if json {
        return output::json(&waiting);
    }
    if waiting.is_empty() {
        println!("Nothing waits for a reviewer.");
    }
    for document in waiting {
        let latest = &document.latest;
        println!("{}  {}", latest.id, output::line(&document.name, 80));
        println!(
            "    {}; see: carrel screening report {}",
            note(&latest.state, latest.screening.as_ref()),
            document.id
        );
    }
    Ok(())
}

/// What screening says of a version, in a few words.
pub(crate) fn note(state: &str, screening: Option<&ScreeningNoteBody>) -> String {
    let Some(found) = screening else { return "not screened".to_owned() };
    let reviewed = found.review.as_ref().map(|review| format!(", {review} by a reviewer")).unwrap_or_default();
    let waits = if state == "quarantined" { ", waits for a reviewer" } else { "" };
    format!("screening: {} ({} findings{reviewed}{waits})", found.verdict, found.findings)
}

async fn look_up(client: &Client, json: bool) -> Result<()> {
    let mut value = String::new();
    std::io::stdin().lock().take(16 << 10).read_to_string(&mut value)?;
    let found = client.look_up(value.trim().to_owned()).await?;
    if json {
        return output::json(&found);
    }
    if found.occurrences.is_empty() {
        println!("Nothing holds this value.");
    }
    for place in found.occurrences {
        println!(
            "{}  {} times as {}  {}, version {}",
            place.document_id,
            place.count,
            place.kind,
            output::line(&place.name, 60),
            place.version_number
        );
    }
    Ok(())
}
