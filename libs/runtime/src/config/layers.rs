//! Reading each layer into a tree, and laying them over one another.

use super::error::ConfigError;
use super::sources::Sources;
use super::unknown;
use config::{File, FileFormat, Map, Source, Value, ValueKind};
use std::path::Path;

pub(super) const VARIABLE_PREFIX: &str = "CARREL__";
/// Shown as the origin of a default.
pub(super) const DEFAULTS: &str = "the built-in defaults";
const DEFAULT_ENVIRONMENT: &str = "production";
const FILE_SUFFIX: &str = "_file";

type Tree = Map<String, Value>;

/// All layers as one tree, checked for unknown keys layer by layer so that a mistake is reported where it was made.
pub(super) fn merge(sources: &Sources) -> Result<Value, ConfigError> {
    let base = parse(super::BASE, DEFAULTS, Path::new("config/base.yaml"))?;
    let mut layers = Vec::new();
    if let Some(dir) = &sources.dir {
        layers.extend(environment_file(dir, sources.environment.as_deref())?);
    }
    if let Some(file) = &sources.file {
        layers.push(read_yaml(file, "--config")?);
    }
    layers.push(variables(&base, &sources.variables)?);

    let mut merged = Value::new(None, base.clone());
    for mut layer in layers {
        read_named_files(&base, &mut layer, "")?;
        unknown::refuse(&base, &layer, "")?;
        Layer(layer).collect_to(&mut merged).map_err(ConfigError::value)?;
    }
    Ok(merged)
}

/// The built-in defaults as JSON.
pub(super) fn defaults() -> Result<serde_json::Value, ConfigError> {
    let base = parse(super::BASE, DEFAULTS, Path::new("config/base.yaml"))?;
    Value::new(None, base).try_deserialize().map_err(ConfigError::value)
}

fn environment_file(dir: &Path, environment: Option<&str>) -> Result<Option<Tree>, ConfigError> {
    let name = environment.unwrap_or(DEFAULT_ENVIRONMENT);
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if !plain || name.is_empty() || name == "base" {
        return Err(ConfigError::invalid("CARREL_ENVIRONMENT", "must be a plain name such as production"));
    }
    let path = dir.join(format!("{name}.yaml"));
    // Who names an environment expects its file; the default one may be absent.
    if environment.is_none() && !path.exists() {
        return Ok(None);
    }
    read_yaml(&path, "CARREL_ENVIRONMENT and the configuration folder").map(Some)
}

fn read_yaml(path: &Path, named_by: &str) -> Result<Tree, ConfigError> {
    let text = read(path, named_by)?;
    parse(&text, &path.display().to_string(), path)
}

fn parse(text: &str, origin: &str, path: &Path) -> Result<Tree, ConfigError> {
    let syntax = |detail: String| ConfigError::Syntax { path: path.to_owned(), detail };
    let mut tree = File::from_str(text, FileFormat::Yaml).collect().map_err(|error| syntax(error.to_string()))?;
    for value in tree.values_mut() {
        set_origin(value, origin);
    }
    Ok(tree)
}

/// A [`Value`] keeps its origin to itself, so it is built anew with ours.
fn set_origin(value: &mut Value, origin: &str) {
    match &mut value.kind {
        ValueKind::Table(table) => table.values_mut().for_each(|inner| set_origin(inner, origin)),
        ValueKind::Array(array) => array.iter_mut().for_each(|inner| set_origin(inner, origin)),
        _ => {}
    }
    *value = Value::new(Some(&origin.to_owned()), std::mem::take(&mut value.kind));
}

