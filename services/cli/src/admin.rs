//! `carrel admin`

use crate::admin_audit::AdminAudit;
use crate::admin_backup::{AdminBackup, AdminRestore};
use crate::admin_index::AdminIndex;
use crate::admin_init::Init;
use crate::admin_jobs::AdminJobs;
use crate::admin_store::{AdminFixity, AdminStore};
use crate::credentials::write_private;
use crate::output;
use anyhow::{Context, Result, bail};
use carrel_assembly::{Parts, SystemClock, SystemIds};
use carrel_domain::{ClientId, IdSource, Scopes, WorkspaceId};
use carrel_operations::{Clock, TokenIssuer, new_secret};
use carrel_runtime::config::Settings;
use carrel_storage::{Admin as Owner, NewClient};
use clap::{Subcommand, ValueHint};
use secrecy::ExposeSecret;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Subcommand)]
pub(crate) enum Admin {
    /// Bring the database's schema to what this version needs. Safe to run again, and from several places at once.
    Migrate {
        /// Also make this login for the services, which row-level security binds.
        #[arg(long)]
        login: Option<String>,
        /// File with the login's password.
        #[arg(long, value_hint = ValueHint::FilePath, requires = "login")]
        password_file: Option<PathBuf>,
    },
    /// Make an installation ready: the schema, the login that database.url names, the signing key, the first client. What is
    /// there already stays, so that it may run before every start.
    Init(Init),
    /// Check settings, database, store, queue and model, and say what to do about what is wrong.
    Doctor,
    /// OAuth clients.
    #[command(subcommand)]
    Client(ClientCommand),
    /// Jobs of every workspace: the audit, queues, limits.
    #[command(subcommand)]
    Jobs(AdminJobs),
    /// The audit trail: check its chain.
    #[command(subcommand)]
    Audit(AdminAudit),
    /// The store of originals: compare it with the database, move it elsewhere.
    #[command(subcommand)]
    Store(AdminStore),
    /// Whether the originals are what they were.
    #[command(subcommand)]
    Fixity(AdminFixity),
    /// Back up the database and the originals, list, check and prune backups.
    Backup(AdminBackup),
    /// Put a backup back into an empty database and store, and check the result.
    Restore(AdminRestore),
    /// Search indexes: change the embedding model without downtime.
    #[command(subcommand)]
    Index(AdminIndex),
    /// Make a private key that signs access tokens (ES256, PKCS #8 PEM).
    Key {
        /// Where to write it; standard output when not given.
        #[arg(long, value_hint = ValueHint::FilePath)]
        out: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
pub(crate) enum ClientCommand {
    /// Make a client; its secret is shown once.
    Create {
        /// What people call it.
        name: String,
        /// The workspace that it belongs to; made when it does not exist.
        #[arg(long, default_value = "default")]
        workspace: String,
        /// What it may do, separated by spaces; everything when not given. Scopes: documents:read documents:write search
        /// research jobs:read jobs:write audit:read custody:write holds:write documents:erase
        #[arg(long)]
        scopes: Option<String>,
    },
    /// List clients.
    List,
    /// End a client's access. Its tokens run out within their lifetime.
    Revoke {
        /// The client.
        id: ClientId,
    },
}

impl Admin {
    pub(crate) async fn run(&self, settings: &Settings, json: bool) -> Result<ExitCode> {
        match self {
            Self::Migrate { login, password_file } => {
                let owner = owner(settings).await?;
                owner.migrate().await.map_err(|error| {
                    let remedy = error.remedy();
                    anyhow::Error::new(error).context(remedy)
                })?;
                if let Some(login) = login {
                    let password = password_file.as_ref().map(std::fs::read_to_string).transpose();
                    let password = password.context("the password file cannot be read")?;
                    owner.ensure_login(login, password.as_deref().map(str::trim_end)).await?;
                }
                if json {
                    output::json(&json!({ "migrated": true }))?;
                } else {
                    println!("the schema is up to date");
                }
                Ok(ExitCode::SUCCESS)
            }
            Self::Init(init) => {
                init.run(settings, json).await?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Doctor => doctor(settings, json).await,
            Self::Client(command) => {
                command.run(&owner(settings).await?, settings, json).await?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Audit(command) => command.run(&owner(settings).await?, json).await,
            Self::Jobs(command) => command.run(settings, json).await,
            Self::Store(command) => command.run(settings, json).await,
            Self::Fixity(command) => command.run(settings, json).await,
            Self::Backup(command) => command.run(settings, json).await,
            Self::Restore(command) => command.run(settings, json).await,
            Self::Index(command) => command.run(settings, json).await,
            Self::Key { out } => {
                let key = TokenIssuer::generate_key();
                match out {
                    Some(path) if path.exists() => bail!("{} exists; it is not overwritten", path.display()),
                    Some(path) => write_private(path, &key)?,
                    None => print!("{key}"),
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// The owner's connection: as configured, or to the private server of a `carrel up` that runs on this machine.
pub(crate) async fn owner(settings: &Settings) -> Result<Owner> {
    let configured = settings.database.admin_url.as_ref().or(settings.database.url.as_ref());
    if let Some(url) = configured {
        return Ok(Owner::connect(url.expose_secret()).await?);
    }
    let folder = settings.database.embedded.data_dir.clone();
    let folder = folder.unwrap_or_else(|| carrel_postgres::data_dir().join("postgres"));
    let Some(running) = carrel_postgres::Running::find(&folder) else {
        bail!("no database is configured and no private one runs; set CARREL__DATABASE__URL, or start `carrel up`");
    };
    Ok(Owner::connect(&running.url(carrel_postgres::SUPERUSER, "carrel")).await?)
}

impl ClientCommand {
    async fn run(&self, owner: &Owner, settings: &Settings, json: bool) -> Result<()> {
        let now = SystemClock.now();
        match self {
            Self::Create { name, workspace, scopes } => {
                let scopes: Scopes = match scopes {
                    Some(text) => text.parse()?,
                    None => Scopes::all(),
                };
                if scopes.is_empty() {
                    bail!("a client without a scope can do nothing; name some, or leave --scopes out for all");
                }
                let workspace = owner.ensure_workspace(workspace, WorkspaceId(SystemIds.new_id()), now).await?;
                let (secret, secret_digest) = new_secret();
                let id = ClientId(SystemIds.new_id());
                owner.create_client(&NewClient { id, workspace, name, secret_digest, scopes: &scopes, now }).await?;
                if json {
                    return output::json(&json!({
                        "client_id": id, "client_secret": secret, "workspace_id": workspace,
                        "scope": scopes.to_string(), "token_endpoint": format!("{}/oauth/token", settings.server.base_url()),
                    }));
                }
                println!("client_id      {id}\nclient_secret  {secret}\nscope          {scopes}");
                println!("The secret is not shown again.");
            }
            Self::List => {
                let clients = owner.list_clients().await?;
                if json {
                    let rows: Vec<_> = clients
                        .iter()
                        .map(|client| json!({
                            "client_id": client.id, "name": client.name, "workspace": client.workspace_name,
                            "scope": client.scopes, "created_at": client.created_at, "revoked_at": client.revoked_at,
                        }))
                        .collect();
                    return output::json(&rows);
                }
                for client in clients {
                    let ended = if client.revoked_at.is_some() { "revoked" } else { "active" };
                    println!(
                        "{}  {ended:<7}  {}  {}  {}",
                        client.id, client.workspace_name, client.name, client.scopes
                    );
                }
            }
            Self::Revoke { id } => {
                if !owner.revoke_client(*id, now).await? {
                    bail!("there is no active client {id}");
                }
                if json {
                    return output::json(&json!({ "revoked": id }));
                }
                println!("client {id} is revoked");
            }
        }
        Ok(())
    }
}

struct Finding {
    name: &'static str,
    result: Result<String, (String, &'static str)>,
}

async fn doctor(settings: &Settings, json: bool) -> Result<ExitCode> {
    let (sound, rows) = examine_all(settings, json).await;
    if json {
        output::json(&rows)?;
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What `doctor` finds: whether all is well, and each check for `--json`; without that, they are printed.
pub(crate) async fn examine_all(settings: &Settings, json: bool) -> (bool, serde_json::Value) {
    let findings = examine(settings).await;
    let sound = findings.iter().all(|finding| finding.result.is_ok());
    let rows = findings.iter().map(|finding| match &finding.result {
        Ok(found) => json!({ "check": finding.name, "ok": true, "found": found }),
        Err((problem, advice)) => json!({ "check": finding.name, "ok": false, "problem": problem, "advice": advice }),
    });
    let rows = rows.collect();
    if !json {
        for finding in &findings {
            match &finding.result {
                Ok(found) => println!("ok    {:<11} {found}", finding.name),
                Err((problem, advice)) => println!("FAIL  {:<11} {problem}\n      {:<11} {advice}", finding.name, "->"),
            }
        }
    }
    (sound, rows)
}

async fn examine(settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![Finding { name: "settings", result: Ok("every key is known".to_owned()) }];
    findings.push(Finding { name: "database", result: database(settings).await });
    if settings.database.url.is_some() {
        let parts = Parts::new(settings, "carrel-doctor");
        let result = match &parts {
            Err(error) => Err((error.to_string(), "correct the setting")),
            Ok(parts) => match parts.database.check_role().await {
                Ok(()) => Ok("row-level security binds the services' role".to_owned()),
                Err(error) => {
                    Err((error.to_string(), "run `carrel admin migrate --login carrel_service` and use that login"))
                }
            },
        };
        findings.push(Finding { name: "role", result });
        if let Ok(parts) = &parts {
            let result = match parts.database.schema_state().await {
                Ok(state) => match state.remedy() {
                    None if state.unknown > 0 => Ok(format!("newer by {} migrations, and usable", state.unknown)),
                    None => Ok("as this version needs it".to_owned()),
                    Some(remedy) => Err((remedy, "until then no program is ready")),
                },
                Err(error) => Err((chain(&error), "run `carrel admin migrate`")),
            };
            findings.push(Finding { name: "schema", result });
        }
        if let Ok(parts) = &parts {
            let result = match parts.originals.check(SystemIds.new_id()).await {
                Ok(()) => Ok("it takes, gives and deletes".to_owned()),
                Err(error) => {
                    Err((chain(&error), "check store.* in the settings, and that the folder or bucket is writable"))
                }
            };
            findings.push(Finding { name: "store", result });
        }
    }
    if let Ok(parts) = Parts::new(settings, "carrel-doctor") {
        let result = carrel_assembly::index_fits(settings, &parts.database).await;
        let result = result.map_err(|problem| (problem, "until then only lexical searches answer"));
        findings.push(Finding { name: "index", result });
    }
    let files = carrel_assembly::model_dir();
    let model = settings.inference.embedder.model_dir.clone().unwrap_or(files);
    let provider = settings.inference.embedder.provider.as_deref().unwrap_or_default();
    let result = if provider != "builtin" {
        Ok(format!("provider {provider}"))
    } else if model.join("model.safetensors").is_file() {
        Ok(format!("{}", model.display()))
    } else if let Some(url) = &settings.ai.url {
        // Other programs hold none; where they may not reach it, asking would only look like a fault.
        Ok(format!("held by carrel-ai at {url}, whose own readiness tells of it"))
    } else {
        Err((
            format!("{} holds no model", model.display()),
            "run `carrel setup` (in a checkout: scripts/setup), or name inference.embedder.model_dir",
        ))
    };
    findings.push(Finding { name: "model", result });
    findings
}

async fn database(settings: &Settings) -> Result<String, (String, &'static str)> {
    let connected = match owner(settings).await {
        Ok(connected) => connected,
        Err(error) => {
            let embedded = carrel_postgres::Installation::discover(settings.database.embedded.bin_dir.as_deref());
            return match (settings.database.url.is_none(), embedded) {
                (true, Ok(found)) => Ok(format!("not running; `carrel up` will use PostgreSQL {}", found.version())),
                (true, Err(error)) => Err((error.to_string(), "run scripts/setup, or set CARREL__DATABASE__URL")),
                (false, _) => Err((format!("{error:#}"), "check the address, and that PostgreSQL runs")),
            };
        }
    };
    let (server, vector) = connected.versions().await.map_err(|error| (chain(&error), "check that PostgreSQL runs"))?;
    if server < 160_000 {
        return Err((format!("PostgreSQL {} is too old", server / 10_000), "use PostgreSQL 16 or newer"));
    }
    match vector {
        None => Err(("pgvector is not installed".to_owned(), "install pgvector 0.8 or newer on the server")),
        Some(vector) => Ok(format!("PostgreSQL {}.{} with pgvector {vector}", server / 10_000, server % 10_000)),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
