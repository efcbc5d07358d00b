//! `research.plan`, `research.gather`, `research.write`: from a question to verified quotes.

use crate::{Pipeline, compute, from_inference, from_operation};
use async_trait::async_trait;
use carrel_domain::ids::IdSource;
use carrel_domain::job::JobSpec;
use carrel_domain::research::{Run, RunState, Searched, Step};
use carrel_domain::search::SearchMode;
use carrel_domain::text::TextMap;
use carrel_domain::{RunId, StepId, VersionId};
use carrel_operations::kinds::{GatherEvidence, PlanResearch, WriteReport};
use carrel_operations::{OperationError, SearchRequest};
use carrel_queue::{Completed, Handler, JobContext, JobError};
use carrel_research::{Evidence, PassageEvidence, ResearchError, Source, StepEvidence, cite, compose, gather, plan};
use carrel_storage::research::{self, EvidenceRow, Read};
use carrel_storage::{Transaction, documents, jobs};
use carrel_text::detect_language;
use serde_json::json;
use std::collections::BTreeMap;

/// Passages that a step reads.
const PASSAGES_PER_STEP: u32 = 12;

#[async_trait]
impl Handler<PlanResearch> for Pipeline {
    async fn run(&self, cx: &JobContext, payload: PlanResearch) -> Result<Completed, JobError> {
        let mut transaction = cx.begin().await?;
        let Some(run) = live_run(&mut transaction, payload.run).await? else {
            return cx.complete(transaction, json!({ "skipped": "the run has ended" })).await;
        };
        let mut steps = research::steps(&mut transaction, run.id).await?;
        if steps.is_empty() {
            steps = self.plan(&run);
            research::insert_steps(&mut transaction, run.id, &steps).await?;
        }
        let mut specs: Vec<JobSpec> = Vec::with_capacity(steps.len() + 1);
        for step in &steps {
            specs.push(self.spec(cx, &GatherEvidence { run: run.id, step: step.id })?);
        }
        let mut write = self.spec(cx, &WriteReport { run: run.id })?;
        write.needs = specs.iter().map(|spec| spec.id).collect();
        specs.push(write);
        let operation = cx.operation();
        jobs::enqueue(&mut transaction, &specs, &operation.actor).await?;
        research::set_state(&mut transaction, run.id, &RunState::Gathering, operation.now).await?;
        let questions: Vec<&str> = steps.iter().map(|step| step.question.as_str()).collect();
        research::announce(&mut transaction, run.id, "planned", json!({ "steps": questions })).await?;
        cx.complete(transaction, json!({ "steps": steps.len() })).await
    }
}

#[async_trait]
impl Handler<GatherEvidence> for Pipeline {
    async fn run(&self, cx: &JobContext, payload: GatherEvidence) -> Result<Completed, JobError> {
        let mut transaction = cx.begin().await?;
        let Some(run) = live_run(&mut transaction, payload.run).await? else {
            return cx.complete(transaction, json!({ "skipped": "the run has ended" })).await;
        };
        let steps = research::steps(&mut transaction, run.id).await?;
        transaction.rollback().await?;
        let Some(step) = steps.into_iter().find(|step| step.id == payload.step) else {
            return Err(JobError::fail("not_found", "the step is no longer there"));
        };
        let passages = self.passages(cx, &run, &step.question).await?;
        let gathered = gather(&step.question, &passages, &*self.0.operations.embedder, &self.0.rules)
            .await
            .map_err(from_research)?;
        let rows: Vec<EvidenceRow> =
            (0..).zip(gathered.evidence).map(|(ordinal, found)| row(step.id, ordinal, found)).collect();
        let read = Read {
            passages: u32::try_from(gathered.passages).unwrap_or(u32::MAX),
            sentences: u32::try_from(gathered.sentences).unwrap_or(u32::MAX),
        };
        let mut transaction = cx.begin().await?;
        research::insert_evidence(&mut transaction, run.id, step.id, read, &rows).await?;
        let happened = json!({ "step": step.ordinal, "question": step.question, "passages": read.passages, "evidence": rows.len() });
        research::announce(&mut transaction, run.id, "step_completed", happened).await?;
        cx.complete(transaction, json!({ "evidence": rows.len() })).await
    }
}

