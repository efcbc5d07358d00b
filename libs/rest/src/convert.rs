//! From what operations answer to what the wire carries.

use crate::problem::{INVALID_VALUE, Problem};
use carrel_domain::archive::{Collection, Document, DocumentVersion, VersionState};
use carrel_domain::research::{Citation, Claim, Run, RunState};
use carrel_domain::search::{Filter, Hit, SearchMode};
use carrel_domain::{JobId, Language};
use carrel_operations::{Listing, RunView, SearchAnswer, Uploaded};
use carrel_retrieval::Snippet;
use carrel_storage::documents::Received;
use carrel_storage::jobs::{Attempt, AttemptOutcome, Explanation, Job, JobFailure, Wait};
use carrel_wire::{
    ActorBody, AttemptBody, CitationBody, ClaimBody, CollectionBody, DocumentBody, FailureBody, FilterBody, HitBody,
    JobBody, JobPageBody, ModeBody, OriginBody, Page, PassageBody, ProgressBody, RetriedBody, RetriesBody, RunBody,
    RunPageBody, ScoresBody, ScreeningNoteBody, SearchAnswerBody, SearchedBody, SnippetBody, StepBody, UploadBody,
    UploadOutcome, VersionBody, WaitBody,
};
use chrono::{DateTime, Utc};

pub(crate) fn fifty() -> u32 {
    50
}

pub(crate) fn page<T, B>(listing: Listing<T>, convert: impl Fn(T) -> B) -> Page<B> {
    Page { items: listing.rows.into_iter().map(convert).collect(), next_cursor: listing.next }
}

pub(crate) fn collection(collection: Collection) -> CollectionBody {
    CollectionBody {
        id: collection.id,
        name: collection.name,
        description: collection.description,
        created_at: collection.created_at,
        documents: collection.documents,
    }
}

pub(crate) fn document(document: Document) -> DocumentBody {
    DocumentBody {
        id: document.id,
        collection_id: document.collection,
        external_id: document.external_id,
        name: document.name,
        metadata: document.metadata,
        created_at: document.created_at,
        updated_at: document.updated_at,
        current_version_id: document.current,
        versions: document.versions,
        latest: version(document.latest),
        duplicates: Vec::new(),
    }
}

pub(crate) fn version(version: DocumentVersion) -> VersionBody {
    let state = version.state.as_str().to_owned();
    let failure = match version.state {
        VersionState::Failed { code, message } => Some(FailureBody { code, message }),
        VersionState::Rejected { reason } => Some(FailureBody { code: "rejected".to_owned(), message: reason }),
        _ => None,
    };
    VersionBody {
        id: version.id,
        document_id: version.document,
        number: version.number,
        file_name: version.file_name,
        title: version.title,
        media_type: version.media_type,
        language: version.language.map(|language| language.to_string()),
        characters: version.characters,
        size: version.size,
        sha256: version.digests.sha256.to_string(),
        blake3: version.digests.blake3.to_string(),
        state,
        failure,
        warnings: version.warnings,
        screening: version.screening.map(|note| ScreeningNoteBody {
            verdict: note.verdict,
            findings: note.findings,
            review: note.review,
        }),
        fixity: version.fixity.map(crate::upkeep::fixity_body),
        created_at: version.created_at,
        created_by: Some(ActorBody::from(&version.created_by)),
        origin: Some(OriginBody { kind: version.origin.as_str().to_owned(), version_id: version.origin.version() }),
        members: version.members,
    }
}

pub(crate) fn uploaded(uploaded: Uploaded) -> UploadBody {
    let (outcome, document_id, version_id) = match uploaded.received {
        Received::Created { document, version } => (UploadOutcome::Created, document, version),
        Received::Revised { document, version } => (UploadOutcome::Revised, document, version),
        Received::Unchanged { document, version } => (UploadOutcome::Unchanged, document, version),
    };
    UploadBody {
        outcome,
        document_id,
        version_id,
        job_id: uploaded.job,
        sha256: uploaded.sha256.to_string(),
        same_bytes: uploaded.same_bytes,
    }
}

pub(crate) fn mode(mode: ModeBody) -> SearchMode {
    match mode {
        ModeBody::Hybrid => SearchMode::Hybrid,
        ModeBody::Lexical => SearchMode::Lexical,
        ModeBody::Semantic => SearchMode::Semantic,
    }
}

