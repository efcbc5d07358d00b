//! `carrel jobs`

use crate::output;
use anyhow::Result;
use carrel_client::Client;
use carrel_domain::JobId;
use carrel_wire::JobBody;
use clap::{Args, Subcommand};

#[derive(Args)]
pub(crate) struct Jobs {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only jobs in these states, separated by commas (for example discarded,retryable).
    #[arg(long)]
    state: Option<String>,
    /// Only jobs of this kind (for example document.extract).
    #[arg(long)]
    kind: Option<String>,
    /// Jobs shown, 1 to 200.
    #[arg(long, default_value_t = 20)]
    limit: u32,
}

#[derive(Subcommand)]
enum Command {
    /// Tell all about one job: why it waits, its attempts and their errors.
    Show {
        /// The job.
        id: JobId,
    },
    /// Run a job again.
    Retry {
        /// The job.
        id: JobId,
    },
    /// Cancel a job, and what needs it.
    Cancel {
        /// The job.
        id: JobId,
    },
}

impl Jobs {
    pub(crate) async fn run(&self, client: &Client, json: bool) -> Result<()> {
        match &self.command {
            None => self.list(client, json).await,
            Some(Command::Show { id }) => show(client, *id, json).await,
            Some(Command::Retry { id }) => {
                let retried = client.retry_job(*id).await?;
                if json {
                    return output::json(&retried);
                }
                println!("runs as job {}", retried.job_id);
                Ok(())
            }
            Some(Command::Cancel { id }) => {
                client.cancel_job(*id).await?;
                if json {
                    return output::json(&serde_json::json!({ "job_id": id }));
                }
                println!("job {id} is cancelled, or will stop as soon as it notices");
                Ok(())
            }
        }
    }

    async fn list(&self, client: &Client, json: bool) -> Result<()> {
        let mut query = vec![("limit", self.limit.to_string())];
        query.extend(self.state.clone().map(|state| ("state", state)));
        query.extend(self.kind.clone().map(|kind| ("kind", kind)));
        let page = client.jobs(&query).await?;
        if json {
            return output::json(&page);
        }
        if page.items.is_empty() {
            println!("There are no such jobs.");
        }
        for job in &page.items {
            println!("{}", summary(job));
        }
        Ok(())
    }
}

fn summary(job: &JobBody) -> String {
    let error = job.last_error.as_ref().map(|error| format!("  {}", error.code)).unwrap_or_default();
    let progress = job.progress.as_ref().filter(|_| job.state == "running");
    let progress = progress.map(|p| format!("  {}/{} {}", p.done, p.total.unwrap_or(0), p.note)).unwrap_or_default();
    format!(
        "{}  {:<10} {:<18} attempt {}/{}  {}{progress}{error}",
        job.id,
        job.state,
        job.kind,
        job.attempt,
        job.max_attempts,
        job.created_at.format("%Y-%m-%d %H:%M:%S")
    )
}

async fn show(client: &Client, id: JobId, json: bool) -> Result<()> {
    let page = client.job(id).await?;
    if json {
        return output::json(&page);
    }
    println!("{}", summary(&page.job));
    println!("  works on {}", page.job.payload);
    for wait in &page.waits {
        println!("  {}", wait.message);
    }
    for attempt in &page.attempts {
        println!(
            "  attempt {} {} at {}",
            attempt.number,
            attempt.outcome,
            attempt.started_at.format("%Y-%m-%d %H:%M:%S")
        );
        if let Some(error) = &attempt.error {
            println!("    {} ({})", output::printable(&error.message), error.code);
        }
    }
    if let Some(error) = &page.job.last_error {
        println!("  {} ({})", output::printable(&error.message), error.code);
    }
    Ok(())
}
