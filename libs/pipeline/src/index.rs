//! `document.index`, `passages.embed`, `document.publish`: from passages to an answer.

use crate::{Pipeline, compute, from_inference, from_operation};
use async_trait::async_trait;
use carrel_domain::job::Progress;
use carrel_domain::{CollectionId, Language, VersionId};
use carrel_inference::{Embedder, InputKind};
use carrel_operations::Target;
use carrel_operations::kinds::{EMBED_BATCH, EmbedPassages, IndexDocument, MergeSegments, PublishDocument};
use carrel_queue::{Completed, Handler, JobContext, JobError};
use carrel_storage::index::{self, Generation, PassageText, Published, TermCount, VersionTerms};
use carrel_storage::{Transaction, access, documents, generations, jobs};
use carrel_text::Analyzer;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Passages that one call of the embedder gets; between calls the job can be stopped.
pub(crate) const EMBED_CALL: usize = 64;

/// What both halves of the index need to know of a version.
pub(crate) struct Subject {
    pub(crate) title: Option<String>,
    pub(crate) language: Language,
    pub(crate) passages: Vec<PassageText>,
}

/// Words and vectors of a version.
pub(crate) struct Indexed {
    pub(crate) terms: VersionTerms,
    pub(crate) vectors: Vec<Vec<f32>>,
    pub(crate) generation: Generation,
}

/// Vectors of one generation for the passages of a version, from the first.
struct Embedded {
    generation: Generation,
    vectors: Vec<Vec<f32>>,
}

#[async_trait]
impl Handler<IndexDocument> for Pipeline {
    async fn run(&self, cx: &JobContext, payload: IndexDocument) -> Result<Completed, JobError> {
        let version = payload.version;
        let Some(subject) = load(cx, version, 0, EMBED_BATCH).await? else { return skip(cx).await };
        let embedded = self.embed_for_all(cx, &subject).await?;
        let language = subject.language;
        let terms = compute(move || count_terms(&subject)).await?;
        let mut transaction = cx.begin().await?;
        insert(&mut transaction, version, 0, &embedded).await?;
        self.publish(cx, transaction, version, language, &terms).await
    }
}

#[async_trait]
impl Handler<EmbedPassages> for Pipeline {
    async fn run(&self, cx: &JobContext, payload: EmbedPassages) -> Result<Completed, JobError> {
        let Some(subject) = load(cx, payload.version, payload.first, payload.end).await? else { return skip(cx).await };
        let embedded = self.embed_for_all(cx, &subject).await?;
        let mut transaction = cx.begin().await?;
        insert(&mut transaction, payload.version, payload.first, &embedded).await?;
        cx.complete(transaction, json!({ "passages": subject.passages.len() })).await
    }
}

#[async_trait]
impl Handler<PublishDocument> for Pipeline {
    async fn run(&self, cx: &JobContext, payload: PublishDocument) -> Result<Completed, JobError> {
        let Some(subject) = load(cx, payload.version, 0, u32::MAX >> 1).await? else { return skip(cx).await };
        let language = subject.language;
        let terms = compute(move || count_terms(&subject)).await?;
        let transaction = cx.begin().await?;
        self.publish(cx, transaction, payload.version, language, &terms).await
    }
}

/// Stores vectors in those of their generations that still take any: one may have been dropped since.
async fn insert(
    transaction: &mut Transaction,
    version: VersionId,
    first: u32,
    embedded: &[Embedded],
) -> Result<(), JobError> {
    let open = generations::hold_still(transaction).await?;
    for Embedded { generation, vectors } in embedded.iter().filter(|embedded| open.contains(&embedded.generation)) {
        index::insert_embeddings(transaction, version, generation, first, vectors).await?;
    }
    Ok(())
}

pub(crate) async fn load(
    cx: &JobContext,
    version: VersionId,
    first: u32,
    end: u32,
) -> Result<Option<Subject>, JobError> {
    let mut transaction = cx.begin().await?;
    let Some(known) = documents::version(&mut transaction, version).await? else { return Ok(None) };
    let passages = index::passages(&mut transaction, version, first, end).await?;
    Ok(Some(Subject { title: known.title, language: known.language.unwrap_or(Language::UNDETERMINED), passages }))
}

async fn skip(cx: &JobContext) -> Result<Completed, JobError> {
    let transaction = cx.begin().await?;
    cx.complete(transaction, json!({ "skipped": "the document was deleted" })).await
}

impl Pipeline {
    /// Embeds passages with the model of every generation that new vectors go to.
    async fn embed_for_all(&self, cx: &JobContext, subject: &Subject) -> Result<Vec<Embedded>, JobError> {
        let inputs: Vec<String> = subject.passages.iter().map(|passage| subject.context(passage)).collect();
        let mut embedded = Vec::new();
        for target in self.0.operations.targets().await.map_err(from_operation)? {
            let vectors = self.embed(cx, &*target.embedder, &inputs).await?;
            embedded.push(Embedded { generation: target.generation, vectors });
        }
        Ok(embedded)
    }

    pub(crate) async fn embed(
        &self,
        cx: &JobContext,
        embedder: &dyn Embedder,
        inputs: &[String],
    ) -> Result<Vec<Vec<f32>>, JobError> {
        let total = inputs.len() as u64;
        let mut vectors = Vec::with_capacity(inputs.len());
        for batch in inputs.chunks(EMBED_CALL) {
            cx.check_cancelled()?;
            vectors.extend(embedder.embed(batch, InputKind::Passage).await.map_err(|error| from_inference(&error))?);
            let done = vectors.len() as u64;
            cx.progress(Progress { done, total: Some(total), note: "embedding passages".to_owned() }).await;
        }
        Ok(vectors)
    }

