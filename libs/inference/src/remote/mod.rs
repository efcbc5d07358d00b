//! Embedders behind HTTP.

mod http;
mod ollama;
mod openai;

pub use http::RemoteOptions;
pub use ollama::OllamaEmbedder;
pub use openai::OpenAiEmbedder;
