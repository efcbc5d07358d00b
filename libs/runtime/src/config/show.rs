//! Printing what is in force.

use super::SECRETS;
use super::layers::DEFAULTS;
use super::unknown::join;
use config::{Map, Value, ValueKind};
use std::fmt::Write;

pub(super) fn redacted_yaml(merged: &Value) -> String {
    let mut text = String::new();
    if let ValueKind::Table(table) = &merged.kind {
        write_table(&mut text, table, "", 0);
    }
    text
}

fn write_table(text: &mut String, table: &Map<String, Value>, path: &str, depth: usize) {
    let mut keys: Vec<&String> = table.keys().collect();
    keys.sort();
    for key in keys {
        let value = &table[key];
        let full = join(path, key);
        let indent = "  ".repeat(depth);
        if let ValueKind::Table(inner) = &value.kind {
            let _ = writeln!(text, "{indent}{key}:");
            write_table(text, inner, &full, depth + 1);
            continue;
        }
        let shown = if SECRETS.contains(&full.as_str()) { redact(value) } else { scalar(value) };
        let origin = match value.origin() {
            Some(origin) if origin != DEFAULTS => format!("  # {origin}"),
            _ => String::new(),
        };
        let _ = writeln!(text, "{indent}{key}: {shown}{origin}");
    }
}

/// YAML takes JSON for scalars and lists.
fn scalar(value: &Value) -> String {
    match &value.kind {
        ValueKind::Nil => "null".to_owned(),
        ValueKind::Boolean(value) => value.to_string(),
        ValueKind::I64(value) => value.to_string(),
        ValueKind::I128(value) => value.to_string(),
        ValueKind::U64(value) => value.to_string(),
        ValueKind::U128(value) => value.to_string(),
        ValueKind::Float(value) => format!("{value:?}"),
        ValueKind::String(value) => serde_json::Value::from(value.as_str()).to_string(),
        ValueKind::Array(values) => {
            let parts: Vec<String> = values.iter().map(scalar).collect();
            format!("[{}]", parts.join(", "))
        }
        ValueKind::Table(_) => "{}".to_owned(),
    }
}

/// An address keeps everything but its password (in the authority or the query); any other secret is hidden whole.
fn redact(value: &Value) -> String {
    let ValueKind::String(secret) = &value.kind else {
        return scalar(value);
    };
    let Some((scheme, rest)) = secret.split_once("://") else {
        return "\"***\"".to_owned();
    };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    // The last @ ends the user part: a password written without encoding may hold one itself.
    let shown = match rest.rsplit_once('@') {
        Some((user, place)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:***@{place}"),
            None => rest.to_owned(),
        },
        None => rest.to_owned(),
    };
    let query = query.map_or_else(String::new, |query| {
        let parts: Vec<String> = query
            .split('&')
            .map(|part| match part.split_once('=') {
                Some((name, _)) if name.contains("pass") => format!("{name}=***"),
                _ => part.to_owned(),
            })
            .collect();
        format!("?{}", parts.join("&"))
    });
    serde_json::Value::from(format!("{scheme}://{shown}{query}")).to_string()
}
