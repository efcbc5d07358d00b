//! Asks a program that runs on this machine whether it is ready: the health check of a container that holds nothing but
//! the program.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than the checks themselves may take (2 s each, all at the same time).
const LIMIT: Duration = Duration::from_secs(4);
/// Bytes of an answer that are read.
const ANSWER: u64 = 64 << 10;

/// Why the program is not known to be ready.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// Nothing to ask.
    #[error("server.metrics_listen is not set, so this program does not say how it is")]
    NoListener,
    /// Nobody answers.
    #[error("nothing answers at {address}")]
    Unreachable {
        /// Where it was asked.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// It answers that it is not.
    #[error("not ready: {detail}")]
    NotReady {
        /// The checks that fail.
        detail: String,
    },
}

/// `Ok` when the program that listens at `listen` (`server.metrics_listen`) says that it is ready. Blocks for at most
/// 4 s a step.
///
/// # Errors
/// [`ProbeError`].
pub fn ready(listen: Option<SocketAddr>) -> Result<(), ProbeError> {
    let address = reachable(listen.ok_or(ProbeError::NoListener)?);
    let answer = ask(address).map_err(|source| ProbeError::Unreachable { address, source })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split_whitespace().nth(1).unwrap_or("no status");
    if status == "200" {
        return Ok(());
    }
    Err(ProbeError::NotReady { detail: failing(body).unwrap_or_else(|| format!("it answers {status}")) })
}

/// A program that listens everywhere is asked through the loopback interface.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let host = match listen.ip() {
        IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    SocketAddr::new(host, listen.port())
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    // HTTP/1.0: the answer ends with the connection.
    write!(stream, "GET /health/ready HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The failing checks of a [`crate::health::Report`] as `database: it does not answer; store: …`.
fn failing(body: &str) -> Option<String> {
    let report: serde_json::Value = serde_json::from_str(body).ok()?;
    let checks = report["checks"].as_array()?.iter().filter(|check| check["ok"] != true);
    let mut failing: Vec<String> = checks
        .map(|check| {
            let (name, detail) = (check["name"].as_str(), check["detail"].as_str());
            format!("{}: {}", name.unwrap_or("a check"), detail.unwrap_or("it failed"))
        })
        .collect();
    if report["draining"] == true {
        failing.push("it is stopping".to_owned());
    }
    (!failing.is_empty()).then(|| failing.join("; "))
}

#[cfg(test)]
mod tests {
    use super::{ProbeError, reachable, ready};
    use crate::health::Registry;
    use crate::observe::health_routes;
    use std::net::SocketAddr;

    /// What a probe says of a program with this registry.
    async fn probed(health: Registry) -> Result<(), ProbeError> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let served = tokio::spawn(axum::serve(listener, health_routes::<()>(health)).into_future());
        let answer = tokio::task::spawn_blocking(move || ready(Some(address))).await.expect("no panic");
        served.abort();
        answer
    }

    #[tokio::test]
    async fn a_ready_program_passes_and_another_is_told_why_not() {
        let health = Registry::new();
        health.register("store", || async { Ok(()) });
        probed(health.clone()).await.expect("ready");

        health.start_draining();
        let stopping = probed(health).await.expect_err("it is stopping");
        assert_eq!(stopping.to_string(), "not ready: it is stopping");

        let health = Registry::new();
        health.register("store", || async { Ok(()) });
        health.register("database", || async { Err("it does not answer".to_owned()) });
        let broken = probed(health).await.expect_err("a check fails");
        assert_eq!(broken.to_string(), "not ready: database: it does not answer");
    }

    #[test]
    fn nobody_there_is_said_with_the_address() {
        assert!(matches!(ready(None), Err(ProbeError::NoListener)));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        drop(listener);
        let error = ready(Some(address)).expect_err("nobody listens");
        assert_eq!(error.to_string(), format!("nothing answers at {address}"));
    }

    #[test]
    fn a_program_that_listens_everywhere_is_asked_on_loopback() {
        for (listen, asked) in
            [("0.0.0.0:9464", "127.0.0.1:9464"), ("[::]:9464", "[::1]:9464"), ("10.0.0.7:9464", "10.0.0.7:9464")]
        {
            let listen: SocketAddr = listen.parse().expect("address");
            assert_eq!(reachable(listen).to_string(), asked);
        }
    }
}
