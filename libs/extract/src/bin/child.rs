//! The extraction child by itself, for this crate's tests: it also reads files that misbehave on purpose.

use carrel_domain::text::Rendition;
use carrel_extract::{Certainty, ExtractError, Format, Input, Room, child_main_with};
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

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
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
            b"flood" => {
                // An answer that claims to be endless.
                let mut frame = vec![b'a'];
                frame.extend(u64::MAX.to_le_bytes());
                loop {
                    if std::io::Write::write_all(&mut std::io::stdout(), &frame).is_err() {
                        std::process::exit(0);
                    }
                }
            }
            b"babble" => loop {
                if std::io::Write::write_all(&mut std::io::stdout(), &[b'x'; 4096]).is_err() {
                    std::process::exit(0);
                }
            },
            b"connect" => {
                let refused = std::net::TcpStream::connect("127.0.0.1:9").err().map(|error| error.kind());
                if refused == Some(std::io::ErrorKind::PermissionDenied) {
                    return Err(ExtractError::NeedsOcr);
                }
                Err(ExtractError::Empty)
            }
            b"read" => {
                if std::fs::read("/etc/passwd").is_err() {
                    return Err(ExtractError::NeedsOcr);
                }
                Err(ExtractError::Empty)
            }
            b"litter" => loop {
                room.child("x", b"x")?;
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
