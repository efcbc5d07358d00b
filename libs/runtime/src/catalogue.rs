//! Every metric that Carrel's programs export: the one place that says what a name means.
//!
//! The macros of the `metrics` crate name a metric where it is measured; a test compares those places with this table,
//! and so do the tests of the alerts and dashboards in `observability/`.

use metrics::Unit;
use std::fmt::Write;

/// What a metric is to Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; begins at 0 with the process.
    Counter,
    /// A value of the moment.
    Gauge,
    /// Counts by size: `_bucket`, `_sum` and `_count`.
    Histogram,
}

impl Kind {
    /// As Prometheus writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name, with the unit and, for a counter, `_total` at its end.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What is counted.
    pub unit: Unit,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

const fn counter(name: &'static str, unit: Unit, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, unit, labels, help }
}

const fn gauge(name: &'static str, unit: Unit, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, labels, help }
}

const fn seconds(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, unit: Unit::Seconds, labels, help }
}

/// All of them, by subject.
pub const METRICS: &[Metric] = &[
    // Requests; the name and labels are those of OpenTelemetry's semantic conventions.
    seconds(
        "http_server_request_duration_seconds",
        &["http_request_method", "http_route", "http_response_status_code"],
        "Time until the head of the answer; http_route is the template, never the path itself.",
    ),
    // Jobs.
    counter("carrel_jobs_started_total", Unit::Count, &["kind", "queue"], "Executions of jobs begun here."),
    counter(
        "carrel_jobs_finished_total",
        Unit::Count,
        &["kind", "queue", "outcome"],
        "Executions of jobs ended here: completed, retryable, discarded, cancelled, snoozed, released, stale or unrecorded.",
    ),
    seconds("carrel_job_duration_seconds", &["kind", "queue"], "Time of one execution."),
    seconds("carrel_job_wait_seconds", &["queue"], "Time from when a job was due until its execution began."),
    counter(
        "carrel_jobs_crashed_total",
        Unit::Count,
        &[],
        "Executions ended by the sweep because their worker had vanished.",
    ),
    counter(
        "carrel_jobs_stale_total",
        Unit::Count,
        &["kind", "queue"],
        "Ends of executions refused because their claim was lost.",
    ),
    counter(
        "carrel_jobs_refused_total",
        Unit::Count,
        &["queue"],
        "Deliveries of jobs that were not to be had any more.",
    ),
    gauge(
        "carrel_jobs_depth",
        Unit::Count,
        &["queue", "state"],
        "Jobs of all workspaces that have not ended. Every worker exports the same figure: take the maximum, not the sum.",
    ),
    gauge(
        "carrel_jobs_oldest_seconds",
        Unit::Seconds,
        &["queue", "state"],
        "How long the oldest job of that state has been due, or running. Every worker exports the same figure.",
    ),
    gauge(
        "carrel_redis_up",
        Unit::Count,
        &[],
        "1 while Redis carries the jobs' ids, 0 while it is away and jobs are claimed from PostgreSQL.",
    ),
    counter("carrel_schedule_ticks_total", Unit::Count, &["schedule"], "Jobs that schedules asked for."),
    counter(
        "carrel_effect_attempts_total",
        Unit::Count,
        &["kind", "outcome"],
        "Attempts to send an effect: a mail, a webhook.",
    ),
    seconds("carrel_effect_duration_seconds", &["kind"], "Time of one attempt to send an effect."),
    gauge(
        "carrel_effects_depth",
        Unit::Count,
        &["kind", "state"],
        "Effects that are not sent yet. Every worker exports the same figure.",
    ),
    gauge(
        "carrel_effects_oldest_seconds",
        Unit::Seconds,
        &["kind", "state"],
        "How long the oldest unsent effect has been due.",
    ),
    // Models.
    seconds(
        "carrel_model_request_duration_seconds",
        &["operation", "input", "model", "outcome"],
        "Time of one call to a model: operation is embeddings; input is query or passage; outcome is ok or the kind of the failure.",
    ),
    counter("carrel_model_inputs_total", Unit::Count, &["operation", "input", "model"], "Texts given to a model."),
    counter(
        "carrel_model_tokens_total",
        Unit::Count,
        &["operation", "model", "direction"],
        "Tokens that a model read (input) or wrote (output), counted where the model runs or as its provider bills them.",
    ),
    // Search.
    seconds("carrel_search_duration_seconds", &["mode"], "Time of one search, from the query to its snippets."),
    seconds(
        "carrel_search_stage_duration_seconds",
        &["stage"],
        "Time of a stage of one search: embed, sql or snippet.",
    ),
    // Database.
    gauge(
        "carrel_database_connections",
        Unit::Count,
        &["pool", "state"],
        "Connections of this process: in_use or idle.",
    ),
    gauge("carrel_database_connections_limit", Unit::Count, &["pool"], "Most connections of the pool."),
    gauge(
        "carrel_database_waiting",
        Unit::Count,
        &["pool"],
        "Transactions waiting to begin: for a connection, or for its answer.",
    ),
    seconds(
        "carrel_database_begin_duration_seconds",
        &["pool"],
        "Time until a transaction had begun: the wait for a connection and one round trip.",
    ),
    counter(
        "carrel_database_begin_failures_total",
        Unit::Count,
        &["pool", "reason"],
        "Transactions that could not begin: no_connection, unavailable or other.",
    ),
    counter(
        "carrel_database_reads_total",
        Unit::Count,
        &["side"],
        "Reads that a replica may answer, by who answered: replica or primary.",
    ),
    gauge(
        "carrel_database_replica_lag_seconds",
        Unit::Seconds,
        &[],
        "How far the replica is behind the primary; +Inf while that is unknown.",
    ),
    // Store of originals.
    seconds(
        "carrel_store_operation_duration_seconds",
        &["operation", "outcome"],
        "Time of one operation of the object store; reading counts until the first byte. outcome: ok, not_found, refused or failed.",
    ),
    counter(
        "carrel_store_bytes_total",
        Unit::Bytes,
        &["direction"],
        "Bytes read from and written to the object store.",
    ),
    // Screening.
    seconds("carrel_screening_duration_seconds", &[], "Time of screening one version."),
    counter("carrel_screening_versions_total", Unit::Count, &["verdict"], "Versions screened, by verdict."),
    counter(
        "carrel_screening_findings_total",
        Unit::Count,
        &["category", "action"],
        "Personal data and credentials found, by category and what the policy did.",
    ),
    counter(
        "carrel_screening_reviews_total",
        Unit::Count,
        &["decision"],
        "Held versions that somebody decided about: released or rejected.",
    ),
    // Fixity, orphans, index generations.
    counter("carrel_fixity_checked_total", Unit::Count, &[], "Originals that were read again and digested."),
    counter("carrel_fixity_bytes_total", Unit::Bytes, &[], "Bytes of originals that were read again."),
    counter(
        "carrel_fixity_damaged_total",
        Unit::Count,
        &["verdict"],
        "Findings of originals that are not what came: damaged or missing; each check finds them anew.",
    ),
    gauge(
        "carrel_backup_last_success_timestamp_seconds",
        Unit::Seconds,
        &[],
        "When the newest backup at backup.destination was begun, in seconds since 1970; 0 while there is none, absent without a destination.",
    ),
    gauge(
        "carrel_fixity_unsound",
        Unit::Count,
        &["workspace", "verdict"],
        "Originals of a workspace that were damaged or missing at the end of its last check.",
    ),
    counter("carrel_store_collected_total", Unit::Count, &[], "Left-over objects and uploads that were removed."),
    counter(
        "carrel_generation_filled_total",
        Unit::Count,
        &[],
        "Passages that were given their vector in a second index generation.",
    ),
    // The process.
    gauge("carrel_build_info", Unit::Count, &["version", "revision"], "Always 1; the labels say which build runs."),
    gauge(
        "carrel_health_check_passed",
        Unit::Count,
        &["check"],
        "1 when the check of that name passed the last time readiness was asked for, else 0.",
    ),
    counter("process_cpu_seconds_total", Unit::Seconds, &[], "User and system CPU time in seconds."),
    gauge("process_resident_memory_bytes", Unit::Bytes, &[], "Resident memory in bytes."),
    gauge("process_virtual_memory_bytes", Unit::Bytes, &[], "Virtual memory in bytes."),
    gauge("process_threads", Unit::Count, &[], "Threads."),
    gauge("process_start_time_seconds", Unit::Seconds, &[], "Start of the process in seconds since 1970."),
    gauge("process_open_fds", Unit::Count, &[], "Open file descriptors."),
    gauge("process_max_fds", Unit::Count, &[], "Limit of open file descriptors."),
];

