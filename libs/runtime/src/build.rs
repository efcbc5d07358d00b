//! Which build of Carrel this is.

use std::sync::LazyLock;

/// The version of the release.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that was built, where the builder named it in `BUILD_SHA`.
pub fn revision() -> Option<&'static str> {
    option_env!("BUILD_SHA").filter(|revision| !revision.is_empty())
}

/// Both in a few words, for `--version`, logs and traces: `0.1.0 (4f2a9c1)`, or the version alone.
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| match revision() {
        Some(revision) => format!("{VERSION} ({revision})"),
        None => VERSION.to_owned(),
    });
    &TEXT
}

#[cfg(test)]
mod tests {
    use super::{VERSION, revision, text};

    #[test]
    fn the_text_names_version_and_revision() {
        assert!(text().starts_with(VERSION));
        assert_eq!(text().contains('('), revision().is_some());
    }
}
