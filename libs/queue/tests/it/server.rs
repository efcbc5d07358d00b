//! A Redis of a test's own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A server on a loopback port; it remembers nothing and ends with us.
pub(crate) struct Server {
    pub(crate) port: u16,
    process: Child,
    folder: PathBuf,
}

impl Server {
    /// Starts `redis-server` with these settings, one per line.
    pub(crate) fn start(arguments: &[&str], settings: &str) -> Self {
        Self::listening("port", arguments, settings)
    }

    /// The same behind TLS only; `settings` name the certificate and its key.
    pub(crate) fn start_tls(settings: &str) -> Self {
        Self::listening("port 0\ntls-port", &[], settings)
    }

    fn listening(port_setting: &str, arguments: &[&str], settings: &str) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = std::env::temp_dir().join(format!("carrel-redis-{port}"));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("redis.conf");
        let settings = format!(
            "{port_setting} {port}\nbind 127.0.0.1\nsave \"\"\nappendonly no\nrepl-diskless-sync-delay 0\ndir {}\n{settings}",
            folder.display()
        );
        std::fs::write(&file, settings).unwrap();
        let process = Command::new("redis-server").arg(&file).args(arguments).stdout(Stdio::null()).spawn().unwrap();
        Self { port, process, folder }
    }

    /// One command, its words parted by spaces.
    pub(crate) async fn ask(&self, command: &str) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut words = command.split_ascii_whitespace();
        let mut asked = redis::cmd(words.next().unwrap_or_default());
        words.for_each(|word| {
            asked.arg(word);
        });
        asked.query_async(&mut connection).await
    }

    /// The answer as text; `None` while it does not answer.
    pub(crate) async fn text(&self, command: &str) -> String {
        format!("{:?}", self.ask(command).await.ok())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}
