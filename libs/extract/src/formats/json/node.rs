//! JSON documents as lines of text that keep the order of the file.

use crate::builder::{Gap, RenditionBuilder};
use crate::error::ExtractError;
use crate::table::squeeze;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A line gets no further value once it has this many characters.
const LINE_CHARS: usize = 900;

/// A value, in the order of the file.
pub(super) enum Node {
    Scalar(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(String::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element()? {
            list.push(value);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut object = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            object.push(entry);
        }
        Ok(Node::Object(object))
    }
}

/// Writes a document. The parser bounds how deep it nests, so that recursion is safe.
pub(super) struct Lines<'b> {
    builder: &'b mut RenditionBuilder,
    gap: Gap,
}

impl<'b> Lines<'b> {
    pub(super) fn new(builder: &'b mut RenditionBuilder) -> Self {
        Self { builder, gap: Gap::Paragraph }
    }

    /// For a document that follows another on the next line.
    pub(super) fn following(builder: &'b mut RenditionBuilder) -> Self {
        Self { builder, gap: Gap::Line }
    }

    pub(super) fn push(&mut self, node: &Node) -> Result<(), ExtractError> {
        self.value("", node)
    }

    fn value(&mut self, path: &str, node: &Node) -> Result<(), ExtractError> {
        match node {
            Node::Scalar(text) => self.line(path, text),
            Node::List(list) => match flat(list) {
                Some(values) => self.line(path, &values),
                None => {
                    for (at, value) in list.iter().enumerate() {
                        // Rows of one table need no number.
                        let path = if path.is_empty() { String::new() } else { format!("{path}[{at}]") };
                        self.value(&path, value)?;
                    }
                    Ok(())
                }
            },
            Node::Object(entries) => self.object(path, entries),
        }
    }

    /// What is plain in an object is one line, then comes what is nested.
    fn object(&mut self, path: &str, entries: &[(String, Node)]) -> Result<(), ExtractError> {
        let mut line = path.to_owned();
        let mut length = line.len();
        for (name, node) in entries {
            let text = match node {
                Node::Scalar(text) => squeeze(text),
                Node::List(list) => flat(list).unwrap_or_default(),
                Node::Object(_) => String::new(),
            };
            if text.is_empty() {
                continue;
            }
            if length > LINE_CHARS {
                self.text(&line)?;
                line.clear();
                line.push_str(path);
                length = line.len();
            }
            if !line.is_empty() {
                line.push_str(" | ");
            }
            length += name.len() + text.len() + 5;
            line.push_str(name);
            line.push_str(": ");
            line.push_str(&text);
        }
        if line.len() > path.len() {
            self.text(&line)?;
        }
        for (name, node) in entries {
            let is_nested = match node {
                Node::Scalar(_) => false,
                Node::List(list) => flat(list).is_none(),
                Node::Object(_) => true,
            };
            if is_nested {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                self.value(&path, node)?;
            }
        }
        Ok(())
    }

    fn line(&mut self, path: &str, text: &str) -> Result<(), ExtractError> {
        let text = squeeze(text);
        if text.is_empty() {
            return Ok(());
        }
        if path.is_empty() { self.text(&text) } else { self.text(&format!("{path}: {text}")) }
    }

    fn text(&mut self, line: &str) -> Result<(), ExtractError> {
        self.builder.block(line, self.gap)?;
        self.gap = Gap::Line;
        Ok(())
    }
}

/// A list of plain values as text; `None` when something in it nests.
fn flat(list: &[Node]) -> Option<String> {
    let values: Option<Vec<String>> = list
        .iter()
        .map(|node| match node {
            Node::Scalar(text) => Some(squeeze(text)),
            _ => None,
        })
        .collect();
    Some(values?.into_iter().filter(|value| !value.is_empty()).collect::<Vec<_>>().join(", "))
}
