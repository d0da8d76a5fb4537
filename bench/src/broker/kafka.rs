//! Apache Kafka 4 from its Maven artifacts: its configuration, and how it and its tools are started.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

const PROPERTIES: &str = "server.properties";
/// Any cluster's id does, as long as it has its form.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qg";

/// What bin/kafka-run-class.sh starts Java with.
const PERFORMANCE: [&str; 6] = [
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];
/// As bin/kafka-server-start.sh has it.
const SERVER_HEAP: [&str; 2] = ["-Xmx1G", "-Xms1G"];
/// As bin/kafka-producer-perf-test.sh has it.
const CLIENT_HEAP: &str = "-Xmx512M";
/// For short tools, so that compiling hard does not lengthen them.
const SHORT: [&str; 3] = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

const SERVER: &str = "kafka.Kafka";
const STORAGE_TOOL: &str = "kafka.tools.StorageTool";

/// The folder with its jars.
#[derive(Debug, Clone)]
pub(crate) struct Library(PathBuf);

impl Library {
    /// Has Maven fetch it into the user's cache, if it is not there.
    pub(crate) fn fetch() -> anyhow::Result<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/kafka-library.sh");
        let output = Command::new("bash").arg(script).stdin(Stdio::null()).output().context("run bash")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "Apache Kafka cannot be fetched: {}", said.trim());
        let stdout = String::from_utf8(output.stdout)?;
        Ok(Self(PathBuf::from(stdout.lines().last().context("the script named no folder")?)))
    }

    /// Writes the configuration of a single node, everything else as it comes.
    pub(crate) fn configure(
        &self,
        folder: &Path,
        address: SocketAddr,
        controller: SocketAddr,
        is_synced: bool,
    ) -> anyhow::Result<()> {
        let data = folder.join("data");
        let mut lines = vec![
            "process.roles=broker,controller".to_owned(),
            "node.id=1".to_owned(),
            format!("listeners=PLAINTEXT://{address},CONTROLLER://{controller}"),
            format!("advertised.listeners=PLAINTEXT://{address}"),
            "controller.listener.names=CONTROLLER".to_owned(),
            format!("controller.quorum.bootstrap.servers={controller}"),
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned(),
            format!("log.dirs={}", data.display()),
            "offsets.topic.replication.factor=1".to_owned(),
            "transaction.state.log.replication.factor=1".to_owned(),
            "transaction.state.log.min.isr=1".to_owned(),
            "share.coordinator.state.topic.replication.factor=1".to_owned(),
            "share.coordinator.state.topic.min.isr=1".to_owned(),
            "group.initial.rebalance.delay.ms=0".to_owned(),
        ];
        if is_synced {
            lines.push("log.flush.interval.messages=1".to_owned());
        }
        Ok(std::fs::write(folder.join(PROPERTIES), lines.join("\n") + "\n")?)
    }

    /// Makes its folder, as its first start demands.
    pub(crate) fn format(&self, folder: &Path) -> anyhow::Result<()> {
        let mut command = self.java(&SHORT, "ERROR", STORAGE_TOOL);
        command.args(["format", "--standalone", "-t", CLUSTER_ID, "-c"]).arg(folder.join(PROPERTIES));
        let output = command.stdin(Stdio::null()).output().context("start java")?;
        ensure!(
            output.status.success(),
            "Apache Kafka's folder cannot be formatted: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// The broker.
    pub(crate) fn server(&self, folder: &Path) -> Command {
        let mut command = self.java(&[&SERVER_HEAP[..], &PERFORMANCE].concat(), "WARN", SERVER);
        command.arg(folder.join(PROPERTIES));
        command
    }

    /// Runs one of its tools to its end; what it printed.
    pub(crate) fn tool(&self, class: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = self.java(&[&[CLIENT_HEAP], &PERFORMANCE[..]].concat(), "ERROR", class);
        let output = command.args(arguments).stdin(Stdio::null()).output().context("start java")?;
        let (stdout, stderr) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "{class} {}: {}: {stdout} {stderr}", arguments.join(" "), output.status);
        Ok(stdout)
    }

    fn java(&self, flags: &[&str], log_level: &str, class: &str) -> Command {
        let logging = concat!(env!("CARGO_MANIFEST_DIR"), "/../background/native/log4j2.properties");
        let mut command = Command::new("java");
        command.args(flags).arg(format!("-Dlog.level={log_level}"));
        command.arg(format!("-Dlog4j2.configurationFile={logging}")).arg("-cp").arg(self.0.join("*")).arg(class);
        command
    }
}
