//! `carrel jobs`

use crate::output;
use anyhow::Result;
use carrel_client::Client;
use carrel_domain::JobId;
use carrel_wire::{AttemptBody, JobBody, JobPageBody};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};

#[derive(Args)]
pub(crate) struct Jobs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
struct Which {
    /// Only jobs in these states, separated by commas (for example discarded,retryable).
    #[arg(long)]
    state: Option<String>,
    /// Only jobs of this kind (for example document.extract).
    #[arg(long)]
    kind: Option<String>,
    /// Only jobs of this queue (for example ingest).
    #[arg(long)]
    queue: Option<String>,
    /// Jobs shown, 1 to 200.
    #[arg(long, default_value_t = 20)]
    limit: u32,
}

#[derive(Subcommand)]
enum Command {
    /// Tell all about one job: what it is, what it waits for and since when, who holds it, its attempts and their errors.
    Show {
        /// The job.
        id: JobId,
    },
    /// List dead letters: jobs that gave up, each with its reason.
    Dead {
        /// Only jobs of this kind.
        #[arg(long)]
        kind: Option<String>,
        /// Jobs shown, 1 to 200.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Run a job again, or dead letters: all, or those of a kind.
    Retry {
        /// The job.
        #[arg(required_unless_present_any = ["kind", "dead"])]
        id: Option<JobId>,
        /// Every dead letter of this kind instead.
        #[arg(long, conflicts_with = "id")]
        kind: Option<String>,
        /// Every dead letter instead.
        #[arg(long, conflicts_with_all = ["id", "kind"])]
        dead: bool,
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
            None => self.which.list(client, json).await,
            Some(Command::Show { id }) => show(client, *id, json).await,
            Some(Command::Dead { kind, limit }) => {
                let dead =
                    Which { state: Some("discarded".to_owned()), kind: kind.clone(), queue: None, limit: *limit };
                dead.list(client, json).await
            }
            Some(Command::Retry { id: Some(id), .. }) => {
                let retried = client.retry_job(*id).await?;
                if json {
                    return output::json(&retried);
                }
                println!("runs as job {}", retried.job_id);
                Ok(())
            }
            Some(Command::Retry { kind, .. }) => replay(client, kind.as_deref(), json).await,
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
}

impl Which {
    async fn list(&self, client: &Client, json: bool) -> Result<()> {
        let mut query = vec![("limit", self.limit.to_string())];
        query.extend(self.state.clone().map(|state| ("state", state)));
        query.extend(self.kind.clone().map(|kind| ("kind", kind)));
        query.extend(self.queue.clone().map(|queue| ("queue", queue)));
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

/// What was replayed before is left out, so this ends.
async fn replay(client: &Client, kind: Option<&str>, json: bool) -> Result<()> {
    let mut replayed = Vec::new();
    loop {
        let batch = client.retry_dead_jobs(kind).await?.jobs;
        if batch.is_empty() {
            break;
        }
        replayed.extend(batch);
    }
    if json {
        return output::json(&replayed);
    }
    for retried in &replayed {
        println!("{} runs as job {}", retried.dead_letter_id, retried.job_id);
    }
    println!("{} dead letters run again", replayed.len());
    Ok(())
}

fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

fn summary(job: &JobBody) -> String {
    let error = job.last_error.as_ref().map(|error| format!("  {}", error.code)).unwrap_or_default();
    let progress = job.progress.as_ref().filter(|_| job.state == "running");
    let progress = progress.map(|p| format!("  {}/{} {}", p.done, p.total.unwrap_or(0), p.note)).unwrap_or_default();
    let again = match job.state.as_str() {
        "scheduled" | "retryable" => format!("  next at {}", moment(job.run_at)),
        _ => String::new(),
    };
    format!(
        "{}  {:<10} {:<18} {:<10} attempt {}/{}  {}{again}{progress}{error}",
        job.id,
        job.state,
        job.kind,
        job.queue,
        job.attempt,
        job.max_attempts,
        moment(job.created_at)
    )
}

async fn show(client: &Client, id: JobId, json: bool) -> Result<()> {
    let page = client.job(id).await?;
    if json {
        return output::json(&page);
    }
    println!("{}", summary(&page.job));
    for line in explanation(&page) {
        println!("  {}", output::printable(&line));
    }
    Ok(())
}

/// What `show` says below the summary.
fn explanation(page: &JobPageBody) -> Vec<String> {
    let job = &page.job;
    let mut lines = vec![format!("works on {}", job.payload)];
    lines.extend(job.parent_id.map(|parent| format!("asked for by job {parent}")));
    lines.extend(job.replay_of.map(|ended| format!("tries job {ended} again")));
    lines.extend(job.unique_key.as_ref().map(|key| format!("the only one with key {key}")));
    for wait in &page.waits {
        let since = wait.since.map(|since| format!(" (since {})", moment(since))).unwrap_or_default();
        lines.push(format!("{}{since}", wait.message));
    }
    lines.extend(page.attempts.iter().map(attempt));
    if let Some(error) = &job.last_error {
        lines.push(format!("last error: {} ({})", error.message, error.code));
    }
    lines.extend(job.finished_at.map(|at| format!("{} at {}", job.state, moment(at))));
    lines
}

fn attempt(attempt: &AttemptBody) -> String {
    let took = attempt.ended_at.map(|ended| ended - attempt.started_at);
    let took = took.map(|took| format!(" after {:.1} s", took.as_seconds_f64())).unwrap_or_default();
    let worker = attempt.worker_id.map(|id| format!(" on worker {id}")).unwrap_or_default();
    let error = attempt.error.as_ref().map(|error| format!(": {} ({})", error.message, error.code)).unwrap_or_default();
    let begun = moment(attempt.started_at);
    format!("attempt {} began {begun}{worker}, {}{took}{error}", attempt.number, attempt.outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        jobs: Jobs,
    }

    fn page() -> JobPageBody {
        let body = serde_json::json!({
            "id": "01900000-0000-7000-8000-000000000001", "kind": "document.extract", "queue": "ingest",
            "state": "retryable", "priority": 0, "payload": { "version": "x" }, "attempt": 1, "max_attempts": 5,
            "run_at": "2026-01-01T10:00:30Z", "created_at": "2026-01-01T10:00:00Z",
            "last_error": { "code": "timed_out", "message": "it took\tlonger than 20 s" },
            "waits": [{ "reason": "until", "message": "It starts at 10:00:30.", "since": "2026-01-01T10:00:21Z" }],
            "attempts": [{
                "number": 1, "started_at": "2026-01-01T10:00:01Z", "ended_at": "2026-01-01T10:00:21Z",
                "worker_id": "01900000-0000-7000-8000-0000000000aa", "outcome": "failed",
                "error": { "code": "timed_out", "message": "it took longer than 20 s" },
            }],
        });
        serde_json::from_value(body).expect("a page")
    }

    #[test]
    fn a_job_explains_itself() {
        let page = page();
        let (line, rest) = (summary(&page.job), explanation(&page).join("\n"));
        assert!(line.contains("retryable") && line.contains("next at 2026-01-01 10:00:30"), "{line}");
        for wanted in [
            "(since 2026-01-01 10:00:21)",
            "on worker 01900000-0000-7000-8000-0000000000aa, failed after 20.0 s: it took longer than 20 s (timed_out)",
        ] {
            assert!(rest.contains(wanted), "{rest}");
        }
    }

    #[test]
    fn retry_takes_a_job_or_a_kind() {
        let id = "01900000-0000-7000-8000-000000000001";
        assert!(Line::try_parse_from(["jobs", "retry", id]).is_ok());
        assert!(Line::try_parse_from(["jobs", "retry", "--kind", "document.extract"]).is_ok());
        assert!(Line::try_parse_from(["jobs", "retry", "--dead"]).is_ok());
        assert!(Line::try_parse_from(["jobs", "retry"]).is_err());
        assert!(Line::try_parse_from(["jobs", "retry", id, "--kind", "document.extract"]).is_err());
        assert!(Line::try_parse_from(["jobs", "retry", id, "--dead"]).is_err());
    }
}
