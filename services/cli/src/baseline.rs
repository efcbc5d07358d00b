//! `carrel baseline`

use crate::output;
use crate::search::{Mode, named};
use anyhow::{Result, bail};
use carrel_client::Client;
use carrel_domain::{CollectionId, DocumentId};
use carrel_wire::{BaselineBody, ChangeBody, FilterBody, MemberBody, NewBaselineBody, SearchBody};
use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Baseline {
    /// Freeze the current version of every document under a name.
    Create {
        /// Name, unique in the workspace.
        name: String,
        /// Collections to freeze, by name; all when none is named.
        #[arg(long, short)]
        collection: Vec<String>,
        /// Only the documents that a search for this finds.
        #[arg(long, short)]
        query: Option<String>,
        /// How to look: what has the words (the default), or also what is near in meaning; something always is.
        #[arg(long, value_enum, default_value = "lexical", requires = "query")]
        mode: Mode,
        /// Hits of that search, 1 to 100; several may lie in one document.
        #[arg(long, default_value_t = 100, requires = "query")]
        limit: u32,
        /// What it is for.
        #[arg(long, default_value = "")]
        description: String,
    },
    /// List the baselines.
    List,
    /// List the documents of a baseline with their digests.
    Show {
        /// Its name.
        name: String,
    },
    /// List what was added, removed and changed from one baseline to another.
    Compare {
        /// Name of the earlier one.
        before: String,
        /// Name of the later one.
        after: String,
    },
}

impl Baseline {
    pub(crate) async fn run(&self, client: &Client, json: bool) -> Result<()> {
        match self {
            Self::Create { name, collection, query, mode, limit, description } => {
                let collections = named(client, collection).await?;
                let documents = match query {
                    Some(query) => found(client, query, *mode, &collections, *limit).await?,
                    None => Vec::new(),
                };
                let body = NewBaselineBody {
                    name: name.clone(),
                    description: description.clone(),
                    collections,
                    filter: FilterBody { documents, ..FilterBody::default() },
                };
                let made = client.create_baseline(&body).await?;
                if json {
                    return output::json(&made);
                }
                println!("{}", line(&made));
                println!("Look in it: carrel search \"…\" --baseline {:?}", made.name);
            }
            Self::List => {
                let all = client.baselines(None).await?;
                if json {
                    return output::json(&all);
                }
                if all.is_empty() {
                    println!("There is no baseline yet. `carrel baseline create NAME` freezes what is current.");
                }
                for baseline in &all {
                    println!("{}", line(baseline));
                }
            }
            Self::Show { name } => {
                let baseline = find(client, name).await?;
                let members = client.baseline_documents(baseline.id).await?;
                if json {
                    return output::json(&members);
                }
                println!("{}", line(&baseline));
                for member in &members {
                    println!("  {}", describe(member));
                }
            }
            Self::Compare { before, after } => {
                let (before, after) = (find(client, before).await?, find(client, after).await?);
                let changes = client.compare_baselines(before.id, after.id).await?;
                if json {
                    return output::json(&changes);
                }
                for change in &changes {
                    match change {
                        ChangeBody::Added { after } => println!("+ {}", describe(after)),
                        ChangeBody::Removed { before } => println!("- {}", describe(before)),
                        ChangeBody::Changed { before, after } => println!(
                            "~ {}, version {} to {} (carrel diff {} --from {} --to {})",
                            output::line(&after.name, 80),
                            before.number,
                            after.number,
                            after.document_id,
                            before.number,
                            after.number
                        ),
                    }
                }
                if changes.is_empty() {
                    println!("They hold the same versions.");
                }
            }
        }
        Ok(())
    }
}

/// The documents that a search finds.
async fn found(
    client: &Client,
    query: &str,
    mode: Mode,
    collections: &[CollectionId],
    limit: u32,
) -> Result<Vec<DocumentId>> {
    let (query, collections) = (query.to_owned(), collections.to_vec());
    let body = SearchBody { query: query.clone(), mode: mode.into(), collections, limit, ..SearchBody::default() };
    let mut documents: Vec<DocumentId> =
        client.search(&body).await?.hits.into_iter().map(|hit| hit.document_id).collect();
    documents.sort_unstable();
    documents.dedup();
    if documents.is_empty() {
        bail!("nothing was found for {query:?}, so there is nothing to freeze");
    }
    Ok(documents)
}

/// The baseline of a name.
pub(crate) async fn find(client: &Client, name: &str) -> Result<BaselineBody> {
    match client.baselines(Some(name)).await?.pop() {
        Some(found) => Ok(found),
        None => bail!("there is no baseline named {name:?}; `carrel baseline list` shows them"),
    }
}

fn line(baseline: &BaselineBody) -> String {
    format!(
        "{} ({} documents, {}, digest {})",
        output::line(&baseline.name, 80),
        baseline.documents,
        baseline.created_at.format("%Y-%m-%d %H:%M:%S UTC"),
        baseline.digest
    )
}

fn describe(member: &MemberBody) -> String {
    let erased = member
        .erased
        .as_ref()
        .map(|mark| format!(", erased {}: {}", mark.at.format("%Y-%m-%d"), output::line(&mark.reason, 120)));
    let erased = erased.unwrap_or_default();
    format!("{}, version {}, {}{erased}", output::line(&member.name, 80), member.number, member.sha256)
}
