//! `carrel admin audit verify`

use crate::output;
use anyhow::{Result, bail};
use carrel_assembly::SystemClock;
use carrel_bundle::chain::{ChainCheck, text_digest};
use carrel_domain::digest::Digest;
use carrel_operations::Clock;
use carrel_storage::Admin as Owner;
use clap::Subcommand;
use serde_json::json;
use std::process::ExitCode;

#[derive(Subcommand)]
pub(crate) enum AdminAudit {
    /// Recompute the chain of every workspace and name each entry that was changed, removed, put in or moved.
    Verify {
        /// Only this workspace.
        #[arg(long)]
        workspace: Option<String>,
        /// Thumbprint of the key that must have signed (`kid` of the Ed25519 key at /.well-known/jwks.json); may be given
        /// again for keys of before.
        #[arg(long, value_name = "THUMBPRINT")]
        key: Vec<String>,
        /// A seal that was kept elsewhere: NUMBER:SHA256, from a log, a receipt or a bundle.
        #[arg(long, value_name = "NUMBER:SHA256", requires = "workspace")]
        anchor: Option<String>,
    },
}

impl AdminAudit {
    /// The chains of all workspaces.
    pub(crate) fn whole() -> Self {
        Self::Verify { workspace: None, key: Vec::new(), anchor: None }
    }

    pub(crate) async fn run(&self, owner: &Owner, json: bool) -> Result<ExitCode> {
        let (sound, rows) = self.examine(owner, json).await?;
        if json {
            output::json(&rows)?;
        }
        Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Whether every chain is sound, and each workspace for `--json`; without that, they are printed.
    pub(crate) async fn examine(&self, owner: &Owner, json: bool) -> Result<(bool, Vec<serde_json::Value>)> {
        let Self::Verify { workspace, key, anchor } = self;
        let anchor = anchor.as_deref().map(read_anchor).transpose()?;
        let mut sound = true;
        let mut rows = Vec::new();
        let mut known = false;
        for (id, name) in owner.workspaces().await? {
            if workspace.as_ref().is_some_and(|wanted| *wanted != name) {
                continue;
            }
            known = true;
            let (mut check, last) = verify(owner, id, anchor).await?;
            let foreign: Vec<String> =
                check.signed_by.iter().filter(|signer| !key.is_empty() && !key.contains(signer)).cloned().collect();
            check.faults.extend(foreign.iter().map(|signer| format!("seals were signed by another key, {signer}")));
            sound &= check.faults.is_empty();
            if json {
                rows.push(json!({
                    "workspace": name, "sound": check.faults.is_empty(), "entries": check.entries, "seals": check.seals,
                    "last_seal": last, "signed_by": check.signed_by, "faults": check.faults,
                }));
                continue;
            }
            for fault in &check.faults {
                println!("{name}: {}", output::printable(fault));
            }
            if check.faults.is_empty() {
                println!("{name}: sound, {} entries under {} seals", check.entries, check.seals);
            }
            for signer in &check.signed_by {
                println!("{name}: signed by {signer}");
            }
            if let Some(last) = last {
                println!("{name}: newest seal {last} (keep it elsewhere and give it with --anchor)");
            }
        }
        if let (Some(wanted), false) = (workspace, known) {
            bail!("there is no workspace {wanted:?}");
        }
        Ok((sound, rows))
    }
}

/// Checks one workspace's chain seal by seal; answers also the newest seal as an anchor.
async fn verify(
    owner: &Owner,
    id: carrel_domain::WorkspaceId,
    anchor: Option<(i64, Digest)>,
) -> Result<(ChainCheck, Option<String>)> {
    let mut check = ChainCheck::new(id, anchor);
    let mut last = None;
    let (mut number, mut position) = (0, 0);
    loop {
        let seals = owner.seals(id, number).await?;
        let Some(newest) = seals.last() else { break };
        number = newest.number;
        for seal in &seals {
            check.seal(seal, &owner.chain_part(id, seal).await?);
            position = seal.last;
            last = Some(format!("{}:{}", seal.number, text_digest(&seal.payload)));
        }
    }
    for beyond in owner.links_beyond(id, position).await? {
        check.faults.push(format!("the link at position {beyond} is covered by no seal"));
    }
    let unsealed = owner.unsealed(id).await?;
    Ok((check.finish(&unsealed, SystemClock.now()), last))
}

fn read_anchor(text: &str) -> Result<(i64, Digest)> {
    let parts =
        text.split_once(':').and_then(|(number, digest)| Some((number.parse().ok()?, Digest::parse(digest).ok()?)));
    match parts {
        Some(anchor) => Ok(anchor),
        None => bail!("{text:?} is no anchor; write NUMBER:SHA256"),
    }
}
