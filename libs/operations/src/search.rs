//! Search.

use crate::collections::holds_nul;
use crate::error::invalid;
use crate::{OperationError, Operations, Resource};
use carrel_domain::search::{Filter, Hit, SearchMode};
use carrel_domain::{CollectionId, Language, OperationContext, Scope};
use carrel_inference::{Embedder, InputKind};
use carrel_retrieval::{Snippet, snippet};
use carrel_storage::Transaction;
use carrel_storage::baselines;
use carrel_storage::index;
use carrel_storage::search::{Found, SearchQuery, search};
use carrel_text::{Analyzer, query_terms};
use std::time::Instant;

/// What to look for.
#[derive(Clone, Debug, Default)]
pub struct SearchRequest {
    /// The query in the user's words.
    pub query: String,
    /// Which halves of the index answer.
    pub mode: SearchMode,
    /// Where to look; empty is the whole workspace.
    pub collections: Vec<CollectionId>,
    /// What else restricts.
    pub filter: Filter,
    /// Hits wanted.
    pub limit: u32,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct SearchAnswer {
    /// Best first, each with its snippet.
    pub hits: Vec<(Hit, Snippet)>,
    /// The words that were looked for, as the index knows them.
    pub terms: Vec<String>,
}

impl Operations {
    /// Finds passages. An empty collection answers nothing; an unknown one is refused.
    pub async fn search(
        &self,
        context: &OperationContext,
        request: &SearchRequest,
    ) -> Result<SearchAnswer, OperationError> {
        context.require(Scope::Search)?;
        self.check_query(&request.query, &request.collections, &request.filter)?;
        if request.limit == 0 || request.limit > self.limits.hits {
            return invalid("limit", format!("must be between 1 and {}", self.limits.hits));
        }
        let started = Instant::now();
        let (hits, terms) = self.find_passages(context, request).await?;
        let cutting = Instant::now();
        let mut answer = SearchAnswer { hits: Vec::with_capacity(hits.len()), terms };
        for hit in hits {
            let shown = snippet(&hit.text, &answer.terms, &Analyzer::for_language(hit.language));
            answer.hits.push((hit, shown));
        }
        record_stage("snippet", cutting);
        metrics::histogram!("carrel_search_duration_seconds", "mode" => request.mode.as_str())
            .record(started.elapsed().as_secs_f64());
        Ok(answer)
    }

    pub(crate) fn check_query(
        &self,
        query: &str,
        collections: &[CollectionId],
        filter: &Filter,
    ) -> Result<(), OperationError> {
        if query.trim().is_empty() {
            return invalid("query", "must not be empty");
        }
        if query.chars().count() > self.limits.query_characters {
            return invalid("query", format!("must have at most {} characters", self.limits.query_characters));
        }
        if query.contains('\0') {
            return invalid("query", "must not contain NUL");
        }
        self.check_scope(collections, filter)
    }

    /// Bounds of what restricts a search or a baseline.
    pub(crate) fn check_scope(&self, collections: &[CollectionId], filter: &Filter) -> Result<(), OperationError> {
        if filter.baseline.is_some() && filter.as_of.is_some() {
            return invalid("filter", "names a baseline or a time, not both");
        }
        if collections.len() > self.limits.collections {
            return invalid("collections", format!("must name at most {} collections", self.limits.collections));
        }
        if filter.documents.len() > 1_000 || filter.languages.len() > 100 || filter.media_types.len() > 100 {
            return invalid("filter", "lists at most 1,000 documents, 100 languages and 100 media types");
        }
        let metadata = serde_json::to_string(&filter.metadata).unwrap_or_default();
        if metadata.len() > 16_384 || holds_nul(&filter.metadata) {
            return invalid("filter.metadata", "must have at most 16 KiB of JSON and no NUL");
        }
        Ok(())
    }

