//! `carrel admin store` and `carrel admin fixity`: the bytes of the originals.

use crate::admin::owner;
use crate::admin_jobs::database;
use crate::output;
use anyhow::{Result, bail};
use carrel_assembly::{SystemClock, configured_store, settings_for, store_at};
use carrel_domain::WorkspaceId;
use carrel_operations::Clock;
use carrel_runtime::config::Settings;
use carrel_storage::fixity::{self, Pace};
use carrel_storage::store_check::{self, CheckRules, Depth, Remedy, StoreReport};
use carrel_storage::store_move::{self, Trust};
use clap::Subcommand;
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;

/// Damaged originals that are shown of each workspace.
const SHOWN: u32 = 200;

#[derive(Subcommand)]
pub(crate) enum AdminStore {
    /// Compare the store with the database: every original is there with its size and digests, nothing is left over. Ends
    /// with an error when an original is missing or damaged.
    Check {
        /// Compare sizes only; reading every byte is what finds a flipped bit.
        #[arg(long)]
        quick: bool,
        /// Move damaged bytes to quarantine, and remove what is left over for longer than the grace time.
        #[arg(long)]
        repair: bool,
        /// Hours that something must be left over before it is removed; by default store.orphan_grace_hours.
        #[arg(long, value_parser = clap::value_parser!(u64).range(2..=8760))]
        grace_hours: Option<u64>,
    },
    /// Copy every original to another store while the system runs, and say which setting to change then. Run it again to go
    /// on after an interruption; nothing is taken from the first store.
    Migrate {
        /// Where to: file:///folder, or s3://bucket?endpoint=https://…&region=… with the settings' or AWS_ credentials.
        #[arg(long)]
        to: String,
        /// Believe what is at the target already by its size, instead of reading it.
        #[arg(long)]
        trust_sizes: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum AdminFixity {
    /// Show how many originals were checked, and which are not sound.
    Show,
    /// Read every original of every workspace again now. Ends with an error when one is not sound.
    Check {
        /// Bytes to read in a second; by default as fast as it goes.
        #[arg(long)]
        bytes_per_second: Option<u64>,
    },
}

/// Every workspace with its name.
pub(crate) async fn workspaces(settings: &Settings) -> Result<Vec<(WorkspaceId, String)>> {
    let owner = owner(settings).await?;
    let found = owner.list_workspaces().await?;
    owner.close().await;
    Ok(found)
}

impl AdminStore {
    pub(crate) async fn run(&self, settings: &Settings, as_json: bool) -> Result<ExitCode> {
        match self {
            Self::Check { quick, repair, grace_hours } => {
                let rules = CheckRules {
                    depth: if *quick { Depth::Sizes } else { Depth::Bytes },
                    remedy: if *repair { Remedy::Repair } else { Remedy::Tell },
                    grace: Duration::from_hours(grace_hours.unwrap_or(settings.store.orphan_grace_hours)),
                    now: SystemClock.now(),
                };
                check(settings, &rules, as_json).await
            }
            Self::Migrate { to, trust_sizes } => {
                let trust = if *trust_sizes { Trust::Size } else { Trust::Digest };
                migrate(settings, to, trust, as_json).await
            }
        }
    }
}

/// Reads every original, and changes nothing.
pub(crate) async fn check_whole(settings: &Settings, as_json: bool) -> Result<(bool, serde_json::Value)> {
    let grace = Duration::from_hours(settings.store.orphan_grace_hours);
    let rules = CheckRules { depth: Depth::Bytes, remedy: Remedy::Tell, grace, now: SystemClock.now() };
    examine(settings, &rules, as_json).await
}

async fn check(settings: &Settings, rules: &CheckRules, as_json: bool) -> Result<ExitCode> {
    let (sound, found) = examine(settings, rules, as_json).await?;
    if as_json {
        output::json(&found)?;
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether the store is sound, and what was found for `--json`; without that, it is printed.
async fn examine(settings: &Settings, rules: &CheckRules, as_json: bool) -> Result<(bool, serde_json::Value)> {
    let (database, originals) = (database(settings)?, configured_store(settings)?);
    let workspaces = workspaces(settings).await?;
    let mut total = 0;
    for (workspace, _) in &workspaces {
        let mut transaction = database.begin(*workspace).await?;
        total += fixity::summary(&mut transaction).await?.originals;
        transaction.rollback().await?;
    }
    let bar = output::bar(total, !as_json);
    bar.set_prefix("originals");
    let mut report = StoreReport::default();
    let mut pace = Pace::new(None);
    for (workspace, name) in &workspaces {
        bar.set_message(name.clone());
        let seen = bar.clone();
        let mut seen = move |number| seen.set_position(number);
        store_check::check_originals(&database, &originals, *workspace, rules, &mut pace, &mut report, &mut seen)
            .await?;
        store_check::collect_orphans(&database, &originals, *workspace, rules, &mut report).await?;
    }
    let ids: Vec<WorkspaceId> = workspaces.iter().map(|(id, _)| *id).collect();
    store_check::tell_strangers(&originals, &ids, &mut report).await?;
    store_check::collect_staged(&originals, rules, &mut report).await?;
    bar.finish_and_clear();
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|finding| {
            json!({
                "trouble": finding.trouble.as_str(), "path": finding.path, "detail": finding.detail,
                "repair": finding.repair,
            })
        })
        .collect();
    let found = json!({
        "sound": report.is_sound(), "originals": report.originals, "bytes": report.bytes,
        "objects": report.objects, "quarantined": report.quarantined, "counts": report.counts,
        "findings": findings,
    });
    if !as_json {
        tell(&report, rules);
    }
    Ok((report.is_sound(), found))
}

fn tell(report: &StoreReport, rules: &CheckRules) {
    for finding in &report.findings {
        let repair = finding.repair.map(|repair| format!("  -> {repair}")).unwrap_or_default();
        println!("{:<8} {}  {}{repair}", finding.trouble.as_str(), finding.path, finding.detail);
    }
    let how = if rules.depth == Depth::Bytes { "read" } else { "measured" };
    println!("{} originals {how}, {} bytes; {} objects in the store", report.originals, report.bytes, report.objects);
    for (trouble, number) in &report.counts {
        println!("{number:>8} {trouble}");
    }
    if report.quarantined > 0 {
        println!("{:>8} in quarantine", report.quarantined);
    }
    if report.is_sound() {
        println!("every original is there and sound");
    } else {
        println!(
            "what to do: restore the named files from a backup, or add them again; the same bytes heal the original"
        );
    }
}

async fn migrate(settings: &Settings, to: &str, trust: Trust, as_json: bool) -> Result<ExitCode> {
    let from = configured_store(settings)?;
    let target = store_at(settings, to)?;
    target.check(carrel_domain::IdSource::new_id(&carrel_assembly::SystemIds)).await?;
    let (objects, bytes) = store_move::measure(&from).await?;
    let bar = output::bar(bytes, !as_json);
    bar.set_prefix("bytes");
    bar.set_message(format!("{objects} originals"));
    let moving = bar.clone();
    let moved = store_move::copy_all(&from, &target, trust, &mut move |bytes| moving.inc(bytes)).await?;
    bar.finish_and_clear();
    let done = moved.complete && moved.damaged.is_empty();
    if as_json {
        output::json(&json!({
            "complete": done, "copied": moved.copied, "bytes": moved.bytes, "present": moved.present,
            "damaged": moved.damaged, "settings": settings_for(to),
        }))?;
        return Ok(if done { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    for damaged in &moved.damaged {
        println!("damaged  {damaged}");
    }
    println!("{} originals copied and read back ({} bytes), {} were there", moved.copied, moved.bytes, moved.present);
    if !moved.complete {
        bail!("uploads came faster than they could be copied; run it again");
    }
    if !moved.damaged.is_empty() {
        println!("what to do: `carrel admin store check` names the documents; heal them, then run this again");
        return Ok(ExitCode::FAILURE);
    }
    println!("Change these settings everywhere and start the programs again, one after the other:\n");
    print!("{}", settings_for(to));
    println!("  previous: {}", previous(settings));
    println!(
        "\nWhat arrives until then is read from the previous store. Afterwards run this once more with the old settings,"
    );
    println!("check with `carrel admin store check`, and take `previous` out.");
    Ok(ExitCode::SUCCESS)
}

/// The address of the store of the settings.
fn previous(settings: &Settings) -> String {
    let store = &settings.store;
    match &store.bucket {
        Some(bucket) if store.kind == carrel_runtime::config::StoreKind::S3 => {
            let mut address = format!("s3://{bucket}?region={}", store.region);
            if let Some(endpoint) = &store.endpoint {
                address.extend(["&endpoint=", endpoint.as_ref()]);
            }
            if store.allow_http {
                address.push_str("&allow_http=true");
            }
            address
        }
        _ => {
            let path = store.path.clone().unwrap_or_else(|| carrel_postgres::data_dir().join("objects"));
            format!("file://{}", path.display())
        }
    }
}

impl AdminFixity {
    pub(crate) async fn run(&self, settings: &Settings, as_json: bool) -> Result<ExitCode> {
        if let Self::Check { bytes_per_second } = self {
            read_all(settings, *bytes_per_second, as_json).await?;
        }
        show(settings, as_json).await
    }
}

async fn read_all(settings: &Settings, bytes_per_second: Option<u64>, as_json: bool) -> Result<()> {
    let (database, originals) = (database(settings)?, configured_store(settings)?);
    let started = SystemClock.now();
    let bar = output::bar(0, !as_json);
    bar.set_prefix("originals");
    let mut pace = Pace::new(bytes_per_second);
    for (workspace, name) in workspaces(settings).await? {
        let mut transaction = database.begin(workspace).await?;
        bar.inc_length(fixity::summary(&mut transaction).await?.originals);
        transaction.rollback().await?;
        bar.set_message(name);
        let mut after = None;
        loop {
            let times = (started, SystemClock.now());
            let batch = fixity::check_batch(&database, &originals, workspace, times, after, 32, &mut pace).await?;
            bar.inc(batch.originals);
            if batch.last.is_none() {
                break;
            }
            after = batch.last;
        }
    }
    bar.finish_and_clear();
    Ok(())
}

async fn show(settings: &Settings, as_json: bool) -> Result<ExitCode> {
    let database = database(settings)?;
    let mut rows = Vec::new();
    let mut sound = true;
    for (workspace, name) in workspaces(settings).await? {
        let mut transaction = database.begin(workspace).await?;
        let summary = fixity::summary(&mut transaction).await?;
        let damaged = fixity::list_damaged(&mut transaction, None, SHOWN).await?;
        transaction.rollback().await?;
        sound &= summary.damaged == 0 && summary.missing == 0;
        if !as_json {
            let oldest =
                summary.oldest.map_or_else(|| "never".to_owned(), |at| at.format("%Y-%m-%d %H:%M").to_string());
            println!(
                "{name}: {} originals, {} checked (the oldest check: {oldest}), {} damaged, {} missing",
                summary.originals, summary.checked, summary.damaged, summary.missing
            );
            for damage in &damaged.rows {
                let problem = damage.fixity.problem.as_deref().unwrap_or_default();
                println!("  {:<8} {}  {problem}", damage.fixity.verdict.as_str(), damage.sha256);
                for version in &damage.versions {
                    println!("           version {version}");
                }
            }
        }
        let damaged: Vec<_> = damaged
            .rows
            .iter()
            .map(|damage| {
                json!({
                    "sha256": damage.sha256, "verdict": damage.fixity.verdict.as_str(), "problem": damage.fixity.problem,
                    "checked_at": damage.fixity.checked_at, "damaged_since": damage.fixity.damaged_since,
                    "versions": damage.versions,
                })
            })
            .collect();
        rows.push(json!({
            "workspace": name, "originals": summary.originals, "checked": summary.checked,
            "damaged": summary.damaged, "missing": summary.missing, "oldest_check": summary.oldest, "items": damaged,
        }));
    }
    if as_json {
        output::json(&rows)?;
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
