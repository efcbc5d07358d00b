//! A short part of the matrix: the rows that cost other queues their jobs, each once, always with the same seed.

use carrel_faults::{Lab, LabOptions, Plan, Way, rows};
use std::path::PathBuf;

/// Which row, on which transport, with how many workers.
const CELLS: [(&str, Way, usize); 5] = [
    ("kill", Way::Redis, 3),
    ("kill", Way::Postgres, 1),
    ("redis-flushall", Way::Redis, 3),
    ("stop", Way::Postgres, 1),
    ("pg-restart", Way::Redis, 1),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_happens_twice() {
    let worker = Some(PathBuf::from(env!("CARGO_BIN_EXE_probe-worker")));
    let mut lab = Lab::start(LabOptions { worker, ..LabOptions::default() }).await.expect("the servers start");
    for (name, way, workers) in CELLS {
        let plan = Plan { way, workers, ..Plan::default() };
        let report;
        (lab, report) = rows::run(lab, rows::find(name).expect("a row"), &plan).await.expect("the row runs");
        println!("{report}");
        assert!(report.holds(), "{report}");
        assert!(report.jobs > 100 && report.injuries > 0, "the row did something");
    }
}

#[test]
fn every_row_has_a_name_of_its_own() {
    let mut names: Vec<&str> = rows::ROWS.iter().map(|row| row.name).collect();
    names.sort_unstable();
    let before = names.len();
    names.dedup();
    assert_eq!(names.len(), before);
    assert!(rows::find("no such row").is_err());
}
