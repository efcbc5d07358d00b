//! Starting programs and reading what they say.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The worker's own binary.
pub(crate) const WORKER: &str = env!("CARGO_BIN_EXE_carrel-worker");

/// A port that was free a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A program with nothing of the developer's own settings, and a data folder of the test's.
pub(crate) fn program(path: impl AsRef<Path>, data: &Path) -> Command {
    let mut command = Command::new(path.as_ref());
    let own = std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        name.starts_with("CARREL_") && !name.starts_with("CARREL_TEST_")
    });
    for (name, _) in own {
        command.env_remove(name);
    }
    command
        .env("CARREL_DATA_DIR", data)
        .env("CARREL_CONFIG_DIR", data)
        // A line must stay a line for operators who ask for backtraces too.
        .env("RUST_BACKTRACE", "1")
        .env("CARREL__STORE__PATH", data.join("objects"))
        .env("CARREL__INFERENCE__EMBEDDER__PROVIDER", "hashing")
        .env("CARREL__INFERENCE__EMBEDDER__DIMENSION", "32")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// A running program, killed with the value.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended by itself is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
