//! Queries and hits.