    /// The search itself, for requests and for research steps. Scopes and bounds were checked by the caller.
    pub async fn find_passages(
        &self,
        context: &OperationContext,
        request: &SearchRequest,
    ) -> Result<(Vec<Hit>, Vec<String>), OperationError> {
        let (live, vector, languages) = if request.mode == SearchMode::Lexical {
            (None, None, self.collection_languages(context, &request.collections).await?)
        } else {
            let meaning = async {
                // The live generation says which model: it may have changed since the last query.
                let live = self.live().await?;
                let vector = embed_query(&*live.embedder, &request.query).await?;
                Ok((live, vector))
            };
            let languages = self.collection_languages(context, &request.collections);
            let ((live, vector), languages) = tokio::try_join!(meaning, languages)?;
            (Some(live), Some(vector), languages)
        };
        let embedder = live.as_ref().map_or(&self.embedder, |live| &live.embedder);
        let terms = match request.mode {
            SearchMode::Semantic => Vec::new(),
            _ => query_terms(&request.query, &languages),
        };
        let mut known = embedder.space().languages.clone();
        if !known.is_empty() {
            // Text too short to tell its language is given the benefit of the doubt.
            known.push(Language::UNDETERMINED);
        }
        let query = SearchQuery {
            mode: request.mode,
            terms: &terms,
            vector: vector.as_deref(),
            generation: live.as_ref().map(|live| &live.generation),
            model_languages: &known,
            collections: &request.collections,
            filter: &request.filter,
            limit: request.limit,
            ranking: self.ranking,
        };
        let searching = Instant::now();
        let (mut transaction, found) = self.run_search(context, &query).await?;
        record_stage("sql", searching);
        if let (Some(baseline), true) = (request.filter.baseline, found.hits.is_empty())
            && baselines::get(&mut transaction, baseline).await?.is_none()
        {
            return Err(OperationError::NotFound(Resource::Baseline));
        }
        if (found.collections as usize) < distinct(&request.collections) {
            return Err(OperationError::NotFound(Resource::Collection));
        }
        // Semantic hits are highlighted too.
        let terms = if terms.is_empty() { query_terms(&request.query, &languages) } else { terms };
        Ok((found.hits, terms))
    }

    /// On a replica where one may answer. On the primary again when that failed there (replaying the log can end a
    /// statement at any time), or when something named is missing there: it may have been made a moment ago.
    async fn run_search(
        &self,
        context: &OperationContext,
        query: &SearchQuery<'_>,
    ) -> Result<(Transaction, Found), OperationError> {
        let mut transaction = self.database.begin_read(context.workspace).await?;
        let found = search(&mut transaction, query).await;
        if !transaction.is_on_replica() {
            return Ok((transaction, found?));
        }
        if let Ok(found) = found
            && found.collections as usize >= distinct(query.collections)
            && !(query.filter.baseline.is_some() && found.hits.is_empty())
        {
            return Ok((transaction, found));
        }
        let mut transaction = self.database.begin(context.workspace).await?;
        let found = search(&mut transaction, query).await?;
        Ok((transaction, found))
    }

    async fn collection_languages(
        &self,
        context: &OperationContext,
        collections: &[CollectionId],
    ) -> Result<Vec<Language>, OperationError> {
        let mut transaction = self.database.begin(context.workspace).await?;
        Ok(index::languages(&mut transaction, collections).await?)
    }
}

async fn embed_query(embedder: &dyn Embedder, query: &str) -> Result<Vec<f32>, OperationError> {
    let embedding = Instant::now();
    let mut vectors = embedder.embed(&[query.to_owned()], InputKind::Query).await?;
    record_stage("embed", embedding);
    vectors.pop().ok_or_else(|| OperationError::Internal("the embedder answered no vector".to_owned()))
}

fn distinct(collections: &[CollectionId]) -> usize {
    collections.iter().collect::<std::collections::BTreeSet<_>>().len()
}

fn record_stage(stage: &'static str, began: Instant) {
    metrics::histogram!("carrel_search_stage_duration_seconds", "stage" => stage).record(began.elapsed().as_secs_f64());
}
