//! `collection.rescreen` and `document.rescreen`: a changed policy is applied to what was indexed before.
//!
//! A version whose text changes by that leaves the index first, with every place that repeats its words; the new text is
//! as long as the old one, so spans and citations keep their places and what cites a value that is hidden now shows dots.

use crate::extract::{Derived, derive, scratch};
use crate::index::{count_terms, load};
use crate::screen::Outcome;
use crate::{Pipeline, compute};
use async_trait::async_trait;
use carrel_domain::VersionId;
use carrel_domain::archive::VersionState;
use carrel_operations::kinds::{RescreenCollection, RescreenDocument};
use carrel_queue::{Completed, Handler, JobContext, JobError};
use carrel_screening::mask;
use carrel_storage::index::VersionPlace;
use carrel_storage::{Transaction, access, documents, index, jobs, screening};
use serde_json::json;
use std::collections::BTreeSet;

/// Versions that one transaction makes jobs for.
const PAGE: u32 = 500;

#[async_trait]
impl Handler<RescreenCollection> for Pipeline {
    async fn run(&self, cx: &JobContext, payload: RescreenCollection) -> Result<Completed, JobError> {
        let operation = cx.operation();
        let mut after = None;
        let mut versions = 0;
        loop {
            cx.check_cancelled()?;
            let mut transaction = cx.begin().await?;
            let page = screening::screenable(&mut transaction, payload.collection, after, PAGE).await?;
            let mut specs = Vec::with_capacity(page.len());
            for version in &page {
                let mut spec = self.spec(cx, &RescreenDocument { of: *version })?;
                // An attempt that runs again makes no second job for what still waits.
                spec.unique_key = Some(version.to_string());
                specs.push(spec);
            }
            jobs::enqueue(&mut transaction, &specs, &operation.actor).await?;
            versions += page.len();
            after = page.last().copied();
            if page.len() < PAGE as usize {
                return cx.complete(transaction, json!({ "versions": versions })).await;
            }
            transaction.commit().await?;
        }
    }
}

#[async_trait]
impl Handler<RescreenDocument> for Pipeline {
    async fn run(&self, cx: &JobContext, payload: RescreenDocument) -> Result<Completed, JobError> {
        self.rescreen(cx, payload.of).await
    }
}

/// Versions that have a text, or are kept from having one.
fn is_screenable(state: &VersionState) -> bool {
    matches!(state, VersionState::Extracted | VersionState::Searchable | VersionState::Quarantined)
}

impl Pipeline {
    pub(crate) async fn rescreen(&self, cx: &JobContext, id: VersionId) -> Result<Completed, JobError> {
        let mut transaction = cx.begin().await?;
        let version = documents::version(&mut transaction, id).await?;
        let Some(version) = version.filter(|version| is_screenable(&version.state)) else {
            return cx.complete(transaction, json!({ "skipped": "there is nothing to screen" })).await;
        };
        let document = documents::get(&mut transaction, version.document).await?;
        let Some(document) = document else {
            return cx.complete(transaction, json!({ "skipped": "the document was deleted" })).await;
        };
        transaction.rollback().await?;
        let folder = tempfile::Builder::new().prefix("carrel-screen-").tempdir_in(&self.0.scratch).map_err(scratch)?;
        let extraction = self.read(cx, &version, &document, folder.path()).await?;
        let outcome = self.screen_extracted(cx, &version, &document, extraction.rendition, folder.path()).await?;
        let Outcome { rendition, uploaded_title, screening, held } = outcome;
        let rules = self.0.passages;
        let derived = compute(move || derive(rendition, rules)).await?;
        // What the index knows of the text as it is.
        let words = match load(cx, id, 0, u32::MAX >> 1).await? {
            Some(subject) => compute(move || count_terms(&subject)).await?,
            None => index::VersionTerms::default(),
        };
        let words: BTreeSet<String> = words.counts.into_iter().map(|count| count.term).collect();
        let words: Vec<String> = words.into_iter().collect();
        let outcome = Settled { derived, uploaded_title, screening, held };
        self.settle(cx, id, outcome, &words).await
    }

    async fn settle(
        &self,
        cx: &JobContext,
        id: VersionId,
        outcome: Settled,
        words: &[String],
    ) -> Result<Completed, JobError> {
        let operation = cx.operation();
        let mut transaction = cx.begin().await?;
        let place = index::place(&mut transaction, id).await?;
        let known = screening::lock(&mut transaction, id).await?;
        let (Some(place), Some(known)) = (place, known) else {
            return cx.complete(transaction, json!({ "skipped": "the document was deleted" })).await;
        };
        let Settled { derived, uploaded_title, screening: new, held } = outcome;
        // Its text is on its way, or a reviewer has spoken meanwhile.
        if !["extracted", "searchable", "quarantined"].contains(&known.state.as_str()) {
            return cx.complete(transaction, json!({ "skipped": "there is nothing to screen" })).await;
        }
        let unchanged = if held {
            known.state == "quarantined"
        } else {
            known.sha256 == Some(derived.sha256) && known.title == derived.rendition.title
        };
        screening::put(&mut transaction, &new).await?;
        if let Some(title) = &uploaded_title {
            screening::hide_title(&mut transaction, id, title).await?;
        }
        let mut result = json!({ "verdict": new.verdict, "findings": new.total, "changed": !unchanged });
        if !unchanged {
            let requoted = self.replace(cx, &mut transaction, (id, place), &derived, held, words).await?;
            let details = json!({ "verdict": new.verdict, "findings": new.total, "quotes_changed": requoted });
            access::audit(&mut transaction, &operation, "rescreen_version", Some(id.0), details).await?;
            result["quotes_changed"] = json!(requoted);
        }
        cx.complete(transaction, result).await
    }

    /// Puts the new text in the place of the old one; answers how many quotes changed, `None` when the texts differ in more
    /// than masks, so that no quote can follow.
    async fn replace(
        &self,
        cx: &JobContext,
        transaction: &mut Transaction,
        (id, place): (VersionId, VersionPlace),
        derived: &Derived,
        held: bool,
        words: &[String],
    ) -> Result<Option<u64>, JobError> {
        let operation = cx.operation();
        index::withdraw(transaction, id, place, words).await?;
        let old = documents::rendition(transaction, id).await?;
        documents::remove_rendition(transaction, id).await?;
        documents::insert_rendition(transaction, &derived.new_rendition(id, &operation)).await?;
        let follows = old.is_some_and(|old| mask::agree(&old.text, &derived.rendition.text));
        let requoted = if follows { Some(screening::requote(transaction, id).await?) } else { None };
        if held {
            documents::remove_rendition(transaction, id).await?;
            screening::quarantine(transaction, id).await?;
            return Ok(requoted);
        }
        index::replace_passages(transaction, id, place, derived.language, &derived.passages).await?;
        let count = u32::try_from(derived.passages.len()).unwrap_or(u32::MAX);
        let specs = self.successors(cx, id, count)?;
        jobs::enqueue(transaction, &specs, &operation.actor).await?;
        Ok(requoted)
    }
}

/// What a version comes to.
struct Settled {
    derived: Derived,
    uploaded_title: Option<String>,
    screening: screening::NewScreening,
    held: bool,
}
