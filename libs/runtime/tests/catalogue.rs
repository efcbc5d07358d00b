//! The table of metrics and the places that measure agree.

use carrel_runtime::catalogue::{Kind, METRICS, find};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const MACROS: [(&str, Kind); 3] =
    [("counter!(", Kind::Counter), ("gauge!(", Kind::Gauge), ("histogram!(", Kind::Histogram)];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("tests") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Names that the sources give to the macros, without those of tests at their foot.
fn measured() -> Vec<(PathBuf, Kind, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    sources(&root.join("libs"), &mut files);
    sources(&root.join("services"), &mut files);
    let mut measured = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source");
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for (call, kind) in MACROS {
            for rest in text.split(call).skip(1) {
                if let Some(name) = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next()) {
                    measured.push((file.clone(), kind, name.to_owned()));
                }
            }
        }
    }
    measured
}

#[test]
fn what_is_measured_is_in_the_table_and_what_is_in_the_table_is_measured() {
    let measured = measured();
    for (file, kind, name) in &measured {
        let row =
            find(name).unwrap_or_else(|| panic!("{}: libs/runtime/src/catalogue.rs has no {name}", file.display()));
        assert_eq!(row.kind, *kind, "{}: {name}", file.display());
    }
    let names: BTreeSet<&str> = measured.iter().map(|(_, _, name)| name.as_str()).collect();
    for metric in METRICS.iter().filter(|metric| !metric.name.starts_with("process_")) {
        assert!(names.contains(metric.name), "nothing measures {}", metric.name);
    }
}

#[test]
fn the_document_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/METRICS.md");
    let text = std::fs::read_to_string(path).expect("the document");
    assert_eq!(text, carrel_runtime::catalogue::markdown(), "run scripts/generate");
}