#[async_trait]
impl Handler<WriteReport> for Pipeline {
    async fn run(&self, cx: &JobContext, payload: WriteReport) -> Result<Completed, JobError> {
        let mut transaction = cx.begin().await?;
        let Some(run) = live_run(&mut transaction, payload.run).await? else {
            return cx.complete(transaction, json!({ "skipped": "the run has ended" })).await;
        };
        let operation = cx.operation();
        research::set_state(&mut transaction, run.id, &RunState::Writing, operation.now).await?;
        let steps = research::steps(&mut transaction, run.id).await?;
        let found = research::evidence(&mut transaction, run.id).await?;
        let read = research::read_in_all(&mut transaction, run.id).await?;
        let searchable = research::searchable_documents(&mut transaction, &run.collections, &run.filter).await?;
        let texts = sources(&mut transaction, &found).await?;
        // Nothing is held while claims are chosen.
        transaction.commit().await?;

        let by_step = by_step(&steps, found, &texts);
        let rules = self.0.rules;
        let ids = self.0.operations.ids.clone();
        let claims = compute(move || {
            let composition = compose(&by_step, &rules);
            let sources: BTreeMap<VersionId, Source<'_>> =
                texts.iter().map(|(version, text)| (*version, text.source())).collect();
            cite(&composition, &sources, &*ids)
        })
        .await?
        .map_err(from_research)?;

        let mut transaction = cx.begin().await?;
        let searched = Searched {
            documents: searchable,
            passages: read.passages.into(),
            sentences: read.sentences.into(),
            questions: steps.iter().map(|step| step.question.clone()).collect(),
        };
        research::set_searched(&mut transaction, run.id, &searched).await?;
        research::insert_claims(&mut transaction, run.id, &claims).await?;
        let state = if claims.is_empty() { RunState::Abstained } else { RunState::Completed };
        for claim in &claims {
            let happened = json!({ "text": claim.text, "citations": claim.citations.len() });
            research::announce(&mut transaction, run.id, "claim", happened).await?;
        }
        if !research::set_state(&mut transaction, run.id, &state, operation.now).await? {
            return Err(JobError::Cancelled);
        }
        research::announce(&mut transaction, run.id, state.as_str(), json!({ "claims": claims.len() })).await?;
        cx.complete(transaction, json!({ "claims": claims.len() })).await
    }
}

impl Pipeline {
    fn plan(&self, run: &Run) -> Vec<Step> {
        let ids: &dyn IdSource = &*self.0.operations.ids;
        let questions = plan(&run.question, detect_language(&run.question));
        (0..)
            .zip(questions)
            .map(|(ordinal, question)| Step { id: StepId(ids.new_id()), ordinal, question, completed: false })
            .collect()
    }

    async fn passages(&self, cx: &JobContext, run: &Run, question: &str) -> Result<Vec<PassageEvidence>, JobError> {
        let request = SearchRequest {
            query: question.to_owned(),
            mode: SearchMode::Hybrid,
            collections: run.collections.clone(),
            filter: run.filter.clone(),
            limit: PASSAGES_PER_STEP,
        };
        let found = self.0.operations.find_passages(&cx.operation(), &request).await;
        let (hits, _) = found.map_err(|error| match error {
            // Somebody waits for the answer; the wrong model in the settings does not mend itself.
            OperationError::SpaceMismatch { .. } => JobError::fail("space_mismatch", error.to_string()),
            other => from_operation(other),
        })?;
        let passages = hits.into_iter().map(|hit| PassageEvidence {
            document: hit.document,
            version: hit.version,
            ordinal: hit.ordinal,
            span: hit.span,
            page: hit.page,
            language: hit.language,
            text: hit.text,
            rank: hit.scores.rank,
        });
        Ok(passages.collect())
    }
}

async fn live_run(transaction: &mut Transaction, id: RunId) -> Result<Option<Run>, JobError> {
    let run = research::run(transaction, id).await?;
    // A failed run is live again when its job is replayed.
    Ok(run.filter(|run| !run.state.is_final() || matches!(run.state, RunState::Failed { .. })))
}

fn row(step: StepId, ordinal: u32, found: Evidence) -> EvidenceRow {
    EvidenceRow {
        step,
        ordinal,
        document: found.document,
        version: found.version,
        span: found.span,
        page: found.page,
        quote: found.quote,
        score: found.score,
        vector: found.vector,
    }
}

/// The text of a version that may be cited.
struct SourceText {
    document_name: String,
    version_number: u32,
    text: String,
    map: TextMap,
}

impl SourceText {
    fn source(&self) -> Source<'_> {
        Source {
            document_name: &self.document_name,
            version_number: self.version_number,
            text: &self.text,
            map: &self.map,
        }
    }
}

/// Texts of the versions that were found and are still there.
async fn sources(
    transaction: &mut Transaction,
    found: &[EvidenceRow],
) -> Result<BTreeMap<VersionId, SourceText>, JobError> {
    let mut texts = BTreeMap::new();
    for evidence in found {
        if texts.contains_key(&evidence.version) {
            continue;
        }
        let Some(version) = documents::version(transaction, evidence.version).await? else { continue };
        let Some(document) = documents::get(transaction, version.document).await? else { continue };
        let Some(rendition) = documents::rendition(transaction, evidence.version).await? else { continue };
        let source = SourceText {
            document_name: document.name,
            version_number: version.number,
            text: rendition.text,
            map: rendition.map,
        };
        texts.insert(evidence.version, source);
    }
    Ok(texts)
}

fn by_step(steps: &[Step], found: Vec<EvidenceRow>, texts: &BTreeMap<VersionId, SourceText>) -> Vec<StepEvidence> {
    let mut out: Vec<StepEvidence> =
        steps.iter().map(|step| StepEvidence { step: step.id, evidence: Vec::new() }).collect();
    for evidence in found {
        if !texts.contains_key(&evidence.version) {
            continue;
        }
        let Some(step) = out.iter_mut().find(|step| step.step == evidence.step) else { continue };
        step.evidence.push(Evidence {
            document: evidence.document,
            version: evidence.version,
            span: evidence.span,
            page: evidence.page,
            quote: evidence.quote,
            score: evidence.score,
            vector: evidence.vector,
        });
    }
    out
}

fn from_research(error: ResearchError) -> JobError {
    match error {
        ResearchError::Embedding(source) => from_inference(&source),
        other => JobError::fail("report_failed", other.to_string()),
    }
}
