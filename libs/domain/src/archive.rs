//! Collections, documents and their versions.
