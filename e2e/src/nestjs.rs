//! `examples/nestjs-service` as a child process: a user-service on NestJS and KafkaJS, as the seed describes it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::program::variable;

/// The variable that names the folder in which the service was built.
pub const FOLDER: &str = "TECHLEET_TEST_NESTJS_SERVICE";

/// How long a start may take on a machine that is busy with other tests.
const START_MAX: Duration = Duration::from_secs(120);
/// How long a stop may take.
const STOP_MAX: Duration = Duration::from_secs(60);

/// How its events get to Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publish {
    /// By the interceptor, when the request has succeeded.
    AfterSuccess,
    /// Through an outbox.
    Outbox,
}

/// The service, running.
#[derive(Debug)]
pub struct NestjsService {
    child: Child,
    url: String,
}

/// The folder in which it was built for tests, if it was.
pub fn folder() -> Option<PathBuf> {
    variable(FOLDER).map(PathBuf::from)
}

/// Builds it with npm, with SQLite; the folder in which it was built, or in words why it cannot be.
///
/// # Errors
/// The script that builds it cannot be run.
pub fn build() -> anyhow::Result<Result<PathBuf, String>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/nestjs-service/build.sh");
    let output = std::process::Command::new("bash").arg(script).stdin(Stdio::null()).output().context("run bash")?;
    if !output.status.success() {
        return Ok(Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let stdout = String::from_utf8(output.stdout)?;
    Ok(Ok(PathBuf::from(stdout.lines().last().context("the script named no folder")?)))
}

impl NestjsService {
    /// Starts it on a free port; ready when this returns.
    ///
    /// # Errors
    /// It does not get ready; what it said on stderr is on this process's.
    pub async fn start(folder: &Path, brokers: &str, database_url: &str, publish: Publish) -> anyhow::Result<Self> {
        let mut child = Command::new("node")
            .arg(folder.join("dist/main.js"))
            .env("PORT", "0")
            .env("KAFKA_BROKERS", brokers)
            .env("DATABASE_URL", database_url)
            .env("PUBLISH", if publish == Publish::Outbox { "outbox" } else { "after-success" })
            .env("NODE_ENV", "production")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("start node")?;
        let stdout = child.stdout.take().context("a piped stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let url = tokio::time::timeout(START_MAX, async {
            while let Some(line) = lines.next_line().await? {
                if let Some(url) = line.strip_prefix("user-service ") {
                    return Ok(url.to_owned());
                }
            }
            bail!("the NestJS service ended before it was ready")
        })
        .await
        .context("the NestJS service did not get ready")??;
        // What else it prints must have somewhere to go.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, url })
    }

    /// `http://host:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The number of its process.
    ///
    /// # Errors
    /// It is gone already.
    pub fn process_id(&self) -> anyhow::Result<u32> {
        self.child.id().context("it is gone already")
    }

    /// Asks it to stop, and waits for the end. Nest ends a process by the signal that asked for it.
    ///
    /// # Errors
    /// It does not end in time, or with a failure of its own.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let pid = Pid::from_raw(self.process_id()?.cast_signed()).context("it is gone already")?;
        kill_process(pid, Signal::TERM)?;
        let status = tokio::time::timeout(STOP_MAX, self.child.wait()).await.context("it does not stop")??;
        ensure!(status.code().is_none_or(|code| code == 0), "the NestJS service ended with {status}");
        Ok(())
    }
}
