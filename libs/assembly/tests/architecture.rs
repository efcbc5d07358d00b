//! The arrows between crates are those of docs/ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

type Arrows = BTreeMap<String, BTreeSet<String>>;

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn documented() -> Arrows {
    let text = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("the document");
    let section = text.split("\n## Arrows\n").nth(1).expect("a section named Arrows");
    let section = section.split("\n## ").next().expect("its text");
    let rows = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| crate |"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let used = cells[1].split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        (cells[0].to_owned(), used.collect())
    })
    .collect()
}

fn actual() -> Arrows {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let short = |name: &str| name.strip_prefix("carrel-").unwrap_or(name).to_owned();
    let packages = metadata["packages"].as_array().expect("packages");
    let ours: BTreeSet<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("dependencies");
            let used = dependencies
                .iter()
                // What only tests use is no arrow of the architecture.
                .filter(|dependency| dependency["kind"].is_null())
                .filter_map(|dependency| dependency["name"].as_str())
                .filter(|name| ours.contains(name))
                .map(short);
            (short(package["name"].as_str().expect("a name")), used.collect())
        })
        .collect()
}

#[test]
fn the_arrows_are_those_of_the_document() {
    let (documented, actual) = (documented(), actual());
    for (name, used) in &actual {
        let allowed = documented.get(name).unwrap_or_else(|| panic!("docs/ARCHITECTURE.md has no row for {name}"));
        assert_eq!(used, allowed, "what {name} uses differs from its row in docs/ARCHITECTURE.md");
    }
    let stale: Vec<&String> = documented.keys().filter(|name| !actual.contains_key(*name)).collect();
    assert!(stale.is_empty(), "docs/ARCHITECTURE.md names crates that do not exist: {stale:?}");
}

#[test]
fn the_document_stays_short() {
    let text = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("the document");
    assert!(text.lines().count() <= 200, "docs/ARCHITECTURE.md must have at most 200 lines");
}
