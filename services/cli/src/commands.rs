//! The commands, their options and their help.

use crate::{
    add, ask, audit, baseline, credentials, custody, delete, diff, eval, jobs, report, screening, search, show,
};
#[cfg(unix)]
use crate::{admin, screen, setup, up};
use anyhow::{Context, Result};
use carrel_client::Client;
use carrel_runtime::config::{Settings, Sources};
use clap::{CommandFactory, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Beside `<environment>.yaml`: settings for `carrel admin` alone, such as the owner of the database.
#[cfg(unix)]
pub(crate) const OWNER_FILE: &str = "admin.yaml";

/// A self-hosted research archive: documents in, cited answers out.
///
/// Start it with `carrel up`, then, in another terminal:
///
///   carrel add report.pdf letters/ --collection case --wait
///   carrel search "closing time" --collection case
///   carrel ask "How fast must the gate close?" --collection case
///   carrel baseline create "as signed" --collection case
#[derive(Parser)]
#[command(name = "carrel", version = carrel_runtime::build::text(), verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// Answer in JSON, one value per command.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Address of the server; by default the one in the credentials file.
    #[arg(long, global = true, env = "CARREL_URL", value_hint = ValueHint::Url)]
    pub(crate) url: Option<String>,
    /// Folder with <environment>.yaml, for `up` and `admin` (else CARREL_CONFIG_DIR, else /etc/carrel).
    #[arg(long, global = true, value_hint = ValueHint::DirPath)]
    config_dir: Option<PathBuf>,
    /// One more settings file, stronger than the folder's, for `up` and `admin`.
    #[arg(long, global = true, value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

impl Arguments {
    /// True for what runs until it is stopped, and must stop in order.
    #[cfg(unix)]
    pub(crate) fn serves(&self) -> bool {
        matches!(self.command, Command::Up)
    }

    /// Nothing does here.
    #[cfg(not(unix))]
    pub(crate) fn serves(&self) -> bool {
        let _ = self;
        false
    }
}

#[derive(Subcommand)]
enum Command {
    /// Run everything in this process, on a database of its own, until Ctrl-C.
    #[cfg(unix)]
    Up,
    /// Make this machine ready after the package was installed: PostgreSQL, secrets, schema, model, first client, services.
    #[cfg(unix)]
    Setup(setup::Setup),
    /// Add files and folders to a collection.
    Add(add::Add),
    /// Find passages.
    Search(search::Search),
    /// Ask a question and get a report in which every claim is an exact quote.
    Ask(ask::Ask),
    /// Show a collection, a document, a version's text, or a research run.
    Show(show::Show),
    /// Freeze document versions under a name, list and compare what was frozen.
    #[command(subcommand)]
    Baseline(baseline::Baseline),
    /// Show what differs between two versions of a document, word by word.
    Diff(diff::Diff),
    /// Bring an old version of a document back as its newest one.
    Restore(diff::Restore),
    /// Run a report again, or bundle it with its proof.
    #[command(subcommand)]
    Report(report::Report),
    /// Check a bundle, without a server.
    Verify(report::Verify),
    /// Print a document's label for its paper.
    Label(custody::Label),
    /// Record what a scanned label says.
    Scan(custody::Scan),
    /// Show what happened to a document's paper.
    Custody(custody::Custody),
    /// Place, release and list legal holds.
    #[command(subcommand)]
    Hold(custody::Hold),
    /// Delete a document with all its versions, or a collection. `carrel erase` does it for good, and proves it.
    Delete(delete::Delete),
    /// Erase a document for good, everywhere, and get a signed receipt.
    Erase(custody::Erase),
    /// Check the receipt of an erasure, without a server.
    #[command(subcommand)]
    Receipt(custody::Receipt),
    /// Read the audit trail.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Find personal data and credentials in files; needs no server.
    #[cfg(unix)]
    Screen(screen::Screen),
    /// Say what happens to personal data and credentials, see what was found, release what is held.
    #[command(subcommand)]
    Screening(screening::Screening),
    /// See jobs, why they wait, and run them again or cancel them.
    Jobs(jobs::Jobs),
    /// Measure retrieval and quotes on an evaluation set.
    #[command(subcommand)]
    Eval(eval::Eval),
    /// For operators: migrate, clients, keys, doctor.
    #[cfg(unix)]
    #[command(subcommand)]
    Admin(admin::Admin),
    /// Show the settings in force.
    #[command(subcommand)]
    Config(Config),
    /// Print the OpenAPI document of this version.
    #[cfg(unix)]
    Openapi,
    /// Print the completion script of a shell, for example: carrel completion bash > /etc/bash_completion.d/carrel
    Completion {
        /// Which shell.
        shell: Shell,
    },
    /// Write the manual pages of all commands to a folder.
    #[command(hide = true)]
    Man {
        /// The folder; made when it does not exist.
        #[arg(value_hint = ValueHint::DirPath)]
        folder: PathBuf,
    },
    /// What needs the server's side.
    #[cfg(not(unix))]
    #[command(external_subcommand)]
    Elsewhere(Vec<std::ffi::OsString>),
}

#[derive(Subcommand)]
enum Config {
    /// Print every setting with its origin; secrets are hidden.
    Show,
    /// Print the JSON Schema of a configuration file, for editors and for checks.
    Schema,
    /// Print the table of all metrics, in Markdown.
    Metrics,
}

/// Runs one command.
pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let json = arguments.json;
    #[cfg(unix)]
    let folder = Sources::folder(arguments.config_dir.as_deref());
    let sources = Sources::from_process(arguments.config_dir.as_deref(), arguments.config.as_deref());
    let connect = || -> Result<Client> { Ok(Client::new(credentials::load(arguments.url.as_deref())?)?) };
    match arguments.command {
        #[cfg(unix)]
        Command::Up => Box::pin(up::run(Settings::load(&sources)?, json)).await?,
        #[cfg(unix)]
        Command::Setup(setup) => return Box::pin(setup.run(&folder, json)).await,
        Command::Add(add) => return add.run(&connect()?, json).await,
        Command::Search(search) => search.run(&connect()?, json).await?,
        Command::Ask(ask) => return ask.run(&connect()?, json).await,
        Command::Show(show) => show.run(&connect()?, json).await?,
        Command::Baseline(baseline) => baseline.run(&connect()?, json).await?,
        Command::Diff(diff) => diff.run(&connect()?, json).await?,
        Command::Restore(restore) => restore.run(&connect()?, json).await?,
        Command::Report(report) => return report.run(&connect()?, json).await,
        Command::Verify(verify) => return verify.run(json),
        Command::Label(label) => label.run(&connect()?, json).await?,
        Command::Scan(scan) => scan.run(&connect()?, json).await?,
        Command::Custody(custody) => custody.run(&connect()?, json).await?,
        Command::Hold(hold) => hold.run(&connect()?, json).await?,
        Command::Delete(delete) => delete.run(&connect()?, json).await?,
        Command::Erase(erase) => erase.run(&connect()?, json).await?,
        Command::Receipt(receipt) => return receipt.run(json),
        Command::Audit(audit) => audit.run(&connect()?, json).await?,
        #[cfg(unix)]
        Command::Screen(screen) => screen.run(json).await?,
        Command::Screening(screening) => screening.run(&connect()?, json).await?,
        Command::Jobs(jobs) => jobs.run(&connect()?, json).await?,
        Command::Eval(eval) => eval.run(&connect()?, json).await?,
        #[cfg(unix)]
        Command::Admin(admin) => {
            let owner = folder.join(OWNER_FILE);
            let file = arguments.config.as_deref().or_else(|| owner.exists().then_some(owner.as_path()));
            let settings = Settings::load(&Sources::from_process(Some(&folder), file))?;
            crate::account::must_fit(&settings)?;
            return admin.run(&settings, json).await;
        }
        Command::Config(Config::Show) => print!("{}", Settings::load(&sources)?.redacted_yaml()),
        Command::Config(Config::Schema) => println!("{}", serde_json::to_string_pretty(&Settings::json_schema()?)?),
        Command::Config(Config::Metrics) => print!("{}", carrel_runtime::catalogue::markdown()),
        #[cfg(unix)]
        Command::Openapi => println!("{}", serde_json::to_string_pretty(&carrel_rest::openapi_document())?),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "carrel", &mut std::io::stdout());
        }
        Command::Man { folder } => manual(&folder)?,
        #[cfg(not(unix))]
        Command::Elsewhere(words) => {
            let name = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
            anyhow::bail!(
                "there is no `carrel {name}` on this system: servers run on Linux and macOS; from here, use one with --url \
                 (`carrel --help` lists what there is)"
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One page for `carrel` and one for each of its commands.
fn manual(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    clap_mangen::generate_to(Arguments::command(), folder)
        .with_context(|| format!("the pages cannot be written to {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::{Arguments, manual};
    use clap::CommandFactory;

    #[test]
    fn arguments_are_sound_and_every_command_has_a_page() {
        Arguments::command().debug_assert();
        let folder = tempfile::tempdir().unwrap();
        manual(&folder.path().join("man1")).unwrap();
        let pages = std::fs::read_dir(folder.path().join("man1")).unwrap().count();
        assert!(pages > Arguments::command().get_subcommands().filter(|command| !command.is_hide_set()).count());
    }
}
