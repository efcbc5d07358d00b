//! Research runs, claims and citations.
