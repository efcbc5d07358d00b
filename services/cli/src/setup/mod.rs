//! `carrel setup`: from an installed package to a running Carrel.
//!
//! Never changes anything before it has said what it will do and was told to. What is there already stays: a second run finds
//! nothing to do. Secrets never stand among a program's arguments.

mod address;
mod machine;
mod model;
mod plan;
mod postgres;
mod units;

use crate::credentials;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueHint};
use machine::{Account, Places};
use plan::{Given, Plan};
use serde_json::json;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use units::Supervisor;

/// The account of the services.
const ACCOUNT: &str = "carrel";

#[derive(Args)]
pub(crate) struct Setup {
    /// Do it without asking.
    #[arg(long, short = 'y')]
    yes: bool,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// A database elsewhere, as its owner: postgres://login:password@host/database. The login must be allowed to make roles.
    /// By default PostgreSQL of this machine is used, and installed where it is missing.
    #[arg(long, value_hint = ValueHint::Url, env = "CARREL__DATABASE__ADMIN_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// The same in a file, where other accounts of this machine cannot read it.
    #[arg(long, value_hint = ValueHint::FilePath, conflicts_with = "database_url")]
    database_url_file: Option<PathBuf>,
    /// Folder with model.safetensors, config.json and tokenizer.json. By default pip fetches the model.
    #[arg(long, value_hint = ValueHint::DirPath)]
    model: Option<PathBuf>,
    /// Make everything ready and start nothing.
    #[arg(long)]
    no_start: bool,
}

impl Setup {
    pub(crate) async fn run(&self, config_dir: &Path, json: bool) -> Result<ExitCode> {
        if !rustix::process::geteuid().is_root() {
            bail!("only root can look into the secrets and make what is missing: run `sudo carrel setup`");
        }
        let places = Places::system(config_dir);
        let plan = Plan::make(places.clone(), self.given()?).await?;
        let steps = plan.describe();
        if steps.is_empty() {
            report(&places, "nothing to do: Carrel is set up", json)?;
            return Ok(ExitCode::SUCCESS);
        }
        if !json {
            println!("carrel setup will:");
            for step in &steps {
                println!("  - {step}");
            }
        }
        if self.dry_run {
            if json {
                crate::output::json(&json!({ "dry_run": true, "steps": steps }))?;
            } else {
                println!("Nothing was changed (--dry-run).");
            }
            return Ok(ExitCode::SUCCESS);
        }
        if !self.yes && !confirmed()? {
            bail!("nothing was changed");
        }
        plan.carry_out(|step| {
            if !json {
                println!("{step} …");
            }
        })
        .await?;
        report(&places, "Carrel is set up", json)?;
        Ok(ExitCode::SUCCESS)
    }

    fn given(&self) -> Result<Given> {
        let text = match (&self.database_url, &self.database_url_file) {
            (Some(url), _) if !url.is_empty() => Some(url.clone()),
            (_, Some(file)) => {
                let text = std::fs::read_to_string(file);
                Some(text.with_context(|| format!("--database-url-file: {} cannot be read", file.display()))?)
            }
            _ => None,
        };
        let database = text.map(|text| address::Address::parse(text.trim())).transpose()?;
        Ok(Given { database, model: model::Source::of(self.model.as_deref())?, start: !self.no_start })
    }
}

fn confirmed() -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nobody can be asked here: add --yes to do this, or --dry-run to only see it");
    }
    print!("Go on? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Where things are and what comes next.
fn report(places: &Places, headline: &str, json: bool) -> Result<()> {
    let settings = plan::settings(places)?;
    let (url, file) = (settings.server.base_url(), credentials::path()?);
    let supervisor = units::supervisor();
    if json {
        return crate::output::json(&json!({
            "ready": true, "url": url, "credentials": file, "settings": places.settings(),
            "units": supervisor == Supervisor::Systemd,
        }));
    }
    println!("{headline}.");
    println!("  page          {url}/   (sign in with the client of {})", file.display());
    println!("  add files     carrel add PATH… --collection NAME --wait");
    println!("  ask           carrel ask \"…\" --collection NAME");
    println!("  more clients  runuser -u {ACCOUNT} -- carrel admin client create NAME");
    println!("  settings      {}, then: systemctl restart carrel.target", places.settings().display());
    println!("  is it well?   runuser -u {ACCOUNT} -- carrel admin doctor");
    println!("  keep safe     {} apart from the data", places.etc.join("secrets").display());
    println!("  backups       name where they go in the settings, then: systemctl enable --now carrel-backup.timer");
    match supervisor {
        Supervisor::Systemd => {}
        Supervisor::NoUnits => {
            println!("systemd does not know the units: install the package, or copy them from the archive.");
        }
        Supervisor::Other => {
            println!("systemd does not run here: start carrel-api, carrel-ai and carrel-worker as {ACCOUNT} yourself.");
        }
    }
    Ok(())
}

/// The account of the services.
fn account() -> Result<Option<Account>> {
    Account::find(ACCOUNT)
}
