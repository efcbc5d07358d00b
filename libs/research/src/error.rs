use carrel_domain::VersionId;
use carrel_domain::text::Span;
use carrel_inference::InferenceError;

/// Why a step could not be weighed or a report not be written.
#[derive(Debug, thiserror::Error)]
pub enum ResearchError {
    /// The model did not embed the question or its sentences.
    #[error("the sentences could not be embedded")]
    Embedding(#[from] InferenceError),
    /// The embedder answered another number of vectors than it got sentences.
    #[error("{got} vectors came for {wanted} sentences")]
    Vectors {
        /// Sentences sent.
        wanted: usize,
        /// Vectors received.
        got: usize,
    },
    /// The text of a version that is to be cited was not given.
    #[error("version {version} is to be cited, but its text is not there")]
    NoSource {
        /// The version.
        version: VersionId,
    },
    /// A span to cite reaches past the end of its text.
    #[error("version {version} has no characters {} to {}", span.start, span.end)]
    NoSuchSpan {
        /// The version.
        version: VersionId,
        /// The span.
        span: Span,
    },
}