pub(crate) fn filter(body: FilterBody) -> Result<Filter, Problem> {
    let mut languages = Vec::with_capacity(body.languages.len());
    for code in &body.languages {
        let unknown = || Problem::new(INVALID_VALUE, "filter.languages: a language is two or three letters (ISO 639)");
        languages.push(Language::parse(code).ok_or_else(unknown)?);
    }
    Ok(Filter {
        documents: body.documents,
        languages,
        media_types: body.media_types,
        created_from: body.created_from,
        created_before: body.created_before,
        metadata: body.metadata,
        baseline: body.baseline,
        as_of: body.as_of,
    })
}

pub(crate) fn search_answer(answer: SearchAnswer) -> SearchAnswerBody {
    let page = |hit: &Hit, snippet: &Snippet| {
        let first = snippet.highlights.first().map_or(0, |mark| mark.start);
        hit.page_at(snippet.span.start + first)
    };
    let hits = answer.hits.into_iter().map(|(hit, snippet)| (page(&hit, &snippet), hit, snippet));
    let hits = hits.map(|(page, hit, snippet)| HitBody {
        document_id: hit.document,
        document_name: hit.document_name,
        external_id: hit.external_id,
        collection_id: hit.collection,
        version_id: hit.version,
        version_number: hit.version_number,
        title: hit.title,
        passage: PassageBody {
            ordinal: hit.ordinal,
            span: hit.span.into(),
            page: hit.page,
            headings: hit.headings,
            language: hit.language.to_string(),
            text: hit.text,
        },
        snippet: SnippetBody {
            text: snippet.text,
            highlights: snippet.highlights.into_iter().map(Into::into).collect(),
            page,
        },
        scores: ScoresBody { rank: hit.scores.rank, lexical: hit.scores.lexical, vector: hit.scores.vector },
    });
    SearchAnswerBody { hits: hits.collect(), terms: answer.terms }
}

pub(crate) fn run(run: Run) -> RunBody {
    let state = run.state.as_str().to_owned();
    let failure = match run.state {
        RunState::Failed { code, message } => Some(FailureBody { code, message }),
        _ => None,
    };
    RunBody {
        id: run.id,
        question: run.question,
        collections: run.collections,
        baseline: run.filter.baseline,
        as_of: run.filter.as_of,
        state,
        failure,
        engine: run.engine,
        job_id: run.job,
        created_at: run.created_at,
        finished_at: run.finished_at,
    }
}

pub(crate) fn run_page(view: RunView) -> RunPageBody {
    let report = matches!(view.run.state, RunState::Completed | RunState::Abstained).then(|| report(&view));
    let plan = view.steps.into_iter().map(|step| StepBody {
        id: step.id,
        ordinal: step.ordinal,
        question: step.question,
        completed: step.completed,
    });
    let searched = SearchedBody {
        documents: view.run.searched.documents,
        passages: view.run.searched.passages,
        sentences: view.run.searched.sentences,
        questions: view.run.searched.questions.clone(),
    };
    RunPageBody {
        run: run(view.run),
        plan: plan.collect(),
        claims: view.claims.into_iter().map(claim).collect(),
        outdated: view.outdated,
        searched,
        report,
    }
}

fn claim(claim: Claim) -> ClaimBody {
    ClaimBody {
        id: claim.id,
        step_id: claim.step,
        text: claim.text,
        score: claim.score,
        citations: claim.citations.into_iter().map(citation).collect(),
    }
}

pub(crate) fn citation(citation: Citation) -> CitationBody {
    CitationBody {
        id: citation.id,
        number: citation.number,
        document_id: citation.document,
        document_name: citation.document_name,
        version_id: citation.version,
        version_number: citation.version_number,
        span: citation.span.into(),
        page: citation.page,
        quote: citation.quote,
        prefix: citation.prefix,
        suffix: citation.suffix,
    }
}

/// The report in Markdown.
pub(crate) fn report(view: &RunView) -> String {
    carrel_research::report::Report::of(&view.run, &view.steps, &view.claims).to_markdown()
}

fn failure(failure: JobFailure) -> FailureBody {
    FailureBody { code: failure.code, message: failure.message }
}

pub(crate) fn job(job: Job) -> JobBody {
    JobBody {
        id: job.id,
        kind: job.kind,
        queue: job.queue.to_string(),
        state: job.state.to_string(),
        priority: job.priority,
        payload: job.payload,
        attempt: job.attempt,
        max_attempts: job.max_attempts,
        run_at: job.run_at,
        progress: job.progress.map(|progress| ProgressBody {
            done: progress.done,
            total: progress.total,
            note: progress.note,
        }),
        last_error: job.last_error.map(failure),
        parent_id: job.parent,
        replay_of: job.replay_of,
        unique_key: job.unique_key,
        limit_key: job.limit_key,
        cancel_requested_at: job.cancel_requested_at,
        created_at: job.created_at,
        started_at: job.started_at,
        finished_at: job.finished_at,
    }
}

