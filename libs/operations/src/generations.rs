//! Index generations: which model answers, and the change to another one.

use crate::kinds::FillGeneration;
use crate::{OperationError, Operations};
use carrel_domain::job::JobSpec;
use carrel_domain::{Actor, IdSource, JobId, OperationContext, Scope, WorkspaceId};
use carrel_inference::Embedder;
use carrel_storage::generations::{self, GenerationRow, GenerationState};
use carrel_storage::index::{self, Generation};
use carrel_storage::{Database, jobs};
use std::sync::Arc;

/// A generation with the model of its space.
#[derive(Clone)]
pub struct Target {
    /// The generation.
    pub generation: Generation,
    /// Its model.
    pub embedder: Arc<dyn Embedder>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// A generation with how far it is.
#[derive(Clone, Debug)]
pub struct GenerationView {
    /// The generation.
    pub row: GenerationRow,
    /// Its vectors in this workspace.
    pub vectors: u64,
    /// Vectors of the live generation in this workspace.
    pub wanted: u64,
}

impl Operations {
    /// The model of a space, if it is one of those that are configured.
    pub fn embedder_of(&self, generation: &Generation) -> Option<&Arc<dyn Embedder>> {
        let fits = |embedder: &&Arc<dyn Embedder>| {
            let space = embedder.space();
            space.name == generation.space && space.dimension == generation.dimension
        };
        std::iter::once(&self.embedder).chain(&self.next_embedder).find(fits)
    }

    /// The generation with its model; refused when no configured model is of its space.
    pub fn target(&self, generation: Generation) -> Result<Target, OperationError> {
        match self.embedder_of(&generation) {
            Some(embedder) => Ok(Target { embedder: Arc::clone(embedder), generation }),
            None => Err(OperationError::SpaceMismatch {
                live: generation.space,
                configured: self.embedder.space().name.clone(),
            }),
        }
    }

    /// The live generation with its model. It is asked for anew each time, so a switch needs no restart.
    pub async fn live(&self) -> Result<Target, OperationError> {
        let live = match index::live_generation(&self.database).await? {
            Some(live) => live,
            None => {
                let space = self.embedder.space();
                index::ensure_generation(&self.database, &space.name, space.dimension).await?
            }
        };
        self.target(live)
    }

    /// The generations that new vectors go to: the live one, and the one that is being filled if its model is known here.
    pub async fn targets(&self) -> Result<Vec<Target>, OperationError> {
        let mut targets = vec![self.live().await?];
        for row in generations::list(&self.database).await? {
            if row.state == GenerationState::Filling {
                match self.target(row.generation) {
                    Ok(target) => targets.push(target),
                    Err(error) => {
                        tracing::warn!(%error, "a generation is being filled with a model that is not configured here");
                    }
                }
            }
        }
        Ok(targets)
    }

    /// Every generation with how far it is filled, in the caller's workspace.
    pub async fn list_generations(&self, context: &OperationContext) -> Result<Vec<GenerationView>, OperationError> {
        context.require(Scope::JobsRead)?;
        let rows = generations::list(&self.database).await?;
        let mut transaction = self.database.begin(context.workspace).await?;
        let counts = generations::count(&mut transaction).await?;
        transaction.rollback().await?;
        let vectors = |no: i16| counts.iter().find(|(of, _)| *of == no).map_or(0, |(_, vectors)| *vectors);
        let live = rows.iter().find(|row| row.state == GenerationState::Live);
        let wanted = live.map_or(0, |row| vectors(row.generation.no));
        let view = |row: GenerationRow| GenerationView { vectors: vectors(row.generation.no), wanted, row };
        Ok(rows.into_iter().map(view).collect())
    }
}

/// Puts the jobs in that fill generation `no`, one for each workspace; one that fills it already goes on.
pub async fn start_filling(
    database: &Database,
    ids: &dyn IdSource,
    workspaces: &[WorkspaceId],
    no: i16,
    actor: &Actor,
) -> Result<Vec<JobId>, OperationError> {
    let mut started = Vec::with_capacity(workspaces.len());
    for workspace in workspaces {
        let payload = FillGeneration { generation: no };
        let mut spec = JobSpec::new(JobId(ids.new_id()), &payload)?;
        spec.unique_key = Some(no.to_string());
        let mut transaction = database.begin(*workspace).await?;
        started.extend(jobs::enqueue(&mut transaction, &[spec], actor).await?);
        transaction.commit().await?;
    }
    Ok(started)
}
