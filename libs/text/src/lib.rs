//! Normalised text: sentences, passages, anchors, languages and terms.
//!
//! Invariants: this crate never performs I/O and never reads the clock or randomness; every position it takes
//! or gives is a code point of the text ([`carrel_domain::text::Span`]); every function takes time linear in
//! its text, whatever the text is; the same input always gives the same output.
//!
//! ```
//! use carrel_domain::text::{Language, TextMap};
//! use carrel_text::{Analyzer, PassageRules, normalise, passages, sentences};
//!
//! let text = normalise("Dr. Smith paid $2,450.00.\r\nThe company's auditors agreed.");
//! assert_eq!(sentences(&text).len(), 2);
//! assert_eq!(passages(&text, &TextMap::default(), &PassageRules::default()).len(), 1);
//! let terms = Analyzer::for_language(Language::ENGLISH).terms("The company's auditors agreed.");
//! assert_eq!(terms, ["compani", "auditor", "agre"]);
//! ```

mod analyzer;
mod anchor;
mod char_index;
mod diff;
mod fold;
mod language;
mod minhash;
mod normalise;
mod passages;
mod script;
mod sentences;
mod stop_words;

pub use analyzer::{Analyzer, MAX_QUERY_BYTES, MAX_QUERY_TERMS, MAX_TERM_CHARS, query_terms};
pub use anchor::{Anchor, CONTEXT_CHARS};
pub use char_index::CharIndex;
pub use diff::{Difference, diff};
pub use language::detect_language;
pub use minhash::Signature;
pub use normalise::normalise;
pub use passages::{Passage, PassageRules, passages};
pub use sentences::{MAX_SENTENCE_CHARS, sentences};
