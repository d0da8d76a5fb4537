//! Who routes: how each is built, started and stopped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use clap::ValueEnum;
use e2e::system::System;
use serde::Serialize;
use tokio::process::Child;

const CONTAINER: &str = "container";
const LOG: &str = "router.log";
/// How much of a router's log is shown when its turn failed.
const LOG_LINES: usize = 15;
/// Where Debian has a newer Java than its own, which is the faster one.
const NEWER_JAVA: &str = "/usr/lib/jvm/temurin-25-jdk-amd64/bin/java";

/// The job, for whoever speaks Camel's language.
pub(super) const ROUTE: &str = include_str!("../../routes/routing.yaml");

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Contender {
    /// `techleet run container` with the route file
    Techleet,
    /// Apache Camel with the same route file and its defaults: a tenth of the events
    Camel,
    /// Apache Camel with batches, routed by hand in Java
    CamelTuned,
    /// Benthos, reading and writing batches
    Benthos,
}

pub(super) const ALL: [Contender; 4] =
    [Contender::Techleet, Contender::Camel, Contender::CamelTuned, Contender::Benthos];

impl Contender {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Techleet => "techleet",
            Self::Camel => "Camel, same file",
            Self::CamelTuned => "Camel, tuned",
            Self::Benthos => "Benthos",
        }
    }

    /// Who is slow gets this part of the events.
    pub(super) fn share(self) -> u32 {
        if self == Self::Camel { 10 } else { 1 }
    }
}

/// A contender that can be started.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) contender: Contender,
    /// What its script printed; nothing of ours.
    place: PathBuf,
}

/// A router that runs.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) process_id: u32,
    /// Its process, if it is none of the system's.
    child: Option<Child>,
    log: PathBuf,
}

impl Program {
    /// Builds what is not there, or says why it cannot.
    pub(super) fn prepare(contender: Contender) -> anyhow::Result<Result<Self, String>> {
        let script = match contender {
            Contender::Techleet => return Ok(Ok(Self { contender, place: PathBuf::new() })),
            Contender::Camel | Contender::CamelTuned => "camel/prepare",
            Contender::Benthos => "benthos/prepare",
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
        let output = Command::new("bash").arg(script).stdin(Stdio::null()).output().context("run bash")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Ok(Err(said.lines().last().unwrap_or("its script failed").to_owned()));
        }
        let said = String::from_utf8(output.stdout)?;
        let place = PathBuf::from(said.lines().last().context("the script named nothing")?);
        Ok(Ok(Self { contender, place }))
    }

    /// Starts it; it works when this returns, or a moment later.
    pub(super) async fn start(&self, system: &mut System, folder: &Path) -> anyhow::Result<Router> {
        let log = folder.join(LOG);
        if self.contender == Contender::Techleet {
            let routes = system.data_dir(CONTAINER).join("routes");
            std::fs::create_dir_all(&routes)?;
            std::fs::write(routes.join("routing.yaml"), ROUTE)?;
            system.keep_logs(folder.to_owned());
            system.start_process(CONTAINER).await?;
            let process_id = system.process_id(CONTAINER)?;
            return Ok(Router { process_id, child: None, log: folder.join("container.log") });
        }
        let file = File::create(&log)?;
        let mut command = self.command(&system.broker())?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = tokio::process::Command::from(command).kill_on_drop(true).spawn().context("start the router")?;
        Ok(Router { process_id: child.id().context("it ended at once")?, child: Some(child), log })
    }

    fn command(&self, brokers: &str) -> anyhow::Result<Command> {
        let own = |path: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        if self.contender == Contender::Benthos {
            let mut command = Command::new(&self.place);
            command.arg("-c").arg(own("routes/benthos.yaml")).env("BROKERS", brokers);
            return Ok(command);
        }
        let java = if Path::new(NEWER_JAVA).exists() { NEWER_JAVA } else { "java" };
        let mut command = Command::new(java);
        command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn").arg("-cp");
        command.arg(format!("{0}/classes:{0}/libraries/*", self.place.display())).args(["Router", brokers]);
        if self.contender == Contender::Camel {
            command.arg(own("routes/routing.yaml"));
        }
        Ok(command)
    }
}

impl Router {
    /// Ends it.
    pub(super) async fn stop(self, system: &mut System) -> anyhow::Result<()> {
        match self.child {
            Some(mut child) => child.kill().await.context("end the router"),
            None => system.interrupt(CONTAINER).await,
        }
    }

    /// The end of what it said, for whoever wants to know why its turn failed.
    pub(super) fn log_tail(&self) -> String {
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        let tail = &lines[lines.len().saturating_sub(LOG_LINES)..];
        format!("the end of its log:\n    {}", tail.join("\n    "))
    }
}

/// Starts our container with these route files, by name.
pub(super) async fn container(system: &mut System, files: &[(String, String)]) -> anyhow::Result<u32> {
    let routes = system.data_dir(CONTAINER).join("routes");
    std::fs::create_dir_all(&routes)?;
    for (name, text) in files {
        ensure!(name.ends_with(".yaml"), "{name} is no name of a route file");
        std::fs::write(routes.join(name), text)?;
    }
    system.start_process(CONTAINER).await?;
    system.process_id(CONTAINER)
}
