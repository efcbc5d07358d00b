//! What makes a report last: running it again, comparing two runs, and bundling one with its proof.

use crate::error::invalid;
use crate::{Answer, Once, OperationError, Operations, Question, Resource, RunView};
use carrel_bundle::{BaselineSummary, Contents, QuoteLine, VersionText, prove, write};
use carrel_domain::research::{Citation, Claim, Run};
use carrel_domain::{BaselineId, OperationContext, RunId, Scope, VersionId};
use carrel_storage::{Transaction, access, audit, baselines, documents};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Members of a baseline that are read at once.
const BATCH: u32 = 5_000;
/// Audit entries that a bundle proves at most: the newest ones.
const ENTRIES: u32 = 5_000;

/// What two runs quote.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunComparison {
    /// Quotes of both, with equal words and places.
    pub equal: usize,
    /// Quotes of the first run alone.
    pub gone: Vec<Citation>,
    /// Quotes of the second run alone.
    pub new: Vec<Citation>,
}

impl Operations {
    /// Asks the question of a run again where the run looked: in its baseline, or in what was current when it was asked.
    pub async fn reproduce(
        &self,
        context: &OperationContext,
        id: RunId,
        once: Once<'_, Run>,
    ) -> Result<Answer<Run>, OperationError> {
        let run = self.get_report(context, id).await?.run;
        let mut filter = run.filter;
        if !filter.is_pinned() {
            filter.as_of = Some(run.created_at);
        }
        let question = Question { question: run.question, collections: run.collections, filter };
        self.ask(context, &question, once).await
    }

    /// Compares what two reports quote.
    pub async fn compare_runs(
        &self,
        context: &OperationContext,
        before: RunId,
        after: RunId,
    ) -> Result<RunComparison, OperationError> {
        let before = self.get_report(context, before).await?;
        let after = self.get_report(context, after).await?;
        let places = |view: &RunView| -> BTreeSet<_> { citations(&view.claims).map(place).collect() };
        let (old, new) = (places(&before), places(&after));
        let only = |view: RunView, other: &BTreeSet<_>| -> Vec<Citation> {
            citations(&view.claims).filter(|citation| !other.contains(&place(citation))).cloned().collect()
        };
        Ok(RunComparison { equal: old.intersection(&new).count(), gone: only(before, &new), new: only(after, &old) })
    }

    /// Puts a report and all that proves it in one signed file. `report` and `markdown` are the report as it is sent.
    pub async fn bundle(
        &self,
        context: &OperationContext,
        view: &RunView,
        report: Value,
        markdown: String,
    ) -> Result<Vec<u8>, OperationError> {
        context.require(Scope::Research)?;
        let cited: BTreeSet<VersionId> = citations(&view.claims).map(|citation| citation.version).collect();
        // So that every entry until now has its proof.
        self.seal(context.workspace).await?;
        let mut transaction = self.database.begin(context.workspace).await?;
        let mut contents = Contents {
            run: Some(view.run.id),
            made_at: context.now,
            report,
            report_markdown: markdown,
            ..Contents::default()
        };
        if let Some(id) = view.run.filter.baseline {
            let baseline = baselines::get(&mut transaction, id).await?;
            let baseline = baseline.ok_or(OperationError::NotFound(Resource::Baseline))?;
            contents.versions = members(&mut transaction, id).await?;
            contents.baseline = Some(BaselineSummary { id, name: baseline.name, digest: baseline.digest });
        } else {
            let versions: Vec<VersionId> = cited.iter().copied().collect();
            contents.versions = baselines::of_versions(&mut transaction, &versions).await?;
        }
        for version in cited {
            let Some(rendition) = documents::rendition(&mut transaction, version).await? else {
                return invalid("id", "names a report that cites a deleted document; it can no longer be bundled");
            };
            contents.texts.push(VersionText { version, text: rendition.text });
        }
        contents.quotes = citations(&view.claims)
            .map(|citation| QuoteLine {
                number: citation.number,
                version: citation.version,
                span: citation.span,
                quote: citation.quote.clone(),
            })
            .collect();
        add_audit(&mut transaction, &mut contents, view).await?;
        access::audit(&mut transaction, context, "get_bundle", Some(view.run.id.0), json!({})).await?;
        transaction.commit().await?;
        let tokens = self.tokens.clone();
        tokio::task::spawn_blocking(move || write(&contents, tokens.bundle_key()))
            .await
            .map_err(|error| OperationError::Internal(error.to_string()))?
            .map_err(|error| OperationError::Internal(error.to_string()))
    }
}

async fn members(
    transaction: &mut Transaction,
    id: BaselineId,
) -> Result<Vec<carrel_domain::baseline::Member>, OperationError> {
    let mut all = Vec::new();
    loop {
        let after = all.last().map(|member: &carrel_domain::baseline::Member| member.document_id);
        let part = baselines::members(transaction, id, after, BATCH).await?;
        let last = part.len() < BATCH as usize;
        all.extend(part);
        if last {
            return Ok(all);
        }
    }
}

/// Adds what the trail says of the cited versions, their documents and the run, with the seals that prove it.
async fn add_audit(
    transaction: &mut Transaction,
    contents: &mut Contents,
    view: &RunView,
) -> Result<(), OperationError> {
    let mut subjects: BTreeSet<Uuid> =
        citations(&view.claims).flat_map(|citation| [citation.version.0, citation.document.0]).collect();
    subjects.insert(view.run.id.0);
    let subjects: Vec<Uuid> = subjects.into_iter().collect();
    let mut entries = audit::entries_about(transaction, &subjects, ENTRIES).await?;
    let seqs: Vec<i64> = entries.iter().map(|entry| entry.seq).collect();
    let mut seals = BTreeMap::new();
    for seal in audit::seals_of(transaction, &seqs).await? {
        let links = audit::links(transaction, &seal).await?;
        let covered: BTreeSet<i64> = links.iter().map(|link| link.seq).collect();
        let (here, rest) = entries.into_iter().partition(|entry| covered.contains(&entry.seq));
        entries = rest;
        contents.audit.extend(prove(here, &links));
        seals.insert(seal.number, seal);
    }
    // The newest one as well: whoever keeps the bundle can tell later whether the trail was cut.
    if let Some((seal, _)) = audit::last_seal(transaction).await? {
        seals.insert(seal.number, seal);
    }
    contents.seals = seals.into_values().collect();
    Ok(())
}

fn citations(claims: &[Claim]) -> impl Iterator<Item = &Citation> {
    claims.iter().flat_map(|claim| &claim.citations)
}

fn place(citation: &Citation) -> (VersionId, carrel_domain::Span, String) {
    (citation.version, citation.span, citation.quote.clone())
}
