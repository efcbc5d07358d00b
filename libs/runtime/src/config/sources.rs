//! Where the layers come from.

use std::path::{Path, PathBuf};

/// The places to read from. Nothing is read from the process's environment unless [`Sources::from_process`] is used.
#[derive(Clone, Debug)]
pub struct Sources {
    pub(super) dir: Option<PathBuf>,
    pub(super) environment: Option<String>,
    pub(super) file: Option<PathBuf>,
    pub(super) variables: Vec<(String, String)>,
}

impl Sources {
    /// Only the built-in defaults.
    pub fn none() -> Self {
        Self { dir: None, environment: None, file: None, variables: Vec::new() }
    }

    /// What a program uses: the options if given, else `CARREL_CONFIG_DIR` (else `/etc/carrel`), `CARREL_ENVIRONMENT`,
    /// and every variable that starts with `CARREL__`.
    pub fn from_process(config_dir: Option<&Path>, config_file: Option<&Path>) -> Self {
        let dir = Self::folder(config_dir);
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with(super::layers::VARIABLE_PREFIX))
            .collect();
        Self {
            dir: Some(dir),
            environment: set("CARREL_ENVIRONMENT"),
            file: config_file.map(Path::to_owned),
            variables,
        }
    }

    /// The configuration folder: the option if given, else `CARREL_CONFIG_DIR`, else `/etc/carrel`.
    pub fn folder(config_dir: Option<&Path>) -> PathBuf {
        match config_dir {
            Some(dir) => dir.to_owned(),
            None => set("CARREL_CONFIG_DIR").map_or_else(|| PathBuf::from("/etc/carrel"), PathBuf::from),
        }
    }

    /// Reads `<environment>.yaml` from this folder.
    #[must_use]
    pub fn with_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Names the environment; its file must then exist.
    #[must_use]
    pub fn with_environment(mut self, environment: impl Into<String>) -> Self {
        self.environment = Some(environment.into());
        self
    }

    /// Reads this file too.
    #[must_use]
    pub fn with_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Adds a variable, as if it stood in the environment.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }
}

/// A variable of the process; an empty one counts as unset.
fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
