//! `carrel admin backup` and `carrel admin restore`.

use crate::admin::owner;
use crate::output;
use anyhow::{Context, Result, bail};
use carrel_assembly::{Backups, FilledStore, Restored, Restoring, Target, prune_backups, restore};
use carrel_backup::pgbackrest::Replay;
use carrel_backup::{Choice, Damaged, Kind, Signed, Trust, new_identity, verify};
use carrel_runtime::config::Settings;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum, ValueHint};
use secrecy::ExposeSecret;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

const NO_BACKUP: &str = "there is no backup: make one with `carrel admin backup create`";

#[derive(Args)]
pub(crate) struct AdminBackup {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Make a backup; without options an incremental one, or a full one where there is nothing to go on from.
    Create {
        /// Copy the database anew.
        #[arg(long, conflicts_with = "due")]
        full: bool,
        /// Only what the settings say is due now; a timer calls this.
        #[arg(long)]
        due: bool,
    },
    /// List the backups, and whose keys they need.
    List,
    /// Read every byte of the destination and compare its digest; with the key, decrypt the newest backup and compare every
    /// original. Ends with an error when anything is damaged or missing.
    Verify {
        /// Remove damaged chunks, so that the next backup stores them again from what is still there.
        #[arg(long)]
        drop_damaged: bool,
    },
    /// Put a backup back; the same as `carrel admin restore`.
    Restore(AdminRestore),
    /// Remove backups that backup.keep_hours and backup.keep_days do not keep, and what only they needed.
    Prune,
    /// Make a key for backups: an identity that reads them, and its recipient for backup.recipient.
    Key {
        /// Where to write the identity; standard output when not given.
        #[arg(long, value_hint = ValueHint::FilePath)]
        out: Option<PathBuf>,
    },
}

