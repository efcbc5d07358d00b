//! A private PostgreSQL server in user space.
