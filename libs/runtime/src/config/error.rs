use std::path::{Path, PathBuf};

/// Why the configuration was refused. Messages never hold the value of a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A key that does not exist.
    #[error("unknown configuration key `{key}` in {origin}{}", suggest(suggestion.as_deref()))]
    UnknownKey {
        /// The whole path.
        key: String,
        /// The file or the variable.
        origin: String,
        /// The nearest key that exists.
        suggestion: Option<String>,
    },
    /// A value that cannot be meant.
    #[error("configuration key `{key}` {reason}")]
    Invalid {
        /// The whole path.
        key: String,
        /// What is wrong with it, continuing "configuration key … ".
        reason: String,
    },
    /// A value of the wrong type.
    #[error("the configuration cannot be read: {detail}")]
    Value {
        /// Which key, from where, and why.
        detail: String,
    },
    /// A file that is not YAML.
    #[error("{} is not valid YAML: {detail}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        detail: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {} (named by {named_by}){}", path.display(), set_up(path, source))]
    Read {
        /// The file.
        path: PathBuf,
        /// The option, variable or key that named it.
        named_by: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl ConfigError {
    pub(super) fn invalid(key: &str, reason: impl Into<String>) -> Self {
        Self::Invalid { key: key.to_owned(), reason: reason.into() }
    }

    #[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
    pub(super) fn value(error: config::ConfigError) -> Self {
        Self::Value { detail: error.to_string() }
    }
}

/// What the package's settings name is made by `carrel setup`.
fn set_up(path: &Path, error: &std::io::Error) -> &'static str {
    if error.kind() == std::io::ErrorKind::NotFound && path.starts_with("/etc/carrel/secrets") {
        "; this machine has not been set up yet: run `carrel setup` as root"
    } else {
        ""
    }
}

fn suggest(suggestion: Option<&str>) -> String {
    match suggestion {
        Some(known) => format!("; did you mean `{known}`?"),
        None => String::new(),
    }
}
