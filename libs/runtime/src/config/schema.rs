//! The JSON Schema of a configuration file, from the structs that read it and the defaults that fill it.

use super::error::ConfigError;
use super::layers::defaults;
use super::unknown::join;
use super::{SECRETS, Settings};
use serde_json::{Map, Value, json};

pub(super) fn json_schema() -> Result<Value, ConfigError> {
    let mut generator = schemars::generate::SchemaSettings::draft2020_12();
    // Sections occur once, so a definition elsewhere would only be in the way.
    generator.inline_subschemas = true;
    let mut schema = generator.into_generator().into_root_schema_for::<Settings>().to_value();
    schema["title"] = "Carrel's configuration".into();
    complete(&mut schema, &defaults()?, "");
    Ok(schema)
}

/// A file is one layer of several: no key is required, each may be null or named with `_file`, and each has a default.
fn complete(schema: &mut Value, default: &Value, path: &str) {
    let Some(object) = schema.as_object_mut() else { return };
    let section = object.get("properties").is_some_and(Value::is_object);
    if !section {
        if SECRETS.contains(&path) {
            object.insert("writeOnly".to_owned(), true.into());
        }
        if !default.is_null() {
            object.insert("default".to_owned(), default.clone());
        }
        return;
    }
    object.remove("required");
    let twins: Map<String, Value> =
        Map::from_iter([("_file$".to_owned(), json!({ "type": "string", "description": "A file with the value." }))]);
    object.insert("patternProperties".to_owned(), twins.into());
    object.insert("additionalProperties".to_owned(), false.into());
    for (name, property) in object.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        complete(property, &default[name], &join(path, name));
    }
}

#[cfg(test)]
mod tests {
    use super::super::layers::defaults;
    use super::super::{SECRETS, Settings};
    use serde_json::Value;

    /// Every key of the defaults is described, with its type, and nothing else is.
    fn compare(schema: &Value, default: &Value, path: &str) {
        assert!(schema["description"].as_str().is_some_and(|text| !text.is_empty()), "{path}: description");
        let Some(properties) = schema["properties"].as_object() else {
            if !default.is_null() {
                assert_eq!(&schema["default"], default, "{path}");
            }
            let kinds = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
            let kind = match default {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(number) if number.is_f64() => "number",
                Value::Number(_) => "integer",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
            };
            let chosen = schema.get("enum").is_some() || schema.get("oneOf").is_some() || schema.get("anyOf").is_some();
            assert!(chosen || kinds.contains(&kind.into()), "{path}: {kinds:?} does not take {default}");
            return;
        };
        assert_eq!(schema["additionalProperties"], false, "{path}");
        assert!(schema.get("required").is_none(), "{path}: a layer may leave anything out");
        let described: Vec<&String> = properties.keys().collect();
        let mut known: Vec<&String> = default.as_object().into_iter().flatten().map(|(name, _)| name).collect();
        known.sort();
        let mut sorted = described.clone();
        sorted.sort();
        assert_eq!(sorted, known, "{path}");
        for (name, property) in properties {
            compare(property, &default[name], &super::join(path, name));
        }
    }

    #[test]
    fn the_schema_describes_every_key_of_the_defaults() {
        let mut schema = Settings::json_schema().unwrap();
        schema["description"] = "the root".into();
        compare(&schema, &defaults().unwrap(), "");
    }

    #[test]
    fn secrets_are_marked() {
        let schema = Settings::json_schema().unwrap();
        for secret in SECRETS {
            let mut property = &schema;
            for part in secret.split('.') {
                property = &property["properties"][part];
            }
            assert_eq!(property["writeOnly"], true, "{secret}");
        }
    }
}
