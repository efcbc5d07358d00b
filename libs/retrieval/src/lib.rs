//! Retrieval measures and evaluation sets.
