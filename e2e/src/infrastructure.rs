//! `background/start-infrastructure.sh` on free ports and in a folder of its own: real Kafka, Redis and PostgreSQL.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::process::Command;

use crate::program::{Ran, variable};

/// How long a command of the script may take: the first one fetches Kafka with Maven.
const COMMAND_MAX: Duration = Duration::from_secs(600);
/// The variable that asks for tests with real servers.
pub const REQUIRED: &str = "REQUIRE_INFRA";
/// The variable that names a PostgreSQL server.
pub(crate) const POSTGRES_VARIABLE: &str = "TECHLEET_TEST_POSTGRES_URL";

/// What keeps Kafka's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metadata {
    /// Kafka 3.4 with ZooKeeper.
    ZooKeeper,
    /// Kafka 4 with KRaft.
    KRaft,
}

/// An infrastructure; what runs of it when this is dropped is killed.
#[derive(Debug)]
pub struct Infrastructure {
    state: tempfile::TempDir,
    libraries: PathBuf,
    metadata: Metadata,
    ports: [u16; 6],
}

/// Whether tests with real servers have to run.
pub fn is_required() -> bool {
    variable(REQUIRED).is_some()
}

/// A PostgreSQL server for tests, if one is given; a test without one says so and returns.
///
/// # Panics
/// None is given where tests with real servers have to run.
#[allow(clippy::print_stderr, reason = "a test that does not run says so")]
pub fn postgres_url() -> Option<String> {
    let url = variable(POSTGRES_VARIABLE);
    if url.is_none() {
        assert!(!is_required(), "{POSTGRES_VARIABLE} must name a PostgreSQL server");
        eprintln!("no {POSTGRES_VARIABLE}: this test is left out");
    }
    url
}

impl Infrastructure {
    /// A place and ports for it; nothing is started. Kafka's programs are kept in `libraries`.
    ///
    /// # Errors
    /// There is no folder or no port to be had.
    pub fn new(metadata: Metadata, libraries: &Path) -> anyhow::Result<Self> {
        // PostgreSQL runs as its own user where the test is root, and has to reach its folder.
        let permissions = std::fs::Permissions::from_mode(0o755);
        let state = tempfile::Builder::new().prefix("techleet-").permissions(permissions).tempdir()?;
        // All are held until all are known, so that they differ.
        let held = [(); 6].map(|()| TcpListener::bind(("127.0.0.1", 0)));
        let mut ports = [0; 6];
        for (port, listener) in ports.iter_mut().zip(held.iter()) {
            let listener = listener.as_ref().map_err(|error| anyhow::anyhow!("no free port: {error}"))?;
            *port = listener.local_addr()?.port();
        }
        Ok(Self { state, libraries: libraries.to_owned(), metadata, ports })
    }

    /// Runs the script with a command.
    ///
    /// # Errors
    /// It cannot be run, or takes too long.
    pub async fn run(&self, command: &str) -> anyhow::Result<Ran> {
        self.run_with(command, &[]).await
    }

    /// Starts PostgreSQL alone, if it does not run.
    ///
    /// # Errors
    /// It does not start: it is not installed, for example.
    pub async fn start_postgres(&self) -> anyhow::Result<()> {
        let ran = self.run_with("start", &["--only", "postgres"]).await?;
        ensure!(ran.status.success(), "{}{}", ran.stdout, ran.stderr);
        Ok(())
    }

    /// Starts Kafka alone, with ZooKeeper if it needs that, and makes the topics.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start_kafka(&self) -> anyhow::Result<()> {
        let parts = match self.metadata {
            Metadata::ZooKeeper => "zookeeper,kafka",
            Metadata::KRaft => "kafka",
        };
        let ran = self.run_with("start", &["--only", parts]).await?;
        ensure!(ran.status.success(), "{}{}", ran.stdout, ran.stderr);
        Ok(())
    }

    async fn run_with(&self, command: &str, flags: &[&str]) -> anyhow::Result<Ran> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../background/start-infrastructure.sh");
        let mode = match self.metadata {
            Metadata::ZooKeeper => "--zookeeper",
            Metadata::KRaft => "--kraft",
        };
        let mut process = Command::new("bash");
        process.arg(script).args([command, "--native", mode]).args(flags).arg("--state-dir").arg(self.state.path());
        for (name, port) in PORTS.into_iter().zip(self.ports) {
            process.arg(format!("--{name}-port")).arg(port.to_string());
        }
        process.env("INFRASTRUCTURE_LIBRARY_DIR", &self.libraries).stdin(Stdio::null()).kill_on_drop(true);
        let output =
            tokio::time::timeout(COMMAND_MAX, process.output()).await.context("the script took too long")??;
        let stdout = String::from_utf8(output.stdout)?;
        let stderr = String::from_utf8(output.stderr)?;
        Ok(Ran { status: output.status, stdout, stderr })
    }

    /// Starts what does not run; answers what the script printed.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(&self) -> anyhow::Result<String> {
        let ran = self.run("start").await?;
        ensure!(ran.status.success(), "{}{}", ran.stdout, ran.stderr);
        Ok(ran.stdout)
    }

    /// The parts, in the order in which they start.
    pub fn parts(&self) -> &'static [&'static str] {
        match self.metadata {
            Metadata::ZooKeeper => &["zookeeper", "kafka", "redis", "postgres"],
            Metadata::KRaft => &["kafka", "redis", "postgres"],
        }
    }

    /// Where everything is kept.
    pub fn folder(&self) -> &Path {
        self.state.path()
    }

    /// For `kafka.brokers`.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port("kafka"))
    }

    /// For `database.url`.
    pub fn database_url(&self) -> String {
        format!("postgres://techleet:techleet123@127.0.0.1:{}/techleet", self.port("postgres"))
    }

    /// The port of a part.
    ///
    /// # Panics
    /// There is no such part.
    pub fn port(&self, part: &str) -> u16 {
        let index = PORTS.iter().position(|name| *name == part).expect("a part of the infrastructure");
        self.ports[index]
    }

    /// The process that a part's pid file names.
    pub fn pid(&self, part: &str) -> Option<Pid> {
        let text = std::fs::read_to_string(self.state.path().join(part).join("pid")).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    }

    /// Kills a part without a word.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&self, part: &str) -> anyhow::Result<()> {
        self.signal(part, Signal::KILL)
    }

    /// Sends a part a signal.
    ///
    /// # Errors
    /// It does not run.
    pub fn signal(&self, part: &str, signal: Signal) -> anyhow::Result<()> {
        kill_process(self.pid(part).context("it has a pid")?, signal).context("send it a signal")
    }
}

impl Drop for Infrastructure {
    fn drop(&mut self) {
        for part in self.parts() {
            if let Some(pid) = self.pid(part) {
                // Gone already is as good.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// Whether a process is there.
pub fn runs(pid: Pid) -> bool {
    test_kill_process(pid).is_ok()
}

/// The names of the script's flags for ports.
const PORTS: [&str; 6] = ["zookeeper", "kafka", "kafka-internal", "kafka-controller", "redis", "postgres"];
