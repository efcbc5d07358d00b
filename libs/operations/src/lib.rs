//! What one can do with Carrel: every operation authorises, opens one transaction, audits, enqueues, and commits.
//!
//! Invariants: an operation takes its [`OperationContext`](carrel_domain::OperationContext) first and checks the scope
//! before anything else; no network or model call happens while a transaction is open; a change and the jobs that follow
//! from it are committed together; nothing here knows HTTP.
//!
//! ```no_run
//! # async fn example(operations: carrel_operations::Operations, context: carrel_domain::OperationContext) -> Result<(), carrel_operations::OperationError> {
//! use carrel_operations::{Answer, Once};
//!
//! let made = operations.create_collection(&context, "harbour", "", Once::without_key()).await?;
//! let Answer::Fresh(collection) = made else { unreachable!("without a key nothing is repeated") };
//! let page = operations.list_collections(&context, None, None, 50).await?;
//! assert!(page.rows.contains(&collection));
//! # Ok(()) }
//! ```

mod audit;
mod baselines;
mod collections;
mod cursor;
mod custody;
mod documents;
mod erasure;
mod error;
mod fixity;
mod generations;
mod idempotency;
mod jobs;
pub mod kinds;
mod labels;
mod reports;
mod research;
pub mod screening;
mod search;
mod similarity;
mod tokens;
mod versions;

pub use baselines::NewBaseline;
pub use collections::Listing;
pub use cursor::CursorKey;
pub use custody::Scan;
pub use documents::{DocumentView, StagedUpload, Upload, Uploaded};
pub use error::{OperationError, Resource};
pub use fixity::FixityReport;
pub use generations::{GenerationView, Target, start_filling};
pub use idempotency::{Answer, IdempotencyKey, Once, Reply};
pub use reports::RunComparison;
pub use research::{Question, RunView};
pub use screening::{Screening, ScreeningKey};
pub use search::{SearchAnswer, SearchRequest};
pub use similarity::{Duplicate, DuplicateKind, signature_of};
pub use tokens::{Bearer, IssuedToken, TokenIssuer, new_secret, secret_digest};
pub use versions::{ShownDifference, VersionDiff};

use carrel_domain::IdSource;
use carrel_inference::Embedder;
use carrel_storage::search::Ranking;
use carrel_storage::{Database, OriginalStore};
use chrono::{DateTime, Utc};
use std::sync::Arc;

/// The time. Injected, so that tests can hold it still.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> DateTime<Utc>;
}

/// Bounds on what may be asked for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one upload.
    pub upload_bytes: u64,
    /// Characters of a query.
    pub query_characters: usize,
    /// Characters of a question.
    pub question_characters: usize,
    /// Rows of a page.
    pub page: u32,
    /// Hits of a search.
    pub hits: u32,
    /// Collections that one search may name.
    pub collections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            upload_bytes: 1 << 30,
            query_characters: 8_000,
            question_characters: 4_000,
            page: 200,
            hits: 100,
            collections: 100,
        }
    }
}

/// Everything that operations need.
#[derive(Clone)]
pub struct Operations {
    /// The database.
    pub database: Database,
    /// The store of originals.
    pub originals: OriginalStore,
    /// Embeds queries and passages.
    pub embedder: Arc<dyn Embedder>,
    /// The model that is to take its place: while a second index generation is filled, and until `embedder` is it.
    pub next_embedder: Option<Arc<dyn Embedder>>,
    /// Makes ids.
    pub ids: Arc<dyn IdSource>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Signs and checks access tokens.
    pub tokens: Arc<TokenIssuer>,
    /// Bounds.
    pub limits: Limits,
    /// How search ranks.
    pub ranking: Ranking,
    /// Finds personal data and credentials.
    pub screening: Screening,
}

impl Operations {
    fn new_id<T: From<uuid::Uuid>>(&self) -> T {
        T::from(self.ids.new_id())
    }
}
