//! Judging and showing what a search finds: trec_eval's measures, evaluation sets, fusion, snippets.
//!
//! Invariants: nothing here talks to a database or a network; only [`beir`] and [`quotes_set`] read files, and only
//! those below the folder they are given; a ranking or a set that is malformed is an error with its file and line,
//! never a guess; the same input always gives the same output.
//!
//! ```
//! use carrel_retrieval::measures::{Judgements, ndcg_at};
//!
//! let judged = Judgements::from([("d1".to_owned(), 1), ("d7".to_owned(), 1)]);
//! let found = ["d7", "d3", "d1"];
//! assert!((ndcg_at(10, &found, &judged) - 0.9197).abs() < 1e-4);
//! ```

pub mod beir;
mod error;
pub mod fusion;
pub mod measures;
pub mod quotes_set;
mod snippet;

pub use error::RetrievalError;
pub use snippet::{SNIPPET_CHARS, Snippet, snippet};
