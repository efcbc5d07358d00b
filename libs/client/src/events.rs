//! Server-sent events of a run.

use crate::ClientError;
use carrel_wire::RunEventBody;

/// Events of a run, in order; ends with the run.
pub struct RunEvents {
    answer: reqwest::Response,
    url: String,
    buffer: Vec<u8>,
}

impl RunEvents {
    pub(crate) fn new(answer: reqwest::Response, url: String) -> Self {
        Self { answer, url, buffer: Vec::new() }
    }

    /// The next event; `None` when the run has ended.
    pub async fn next(&mut self) -> Result<Option<RunEventBody>, ClientError> {
        loop {
            while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                if let Some(event) = parse(&block) {
                    return Ok(Some(event));
                }
            }
            let part = self.answer.chunk().await;
            match part.map_err(|source| ClientError::Unreachable { url: self.url.clone(), source })? {
                Some(part) => self.buffer.extend_from_slice(&part),
                None => return Ok(None),
            }
        }
    }
}

/// The data of one block; comments (keep-alive) and blocks of another shape are nothing.
fn parse(block: &[u8]) -> Option<RunEventBody> {
    let text = std::str::from_utf8(block).ok()?;
    let data: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("data:")).map(|line| line.trim_start_matches(' ')).collect();
    serde_json::from_str(&data.join("\n")).ok()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn blocks_are_read_and_comments_skipped() {
        let block = b"id: 4\nevent: planned\ndata: {\"seq\":4,\"at\":\"2026-01-01T00:00:00Z\",\"kind\":\"planned\",\"payload\":{}}\n\n";
        assert_eq!(parse(block).unwrap().seq, 4);
        assert!(parse(b": keep-alive\n\n").is_none());
    }
}
