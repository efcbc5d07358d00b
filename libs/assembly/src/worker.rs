//! carrel-worker: queues.

use crate::api::serve_metrics;
use crate::error::AssemblyError;
use crate::health::{watch_models, watch_parts, watch_queue};
use crate::parts::{Embedders, Parts, operations, scratch, unused_tokens};
use carrel_domain::WorkerId;
use carrel_domain::job::QueueName;
use carrel_extract::{Limits, OcrConfig, Sandbox, SandboxConfig};
use carrel_operations::Operations;
use carrel_pipeline::{Pipeline, Upkeep};
use carrel_queue::{ClaimedJob, RedisOptions, Transport, Worker, WorkerBuilder};
use carrel_runtime::config::{Extract, Settings};
use carrel_runtime::health::Registry;
use carrel_runtime::telemetry;
use carrel_storage::Database;
use secrecy::ExposeSecret;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Runs carrel-worker until `stop` is cancelled and its jobs have ended or were given back.
pub async fn run_worker(
    settings: &Settings,
    queues: &[(QueueName, usize)],
    stop: CancellationToken,
) -> Result<(), AssemblyError> {
    let parts = Parts::new(settings, "carrel-worker")?;
    let health = Registry::new();
    watch_parts(&health, &parts);
    let embedders = Embedders::remote(settings).await?;
    if queues.iter().any(|(queue, _)| *queue == QueueName::Ai) {
        watch_models(&health, &parts.database, &embedders);
    }
    let operations = operations(settings, &parts, embedders, unused_tokens()?)?;
    let worker = build(settings, &operations, queues)?;
    watch_queue(&health, Some(worker.health()));
    let metrics = serve_metrics(settings, &parts, &health, &stop).await?;
    crate::backup::watch(settings, &stop)?;
    until_migrated(&parts.database, &stop).await;
    worker.run(stop).await?;
    parts.database.close().await;
    if let Some(metrics) = metrics {
        metrics.abort();
    }
    Ok(())
}

