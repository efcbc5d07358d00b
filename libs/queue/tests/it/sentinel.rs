//! A primary that Sentinel names, and another one after it: real servers, started and stopped here.

use crate::support::{Act, Bench, Carry, Probe, until};
use carrel_domain::job::{JobSpec, JobState};
use carrel_queue::{RedisOptions, Transport};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

struct Server {
    port: u16,
    process: Child,
    folder: PathBuf,
}

impl Server {
    /// Starts `redis-server` with these settings, one per line.
    fn start(arguments: &[&str], settings: &str) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = std::env::temp_dir().join(format!("carrel-sentinel-{port}"));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("redis.conf");
        let settings = format!(
            "port {port}\nbind 127.0.0.1\nsave \"\"\nappendonly no\nrepl-diskless-sync-delay 0\ndir {}\n{settings}",
            folder.display()
        );
        std::fs::write(&file, settings).unwrap();
        let process = Command::new("redis-server").arg(&file).args(arguments).stdout(Stdio::null()).spawn().unwrap();
        Self { port, process, folder }
    }

    async fn ask(&self, command: &str) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut words = command.split_ascii_whitespace();
        let mut asked = redis::cmd(words.next().unwrap_or_default());
        words.for_each(|word| {
            asked.arg(word);
        });
        asked.query_async(&mut connection).await
    }

    async fn text(&self, command: &str) -> String {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_primary_carries_on() {
    let first = Server::start(&[], "");
    let second = Server::start(&[], &format!("replicaof 127.0.0.1 {}\n", first.port));
    until("the replica follows", async || {
        second.text("INFO replication").await.contains("master_link_status:up").then_some(())
    })
    .await;
    let watch = format!(
        "sentinel monitor main 127.0.0.1 {} 1\nsentinel down-after-milliseconds main 60000\nsentinel failover-timeout main 5000\n",
        first.port
    );
    let sentinel = Server::start(&["--sentinel"], &watch);
    until("the sentinel knows the replica", async || {
        sentinel.text("SENTINEL REPLICAS main").await.contains(&second.port.to_string()).then_some(())
    })
    .await;

    let bench = Bench::new(Carry::Redis).await;
    let probe = Probe::new();
    let carried = Transport::Redis(RedisOptions::new(format!("redis+sentinel://127.0.0.1:{}/main", sentinel.port)));
    let running = Bench::start(bench.builder(&probe).transport(carried));
    let health = running.health.clone();
    until("Redis carries", async || (health.report().redis == Some(true)).then_some(())).await;
    let jobs = |count: usize| (0..count).map(|_| Act::Complete.spec()).collect::<Vec<JobSpec>>();
    for id in bench.enqueue(&jobs(20)).await {
        bench.until_state(id, JobState::Completed).await;
    }
    assert!(first.text("EXISTS carrel:epoch:ingest").await.contains('1'), "the first primary has carried");

    until("the sentinel begins the failover", async || sentinel.ask("SENTINEL FAILOVER main").await.ok()).await;
    for id in bench.enqueue(&jobs(50)).await {
        bench.until_state(id, JobState::Completed).await;
    }
    until("the second server is the primary", async || second.text("ROLE").await.contains("master").then_some(()))
        .await;
    drop(first);
    for id in bench.enqueue(&jobs(20)).await {
        bench.until_state(id, JobState::Completed).await;
    }
    until("the second server carries", async || (health.report().redis == Some(true)).then_some(())).await;
    assert_eq!(probe.total_runs(), 90);
    running.stop().await;
    bench.finish().await;
}
