//! The extraction child by itself, for this crate's tests: it also reads files that misbehave on purpose.

use carrel_domain::text::Rendition;
use carrel_extract::{Certainty, ExtractError, Format, Input, Limits, child_main_with};
use std::process::ExitCode;

fn main() -> ExitCode {
    child_main_with(&[&Misbehaving])
}

/// Files that open with this word misbehave as their next word says.
const MARK: &[u8] = b"misbehave:";

struct Misbehaving;

impl Format for Misbehaving {
    fn name(&self) -> &'static str {
        "misbehaving"
    }

    fn media_type(&self) -> &'static str {
        "text/plain"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        if input.bytes.starts_with(MARK) { Certainty::Content } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, _limits: &Limits) -> Result<Rendition, ExtractError> {
        match &input.bytes[MARK.len()..] {
            b"spin" => loop {
                std::hint::spin_loop();
            },
            b"sleep" => loop {
                std::thread::park();
            },
            b"hoard" => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(vec![1_u8; 16 << 20]);
                }
            }
            b"recurse" => Err(ExtractError::Damaged { detail: nest(0).to_string() }),
            b"panic" => panic!("secret words of the document"),
            b"abort" => std::process::abort(),
            b"flood" => loop {
                if std::io::Write::write_all(&mut std::io::stdout(), &[b'x'; 4096]).is_err() {
                    std::process::exit(0);
                }
            },
            b"write" => {
                std::fs::write("/tmp/carrel-extract-escaped", "x").ok();
                Err(ExtractError::NeedsOcr)
            }
            _ => Err(ExtractError::Empty),
        }
    }
}

fn nest(depth: u64) -> u64 {
    let padding = std::hint::black_box([depth; 512]);
    if depth == u64::MAX { 0 } else { nest(depth + 1) + padding[0] }
}
