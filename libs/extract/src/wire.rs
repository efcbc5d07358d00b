//! What a child says to its parent over its standard output: frames of a kind (one byte), a length (eight bytes, least
//! significant first) and that many bytes. The documents found come first, one frame each, then the answer as JSON,
//! which lists them in the same order.

use crate::children::ChildDocument;
use crate::confine::Confinement;
use crate::error::ExtractError;
use crate::limits::Limits;
use carrel_domain::text::Rendition;
use serde::{Deserialize, Serialize};
use std::io::Write;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Content of a document found inside of the file.
pub(crate) const CHILD: u8 = b'c';
/// The answer, as JSON.
pub(crate) const ANSWER: u8 = b'a';
/// Kind and length of a frame.
const HEAD_BYTES: usize = 9;

/// What the parent asks for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) name: Option<String>,
    pub(crate) depth: u32,
    pub(crate) keep_children: bool,
    pub(crate) limits: Limits,
    pub(crate) ocr: crate::ocr::OcrConfig,
    pub(crate) memory_bytes: u64,
    pub(crate) cpu_seconds: u64,
}

/// What the child answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) result: Outcome,
    pub(crate) children: Vec<ChildDocument>,
    pub(crate) confinement: Confinement,
}

/// How an extraction ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Done(Rendition),
    Failed(ExtractError),
}

/// Writes one frame.
pub(crate) fn write(out: &mut impl Write, kind: u8, bytes: &[u8]) -> std::io::Result<()> {
    let mut head = [0; HEAD_BYTES];
    head[0] = kind;
    head[1..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.write_all(&head)?;
    out.write_all(bytes)
}

/// Reads the kind and length of the next frame; `None` at the end of the stream.
pub(crate) async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<(u8, u64)> {
    let mut head = [0; HEAD_BYTES];
    stream.read_exact(&mut head).await.ok()?;
    let [kind, length @ ..] = head;
    Some((kind, u64::from_le_bytes(length)))
}
