//! JSON values as rows: every scalar is a cell, its path (`user.mails[]`) the column.

use super::reader::{Budget, Sink};
use crate::ScreeningError;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::io::Read;

/// Longest path that names a column; deeper values share the column of their ancestor.
const PATH: usize = 256;

/// Reads one array of records, or one object as the only record.
pub(super) fn array(
    source: impl Read,
    limit: usize,
    budget: &Budget,
    sink: &mut dyn Sink,
) -> Result<(), ScreeningError> {
    let mut deserializer = serde_json::Deserializer::from_reader(source);
    let mut failure = None;
    let rows = Rows { sink, budget, failure: &mut failure };
    let outcome = deserializer.deserialize_any(rows).and_then(|()| deserializer.end());
    if let Some(failure) = failure {
        return Err(failure);
    }
    let Err(error) = outcome else { return Ok(()) };
    if error.is_io() && !budget.explains_length() {
        return Err(ScreeningError::Read(error.into()));
    }
    // The message of the parser names a place and what it expected, never a value of the data.
    let reason = format!("JSON ends or breaks at line {}, column {}", error.line(), error.column());
    Err(budget.explain(sink.record(), limit, || reason))
}

/// Reads one line as one record; false when it is no JSON.
pub(super) fn line(value: &[u8], sink: &mut dyn Sink) -> bool {
    let mut path = String::new();
    let mut deserializer = serde_json::Deserializer::from_slice(value);
    let read = Cells { sink, path: &mut path }.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    read.is_ok()
}

struct Rows<'s, 'b> {
    sink: &'s mut dyn Sink,
    budget: &'b Budget,
    failure: &'b mut Option<ScreeningError>,
}

impl Rows<'_, '_> {
    fn end_record<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.budget.renew();
        self.sink.end_record().map_err(|error| {
            *self.failure = Some(error);
            E::custom("stopped")
        })
    }
}

impl<'de> Visitor<'de> for Rows<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records or one object")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let mut path = String::new();
        loop {
            path.clear();
            let cells = Cells { sink: &mut *self.sink, path: &mut path };
            if seq.next_element_seed(cells)?.is_none() {
                return Ok(());
            }
            self.end_record()?;
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        let mut path = String::new();
        Cells { sink: &mut *self.sink, path: &mut path }.visit_map(map)?;
        self.end_record()
    }
}

/// Hands every scalar below a value to the sink.
struct Cells<'s, 'p> {
    sink: &'s mut dyn Sink,
    path: &'p mut String,
}

impl Cells<'_, '_> {
    fn put(self, value: &str) {
        let column = self.sink.column(if self.path.is_empty() { "value" } else { self.path });
        self.sink.cell(column, value);
    }
}

impl<'de> DeserializeSeed<'de> for Cells<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cells<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.put(value);
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.put(&value.to_string());
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.put(&value.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.put(&value.to_string());
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let length = self.path.len();
        if length < PATH {
            self.path.push_str("[]");
        }
        while seq.next_element_seed(Cells { sink: &mut *self.sink, path: &mut *self.path })?.is_some() {}
        self.path.truncate(length);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let length = self.path.len();
        while map.next_key_seed(Key { path: &mut *self.path })?.is_some() {
            map.next_value_seed(Cells { sink: &mut *self.sink, path: &mut *self.path })?;
            self.path.truncate(length);
        }
        Ok(())
    }
}

/// Appends a key to the path.
struct Key<'p> {
    path: &'p mut String,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<(), E> {
        if self.path.len() < PATH {
            if !self.path.is_empty() {
                self.path.push('.');
            }
            self.path.extend(key.chars().take(64));
        }
        Ok(())
    }
}
