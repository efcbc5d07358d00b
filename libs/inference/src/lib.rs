//! Embedders: built-in CPU, Ollama, OpenAI-compatible.
