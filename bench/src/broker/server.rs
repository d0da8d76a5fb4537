//! The contenders as processes: each in a folder and on ports of its own, gone with its folder when it is dropped.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use e2e::program;
use e2e::system::free_port;
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tempfile::TempDir;

use super::kafka::Library;
use super::wire::Wire;
use crate::process;

/// How long a broker may take until it answers; Apache Kafka after a kill is the slow one.
const START_MAX: Duration = Duration::from_secs(180);
/// How long it may take to stop.
const STOP_MAX: Duration = Duration::from_secs(120);
/// How often is looked whether it has started or stopped.
const LOOK_EVERY: Duration = Duration::from_millis(2);

const LOG: &str = "log";
/// How much of a broker's log is shown when a turn failed.
const LOG_LINES: usize = 10;

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Contender {
    /// `techleet broker`: fsync before every acknowledgement
    Techleet,
    /// Apache Kafka as it comes: it acknowledges from the page cache
    Kafka,
    /// Apache Kafka with log.flush.interval.messages=1
    KafkaFsync,
    /// The machine, for its limits.
    #[value(skip)]
    Machine,
}

impl Contender {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Techleet => "techleet",
            Self::Kafka => "Kafka",
            Self::KafkaFsync => "Kafka, fsync per batch",
            Self::Machine => "machine",
        }
    }
}

/// Where a contender is during one turn, over all its starts.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) contender: Contender,
    pub(crate) address: SocketAddr,
    /// Apache Kafka's, and that of its tools.
    library: Option<Library>,
    folder: TempDir,
}

impl Place {
    /// A folder and ports; nothing is started, and Apache Kafka's folder is not formatted.
    pub(crate) fn new(contender: Contender, library: Option<Library>) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("techleet-bench-").tempdir()?;
        let place = Self { contender, address: free_port()?, library, folder };
        if contender != Contender::Techleet {
            let is_synced = contender == Contender::KafkaFsync;
            place.library()?.configure(place.folder(), place.address, free_port()?, is_synced)?;
        }
        Ok(place)
    }

    /// What Apache Kafka and its tools are started with.
    pub(crate) fn library(&self) -> anyhow::Result<&Library> {
        self.library.as_ref().context("Apache Kafka was not fetched")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What Apache Kafka wants done before its first start; ours wants nothing.
    pub(crate) fn format(&self) -> anyhow::Result<()> {
        if self.contender == Contender::Techleet { Ok(()) } else { self.library()?.format(self.folder()) }
    }

    /// Prepares and starts it for the first time; it answers when this returns.
    pub(crate) fn start(&self) -> anyhow::Result<Server> {
        self.format()?;
        let mut server = self.spawn()?;
        server.wait()?;
        Ok(server)
    }

    /// Starts the process and does not wait for anything.
    pub(crate) fn spawn(&self) -> anyhow::Result<Server> {
        let mut command = match self.contender {
            Contender::Techleet => {
                let mut command = Command::new(program::path()?);
                command.args(["broker", "--listen", &self.address.to_string(), "--data-dir"]);
                command.arg(self.folder().join("data"));
                command
            }
            _ => self.library()?.server(self.folder()),
        };
        let log = File::options().create(true).append(true).open(self.log())?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Server { child: command.spawn().context("start the broker")?, address: self.address })
    }

    fn log(&self) -> PathBuf {
        self.folder().join(LOG)
    }

    /// The end of what the broker said, for whoever wants to know why a turn failed.
    pub(crate) fn log_tail(&self) -> String {
        let said = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        let tail = &lines[lines.len().saturating_sub(LOG_LINES)..];
        tail.iter().map(|line| format!("\n    {line}")).collect()
    }
}

/// A broker's process; killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Waits until it knows itself as a broker.
    fn wait(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        while !Wire::connect(self.address).and_then(|mut wire| wire.has_broker()).unwrap_or(false) {
            self.look(began)?;
        }
        Ok(())
    }

    /// Waits a moment for a process that has begun then; an error if it has ended, or takes too long.
    #[allow(clippy::disallowed_methods, reason = "nothing else runs on this thread")]
    pub(crate) fn look(&mut self, began: Instant) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the broker ended: {status}");
        }
        ensure!(began.elapsed() < START_MAX, "the broker does not answer after {} s", START_MAX.as_secs());
        std::thread::sleep(LOOK_EVERY);
        Ok(())
    }

    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        process::cpu_seconds(self.child.id())
    }

    pub(crate) fn rss_mib(&self) -> anyhow::Result<f64> {
        process::rss_mib(self.child.id())
    }

    pub(crate) fn rss_peak_mib(&self) -> anyhow::Result<f64> {
        process::rss_peak_mib(self.child.id())
    }

    /// kill -9; it is gone when this returns.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop, and waits until it has.
    #[allow(clippy::disallowed_methods, reason = "nothing else runs on this thread")]
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let pid = Pid::from_raw(self.child.id().cast_signed()).context("a process has a number")?;
        kill_process(pid, Signal::TERM)?;
        let began = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(began.elapsed() < STOP_MAX, "the broker does not stop within {} s", STOP_MAX.as_secs());
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing of it is needed any more; if it has ended already, so much the better.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
