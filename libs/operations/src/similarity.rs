//! Duplicates and near-duplicates of a document. They are told, never dropped.

use crate::error::invalid;
use crate::{OperationError, Operations, Resource};
use carrel_domain::{DocumentId, OperationContext, Scope};
use carrel_storage::similarity::{self, Alike, StoredSignature};
use carrel_storage::{Transaction, documents, index};
use carrel_text::Signature;

/// Estimated similarity from which a document is shown as a near-duplicate of another.
pub(crate) const LEAST_SHOWN: f32 = 0.7;
/// Duplicates that are shown with a document.
pub(crate) const MOST_SHOWN: usize = 10;
/// Cosine of two documents' middles from which they say the same in other words.
const LEAST_CLOSE: f32 = 0.95;
/// Duplicates that one answer holds.
const MOST: usize = 200;

/// In what way two documents are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DuplicateKind {
    /// The same bytes.
    Exact,
    /// Nearly the same words in the same order.
    Near,
    /// Other words of nearly the same meaning.
    Meaning,
}

impl DuplicateKind {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Near => "near",
            Self::Meaning => "meaning",
        }
    }
}

/// A document that is like another.
#[derive(Clone, Debug, PartialEq)]
pub struct Duplicate {
    /// In what way.
    pub kind: DuplicateKind,
    /// The other document.
    pub alike: Alike,
    /// Estimated Jaccard similarity of their word shingles, 0 to 1; `None` when it was not compared.
    pub similarity: Option<f32>,
    /// Cosine of the means of their passages' vectors; `None` when it was not compared.
    pub closeness: Option<f32>,
}

/// The signature of a text in the form that is stored; `None` when it has no word.
pub fn signature_of(text: &str) -> Option<StoredSignature> {
    let signature = Signature::of(text)?;
    Some(StoredSignature { shingles: signature.shingles(), bytes: signature.to_bytes(), bands: signature.bands() })
}

/// Documents with the same bytes, then those with nearly the same words, the most alike first.
pub(crate) async fn alike(
    transaction: &mut Transaction,
    id: DocumentId,
    least: f32,
    most: usize,
) -> Result<Vec<Duplicate>, OperationError> {
    let same = similarity::same_bytes(transaction, id, u32::try_from(most).unwrap_or(u32::MAX)).await?;
    let exact = |alike| Duplicate { kind: DuplicateKind::Exact, alike, similarity: Some(1.0), closeness: None };
    let mut found: Vec<Duplicate> = same.into_iter().map(exact).collect();
    if let Some(own) = similarity::signature(transaction, id).await?
        && let Some(signature) = Signature::from_bytes(&own.bytes, own.shingles)
    {
        let mut near = Vec::new();
        for (alike, other) in similarity::candidates(transaction, id, &own.bands).await? {
            let Some(other) = Signature::from_bytes(&other.bytes, other.shingles) else { continue };
            let similarity = signature.similarity(&other);
            let known = found.iter().any(|duplicate| duplicate.alike.document == alike.document);
            if similarity >= least && !known {
                near.push(Duplicate {
                    kind: DuplicateKind::Near,
                    alike,
                    similarity: Some(similarity),
                    closeness: None,
                });
            }
        }
        near.sort_by(|a, b| by_score(a.similarity, b.similarity).then_with(|| a.alike.document.cmp(&b.alike.document)));
        found.extend(near);
    }
    found.truncate(most);
    Ok(found)
}

/// The higher score first; what was not compared comes last.
fn by_score(a: Option<f32>, b: Option<f32>) -> std::cmp::Ordering {
    b.unwrap_or_default().total_cmp(&a.unwrap_or_default())
}

impl Operations {
    /// Documents that are like a document: the same bytes, an estimated similarity of the words of at least `least`, or a
    /// meaning that is nearly the same. In every collection of the workspace.
    pub async fn list_duplicates(
        &self,
        context: &OperationContext,
        id: DocumentId,
        least: f32,
    ) -> Result<Vec<Duplicate>, OperationError> {
        context.require(Scope::DocumentsRead)?;
        if !(0.3..=1.0).contains(&least) {
            return invalid("least", "must be between 0.3 and 1; less is chance");
        }
        // No model is asked, so it need not be one that is configured here.
        let live = index::live_generation(&self.database).await?;
        let mut transaction = self.database.begin(context.workspace).await?;
        if documents::get(&mut transaction, id).await?.is_none() {
            return Err(OperationError::NotFound(Resource::Document));
        }
        let mut found = alike(&mut transaction, id, least, MOST).await?;
        let named: Vec<DocumentId> = found.iter().map(|duplicate| duplicate.alike.document).collect();
        let close = match &live {
            Some(live) => similarity::closeness(&mut transaction, id, &named, live).await?,
            None => Vec::new(),
        };
        transaction.rollback().await?;
        for (alike, cosine) in close {
            match found.iter_mut().find(|duplicate| duplicate.alike.document == alike.document) {
                Some(known) => known.closeness = Some(cosine),
                None if cosine >= LEAST_CLOSE => found.push(Duplicate {
                    kind: DuplicateKind::Meaning,
                    alike,
                    similarity: None,
                    closeness: Some(cosine),
                }),
                None => {}
            }
        }
        found.sort_by(|a, b| {
            let score = |duplicate: &Duplicate| duplicate.similarity.or(duplicate.closeness);
            a.kind.cmp(&b.kind).then_with(|| by_score(score(a), score(b)))
        });
        found.truncate(MOST);
        Ok(found)
    }
}
