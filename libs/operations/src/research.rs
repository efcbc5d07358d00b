//! Research: questions in, cited reports out.

use crate::collections::micros;
use crate::error::invalid;
use crate::kinds::PlanResearch;
use crate::{Answer, CursorKey, Listing, Once, OperationError, Operations, Resource};
use carrel_domain::job::JobSpec;
use carrel_domain::research::{Claim, Run, RunEvent, RunState, Searched, Step};
use carrel_domain::search::Filter;
use carrel_domain::{CollectionId, JobId, OperationContext, RunId, Scope};
use carrel_storage::research::Verification;
use carrel_storage::{access, baselines, collections, jobs, research};
use serde_json::json;

/// A question with where to look.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// The question in the user's words.
    pub question: String,
    /// Where to look; empty is the whole workspace.
    pub collections: Vec<CollectionId>,
    /// What else restricts.
    pub filter: Filter,
}

/// A run with all that it has produced so far.
#[derive(Clone, Debug)]
pub struct RunView {
    /// The run.
    pub run: Run,
    /// Its plan.
    pub steps: Vec<Step>,
    /// Its claims.
    pub claims: Vec<Claim>,
    /// Numbers of the citations whose document has moved on since, or is gone.
    pub outdated: Vec<u32>,
}

impl Operations {
    /// Begins a run; its jobs do the rest.
    pub async fn ask(
        &self,
        context: &OperationContext,
        question: &Question,
        once: Once<'_, Run>,
    ) -> Result<Answer<Run>, OperationError> {
        context.require(Scope::Research)?;
        let text = question.question.trim();
        if text.chars().count() > self.limits.question_characters {
            return invalid("question", format!("must have at most {} characters", self.limits.question_characters));
        }
        if text.is_empty() {
            return invalid("question", "must not be empty");
        }
        self.check_query(text, &question.collections, &question.filter)?;
        let job: JobId = self.new_id();
        let run = Run {
            id: self.new_id(),
            question: text.to_owned(),
            collections: question.collections.clone(),
            filter: question.filter.clone(),
            state: RunState::Planning,
            engine: carrel_research::ENGINE.to_owned(),
            job,
            searched: Searched::default(),
            created_at: micros(context.now),
            finished_at: None,
        };
        let mut transaction = self.database.begin(context.workspace).await?;
        if let Some(reply) = once.claim(&mut transaction, context.now).await? {
            return Ok(Answer::Repeated(reply));
        }
        for id in &question.collections {
            if collections::get(&mut transaction, *id).await?.is_none() {
                return Err(OperationError::NotFound(Resource::Collection));
            }
        }
        if let Some(baseline) = question.filter.baseline
            && baselines::get(&mut transaction, baseline).await?.is_none()
        {
            return Err(OperationError::NotFound(Resource::Baseline));
        }
        research::insert_run(&mut transaction, &run, &context.actor).await?;
        let mut spec = JobSpec::new(job, &PlanResearch { run: run.id })?;
        spec.traceparent.clone_from(&context.traceparent);
        jobs::enqueue(&mut transaction, &[spec], &context.actor).await?;
        research::announce(&mut transaction, run.id, "asked", json!({ "question": run.question })).await?;
        access::audit(&mut transaction, context, "ask", Some(run.id.0), json!({})).await?;
        once.commit(transaction, context.now, run).await
    }

    /// Runs, newest first.
    pub async fn list_runs(
        &self,
        context: &OperationContext,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Listing<Run>, OperationError> {
        context.require(Scope::Research)?;
        let key = CursorKey::new("research", &[]);
        let after = cursor.map(|text| key.decode(text)).transpose()?;
        let limit = self.page_size(limit)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        let page = research::list(&mut transaction, after, limit).await?;
        Ok(Listing { rows: page.rows, next: page.next.map(|after| key.encode(after)) })
    }

    /// A run with its plan, claims and citations.
    pub async fn get_run(&self, context: &OperationContext, id: RunId) -> Result<RunView, OperationError> {
        context.require(Scope::Research)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        let run = research::run(&mut transaction, id).await?.ok_or(OperationError::NotFound(Resource::Run))?;
        let steps = research::steps(&mut transaction, id).await?;
        let claims = research::claims(&mut transaction, id).await?;
        let outdated = research::outdated(&mut transaction, id).await?;
        Ok(RunView { run, steps, claims, outdated })
    }

    /// A run that has its report; one that has not ended is refused.
    pub async fn get_report(&self, context: &OperationContext, id: RunId) -> Result<RunView, OperationError> {
        let view = self.get_run(context, id).await?;
        match view.run.state {
            RunState::Completed | RunState::Abstained => Ok(view),
            _ => Err(OperationError::NotFound(Resource::Report)),
        }
    }

    /// Events of a run after `seq`, with its state.
    pub async fn run_events(
        &self,
        context: &OperationContext,
        id: RunId,
        seq: i64,
    ) -> Result<(RunState, Vec<RunEvent>), OperationError> {
        context.require(Scope::Research)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        let run = research::run(&mut transaction, id).await?.ok_or(OperationError::NotFound(Resource::Run))?;
        let events = research::events(&mut transaction, id, seq).await?;
        Ok((run.state, events))
    }

    /// Checks every quote of a run against the renditions once more.
    pub async fn verify_run(&self, context: &OperationContext, id: RunId) -> Result<Verification, OperationError> {
        context.require(Scope::Research)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        if research::run(&mut transaction, id).await?.is_none() {
            return Err(OperationError::NotFound(Resource::Run));
        }
        Ok(research::verify(&mut transaction, id).await?)
    }
}