    /// Words and vectors of a short version; `None` when the model does not answer now or is not the index's.
    pub(crate) async fn index_now(&self, subject: Subject) -> Result<Option<Indexed>, JobError> {
        // While a second generation is filled, the jobs of the model's queue write to both.
        let Ok(mut targets) = self.0.operations.targets().await else { return Ok(None) };
        let (Some(Target { generation, embedder }), true) = (targets.pop(), targets.is_empty()) else {
            return Ok(None);
        };
        let inputs: Vec<String> = subject.passages.iter().map(|passage| subject.context(passage)).collect();
        let vectors = match embedder.embed(&inputs, InputKind::Passage).await {
            Ok(vectors) => vectors,
            Err(error) => {
                tracing::debug!(%error, "the model does not answer; a job of its queue will ask it");
                return Ok(None);
            }
        };
        let terms = compute(move || count_terms(&subject)).await?;
        Ok(Some(Indexed { terms, vectors, generation }))
    }

    pub(crate) async fn merge(
        &self,
        cx: &JobContext,
        transaction: &mut Transaction,
        collection: CollectionId,
    ) -> Result<(), JobError> {
        let mut spec = self.spec(cx, &MergeSegments { collection })?;
        spec.unique_key = Some(collection.to_string());
        jobs::enqueue(transaction, &[spec], &cx.operation().actor).await?;
        Ok(())
    }

    /// Adds what vectors a version lacks in the generations of now: one may have been opened, or have become the live one,
    /// since its passages were embedded. Answers a transaction in which that cannot happen until it ends.
    async fn complete_vectors(
        &self,
        cx: &JobContext,
        mut transaction: Transaction,
        version: VersionId,
    ) -> Result<Transaction, JobError> {
        loop {
            let mut lack = None;
            for (place, generation) in generations::hold_still(&mut transaction).await?.into_iter().enumerate() {
                let ordinals = generations::lacking(&mut transaction, version, &generation, EMBED_BATCH).await?;
                if let (Some(first), Some(last)) = (ordinals.first(), ordinals.last()) {
                    // The live one must be complete; who fills another one without its model here says so in the log.
                    if place == 0 || self.0.operations.embedder_of(&generation).is_some() {
                        lack = Some((generation, *first, (*last + 1).min(first + EMBED_BATCH)));
                        break;
                    }
                }
            }
            let Some((generation, first, end)) = lack else { return Ok(transaction) };
            transaction.commit().await?;
            let target = self.0.operations.target(generation).map_err(from_operation)?;
            let Some(subject) = load(cx, version, first, end).await? else { return cx.begin().await };
            let inputs: Vec<String> = subject.passages.iter().map(|passage| subject.context(passage)).collect();
            let vectors = self.embed(cx, &*target.embedder, &inputs).await?;
            let mut adding = cx.begin().await?;
            insert(&mut adding, version, first, &[Embedded { generation: target.generation, vectors }]).await?;
            adding.commit().await?;
            transaction = cx.begin().await?;
        }
    }

    async fn publish(
        &self,
        cx: &JobContext,
        transaction: Transaction,
        version: VersionId,
        language: Language,
        terms: &VersionTerms,
    ) -> Result<Completed, JobError> {
        let operation = cx.operation();
        let mut transaction = self.complete_vectors(cx, transaction, version).await?;
        let Some(place) = index::place(&mut transaction, version).await? else {
            return cx.complete(transaction, json!({ "skipped": "the document was deleted" })).await;
        };
        let Published { current, merge_due } =
            index::publish(&mut transaction, version, place, language, terms, operation.now).await?;
        if merge_due {
            self.merge(cx, &mut transaction, place.collection).await?;
        }
        let details = json!({ "document": place.document, "current": current });
        access::audit(&mut transaction, &operation, "publish_version", Some(version.0), details).await?;
        let result: Value = json!({ "passages": terms.lengths.len(), "current": current });
        cx.complete(transaction, result).await
    }
}

impl Subject {
    fn context(&self, passage: &PassageText) -> String {
        in_context(self.title.as_deref(), &passage.headings, &passage.text)
    }
}

/// A passage with what stands above it, which says what it is about. This is what is embedded.
pub(crate) fn in_context(title: Option<&str>, headings: &[String], text: &str) -> String {
    // The title counts although many texts begin with it: words of a title say more than others, and on abstracts this is
    // worth a hundredth of nDCG.
    let mut lines: Vec<&str> = title.into_iter().collect();
    for heading in headings {
        // A passage often begins with its own heading.
        if !text.starts_with(heading.as_str()) && lines.last() != Some(&heading.as_str()) {
            lines.push(heading);
        }
    }
    lines.push(text);
    lines.join("\n")
}

pub(crate) fn count_terms(subject: &Subject) -> VersionTerms {
    let analyzer = Analyzer::for_language(subject.language);
    let mut terms = VersionTerms::default();
    for passage in &subject.passages {
        let words = analyzer.terms(&subject.context(passage));
        terms.lengths.push(u32::try_from(words.len()).unwrap_or(u32::MAX));
        let mut counts: HashMap<String, u32> = HashMap::new();
        for word in words {
            *counts.entry(word).or_default() += 1;
        }
        let ordinal = passage.ordinal;
        terms.counts.extend(counts.into_iter().map(|(term, count)| TermCount { ordinal, term, count }));
    }
    terms
}
