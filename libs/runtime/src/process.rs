//! What this process uses, from proc(5), under the names that Prometheus' own clients use.

use std::fmt::Write;

/// Metrics as exposition text; what cannot be read is left out.
pub(crate) fn exposition() -> String {
    let mut text = String::new();
    let mut write = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        }
    };
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let stat = Stat::parse(&stat);
    write(
        "process_cpu_seconds_total",
        "counter",
        "User and system CPU time in seconds.",
        stat.as_ref().map(|stat| stat.cpu_ticks as f64 / ticks_per_second()),
    );
    write(
        "process_resident_memory_bytes",
        "gauge",
        "Resident memory in bytes.",
        stat.as_ref().map(|stat| stat.resident_pages as f64 * page_bytes()),
    );
    write(
        "process_virtual_memory_bytes",
        "gauge",
        "Virtual memory in bytes.",
        stat.as_ref().map(|stat| stat.virtual_bytes as f64),
    );
    write("process_threads", "gauge", "Threads.", stat.as_ref().map(|stat| stat.threads as f64));
    write(
        "process_start_time_seconds",
        "gauge",
        "Start of the process in seconds since 1970.",
        stat.as_ref().and_then(|stat| Some(boot_time()? + stat.start_ticks as f64 / ticks_per_second())),
    );
    let open = std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count().saturating_sub(1) as f64);
    write("process_open_fds", "gauge", "Open file descriptors.", open);
    write("process_max_fds", "gauge", "Limit of open file descriptors.", descriptor_limit());
    text
}

#[cfg(unix)]
fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

#[cfg(unix)]
fn page_bytes() -> f64 {
    rustix::param::page_size() as f64
}

/// Where there is no proc(5), there is nothing to convert.
#[cfg(not(unix))]
fn ticks_per_second() -> f64 {
    f64::NAN
}

#[cfg(not(unix))]
fn page_bytes() -> f64 {
    f64::NAN
}

struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    /// The second field is the program's name in parentheses and may hold anything, so counting starts after the last.
    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // `fields[0]` is field 3 of proc(5).
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

fn boot_time() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn descriptor_limit() -> Option<f64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_may_hold_anything() {
        let line = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 4 0 999 123456 42 18446744073709551615";
        let stat = Stat::parse(line).expect("fields");
        assert_eq!((stat.cpu_ticks, stat.threads, stat.start_ticks), (200, 4, 999));
        assert_eq!((stat.virtual_bytes, stat.resident_pages), (123_456, 42));
    }

    #[test]
    fn every_metric_is_there() {
        let text = exposition();
        for name in
            ["cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds", "start_time_seconds", "threads"]
        {
            assert!(text.contains(&format!("\nprocess_{name} ")), "{name}: {text}");
        }
    }
}
