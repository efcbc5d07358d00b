//! Data sets: CSV, TSV, NDJSON and JSON arrays, read once and at constant memory.
//!
//! What is kept grows with the number of columns, never with the number of rows: tallies, three masked examples of
//! each kind for each column, the riskiest rows. Row digests beyond a budget go to one temporary file.

mod columns;
mod json;
mod reader;
mod risk;
mod rows;
mod screen;
mod strength;

pub use columns::{Class, ColumnReport, Example, KindCount, Meaning};
pub use reader::{Format, Header};
pub use risk::{Factor, FactorCount, RiskReport, RiskyRow};
pub use rows::{Duplicate, DuplicateReport};
pub use screen::{DatasetReport, PasswordOracle, Settings, screen};
pub use strength::{StrengthReport, strength};
