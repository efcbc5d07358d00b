//! `carrel diff` and `carrel restore`

use crate::output;
use anyhow::{Result, bail};
use carrel_client::Client;
use carrel_domain::DocumentId;
use carrel_wire::{DifferenceBody, VersionBody};
use clap::Args;

#[derive(Args)]
pub(crate) struct Diff {
    /// Id of the document.
    document: DocumentId,
    /// Number of the earlier version; by default the one before `--to`.
    #[arg(long)]
    from: Option<u32>,
    /// Number of the later version; by default the newest.
    #[arg(long)]
    to: Option<u32>,
}

#[derive(Args)]
pub(crate) struct Restore {
    /// Id of the document.
    document: DocumentId,
    /// Number of the version to bring back.
    #[arg(long)]
    version: u32,
}

impl Diff {
    pub(crate) async fn run(&self, client: &Client, json: bool) -> Result<()> {
        let versions = client.versions(self.document).await?;
        let newest = versions.first().map_or(0, |version| version.number);
        let to = self.to.unwrap_or(newest);
        let from = self.from.unwrap_or(to.saturating_sub(1));
        if from == 0 {
            bail!("the document has one version; there is nothing to compare it with");
        }
        let found = client.diff(pick(&versions, from)?.id, pick(&versions, to)?.id).await?;
        if json {
            return output::json(&found);
        }
        println!("version {from} to version {to}");
        for part in &found.differences {
            show(part);
        }
        if found.differences.is_empty() {
            println!("The texts are equal.");
        }
        if found.truncated {
            println!("There are more differences than are shown.");
        }
        Ok(())
    }
}

impl Restore {
    pub(crate) async fn run(&self, client: &Client, json: bool) -> Result<()> {
        let versions = client.versions(self.document).await?;
        let done = client.restore(pick(&versions, self.version)?.id).await?;
        if json {
            return output::json(&done);
        }
        match done.job_id {
            Some(job) => println!("Version {} is on its way back as the newest one (job {job}).", self.version),
            None => println!("The newest version has the same bytes already; nothing was changed."),
        }
        Ok(())
    }
}

fn pick(versions: &[VersionBody], number: u32) -> Result<&VersionBody> {
    match versions.iter().find(|version| version.number == number) {
        Some(version) => Ok(version),
        None => bail!("the document has no version {number}; `carrel show DOCUMENT` lists its versions"),
    }
}

fn show(part: &DifferenceBody) {
    let (gone, come, end) = if output::colour() { ("\u{1b}[31m", "\u{1b}[32m", "\u{1b}[0m") } else { ("", "", "") };
    println!("\n@ characters {}–{}: …{}", part.after.start, part.after.end, output::line(&part.context, 70));
    for (sign, paint, words) in [('-', gone, &part.removed), ('+', come, &part.inserted)] {
        for line in words.lines().filter(|line| !line.trim().is_empty()) {
            println!("{paint}{sign} {}{end}", output::printable(line));
        }
    }
}
