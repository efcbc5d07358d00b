//! `carrel audit`

use crate::output;
use anyhow::Result;
use carrel_client::Client;
use clap::{Args, Subcommand};
use uuid::Uuid;

#[derive(Subcommand)]
pub(crate) enum Audit {
    /// List entries of the audit trail, newest first.
    List(List),
}

#[derive(Args)]
pub(crate) struct List {
    /// Only entries about this document, version, collection, run, job or hold.
    #[arg(long)]
    subject: Option<Uuid>,
    /// Only entries of this client or job.
    #[arg(long)]
    actor: Option<Uuid>,
    /// Only entries of this operation, for example get_original.
    #[arg(long)]
    action: Option<String>,
    /// Only entries from this time on (RFC 3339).
    #[arg(long)]
    from: Option<String>,
    /// Only entries before this time (RFC 3339).
    #[arg(long)]
    before: Option<String>,
    /// How many.
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: usize,
}

impl Audit {
    pub(crate) async fn run(&self, client: &Client, json: bool) -> Result<()> {
        let Self::List(list) = self;
        let mut query: Vec<(&str, String)> = Vec::new();
        query.extend(list.subject.map(|id| ("subject", id.to_string())));
        query.extend(list.actor.map(|id| ("actor", id.to_string())));
        query.extend(list.action.clone().map(|action| ("action", action)));
        query.extend(list.from.clone().map(|time| ("from", time)));
        query.extend(list.before.clone().map(|time| ("before", time)));
        let mut entries = Vec::new();
        let mut cursor = None;
        while entries.len() < list.limit {
            let mut query = query.clone();
            query.push(("limit", (list.limit - entries.len()).clamp(1, 200).to_string()));
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let page = client.audit(&query).await?;
            entries.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        if json {
            return output::json(&entries);
        }
        for entry in &entries {
            let actor = entry.actor["id"].as_str().or(entry.actor["kind"].as_str()).unwrap_or_default();
            let subject = entry.subject.map(|id| id.to_string()).unwrap_or_default();
            let place = entry.position.map_or_else(|| "unsealed".to_owned(), |position| format!("#{position}"));
            println!(
                "{}  {place:>8}  {:<18} {subject:<36}  by {actor}  {}",
                entry.at.format("%Y-%m-%d %H:%M:%S"),
                output::line(&entry.action, 40),
                output::line(&entry.details.to_string(), 160)
            );
        }
        Ok(())
    }
}
