//! The only apalis and Redis.
