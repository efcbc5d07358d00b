//! The worker processes of a row.

use crate::probe::Release;
use crate::servers::{signal, tied};
use anyhow::{Context, Result};
use carrel_domain::WorkerId;
use chrono::{DateTime, Utc};
use rustix::process::Signal;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use uuid::Uuid;

/// What the worker logs when the fence refused it.
const STALE: &str = "its claim was lost";

/// How a worker is set up.
#[derive(Clone, Debug)]
pub struct Hire {
    /// Jobs at once.
    pub concurrency: usize,
    /// Threads of its runtime.
    pub threads: usize,
    /// How long a claim holds.
    pub lease: Duration,
    /// From the stop to the end.
    pub drain: Duration,
    /// Between looks without an announcement.
    pub poll: Duration,
    /// How long a job may wait that nobody can run.
    pub unservable: Duration,
    /// Which release it plays.
    pub release: Release,
    /// Variables of its environment.
    pub environment: Vec<(&'static str, String)>,
    /// Bytes of address space.
    pub memory: Option<u64>,
    /// Brings a job by the calendar every second.
    pub ticks: bool,
    /// Handlers note their starts.
    pub journal: bool,
}

impl Default for Hire {
    fn default() -> Self {
        Self {
            concurrency: 8,
            threads: 2,
            lease: Duration::from_secs(3),
            drain: Duration::from_secs(4),
            poll: Duration::from_secs(5),
            unservable: Duration::from_mins(10),
            release: Release::New,
            environment: Vec::new(),
            memory: None,
            ticks: false,
            journal: true,
        }
    }
}

/// Where the workers find their servers.
#[derive(Clone, Debug)]
pub struct Place {
    /// PostgreSQL.
    pub database: String,
    /// Redis, when it carries.
    pub redis: Option<String>,
}

#[derive(Debug)]
struct Member {
    id: WorkerId,
    process: Child,
    hire: Hire,
    stopped: bool,
}

/// A worker that was ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Which.
    pub id: WorkerId,
    /// When.
    pub at: DateTime<Utc>,
}

/// Workers that run side by side.
#[derive(Debug)]
pub struct Crew {
    binary: PathBuf,
    folder: PathBuf,
    place: Place,
    members: Vec<Member>,
    hired: usize,
    /// Starts a worker again that ended by itself, as a service manager does.
    pub restarts: bool,
    /// After so many falls a worker is started again without its environment.
    pub calm_after: usize,
    /// Workers that ended without having been told to.
    pub fallen: usize,
}

impl Crew {
    /// Workers hired from now on find PostgreSQL there.
    pub fn move_to(&mut self, database: String) {
        self.place.database = database;
    }

    /// Nobody yet; `folder` takes logs and journals.
    pub fn new(binary: &Path, folder: &Path, place: Place) -> Self {
        let (binary, folder) = (binary.to_owned(), folder.to_owned());
        Self {
            binary,
            folder,
            place,
            members: Vec::new(),
            hired: 0,
            restarts: false,
            calm_after: usize::MAX,
            fallen: 0,
        }
    }

    /// Starts a worker and answers its id.
    pub fn hire(&mut self, hire: &Hire) -> Result<WorkerId> {
        let id = WorkerId(Uuid::now_v7());
        self.hired += 1;
        let name = format!("worker-{}", self.hired);
        let log = File::create(self.folder.join(format!("{name}.log")))?;
        let mut command = self.command(hire);
        command.arg("--id").arg(id.to_string()).arg("--database").arg(&self.place.database);
        if let Some(redis) = &self.place.redis {
            command.arg("--redis").arg(redis);
        }
        if hire.journal {
            command.arg("--events").arg(self.folder.join(format!("{name}.events")));
        }
        command.stdout(log.try_clone()?).stderr(log);
        let process = command.spawn().with_context(|| format!("{} cannot be run", self.binary.display()))?;
        self.members.push(Member { id, process, hire: hire.clone(), stopped: false });
        Ok(id)
    }

