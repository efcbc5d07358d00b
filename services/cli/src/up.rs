//! `carrel up`

use crate::{credentials, output};
use anyhow::{Context, Result};
use carrel_client::{Client, Credentials};
use carrel_runtime::config::Settings;
use carrel_runtime::{lifecycle, telemetry};

pub(crate) async fn run(settings: Settings, json: bool) -> Result<()> {
    let telemetry = telemetry::init("carrel", &settings.telemetry)?;
    let result = serve(settings, json).await;
    telemetry.shutdown().await;
    result
}

async fn serve(settings: Settings, json: bool) -> Result<()> {
    let stop = lifecycle::stop_on_signal()?;
    let public_url = settings.server.public_url.clone();
    let known = credentials::known();
    let known_id = known.as_ref().and_then(|known| known.client_id.parse().ok());
    let running = carrel_assembly::up(settings, known_id, stop.clone()).await?;
    let url = public_url.unwrap_or_else(|| format!("http://{}", running.address));
    let credentials = match (&running.client, known) {
        (Some(client), _) => {
            Credentials { url: url.clone(), client_id: client.id.to_string(), client_secret: client.secret.clone() }
        }
        (None, Some(known)) => Credentials { url: url.clone(), ..known },
        (None, None) => anyhow::bail!("no client was made, and none is known"),
    };
    let file = credentials::save(&credentials)?;
    check(&credentials, &file).await?;
    if json {
        output::json(&serde_json::json!({ "url": url, "client_id": credentials.client_id, "credentials": file }))?;
    } else {
        println!("Carrel is ready at {url}");
        println!("  page         {url}/   (sign in with the client of {})", file.display());
        println!("  API          {url}/docs");
        println!("  add files    carrel add PATH… --collection NAME --wait");
        println!("  ask          carrel ask \"…\" --collection NAME");
        println!("Ctrl-C stops it.");
    }
    running.finished().await?;
    Ok(())
}

/// The secret in the file could be another one than the database knows, after a restored backup for example.
async fn check(credentials: &Credentials, file: &std::path::Path) -> Result<()> {
    let client = Client::new(credentials.clone())?;
    client
        .collections(None)
        .await
        .map(|_| ())
        .with_context(|| format!("the client in {} is not accepted; delete that file and start again", file.display()))
}
