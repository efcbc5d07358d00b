//! `carrel admin init`

use crate::{credentials, output};
use anyhow::Result;
use carrel_client::Credentials;
use carrel_runtime::config::Settings;
use clap::{Args, ValueHint};
use serde_json::json;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct Init {
    /// The key that signs access tokens: written here unless there is one.
    #[arg(long, value_hint = ValueHint::FilePath)]
    key: Option<PathBuf>,
    /// Also make a first client, unless the credentials file (CARREL_CREDENTIALS) holds one that is good.
    #[arg(long)]
    client: bool,
}

impl Init {
    pub(crate) async fn run(&self, settings: &Settings, json: bool) -> Result<()> {
        let admin = carrel_assembly::install(settings, self.key.as_deref()).await?;
        let mut file = None;
        if self.client {
            let known = credentials::known().and_then(|known| known.client_id.parse().ok());
            if let Some(client) = carrel_assembly::first_client(&admin, "first client", known).await? {
                let url = settings.server.base_url();
                let made = Credentials { url, client_id: client.id.to_string(), client_secret: client.secret };
                credentials::save(&made)?;
            }
            file = Some(credentials::path()?);
        }
        admin.close().await;
        if json {
            return output::json(&json!({ "ready": true, "key": self.key, "credentials": file }));
        }
        println!("the schema is up to date, the services' login is made");
        if let Some(key) = &self.key {
            println!("the signing key is {}", key.display());
        }
        if let Some(file) = file {
            println!("the first client is in {}", file.display());
        }
        Ok(())
    }
}
