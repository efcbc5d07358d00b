//! Jobs: enqueue, claim, complete, sweep, explain.
