//! Refusing keys that do not exist, with a guess at what was meant.

use super::error::ConfigError;
use super::layers::{DEFAULTS, VARIABLE_PREFIX};
use config::{Map, Value, ValueKind};

/// Checks one layer against the defaults, which name every key.
pub(super) fn refuse(known: &Map<String, Value>, layer: &Map<String, Value>, path: &str) -> Result<(), ConfigError> {
    let mut keys: Vec<&String> = layer.keys().collect();
    keys.sort();
    for key in keys {
        let value = &layer[key];
        let full = join(path, key);
        let Some(expected) = known.get(key) else {
            let origin = first_origin(value);
            let suggestion = nearest(key, known).map(|near| name_as_written(&join(path, near), &origin));
            return Err(ConfigError::UnknownKey { key: full, origin, suggestion });
        };
        match (&expected.kind, &value.kind) {
            (ValueKind::Table(expected), ValueKind::Table(inner)) => {
                refuse(expected, inner, &full)?;
            }
            (ValueKind::Table(_), _) => {
                let reason = format!("is a section, but {} gives it a single value", first_origin(value));
                return Err(ConfigError::invalid(&full, reason));
            }
            (_, ValueKind::Table(inner)) => {
                let inner_key = inner.keys().min().map_or_else(|| full.clone(), |first| join(&full, first));
                return Err(ConfigError::UnknownKey { key: inner_key, origin: first_origin(value), suggestion: None });
            }
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn first_origin(value: &Value) -> String {
    if let ValueKind::Table(table) = &value.kind
        && let Some(first) = table.keys().min()
    {
        return first_origin(&table[first]);
    }
    value.origin().unwrap_or(DEFAULTS).to_owned()
}

/// A suggestion for a variable is a variable.
fn name_as_written(key: &str, origin: &str) -> String {
    if origin.contains(VARIABLE_PREFIX) {
        return format!("{VARIABLE_PREFIX}{}", key.replace('.', "__").to_uppercase());
    }
    key.to_owned()
}

fn nearest<'a>(key: &str, known: &'a Map<String, Value>) -> Option<&'a str> {
    let limit = (key.chars().count() / 3).max(1);
    known
        .keys()
        .map(|candidate| (distance(key, candidate), candidate.as_str()))
        .filter(|(distance, candidate)| *distance <= limit || candidate.starts_with(key) || key.starts_with(*candidate))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Changes of one letter between two names (Levenshtein 1966), counting a swap of neighbours as one.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distances_are_counted_in_letters() {
        assert_eq!(distance("listen", "listen"), 0);
        assert_eq!(distance("lsiten", "listen"), 1);
        assert_eq!(distance("listn", "listen"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
