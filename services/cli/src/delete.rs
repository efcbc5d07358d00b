//! `carrel delete`

use crate::output;
use anyhow::{Result, bail};
use carrel_client::Client;
use carrel_domain::DocumentId;
use clap::Args;
use serde_json::json;

#[derive(Args)]
pub(crate) struct Delete {
    /// The id of a document, or the name of a collection.
    what: String,
    /// Delete a collection with all its documents.
    #[arg(long)]
    all: bool,
}

impl Delete {
    pub(crate) async fn run(&self, client: &Client, json: bool) -> Result<()> {
        if let Some(found) = client.collections(Some(&self.what)).await?.pop() {
            if !self.all && found.documents > 0 {
                bail!(
                    "{} holds {} documents; to delete it with all of them: carrel delete {:?} --all",
                    found.name,
                    found.documents,
                    found.name
                );
            }
            client.delete_collection(found.id).await?;
            return say(json, &json!({ "collection_id": found.id, "documents": found.documents }), &found.name);
        }
        let Ok(id) = self.what.parse::<DocumentId>() else {
            bail!("there is no collection named {:?}, and it is no id; `carrel show` lists the collections", self.what);
        };
        let document = client.document(id).await?;
        client.delete_document(id).await?;
        say(json, &json!({ "document_id": id, "versions": document.versions }), &document.name)
    }
}

fn say(json: bool, deleted: &serde_json::Value, name: &str) -> Result<()> {
    if json {
        return output::json(deleted);
    }
    println!("Deleted: {}. It no longer answers, and its bytes follow.", output::line(name, 80));
    Ok(())
}
