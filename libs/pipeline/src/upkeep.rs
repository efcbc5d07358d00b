//! How the archive looks after itself.

use std::time::Duration;

/// Bounds and times of the jobs that nobody asks for.
#[derive(Clone, Debug)]
pub struct Upkeep {
    /// Documents found inside of one upload, at all depths.
    pub descendants: u32,
    /// When a fixity check begins (cron, UTC).
    pub fixity_schedule: String,
    /// How long an original may go without being read again.
    pub fixity_period: Duration,
    /// Bytes that a fixity check reads in a second; `None` is as fast as it goes.
    pub fixity_bytes_per_second: Option<u64>,
    /// When what uploads left behind is collected (cron, UTC).
    pub orphan_schedule: String,
    /// How long something may be left over before it is removed; longer than any upload takes.
    pub orphan_grace: Duration,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self {
            descendants: 20_000,
            fixity_schedule: "41 1 * * *".to_owned(),
            fixity_period: Duration::from_hours(30 * 24),
            fixity_bytes_per_second: Some(50 << 20),
            orphan_schedule: "11 4 * * *".to_owned(),
            orphan_grace: Duration::from_hours(48),
        }
    }
}