#[derive(Args)]
pub(crate) struct AdminRestore {
    /// The backup; the newest when not given.
    id: Option<String>,
    /// Restore this moment (RFC 3339): exactly, where the log was kept; else the last backup before it.
    #[arg(long, conflicts_with = "id", value_parser = output::moment)]
    to: Option<DateTime<Utc>>,
    /// Where the backups are, instead of backup.destination.
    #[arg(long)]
    from: Option<String>,
    /// Believe the signature of this key (thumbprint); needed where the instance's key is lost.
    #[arg(long, value_name = "THUMBPRINT")]
    signed_by: Vec<String>,
    /// Write the copied cluster to this folder, for a PostgreSQL of your own.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    cluster: Option<PathBuf>,
    /// Restore one part alone.
    #[arg(long)]
    only: Option<Part>,
    /// The store has originals already: keep them, add what is lacking.
    #[arg(long)]
    complete_store: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Part {
    Database,
    Originals,
}

impl AdminBackup {
    pub(crate) async fn run(&self, settings: &Settings, as_json: bool) -> Result<ExitCode> {
        match &self.command {
            None => create(settings, Kind::Incremental, false, as_json).await,
            Some(Command::Create { full, due }) => {
                let kind = if *full { Kind::Full } else { Kind::Incremental };
                create(settings, kind, *due, as_json).await
            }
            Some(Command::List) => list(settings, as_json).await,
            Some(Command::Verify { drop_damaged }) => {
                let damaged = if *drop_damaged { Damaged::Drop } else { Damaged::Keep };
                check(settings, damaged, as_json).await
            }
            Some(Command::Restore(restore)) => restore.run(settings, as_json).await,
            Some(Command::Prune) => prune(settings, as_json).await,
            Some(Command::Key { out }) => key(out.as_deref(), as_json),
        }
    }
}

/// The owner's address: as configured, or of the private server that runs.
fn owner_url(settings: &Settings) -> Result<String> {
    let database = &settings.database;
    if let Some(url) = database.admin_url.as_ref().or(database.url.as_ref()) {
        return Ok(url.expose_secret().to_owned());
    }
    let folder = database.embedded.data_dir.clone().unwrap_or_else(|| carrel_postgres::data_dir().join("postgres"));
    let running = carrel_postgres::Running::find(&folder).context(
        "no database is configured and no private one runs; set CARREL__DATABASE__ADMIN_URL, or start `carrel up`",
    )?;
    Ok(running.url(carrel_postgres::SUPERUSER, "carrel"))
}

async fn create(settings: &Settings, kind: Kind, only_due: bool, as_json: bool) -> Result<ExitCode> {
    let backups = Backups::new(settings, None)?;
    let kind = if only_due {
        let Some(kind) = backups.due().await? else {
            if as_json {
                output::json(&json!({ "due": false }))?;
            } else {
                println!("no backup is due");
            }
            return Ok(ExitCode::SUCCESS);
        };
        kind
    } else {
        kind
    };
    let owner = owner(settings).await?;
    let made = backups.make(&owner, &owner_url(settings)?, kind).await;
    let pruned = if only_due && made.is_ok() && kind == Kind::Full {
        Some(prune_backups(&backups, &owner).await?)
    } else {
        None
    };
    owner.close().await;
    let signed = made?;
    let manifest = &signed.manifest;
    let damaged = &manifest.originals.damaged;
    if as_json {
        output::json(&described(&signed))?;
    } else {
        println!("{}  {}", manifest.id, words(&signed));
        println!("{} new chunks, {} bytes", manifest.new_chunks, manifest.new_bytes);
        if let Some(pruned) = pruned {
            println!("{} older backups removed, {} kept", pruned.removed, pruned.kept);
        }
        for one in damaged {
            println!("damaged  {one}");
        }
        if !damaged.is_empty() {
            println!("what to do: `carrel admin store check` names the documents; an older backup may have them");
        }
    }
    Ok(if damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn words(signed: &Signed) -> String {
    let manifest = &signed.manifest;
    let database = manifest.database.as_ref();
    format!(
        "restores to {}  database by {}, {} bytes{}  {} originals, {} bytes",
        manifest.restores_to().format("%Y-%m-%d %H:%M:%S"),
        database.map_or("none", |part| part.method.as_str()),
        database.map_or(0, |part| part.content.bytes),
        database
            .filter(|part| !part.log.is_empty())
            .map_or_else(String::new, |part| { format!(" and {} segments of its log", part.log.len()) }),
        manifest.originals.count,
        manifest.originals.bytes,
    )
}

fn described(signed: &Signed) -> serde_json::Value {
    let manifest = &signed.manifest;
    let database = manifest.database.as_ref().map(|part| {
        json!({
            "method": part.method.as_str(), "server": part.server, "migration": part.migration, "lsn": part.lsn,
            "bytes": part.content.bytes, "sha256": part.content.sha256, "log_segments": part.log.len(),
            "restores_from": part.base_at, "stanza": part.outside.as_ref().map(|outside| &outside.stanza),
            "label": part.outside.as_ref().map(|outside| &outside.label), "rows": part.tables.iter().map(|table| table.rows).sum::<i64>(),
        })
    });
    json!({
        "id": manifest.id, "kind": manifest.kind.as_str(), "started_at": manifest.started_at, "ended_at": manifest.ended_at,
        "restores_to": manifest.restores_to(), "version": manifest.version, "recipient": manifest.recipient,
        "signed_by": signed.signed_by, "database": database,
        "originals": {
            "count": manifest.originals.count, "bytes": manifest.originals.bytes, "damaged": manifest.originals.damaged,
        },
        "new_chunks": manifest.new_chunks, "new_bytes": manifest.new_bytes,
    })
}

async fn list(settings: &Settings, as_json: bool) -> Result<ExitCode> {
    let repository = Backups::new(settings, None)?.open().await?;
    let mut rows = Vec::new();
    let mut keys = std::collections::BTreeSet::new();
    let mut sound = true;
    for listed in repository.backups().await? {
        match repository.manifest(&listed.id).await {
            Ok(signed) if as_json => rows.push(described(&signed)),
            Ok(signed) => {
                println!("{}  {}", signed.manifest.id, words(&signed));
                keys.insert(format!("signed by {}\nencrypted to {}", signed.signed_by, signed.manifest.recipient));
            }
            Err(error) => {
                sound = false;
                rows.push(json!({ "id": listed.id, "fault": error.to_string() }));
                if !as_json {
                    println!("{}  FAULT  {error}", listed.id);
                }
            }
        }
    }
    if as_json {
        output::json(&rows)?;
    } else if sound && keys.is_empty() {
        println!("{NO_BACKUP}");
    }
    for key in keys {
        println!("{key}");
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn check(settings: &Settings, damaged: Damaged, as_json: bool) -> Result<ExitCode> {
    let backups = Backups::new(settings, None)?;
    let repository = backups.open().await?;
    let trust = backups.signer()?.map(|key| Trust { keys: vec![key.thumbprint()] });
    let mut checked = verify(&repository, trust.as_ref(), damaged).await?;
    checked.faults.extend(backups.fault_of_pgbackrest(&repository).await?);
    let sound = checked.faults.is_empty() && checked.backups > 0;
    if as_json {
        output::json(&json!({
            "sound": sound, "backups": checked.backups, "chunks": checked.chunks, "bytes": checked.bytes,
            "originals": checked.originals, "unsound": checked.unsound, "faults": checked.faults,
        }))?;
        return Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    for fault in &checked.faults {
        println!("FAULT  {fault}");
    }
    println!("{} backups, {} chunks read, {} bytes", checked.backups, checked.chunks, checked.bytes);
    if settings.backup.identity.is_some() || settings.backup.passphrase.is_some() {
        println!("{} originals of the newest decrypted and compared", checked.originals);
    } else {
        println!("stored bytes compared; their content only with backup.identity or backup.passphrase");
    }
    if checked.backups == 0 {
        println!("{NO_BACKUP}");
    }
    if !checked.unsound.is_empty() {
        println!("not to be restored whole: {}", checked.unsound.join(", "));
        println!("what to do: `carrel admin backup verify --drop-damaged`, then `carrel admin backup create --full`");
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn prune(settings: &Settings, as_json: bool) -> Result<ExitCode> {
    let backups = Backups::new(settings, None)?;
    let owner = owner(settings).await?;
    let pruned = prune_backups(&backups, &owner).await;
    owner.close().await;
    let pruned = pruned?;
    if as_json {
        output::json(&json!({ "kept": pruned.kept, "removed": pruned.removed, "chunks": pruned.chunks }))?;
    } else {
        println!("{} backups kept, {} removed with {} chunks", pruned.kept, pruned.removed, pruned.chunks);
    }
    Ok(ExitCode::SUCCESS)
}

fn key(out: Option<&std::path::Path>, as_json: bool) -> Result<ExitCode> {
    let (identity, recipient) = new_identity();
    let text = format!("# recipient: {recipient}\n{}\n", identity.expose_secret());
    match out {
        Some(path) if path.exists() => bail!("{} exists; it is not overwritten", path.display()),
        Some(path) => crate::credentials::write_private(path, &text)?,
        None if !as_json => print!("{text}"),
        None => {}
    }
    if as_json {
        let shown = out.is_none().then(|| identity.expose_secret().to_owned());
        output::json(&json!({ "recipient": recipient, "identity": shown }))?;
    } else {
        println!("backup.recipient: {recipient}");
        println!("Without the identity no backup can be read: keep it in two places that are not this machine.");
    }
    Ok(ExitCode::SUCCESS)
}

impl AdminRestore {
    pub(crate) async fn run(&self, settings: &Settings, as_json: bool) -> Result<ExitCode> {
        let backups = Backups::new(settings, self.from.as_deref())?;
        let target = Target {
            choice: match (&self.id, self.to) {
                (Some(id), _) => Choice::Id(id.clone()),
                (None, Some(moment)) => Choice::Moment(moment),
                (None, None) => Choice::Newest,
            },
            signed_by: self.signed_by.clone(),
            cluster: self.cluster.clone(),
            parts: match self.only {
                None => Restoring::All,
                Some(Part::Database) => Restoring::Database,
                Some(Part::Originals) => Restoring::Originals,
            },
            filled_store: if self.complete_store { FilledStore::Complete } else { FilledStore::Refuse },
        };
        let restored = restore(settings, &backups, &target).await?;
        if !as_json {
            tell(&restored);
        }
        if restored.cluster.is_some() {
            if as_json {
                output::json(&told(&restored))?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut answer = told(&restored);
        let sound = self.check(settings, as_json, &mut answer).await;
        if let Some(server) = restored.server {
            server.stop().await?;
        }
        let sound = sound?;
        if as_json {
            answer["sound"] = sound.into();
            output::json(&answer)?;
        } else {
            println!("{}", if sound { "restored and sound" } else { "restored, and something is wrong: see above" });
        }
        Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The same checks as an operator would run; what they say is printed, or goes into `answer`.
    async fn check(&self, settings: &Settings, as_json: bool, answer: &mut serde_json::Value) -> Result<bool> {
        let (mut sound, found) = crate::admin::examine_all(settings, as_json).await;
        answer["doctor"] = found;
        let owner = owner(settings).await?;
        let (whole, found) = crate::admin_audit::AdminAudit::whole().examine(&owner, as_json).await?;
        owner.close().await;
        sound &= whole;
        answer["audit"] = found.into();
        if self.only.is_none() {
            let (whole, found) = crate::admin_store::check_whole(settings, as_json).await?;
            sound &= whole;
            answer["store"] = found;
        }
        Ok(sound)
    }
}

fn told(restored: &Restored) -> serde_json::Value {
    json!({
        "id": restored.signed.manifest.id, "moment": restored.moment, "rows_compared": restored.rows,
        "originals": restored.originals.map(|done| done.restored + done.present),
        "originals_bytes": restored.originals.map(|done| done.bytes),
        "key_restored": restored.key_restored, "cluster": restored.cluster,
    })
}

fn tell(restored: &Restored) {
    println!("backup {} restored to {}", restored.signed.manifest.id, restored.moment.format("%Y-%m-%d %H:%M:%S"));
    if let Some(rows) = restored.rows {
        println!("{rows} rows compared with what was backed up, table by table");
    }
    if let Some(done) = restored.originals {
        println!("{} originals put back ({} bytes), {} were there", done.restored, done.bytes, done.present);
    }
    if restored.key_restored {
        println!("the signing key was put back as well");
    }
    let Some(folder) = &restored.cluster else { return };
    match &restored.replay {
        Some(Replay::Everything) => {
            println!("pgBackRest put the cluster there; PostgreSQL will replay all that is archived");
        }
        Some(Replay::Backup) => {
            println!("pgBackRest put the cluster there; PostgreSQL will replay it to the end of that backup");
        }
        Some(Replay::Moment(moment)) => {
            println!("pgBackRest put the cluster there; PostgreSQL will replay it to {moment}");
        }
        None => {}
    }
    println!(
        "what to do: give {} to PostgreSQL's account, start it on it, wait until it takes writes, then run",
        folder.display()
    );
    println!("  carrel admin doctor && carrel admin audit verify && carrel admin store check");
}
