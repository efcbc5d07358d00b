//! `carrel up`: everything in one process, on a private PostgreSQL unless the settings name another.

use crate::api::{serve, serve_metrics};
use crate::error::AssemblyError;
use crate::health::{watch_models, watch_parts, watch_queue};
use crate::install::{first_client, signing_key};
use crate::parts::{Embedders, Parts, operations, tokens};
use crate::worker;
use carrel_domain::ClientId;
use carrel_postgres::{Installation, SUPERUSER, Server, ServerConfig};
use carrel_runtime::config::Settings;
use carrel_runtime::health::Registry;
use carrel_storage::Admin;
use secrecy::{ExposeSecret, SecretString};
use std::net::SocketAddr;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const DATABASE: &str = "carrel";
pub(crate) const LOGIN: &str = "carrel_service";

/// A running Carrel.
pub struct Embedded {
    /// Where the API and the page listen.
    pub address: SocketAddr,
    /// The client that was made for this machine's user; `None` when `keep` said that the one it has is good.
    pub client: Option<StartedClient>,
    server: Option<Server>,
    parts: Parts,
    served: JoinHandle<Result<(), AssemblyError>>,
    worked: JoinHandle<Result<(), carrel_queue::QueueError>>,
    stop: CancellationToken,
}

/// A client for this machine's user.
#[derive(Clone, Debug)]
pub struct StartedClient {
    /// Its id.
    pub id: ClientId,
    /// Its secret; shown once.
    pub secret: SecretString,
}

/// Starts everything. `known` is the client that the user already has, if any; a new one is made when it is not known
/// to the database.
pub async fn up(
    mut settings: Settings,
    known: Option<ClientId>,
    stop: CancellationToken,
) -> Result<Embedded, AssemblyError> {
    let server = prepare_database(&mut settings).await?;
    if settings.auth.signing_key.is_none() {
        settings.auth.signing_key = Some(signing_key(&carrel_postgres::data_dir().join("signing-key.pem"))?);
    }
    let owner = owner_url(&settings, server.as_ref())?;
    let admin = Admin::connect(&owner).await?;
    admin.migrate().await?;
    if let Some(server) = &server {
        admin.ensure_login(LOGIN, None).await?;
        settings.database.url = Some(server.url(LOGIN, DATABASE).into());
    }
    let client = first_client(&admin, "carrel up", known).await?;
    admin.close().await;

    let parts = Parts::new(&settings, "carrel")?;
    let health = Registry::new();
    watch_parts(&health, &parts);
    let embedders = Embedders::local(&settings).await?;
    watch_models(&health, &parts.database, &embedders);
    let operations = operations(&settings, &parts, embedders, tokens(&settings)?)?;
    let queues = worker::configured_queues(&settings, |_| true)?;
    let machine = worker::build(&settings, &operations, &queues)?;
    watch_queue(&health, Some(machine.health()));
    serve_metrics(&settings, &parts, &health, &stop).await?;
    crate::backup::watch(&settings, &stop)?;
    crate::backup::keep_backing_up(&private(&settings, server.is_some()), owner, &stop)?;
    let (address, served) = serve(&settings, operations, health, stop.clone()).await?;
    let worked = tokio::spawn(machine.run(stop.clone()));
    Ok(Embedded { address, client, server, parts, served, worked, stop })
}

impl Embedded {
    /// Waits for the stop, then ends everything in order: requests and jobs first, the database last.
    pub async fn finished(mut self) -> Result<(), AssemblyError> {
        let lost = async {
            match &self.server {
                Some(server) => server.exited().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.stop.cancelled() => {}
            why = lost => tracing::error!(why, "the private database server has ended"),
            _ = &mut self.worked => tracing::error!("the worker has ended"),
        }
        self.stop.cancel();
        let served = self.served.await.unwrap_or(Ok(()));
        if !self.worked.is_finished()
            && let Ok(Err(error)) = self.worked.await
        {
            tracing::error!(error = &error as &dyn std::error::Error, "the worker ended with an error");
        }
        self.parts.database.close().await;
        if let Some(server) = self.server {
            server.stop().await?;
        }
        served
    }
}

async fn prepare_database(settings: &mut Settings) -> Result<Option<Server>, AssemblyError> {
    if settings.database.url.is_some() {
        return Ok(None);
    }
    let embedded = &settings.database.embedded;
    let installation = Installation::discover(embedded.bin_dir.as_deref())?;
    let folder = embedded.data_dir.clone().unwrap_or_else(|| carrel_postgres::data_dir().join("postgres"));
    let server = Server::start(ServerConfig::new(installation, folder)).await?;
    Admin::ensure_database(&server.url(SUPERUSER, "postgres"), DATABASE).await?;
    Ok(Some(server))
}

/// The settings as they were written: the address of the private server is none that somebody configured.
fn private(settings: &Settings, own: bool) -> Settings {
    let mut settings = settings.clone();
    if own {
        settings.database.url = None;
    }
    settings
}

fn owner_url(settings: &Settings, server: Option<&Server>) -> Result<String, AssemblyError> {
    if let Some(server) = server {
        return Ok(server.url(SUPERUSER, DATABASE));
    }
    let url = settings.database.admin_url.as_ref().or(settings.database.url.as_ref());
    let missing = AssemblyError::Missing { key: "database.url", advice: "name the database" };
    Ok(url.ok_or(missing)?.expose_secret().to_owned())
}