/// `CARREL__SECTION__KEY` and `CARREL__SECTION__KEY_FILE` as a tree; the `_FILE` twin is applied last.
fn variables(base: &Tree, variables: &[(String, String)]) -> Result<Tree, ConfigError> {
    let mut sorted: Vec<&(String, String)> = variables.iter().filter(|(_, value)| !value.is_empty()).collect();
    sorted.sort_by_key(|(name, _)| (name.to_ascii_lowercase().ends_with(FILE_SUFFIX), name.clone()));
    let mut tree = Tree::new();
    for (name, text) in sorted {
        let Some(rest) = name.strip_prefix(VARIABLE_PREFIX) else {
            continue;
        };
        let path: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
        let origin = format!("the variable {name}");
        let value = match known(base, &path).map(|value| &value.kind) {
            Some(ValueKind::Array(_)) => list(text, &origin),
            // Null in the defaults, where it means all.
            _ if matches!(&path[..], [section, .., key] if section == "inference" && key == "languages") => {
                list(text, &origin)
            }
            _ => Value::new(Some(&origin), text.clone()),
        };
        insert(&mut tree, &path, value).map_err(|key| ConfigError::UnknownKey {
            key,
            origin: origin.clone(),
            suggestion: None,
        })?;
    }
    Ok(tree)
}

fn list(text: &str, origin: &str) -> Value {
    let origin = origin.to_owned();
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let parts: Vec<Value> = parts.map(|part| Value::new(Some(&origin), part)).collect();
    Value::new(Some(&origin), parts)
}

fn known<'a>(base: &'a Tree, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let value = base.get(first)?;
    match (&value.kind, rest) {
        (_, []) => Some(value),
        (ValueKind::Table(table), rest) => known(table, rest),
        _ => None,
    }
}

/// Fails with the path where a variable goes deeper than another one's value.
fn insert(tree: &mut Tree, path: &[String], value: Value) -> Result<(), String> {
    let Some((first, rest)) = path.split_first() else {
        return Ok(());
    };
    if rest.is_empty() {
        tree.insert(first.clone(), value);
        return Ok(());
    }
    let inner = tree.entry(first.clone()).or_insert_with(|| Value::new(None, Tree::new()));
    match &mut inner.kind {
        ValueKind::Table(table) => insert(table, rest, value).map_err(|deeper| format!("{first}.{deeper}")),
        _ => Err(path.join(".")),
    }
}

/// Replaces every `key_file: path` whose `key` exists by `key: content`.
fn read_named_files(base: &Tree, layer: &mut Tree, path: &str) -> Result<(), ConfigError> {
    let keys: Vec<String> = layer.keys().cloned().collect();
    for key in keys {
        let full = unknown::join(path, &key);
        if let (Some(ValueKind::Table(known)), Some(value)) = (base.get(&key).map(|v| &v.kind), layer.get_mut(&key)) {
            if let ValueKind::Table(inner) = &mut value.kind {
                read_named_files(known, inner, &full)?;
            }
            continue;
        }
        let Some(stem) = key.strip_suffix(FILE_SUFFIX) else {
            continue;
        };
        if base.contains_key(&key) || !base.contains_key(stem) {
            continue;
        }
        let Some(named) = layer.remove(&key) else {
            continue;
        };
        let origin = named.origin().unwrap_or(DEFAULTS).to_owned();
        let file = match named.kind {
            ValueKind::Nil => continue,
            kind => Value::new(Some(&origin), kind).into_string().map_err(ConfigError::value)?,
        };
        let content = read(Path::new(&file), &format!("`{full}` in {origin}"))?;
        // Editors and secret stores end files with a line break that is no part of the secret.
        let content = content.trim_end_matches(['\n', '\r']).to_owned();
        layer.insert(stem.to_owned(), Value::new(Some(&format!("{file}, named by {origin}")), content));
    }
    Ok(())
}

fn read(path: &Path, named_by: &str) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        named_by: named_by.to_owned(),
        source,
    })
}

/// One layer as the config crate wants it: its merge keeps the origin of each leaf.
#[derive(Clone, Debug)]
struct Layer(Tree);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Tree, config::ConfigError> {
        Ok(self.0.clone())
    }
}
