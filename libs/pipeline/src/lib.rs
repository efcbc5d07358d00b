//! The jobs behind an upload and a question: what each does with its payload.
//!
//! ```text
//! document.extract                                                 short documents, where the model is at hand
//!                  -> document.index                               short documents elsewhere
//!                  -> passages.embed … -> document.publish         long documents
//! document.erase                                               everywhere, then the proof
//! collection.rescreen -> document.rescreen -> (as after document.extract)
//! research.plan    -> research.gather … -> research.write
//! ```
//!
//! Invariants: a handler reads, then computes with no transaction open, then writes its results, its successors and its
//! own completion in one transaction; running it twice leaves what running it once leaves; a fault of a document ends the
//! document's job with a reason and touches nothing else.
//!
//! ```no_run
//! # fn example(pipeline: carrel_pipeline::Pipeline, builder: carrel_queue::WorkerBuilder) -> carrel_queue::WorkerBuilder {
//! pipeline.register(builder)
//! # }
//! ```

mod breaches;
mod children;
mod clear;
mod erase;
mod extract;
mod fixity;
mod generations;
mod index;
mod maintenance;
mod orphans;
mod rescreen;
mod research;
mod screen;
mod upkeep;

pub use upkeep::Upkeep;

use carrel_domain::job::Schedule;
use carrel_extract::Sandbox;
use carrel_inference::InferenceError;
use carrel_operations::kinds::{BeginFixity, CollectOrphans, TidyWorkspace};
use carrel_operations::{OperationError, Operations};
use carrel_queue::{JobError, WorkerBuilder};
use carrel_research::Rules;
use carrel_text::PassageRules;
use std::path::PathBuf;
use std::sync::Arc;

/// Everything that handlers need.
#[derive(Clone)]
pub struct Pipeline(Arc<Parts>);

struct Parts {
    operations: Operations,
    sandbox: Sandbox,
    scratch: PathBuf,
    passages: PassageRules,
    rules: Rules,
    at_once: bool,
    upkeep: Upkeep,
}

impl Pipeline {
    /// Handlers over `operations`; originals are read from `scratch` by processes in `sandbox`.
    pub fn new(operations: Operations, sandbox: Sandbox, scratch: PathBuf, upkeep: Upkeep) -> Self {
        let (passages, rules) = (PassageRules::default(), Rules::default());
        Self(Arc::new(Parts { operations, sandbox, scratch, passages, rules, upkeep, at_once: false }))
    }

    /// The same handlers, for a process that serves the queue of the model as well: what reads a short document there also
    /// indexes it, which saves a job and half of the writing. When the model does not answer, the queue gets the job after
    /// all.
    #[must_use]
    pub fn at_once(self) -> Self {
        let Parts { operations, sandbox, scratch, passages, rules, upkeep, .. } = &*self.0;
        Self(Arc::new(Parts {
            operations: operations.clone(),
            sandbox: sandbox.clone(),
            scratch: scratch.clone(),
            passages: *passages,
            rules: *rules,
            upkeep: upkeep.clone(),
            at_once: true,
        }))
    }

    /// Registers every handler and schedule; which of them run is decided by the queues that the worker serves.
    pub fn register(&self, builder: WorkerBuilder) -> WorkerBuilder {
        let upkeep = &self.0.upkeep;
        let schedules = [
            Schedule::new("workspace.tidy", TidyWorkspace::SPEC, &TidyWorkspace {}),
            Schedule::new("fixity.begin", upkeep.fixity_schedule.as_str(), &BeginFixity {}),
            Schedule::new("store.collect", upkeep.orphan_schedule.as_str(), &CollectOrphans {}),
        ];
        // A payload without a field is JSON.
        let builder = schedules.into_iter().flatten().fold(builder, WorkerBuilder::schedule);
        builder
            .register::<carrel_operations::kinds::ExtractDocument>(self.clone())
            .register::<carrel_operations::kinds::IndexDocument>(self.clone())
            .register::<carrel_operations::kinds::EmbedPassages>(self.clone())
            .register::<carrel_operations::kinds::PublishDocument>(self.clone())
            .register::<carrel_operations::kinds::ReleaseOriginal>(self.clone())
            .register::<carrel_operations::kinds::MergeSegments>(self.clone())
            .register::<carrel_operations::kinds::ClearCollection>(self.clone())
            .register::<carrel_operations::kinds::EraseDocument>(self.clone())
            .register::<carrel_operations::kinds::RescreenCollection>(self.clone())
            .register::<carrel_operations::kinds::RescreenDocument>(self.clone())
            .register::<TidyWorkspace>(self.clone())
            .register::<BeginFixity>(self.clone())
            .register::<carrel_operations::kinds::CheckFixity>(self.clone())
            .register::<CollectOrphans>(self.clone())
            .register::<carrel_operations::kinds::FillGeneration>(self.clone())
            .register::<carrel_operations::kinds::PlanResearch>(self.clone())
            .register::<carrel_operations::kinds::GatherEvidence>(self.clone())
            .register::<carrel_operations::kinds::WriteReport>(self.clone())
    }
}

/// CPU work of more than a millisecond leaves the async threads.
async fn compute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JobError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| JobError::retry("computation_failed", format!("a computation panicked: {error}")))
}

fn from_inference(error: &InferenceError) -> JobError {
    if error.is_retryable() {
        JobError::retry("model_unavailable", error.to_string())
    } else {
        JobError::fail("model_refused", error.to_string())
    }
}

fn from_operation(error: OperationError) -> JobError {
    match error {
        OperationError::Storage(source) => source.into(),
        OperationError::Inference(source) => from_inference(&source),
        // Waits for the operator, not for luck.
        OperationError::SpaceMismatch { .. } => JobError::Retry {
            code: "space_mismatch".to_owned(),
            message: error.to_string(),
            after: Some(std::time::Duration::from_secs(60)),
        },
        OperationError::NotFound(resource) => {
            JobError::fail("not_found", format!("the {} is no longer there", resource.as_str()))
        }
        other => JobError::fail("operation_failed", other.to_string()),
    }
}
