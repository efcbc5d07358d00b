//! `carrel report` and `carrel verify`

use crate::{ask, output};
use anyhow::{Context, Result};
use carrel_client::Client;
use carrel_domain::RunId;
use clap::{Args, Subcommand, ValueHint};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Subcommand)]
pub(crate) enum Report {
    /// Ask the report's question again where it looked, and say what differs. Exits with 1 when something does.
    Reproduce {
        /// The research run.
        run: RunId,
    },
    /// Write the report with all that proves it to a ZIP file.
    Bundle {
        /// The research run.
        run: RunId,
        /// Where to; by default carrel-report-RUN.zip, and `-` is standard output.
        #[arg(long, short, value_hint = ValueHint::FilePath)]
        output: Option<PathBuf>,
    },
}

impl Report {
    pub(crate) async fn run(&self, client: &Client, json: bool) -> Result<ExitCode> {
        match self {
            Self::Reproduce { run } => {
                let again = client.reproduce(*run).await?;
                ask::follow(client, again.id, false).await?;
                let found = client.compare_runs(*run, again.id).await?;
                if json {
                    output::json(&json!({ "run": again.id, "comparison": found }))?;
                } else if found.same {
                    println!("Reproduced: run {} has the same {} quotes.", again.id, found.equal);
                } else {
                    println!("Run {} differs; {} quotes are the same.", again.id, found.equal);
                    for (sign, quotes) in [('-', &found.gone), ('+', &found.new)] {
                        for quote in quotes {
                            let words = output::line(&quote.quote, 120);
                            println!("{sign} {}, version {}: “{words}”", quote.document_name, quote.version_number);
                        }
                    }
                }
                Ok(if found.same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
            Self::Bundle { run, output: path } => {
                let bytes = client.bundle(*run).await?;
                let path = path.clone().unwrap_or_else(|| PathBuf::from(format!("carrel-report-{run}.zip")));
                if path.as_os_str() == "-" {
                    std::io::stdout().write_all(&bytes).context("the bundle cannot be written to standard output")?;
                    return Ok(ExitCode::SUCCESS);
                }
                std::fs::write(&path, &bytes).with_context(|| format!("{} cannot be written", path.display()))?;
                if json {
                    output::json(&json!({ "path": path, "bytes": bytes.len() }))?;
                } else {
                    println!("{} ({} bytes). Check it anywhere: carrel verify {0}", path.display(), bytes.len());
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

#[derive(Args)]
pub(crate) struct Verify {
    /// The bundle.
    #[arg(value_hint = ValueHint::FilePath)]
    bundle: PathBuf,
    /// Thumbprint of the key that must have signed it (`kid` of the Ed25519 key at /.well-known/jwks.json).
    #[arg(long, value_name = "THUMBPRINT")]
    key: Option<String>,
}

impl Verify {
    pub(crate) fn run(&self, json: bool) -> Result<ExitCode> {
        let bytes = std::fs::read(&self.bundle).with_context(|| format!("{} cannot be read", self.bundle.display()))?;
        let mut checked = carrel_bundle::verify(&bytes).with_context(|| format!("{}", self.bundle.display()))?;
        carrel_bundle::name_bytes(&bytes, &mut checked).with_context(|| format!("{}", self.bundle.display()))?;
        let foreign = self.key.as_ref().is_some_and(|key| *key != checked.signed_by);
        let sound = checked.faults.is_empty() && !foreign;
        if json {
            let faults: Vec<_> =
                checked.faults.iter().map(|f| json!({ "path": f.path, "problem": f.problem })).collect();
            output::json(&json!({
                "sound": sound, "signed_by": checked.signed_by, "key_expected": self.key, "quotes": checked.quotes,
                "versions": checked.versions, "audit_entries": checked.proved, "sealed_by": checked.sealed_by, "manifest": checked.manifest, "faults": faults,
            }))?;
        } else {
            for fault in &checked.faults {
                println!("{}: {}", fault.path, output::printable(&fault.problem));
            }
            if foreign {
                println!("signed by another key than {}", self.key.as_deref().unwrap_or_default());
            }
            if sound {
                println!(
                    "Sound: {} quotes stand where they say, {} versions listed, every byte as it was signed.",
                    checked.quotes, checked.versions
                );
                if let Some(baseline) = &checked.manifest.baseline {
                    println!("Baseline {:?}, digest {}", baseline.name, baseline.digest);
                }
                if checked.proved > 0 {
                    println!("{} audit entries, each under a signed seal", checked.proved);
                }
                println!("Signed by {}", checked.signed_by);
                for other in checked.sealed_by.iter().filter(|key| **key != checked.signed_by) {
                    println!("Seals of the audit trail also signed by {other}");
                }
                if self.key.is_none() {
                    println!("Compare that with the instance's key (/.well-known/jwks.json), or give it with --key.");
                }
            }
        }
        Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