/// Waits until the schema is what this release needs, or until the stop. Old programs run on a newer schema, but a new one
/// that claims jobs before the migrations have run would only spend their attempts. Readiness says meanwhile what is missing.
pub(crate) async fn until_migrated(database: &Database, stop: &CancellationToken) {
    let mut told = false;
    loop {
        let pending = match database.schema_state().await {
            Ok(state) if state.pending == 0 => return,
            Ok(state) => Some(state.pending),
            Err(_) => None,
        };
        if !told {
            tracing::warn!(pending, "no job is claimed until the schema can be read and its migrations have run");
            told = true;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// A worker over `operations` for these queues.
pub(crate) fn build(
    settings: &Settings,
    operations: &Operations,
    queues: &[(QueueName, usize)],
) -> Result<Worker, AssemblyError> {
    let sandbox = Sandbox::new(sandbox(&settings.extract)?);
    let mut pipeline = Pipeline::new(operations.clone(), sandbox, scratch()?, upkeep(settings));
    if queues.iter().any(|(queue, _)| *queue == QueueName::Ai) {
        pipeline = pipeline.at_once();
    }
    let transport = match &settings.redis.url {
        Some(url) => {
            let mut options = RedisOptions::new(url.expose_secret());
            options.prefix.clone_from(&settings.redis.prefix);
            options.authority.clone_from(&settings.redis.authority);
            options.sentinel_login = settings.redis.sentinel_password.as_ref().map(|password| {
                let user = settings.redis.sentinel_user.clone().unwrap_or_default();
                (user, password.expose_secret().to_owned())
            });
            Transport::Redis(options)
        }
        None => Transport::Postgres,
    };
    let host = std::env::var("HOSTNAME").unwrap_or_default();
    let builder = WorkerBuilder::new(operations.database.clone(), WorkerId(operations.ids.new_id()))
        .queues(queues.iter().copied())
        .transport(transport)
        .lease(settings.jobs.lease())
        .drain(settings.jobs.drain())
        .keep_finished(settings.jobs.keep_finished())
        .effects_at_once(settings.jobs.effects_at_once)
        .span(job_span)
        .described(host, env!("CARGO_PKG_VERSION"));
    Ok(pipeline.register(builder).build()?)
}

/// What the child that reads a document may use.
fn sandbox(extract: &Extract) -> Result<SandboxConfig, AssemblyError> {
    let mut sandbox = SandboxConfig::for_current_program()?;
    sandbox.wall = Duration::from_secs(extract.wall_seconds);
    sandbox.cpu_seconds = extract.cpu_seconds;
    sandbox.memory_bytes = extract.memory_bytes;
    sandbox.limits = Limits {
        input_bytes: extract.input_bytes,
        output_bytes: extract.output_bytes,
        archive_entries: extract.archive_entries,
        archive_member_bytes: extract.archive_member_bytes,
        archive_ratio: extract.archive_ratio,
        pages: extract.pages,
        columns: extract.columns,
        mail_parts: extract.mail_parts,
        children: extract.children,
        children_bytes: extract.children_bytes,
        depth: extract.depth,
    };
    sandbox.ocr = OcrConfig {
        enabled: extract.ocr.enabled,
        languages: extract.ocr.languages.clone().unwrap_or_default(),
        program: extract.ocr.program.clone(),
        seconds: extract.ocr.seconds,
    };
    Ok(sandbox)
}

fn upkeep(settings: &Settings) -> Upkeep {
    Upkeep {
        descendants: settings.extract.descendants,
        fixity_schedule: settings.fixity.schedule.clone(),
        fixity_period: Duration::from_hours(settings.fixity.period_days * 24),
        fixity_bytes_per_second: Some(settings.fixity.bytes_per_second),
        orphan_schedule: settings.store.orphan_schedule.clone(),
        orphan_grace: Duration::from_hours(settings.store.orphan_grace_hours),
    }
}

/// A job's span continues the trace of the request that asked for it.
fn job_span(job: &ClaimedJob) -> tracing::Span {
    let span = tracing::info_span!(
        "job",
        otel.name = %format_args!("job {}", job.kind),
        otel.kind = "consumer",
        job = %job.id,
        kind = %job.kind,
        attempt = job.attempt,
        workspace = %job.workspace,
    );
    telemetry::span_with_parent(span, job.traceparent.as_deref())
}

/// Reads `ingest=4,notify=2`; a queue without a number serves one job at a time.
pub fn parse_queues(text: &str) -> Result<Vec<(QueueName, usize)>, AssemblyError> {
    let wrong = |problem: String| AssemblyError::Setting { key: "queues", problem };
    let mut queues = Vec::new();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let (name, number) = entry.split_once('=').unwrap_or((entry, "1"));
        let queue: QueueName =
            name.trim().parse().map_err(|error: carrel_domain::job::UnknownQueue| wrong(error.to_string()))?;
        let number = number.trim().parse().map_err(|_| wrong(format!("{entry:?} does not end in a number")))?;
        if number > 1_000 {
            return Err(wrong(format!("{entry:?}: at most 1,000 jobs at a time")));
        }
        queues.push((queue, number));
    }
    if queues.is_empty() {
        return Err(wrong("name at least one queue, for example ingest=4".to_owned()));
    }
    Ok(queues)
}

/// The queues of the settings, without those that another kind of process serves.
pub(crate) fn configured_queues(
    settings: &Settings,
    serves: impl Fn(QueueName) -> bool,
) -> Result<Vec<(QueueName, usize)>, AssemblyError> {
    let list: Vec<String> = settings.jobs.queues.iter().map(|(name, number)| format!("{name}={number}")).collect();
    let mut queues = parse_queues(&list.join(","))?;
    queues.retain(|(queue, number)| serves(*queue) && *number > 0);
    Ok(queues)
}

#[cfg(test)]
mod tests {
    use super::{parse_queues, sandbox, until_migrated};
    use carrel_domain::job::QueueName;
    use carrel_extract::{Limits, OcrConfig};
    use carrel_runtime::config::{Settings, Sources};
    use carrel_testkit::TestDatabase;
    use std::time::Duration;
    use tokio::time::timeout;
    use tokio_util::sync::CancellationToken;

    #[tokio::test]
    async fn jobs_wait_for_the_migrations() {
        let test = TestDatabase::create().await;
        let ledger = "create table public.kept as select * from public._sqlx_migrations";
        sqlx::query(ledger).execute(&test.owner).await.unwrap();
        let missing =
            "delete from public._sqlx_migrations where version = (select max(version) from public._sqlx_migrations)";
        sqlx::query(missing).execute(&test.owner).await.unwrap();
        let stop = CancellationToken::new();
        let mut waiting = std::pin::pin!(until_migrated(&test.database, &stop));
        assert!(timeout(Duration::from_millis(1_500), &mut waiting).await.is_err(), "a migration is missing");
        let again = "insert into public._sqlx_migrations select * from public.kept on conflict do nothing";
        sqlx::query(again).execute(&test.owner).await.unwrap();
        timeout(Duration::from_secs(10), waiting).await.expect("it goes on when they have run");

        sqlx::query(missing).execute(&test.owner).await.unwrap();
        stop.cancel();
        timeout(Duration::from_secs(10), until_migrated(&test.database, &stop)).await.expect("it can be stopped");
    }

    #[test]
    fn the_settings_are_the_limits_of_the_child() {
        let defaults = sandbox(&Settings::defaults().unwrap().extract).unwrap();
        assert_eq!(defaults.limits, Limits::default(), "config/base.yaml says what the code assumes");
        assert_eq!(defaults.ocr, OcrConfig::default());
        let sources = Sources::none()
            .with_variable("CARREL__EXTRACT__DEPTH", "2")
            .with_variable("CARREL__EXTRACT__CHILDREN", "3")
            .with_variable("CARREL__EXTRACT__WALL_SECONDS", "7")
            .with_variable("CARREL__EXTRACT__OCR__ENABLED", "false")
            .with_variable("CARREL__EXTRACT__OCR__LANGUAGES", "deu+eng")
            .with_variable("CARREL__EXTRACT__OCR__PROGRAM", "/opt/bin/tesseract");
        let own = sandbox(&Settings::load(&sources).unwrap().extract).unwrap();
        assert_eq!((own.limits.depth, own.limits.children, own.wall.as_secs()), (2, 3, 7));
        assert_eq!((own.ocr.enabled, own.ocr.languages.as_str()), (false, "deu+eng"));
        assert_eq!(own.ocr.program.unwrap().to_str(), Some("/opt/bin/tesseract"));
    }

    #[test]
    fn queues_are_read_with_their_numbers() {
        let queues = parse_queues("ingest=4, notify=2,ai").unwrap();
        assert_eq!(queues, [(QueueName::Ingest, 4), (QueueName::Notify, 2), (QueueName::Ai, 1)]);
        for bad in ["", "mail=1", "ingest=x", "ingest=-1", "ingest=100000"] {
            assert!(parse_queues(bad).is_err(), "{bad}");
        }
    }
}
