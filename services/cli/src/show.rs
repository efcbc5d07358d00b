//! `carrel show`

use crate::output;
use anyhow::{Result, bail};
use carrel_client::Client;
use carrel_wire::{ActorBody, DocumentBody, DuplicateBody, VersionBody};
use clap::Args;

#[derive(Args)]
pub(crate) struct Show {
    /// A collection's name, or the id of a document, a version or a research run; nothing lists the collections.
    what: Option<String>,
    /// Print the text of the document's newest version, or of the version.
    #[arg(long)]
    text: bool,
    /// List the documents that are like the document, also by their meaning.
    #[arg(long, conflicts_with = "text")]
    duplicates: bool,
}

impl Show {
    pub(crate) async fn run(&self, client: &Client, json: bool) -> Result<()> {
        let Some(what) = &self.what else { return collections(client, json).await };
        if let Some(found) = client.collections(Some(what)).await?.pop() {
            let documents = client.documents(found.id).await?;
            if json {
                return output::json(&documents);
            }
            println!("{} ({} documents)", found.name, found.documents);
            for document in documents {
                println!("  {}", summary(&document));
            }
            return Ok(());
        }
        let Ok(id) = what.parse::<carrel_domain::DocumentId>() else {
            bail!("there is no collection named {what:?}, and it is no id; `carrel show` lists the collections");
        };
        match client.document(id).await {
            Ok(document) => return self.document(client, &document, json).await,
            Err(error) if error.code() == Some("not_found") => {}
            Err(error) => return Err(error.into()),
        }
        match client.version(id.0.into()).await {
            Ok(page) if self.text => return text(client, &page.version, json).await,
            Ok(page) if json => return output::json(&page),
            Ok(page) => {
                println!("{}", summary(&page.document));
                version(&page.version);
                return Ok(());
            }
            Err(error) if error.code() == Some("not_found") => {}
            Err(error) => return Err(error.into()),
        }
        let run = client.run(id.0.into()).await?;
        if json {
            return output::json(&run);
        }
        match run.report {
            Some(report) => println!("{}", output::markdown(&report)),
            None => println!("{} ({})", run.run.question, run.run.state),
        }
        if !run.outdated.is_empty() {
            let numbers: Vec<String> = run.outdated.iter().map(|number| format!("[{number}]")).collect();
            println!("STALE: what {} quotes has a newer version, or is gone.", numbers.join(", "));
            println!("See what would be answered now: carrel ask {:?}", output::line(&run.run.question, 200));
        }
        Ok(())
    }

    async fn document(&self, client: &Client, document: &DocumentBody, json: bool) -> Result<()> {
        if self.text {
            return text(client, &document.latest, json).await;
        }
        if self.duplicates {
            let found = client.duplicates(document.id, 0.5).await?;
            if json {
                return output::json(&found);
            }
            if found.is_empty() {
                println!("No other document is like it.");
            }
            for duplicate in &found {
                println!("{}", alike(duplicate));
            }
            return Ok(());
        }
        let versions = client.versions(document.id).await?;
        if json {
            return output::json(&serde_json::json!({ "document": document, "versions": versions }));
        }
        println!("{}", summary(document));
        for one in &versions {
            version(one);
        }
        for duplicate in &document.duplicates {
            println!("  {}", alike(duplicate));
        }
        Ok(())
    }
}

async fn collections(client: &Client, json: bool) -> Result<()> {
    let collections = client.collections(None).await?;
    if json {
        return output::json(&collections);
    }
    if collections.is_empty() {
        println!("There is no collection yet; make one with `carrel add PATH… --collection NAME`.");
    }
    for collection in collections {
        println!("{}  {} documents  {}", collection.id, collection.documents, output::line(&collection.name, 80));
    }
    Ok(())
}

fn summary(document: &DocumentBody) -> String {
    let name = output::line(document.latest.title.as_deref().unwrap_or(&document.name), 60);
    let plural = if document.versions == 1 { "" } else { "s" };
    format!(
        "{}  {:<10} {} version{plural}  {}  {name}",
        document.id,
        document.latest.state,
        document.versions,
        output::line(&document.external_id, 60)
    )
}

fn version(version: &VersionBody) {
    println!(
        "  version {}  {}  {}  {} bytes  {}",
        version.number,
        version.id,
        version.state,
        version.size,
        version.created_at.format("%Y-%m-%d %H:%M:%S")
    );
    println!("    sha256 {}", version.sha256);
    println!("    blake3 {}", version.blake3);
    println!("    {}", provenance(version));
    if let Some(failure) = &version.failure {
        let word = if version.state == "rejected" { "rejected" } else { "failed" };
        println!("    {word}: {} ({})", output::printable(&failure.message), failure.code);
    }
    if version.state == "quarantined" || version.screening.as_ref().is_some_and(|note| note.verdict != "clean") {
        println!("    {}", crate::screening::note(&version.state, version.screening.as_ref()));
    }
    if let Some(fixity) = &version.fixity {
        let at = fixity.checked_at.format("%Y-%m-%d %H:%M");
        match &fixity.problem {
            Some(problem) => println!("    ORIGINAL {}: {problem} (checked {at})", fixity.verdict.to_uppercase()),
            None => println!("    original {} (checked {at})", fixity.verdict),
        }
    }
    for warning in &version.warnings {
        println!("    note: {}", output::printable(warning));
    }
}

/// How a version came, and who brought it.
fn provenance(version: &VersionBody) -> String {
    let from =
        version.origin.as_ref().and_then(|origin| origin.version_id).map(|id| id.to_string()).unwrap_or_default();
    let came = match version.origin.as_ref().map(|origin| origin.kind.as_str()) {
        Some("member") => format!("found inside of version {from}"),
        Some("restore") => format!("restored from version {from}"),
        Some("upload") => "uploaded".to_owned(),
        other => other.unwrap_or("came").to_owned(),
    };
    match &version.created_by {
        Some(ActorBody::Client { id }) => format!("{came} by client {id}"),
        Some(ActorBody::Job { id }) => format!("{came} by job {id}"),
        Some(ActorBody::Operator) => format!("{came} by the operator"),
        None => came,
    }
}

/// How another document is like the one that is shown.
fn alike(duplicate: &DuplicateBody) -> String {
    let name = output::line(&duplicate.external_id, 60);
    let id = duplicate.document_id;
    match (duplicate.kind.as_str(), duplicate.similarity, duplicate.closeness) {
        ("exact", ..) => format!("exact duplicate of {name}  {id}"),
        ("near", Some(similarity), _) => format!("near-duplicate, {similarity:.2}, of {name}  {id}"),
        (_, _, Some(closeness)) => format!("says the same, {closeness:.2}, as {name}  {id}"),
        (kind, ..) => format!("{kind} duplicate of {name}  {id}"),
    }
}

async fn text(client: &Client, version: &VersionBody, json: bool) -> Result<()> {
    let mut whole = String::new();
    let mut start = 0;
    loop {
        let part = client.text(version.id, start, None).await?;
        whole.push_str(&part.text);
        if part.span.end >= part.characters || part.span.end == start {
            break;
        }
        start = part.span.end;
    }
    if json {
        return output::json(&serde_json::json!({ "version_id": version.id, "text": whole }));
    }
    println!("{}", output::printable(&whole));
    Ok(())
}
