//! Places where a test can stop the process; this module exists under the feature `failpoints` alone.

/// After the commit of a transaction that enqueued jobs: workers may know, whoever asked for the jobs does not.
pub(crate) fn enqueue_committed() {
    fail::fail_point!("enqueue.committed");
}