/// Each dead letter with the job that now stands for it.
pub(crate) fn retries(retried: Vec<(JobId, JobId)>) -> RetriesBody {
    let jobs = retried.into_iter().map(|(dead_letter_id, job_id)| RetriedBody { dead_letter_id, job_id });
    RetriesBody { jobs: jobs.collect() }
}

pub(crate) fn job_page(explanation: Explanation) -> JobPageBody {
    let ended = explanation.attempts.iter().filter_map(|attempt| attempt.ended_at).max();
    let idle_since = ended.unwrap_or(explanation.job.created_at);
    let due_since = idle_since.max(explanation.job.run_at);
    JobPageBody {
        job: job(explanation.job),
        waits: explanation.waits.into_iter().map(|reason| wait(reason, idle_since, due_since)).collect(),
        attempts: explanation.attempts.into_iter().map(attempt).collect(),
    }
}

/// `idle_since` is when the last attempt ended or the job was made, `due_since` when it could first have started then.
fn wait(wait: Wait, idle_since: DateTime<Utc>, due_since: DateTime<Utc>) -> WaitBody {
    let since = match &wait {
        Wait::Needs(_) | Wait::Until(_) => idle_since,
        Wait::QueuePaused { since, .. } | Wait::RunningOn { since, .. } | Wait::CancelRequested(since) => *since,
        Wait::Limit { .. } | Wait::NoWorkerForQueue | Wait::NoWorkerForKind | Wait::InLine { .. } => due_since,
    };
    let (reason, message) = match wait {
        Wait::Needs(jobs) => {
            let list: Vec<String> = jobs.iter().map(|(id, kind, state)| format!("{kind} {id} ({state})")).collect();
            ("needs", format!("It needs jobs that have not completed: {}.", list.join(", ")))
        }
        Wait::Until(at) => ("until", format!("It starts at {}.", at.to_rfc3339())),
        Wait::QueuePaused { since, reason } => {
            let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            ("queue_paused", format!("Its queue is paused since {}{why}.", since.to_rfc3339()))
        }
        Wait::Limit { key, max } => {
            ("limit", format!("At most {max} jobs with limit {key:?} run at once, and so many run."))
        }
        Wait::NoWorkerForQueue => {
            ("no_worker_for_queue", "No live worker serves its queue; start one with `carrel-worker`.".to_owned())
        }
        Wait::NoWorkerForKind => {
            ("no_worker_for_kind", "The live workers do not know its kind; they may be older than the API.".to_owned())
        }
        Wait::InLine { ahead } => {
            ("in_line", format!("It can start as soon as a worker is free; {ahead} stand before it."))
        }
        Wait::RunningOn { worker, host, since, lease_until } => {
            let worker = worker.map_or_else(|| "a worker".to_owned(), |id| format!("worker {id}"));
            let host = host.map(|host| format!(" on {host}")).unwrap_or_default();
            let until = lease_until.map(|until| format!("; held until {} unless renewed", until.to_rfc3339()));
            let until = until.unwrap_or_default();
            ("running_on", format!("It runs on {worker}{host} since {}{until}.", since.to_rfc3339()))
        }
        Wait::CancelRequested(at) => ("cancel_requested", format!("It was told to stop at {}.", at.to_rfc3339())),
    };
    WaitBody { reason: reason.to_owned(), message, since: Some(since) }
}

fn attempt(attempt: Attempt) -> AttemptBody {
    let outcome = match attempt.outcome {
        AttemptOutcome::Running => "running",
        AttemptOutcome::Completed => "completed",
        AttemptOutcome::Failed => "failed",
        AttemptOutcome::Discarded => "discarded",
        AttemptOutcome::Snoozed => "snoozed",
        AttemptOutcome::Released => "released",
        AttemptOutcome::Cancelled => "cancelled",
        AttemptOutcome::Crashed => "crashed",
    };
    AttemptBody {
        number: attempt.number,
        worker_id: attempt.worker,
        started_at: attempt.started_at,
        ended_at: attempt.ended_at,
        outcome: outcome.to_owned(),
        error: attempt.error.map(failure),
    }
}
