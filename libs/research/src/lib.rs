//! Research without a language model: question to plan, passages to evidence, evidence to claims that quote exactly.
//!
//! The engine `extractive/1` states nothing of its own: every claim is the wording of a document. The functions here are
//! pure but for the embedder that [`gather`] is given; whoever calls them searches, stores and reports progress.
//!
//! Invariants: a quote is always the text at its span, cut from the version's own text in [`cite`], never assembled;
//! a claim never stands without a citation; work is bounded by [`MAX_SENTENCES`] whatever the passages hold; the same
//! input always gives the same report.
//!
//! ```
//! use carrel_domain::text::Language;
//! use carrel_inference::hashing::HashingEmbedder;
//! use carrel_research::{Rules, StepEvidence, compose, gather, plan};
//!
//! # async fn example(passages: Vec<carrel_research::PassageEvidence>, step: carrel_domain::StepId)
//! # -> Result<(), carrel_research::ResearchError> {
//! let question = "Who approved the budget?";
//! assert_eq!(plan(question, Language::ENGLISH), [question]);
//! let gathered = gather(question, &passages, &HashingEmbedder::new(64), &Rules::default()).await?;
//! let steps = [StepEvidence { step, evidence: gathered.evidence }];
//! let composition = compose(&steps, &Rules::default());
//! assert_eq!(composition.abstained(), composition.claims.is_empty());
//! # Ok(())
//! # }
//! ```

mod cite;
mod compose;
mod error;
mod evidence;
mod kind;
mod plan;
pub mod report;
mod score;

pub use cite::{CONTEXT_CHARS, Source, cite};
pub use compose::{Composition, DraftClaim, Quote, StepEvidence, compose};
pub use error::ResearchError;
pub use evidence::{
    Candidate, Evidence, Gathered, MAX_SENTENCES, Meaning, PassageEvidence, candidate_sentences, features, gather,
    select,
};
pub use plan::{MAX_QUESTION_CHARS, MAX_STEPS, plan};
pub use score::{Features, Rules, Weights};

/// Name and version of the engine, as stored with every run.
pub const ENGINE: &str = "extractive/1";
