//! Configuration, telemetry, health, lifecycle.
