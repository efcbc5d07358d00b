//! Named checks of what a program depends on.
//!
//! ```
//! use carrel_runtime::health::Registry;
//!
//! # async fn example() {
//! let health = Registry::new();
//! health.register("database", || async { Ok(()) });
//! assert!(health.report().await.ready);
//! # }
//! ```

use serde::Serialize;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long one check may take.
const CHECK_LIMIT: Duration = Duration::from_secs(2);
/// How long an answer is given again: probes of several load balancers must not become load.
const KEPT: Duration = Duration::from_secs(1);

/// How often the checks run when nobody asks.
const WATCHED_EVERY: Duration = Duration::from_secs(10);

/// One dependency. Implemented for closures through [`Registry::register`].
#[async_trait::async_trait]
pub trait Check: Send + Sync {
    /// A short stable name, for example `database`.
    fn name(&self) -> &str;

    /// `Err` says in a few words what is wrong, without addresses or secrets: the answer is served without a login.
    async fn check(&self) -> Result<(), String>;
}

/// All checks of a program. Cloning shares them.
#[derive(Clone, Default)]
pub struct Registry {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    checks: RwLock<Vec<Arc<dyn Check>>>,
    draining: AtomicBool,
    last: tokio::sync::Mutex<Option<(Instant, Report)>>,
    /// What each failing check said when it was last logged.
    failing: Mutex<BTreeMap<String, String>>,
}

/// The answer of `/health/ready`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether requests may be sent here.
    pub ready: bool,
    /// Whether the program is about to end.
    pub draining: bool,
    /// One entry per check, in order of registration.
    pub checks: Vec<CheckReport>,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// The check.
    pub name: String,
    /// Whether it passed.
    pub ok: bool,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How long it took.
    pub milliseconds: u64,
}

impl Registry {
    /// No checks: ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check made of a name and a closure.
    pub fn register<F, R>(&self, name: impl Into<String>, check: F)
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), String>> + Send + 'static,
    {
        let run = Box::new(move || -> Answer { Box::pin(check()) });
        self.add(Arc::new(Closure { name: name.into(), run }));
    }

    /// Adds a check.
    pub fn add(&self, check: Arc<dyn Check>) {
        self.inner.checks.write().unwrap_or_else(PoisonError::into_inner).push(check);
    }

    /// From now on the program says that it is not ready, so that load balancers look elsewhere while it ends.
    pub fn start_draining(&self) {
        self.inner.draining.store(true, Ordering::Relaxed);
    }

    /// Runs every check at the same time, each for at most 2 s. Answers are kept for a second, and callers that come
    /// together share one run.
    pub async fn report(&self) -> Report {
        let mut last = self.inner.last.lock().await;
        let mut report = match &*last {
            Some((at, report)) if at.elapsed() < KEPT => report.clone(),
            _ => {
                let report = self.run().await;
                *last = Some((Instant::now(), report.clone()));
                report
            }
        };
        report.draining = self.inner.draining.load(Ordering::Relaxed);
        report.ready = report.ready && !report.draining;
        report
    }

    /// Runs the checks every ten seconds until `stop`, so that what fails is in the log and in the figures even where nobody
    /// asks.
    pub async fn watch(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.report().await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(WATCHED_EVERY) => {}
            }
        }
    }

    /// One line when a check begins to fail or fails otherwise, one when it passes again.
    fn log_change(&self, report: &CheckReport) {
        let mut failing = self.inner.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match &report.detail {
            Some(detail) if failing.get(&report.name) != Some(detail) => {
                failing.insert(report.name.clone(), detail.clone());
                tracing::warn!(check = report.name, "not ready: {detail}");
            }
            None if failing.remove(&report.name).is_some() => {
                tracing::info!(check = report.name, "the check passes again");
            }
            _ => {}
        }
    }

    async fn run(&self) -> Report {
        let checks = self.inner.checks.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut running = Vec::new();
        for check in checks {
            let name = check.name().to_owned();
            running.push((name, tokio::spawn(run_one(check))));
        }
        let mut reports = Vec::new();
        for (name, handle) in running {
            let report = handle.await.unwrap_or_else(|_| CheckReport {
                name,
                ok: false,
                detail: Some("the check itself failed".to_owned()),
                milliseconds: 0,
            });
            let passed = metrics::gauge!("carrel_health_check_passed", "check" => report.name.clone());
            passed.set(if report.ok { 1.0 } else { 0.0 });
            self.log_change(&report);
            reports.push(report);
        }
        Report { ready: reports.iter().all(|report| report.ok), draining: false, checks: reports }
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let checks = self.inner.checks.read().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<&str> = checks.iter().map(|check| check.name()).collect();
        formatter.debug_struct("Registry").field("checks", &names).finish()
    }
}

async fn run_one(check: Arc<dyn Check>) -> CheckReport {
    let start = Instant::now();
    let detail = match tokio::time::timeout(CHECK_LIMIT, check.check()).await {
        Ok(Ok(())) => None,
        Ok(Err(detail)) => Some(detail),
        Err(_) => Some(format!("no answer within {} s", CHECK_LIMIT.as_secs())),
    };
    CheckReport {
        name: check.name().to_owned(),
        ok: detail.is_none(),
        detail,
        milliseconds: start.elapsed().as_millis() as u64,
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

struct Closure {
    name: String,
    run: Box<dyn Fn() -> Answer + Send + Sync>,
}

#[async_trait::async_trait]
impl Check for Closure {
    fn name(&self) -> &str {
        &self.name
    }

    async fn check(&self) -> Result<(), String> {
        (self.run)().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[tokio::test(start_paused = true)]
    async fn a_failing_and_a_hanging_check_are_named() {
        let health = Registry::new();
        health.register("database", || async { Ok(()) });
        health.register("redis", || async { Err("connection refused".to_owned()) });
        health.register("models", std::future::pending);
        let report = health.report().await;
        assert!(!report.ready);
        assert_eq!(report.checks.iter().map(|check| check.ok).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(report.checks[1].detail.as_deref(), Some("connection refused"));
        assert_eq!(report.checks[2].detail.as_deref(), Some("no answer within 2 s"));
    }

    #[tokio::test]
    async fn answers_are_kept_and_draining_shows_at_once() {
        let runs = Arc::new(AtomicUsize::new(0));
        let health = Registry::new();
        let counted = Arc::clone(&runs);
        health.register("database", move || {
            counted.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Ok(()))
        });
        for _ in 0..5 {
            assert!(health.report().await.ready);
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        health.start_draining();
        let report = health.report().await;
        assert!(!report.ready && report.draining && report.checks[0].ok);
    }

    #[tokio::test]
    async fn a_panicking_check_fails_alone() {
        let health = Registry::new();
        health.register("broken", || async { panic!("on purpose") });
        health.register("database", || async { Ok(()) });
        let report = health.report().await;
        assert_eq!(report.checks.iter().map(|check| check.ok).collect::<Vec<_>>(), [false, true]);
    }
}