/// The row of that name.
pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// Tells the installed recorder what every metric means. The `process_` ones describe themselves.
pub(crate) fn describe() {
    for metric in METRICS.iter().filter(|metric| !metric.name.starts_with("process_")) {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.unit, metric.help),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.unit, metric.help),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.unit, metric.help),
        }
    }
}

/// The table as docs/METRICS.md shows it.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         Generated by `scripts/generate` from `libs/runtime/src/catalogue.rs`; `carrel config metrics` prints it too. Every program serves\n\
         its metrics on `server.metrics_listen`; those of an event that has not happened yet are absent. A histogram has the series\n\
         `_bucket`, `_sum` and `_count`. Alerts and dashboards over them: `observability/`.\n\n\
         | metric | kind | unit | labels | meaning |\n|---|---|---|---|---|\n",
    );
    for metric in METRICS {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, unit) = (metric.name, metric.kind.as_str(), metric.unit.as_str());
        let _ = writeln!(text, "| `{name}` | {kind} | {unit} | {} | {} |", labels.join(", "), metric.help);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Kind, METRICS, find};
    use metrics::Unit;
    use std::collections::BTreeSet;

    #[test]
    fn names_follow_the_convention() {
        let mut seen = BTreeSet::new();
        for metric in METRICS {
            let name = metric.name;
            assert!(seen.insert(name), "{name} is there twice");
            assert_eq!(find(name).map(|found| found.help), Some(metric.help));
            assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
            let stem = name.trim_end_matches("_total");
            match metric.unit {
                Unit::Seconds => assert!(stem.ends_with("_seconds"), "{name}"),
                Unit::Bytes => assert!(stem.ends_with("_bytes"), "{name}"),
                _ => assert!(!stem.ends_with("_seconds") && !stem.ends_with("_bytes"), "{name}"),
            }
            assert!(metric.help.ends_with('.') && !metric.help.contains('|'), "{name}");
        }
    }

    #[test]
    fn every_process_metric_is_in_the_table() {
        let exposed = crate::process::exposition();
        for line in exposed.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
            let (name, help) = line.split_once(' ').expect("name and help");
            assert_eq!(find(name).map(|metric| metric.help), Some(help), "{name}");
        }
    }
}