    fn command(&self, hire: &Hire) -> Command {
        let mut command = match hire.memory {
            Some(bytes) => {
                let mut command = tied("prlimit");
                command.arg(format!("--as={bytes}")).arg(&self.binary);
                command
            }
            None => tied(&self.binary),
        };
        let ms = |time: Duration| time.as_millis().to_string();
        let release = if hire.release == Release::Old { "old" } else { "new" };
        command.args(["--concurrency", &hire.concurrency.to_string(), "--threads", &hire.threads.to_string()]);
        command.args(["--lease", &ms(hire.lease), "--drain", &ms(hire.drain), "--poll", &ms(hire.poll)]);
        command.args(["--unservable", &ms(hire.unservable), "--release", release]);
        if hire.ticks {
            command.arg("--ticks");
        }
        command.envs(hire.environment.iter().map(|(name, value)| (*name, value)));
        command
    }

    /// How many are on duty.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// True when nobody is on duty.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Sends a signal that ends nobody: STOP or CONT.
    pub fn signal(&mut self, index: usize, with: Signal) -> Result<()> {
        let member = &mut self.members[index];
        member.stopped = with == Signal::STOP;
        signal(&member.process, with)
    }

    /// The process of one.
    pub fn process(&self, index: usize) -> Option<u32> {
        self.members.get(index)?.process.id()
    }

    /// Who that is.
    pub fn id(&self, index: usize) -> WorkerId {
        self.members[index].id
    }

    /// The index of that worker, while it is on duty.
    pub fn find(&self, id: WorkerId) -> Option<usize> {
        self.members.iter().position(|member| member.id == id)
    }

    /// Ends one with KILL.
    pub async fn kill(&mut self, index: usize) -> Result<Ended> {
        let mut member = self.members.remove(index);
        signal(&member.process, Signal::KILL)?;
        member.process.wait().await?;
        Ok(Ended { id: member.id, at: Utc::now() })
    }

    /// Ends one with TERM and waits; answers how long it took, or nothing when it had to be killed after `patience`.
    pub async fn dismiss(&mut self, index: usize, patience: Duration) -> Result<Option<Duration>> {
        let mut member = self.members.remove(index);
        if member.stopped {
            signal(&member.process, Signal::CONT)?;
        }
        let begun = Instant::now();
        signal(&member.process, Signal::TERM)?;
        let ended = tokio::time::timeout(patience, member.process.wait()).await;
        match ended {
            Ok(status) if status.as_ref().is_ok_and(std::process::ExitStatus::success) => Ok(Some(begun.elapsed())),
            // A fail point may lie on the way out as well.
            Ok(Ok(_)) if !member.hire.environment.is_empty() => {
                self.fallen += 1;
                Ok(Some(begun.elapsed()))
            }
            Ok(status) => {
                tracing::error!(?status, "a worker did not end well");
                Ok(None)
            }
            Err(_) => {
                signal(&member.process, Signal::KILL)?;
                member.process.wait().await?;
                Ok(None)
            }
        }
    }

    /// Looks who has ended without having been told to; starts them again if [`Crew::restarts`].
    pub fn tend(&mut self) -> Result<()> {
        let mut index = 0;
        while index < self.members.len() {
            if self.members[index].process.try_wait()?.is_none() {
                index += 1;
                continue;
            }
            let mut gone = self.members.remove(index);
            self.fallen += 1;
            if self.fallen >= self.calm_after {
                gone.hire.environment.clear();
            }
            if self.restarts {
                self.hire(&gone.hire)?;
            }
        }
        Ok(())
    }

    /// How often the workers said that the fence refused them.
    pub fn stale(&self) -> Result<usize> {
        let mut count = 0;
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
                count += text.lines().filter(|line| line.contains(STALE)).count();
            }
        }
        Ok(count)
    }
}
