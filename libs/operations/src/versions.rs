//! Versions: what differs between two, and bringing an old one back.

use crate::collections::micros;
use crate::{Answer, Once, OperationError, Operations, Resource, Uploaded};
use carrel_domain::archive::{DocumentVersion, Origin, VersionState};
use carrel_domain::{OperationContext, Scope, Span, VersionId};
use carrel_storage::documents::{NewVersion, StoredRendition};
use carrel_storage::{Transaction, documents, originals};
use carrel_text::{CharIndex, Difference};

/// Differences that one answer shows.
const DIFFERENCES: usize = 5_000;
/// Code points of the words of one difference that are shown.
const SHOWN: u32 = 2_000;
/// Code points shown in front of a difference.
const CONTEXT: u32 = 64;

/// What differs between two texts.
#[derive(Clone, Debug)]
pub struct VersionDiff {
    /// In the order of the texts; what lies between two of them is equal.
    pub differences: Vec<ShownDifference>,
    /// True when there are more.
    pub truncated: bool,
}

/// A stretch that differs, with its words.
#[derive(Clone, Debug)]
pub struct ShownDifference {
    /// Where it stands in both texts.
    pub place: Difference,
    /// The words that went, up to 2,000 code points.
    pub removed: String,
    /// The words that came, up to 2,000 code points.
    pub inserted: String,
    /// What stands in front of it, up to 64 code points.
    pub context: String,
}

fn shown(before: &str, after: &str) -> VersionDiff {
    let found = carrel_text::diff(before, after);
    let (before, after) = (CharIndex::new(before), CharIndex::new(after));
    let words = |text: &CharIndex<'_>, span: Span| {
        let end = span.end.min(span.start.saturating_add(SHOWN));
        text.slice(Span { start: span.start, end }).unwrap_or_default().to_owned()
    };
    let differences = found.iter().take(DIFFERENCES).map(|place| ShownDifference {
        place: *place,
        removed: words(&before, place.before),
        inserted: words(&after, place.after),
        context: words(&after, Span { start: place.after.start.saturating_sub(CONTEXT), end: place.after.start }),
    });
    VersionDiff { differences: differences.collect(), truncated: found.len() > DIFFERENCES }
}

impl Operations {
    /// Compares the texts of two versions word by word. They need not belong to the same document.
    pub async fn diff_versions(
        &self,
        context: &OperationContext,
        before: VersionId,
        after: VersionId,
    ) -> Result<VersionDiff, OperationError> {
        context.require(Scope::DocumentsRead)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        let before = text(&mut transaction, before).await?.text;
        let after = text(&mut transaction, after).await?.text;
        transaction.rollback().await?;
        // Megabytes take a fraction of a second, which is too long for the thread that serves others.
        tokio::task::spawn_blocking(move || shown(&before, &after))
            .await
            .map_err(|error| OperationError::Internal(error.to_string()))
    }

    /// Brings an old version back: its bytes become the newest version of the document. Nothing is taken away.
    pub async fn restore_version(
        &self,
        context: &OperationContext,
        id: VersionId,
        once: Once<'_, Uploaded>,
    ) -> Result<Answer<Uploaded>, OperationError> {
        context.require(Scope::DocumentsWrite)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        // Before anything is looked for: the reply of the first request holds even when its version is gone since.
        if let Some(reply) = once.claim(&mut transaction, context.now).await? {
            return Ok(Answer::Repeated(reply));
        }
        let missing = || OperationError::NotFound(Resource::Version);
        let old = documents::version(&mut transaction, id).await?.ok_or_else(missing)?;
        let document = documents::get(&mut transaction, old.document).await?.ok_or_else(missing)?;
        // Held until the commit, so that the bytes cannot be released under the new version.
        originals::hold(&mut transaction, old.digests.sha256).await?.ok_or_else(missing)?;
        let new = NewVersion {
            version: self.new_id(),
            document: document.id,
            collection: document.collection,
            external_id: document.external_id,
            file_name: old.file_name,
            title: old.title,
            media_type: old.media_type,
            metadata: None,
            sha256: old.digests.sha256,
            now: micros(context.now),
            by: context.actor.clone(),
            origin: Origin::Restore(id),
        };
        self.store_version(transaction, context, new, "restore_version", once).await
    }
}

async fn text(transaction: &mut Transaction, id: VersionId) -> Result<StoredRendition, OperationError> {
    if let Some(rendition) = documents::rendition(transaction, id).await? {
        return Ok(rendition);
    }
    Err(without_text(documents::version(transaction, id).await?))
}

/// Why a version has no text.
pub(crate) fn without_text(version: Option<DocumentVersion>) -> OperationError {
    match version.map(|version| version.state) {
        Some(state @ (VersionState::Quarantined | VersionState::Rejected { .. })) => {
            OperationError::Withheld { state: state.as_str() }
        }
        Some(_) => OperationError::NotFound(Resource::Rendition),
        None => OperationError::NotFound(Resource::Version),
    }
}
