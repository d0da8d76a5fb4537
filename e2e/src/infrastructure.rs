//! `background/start-infrastructure.sh` on free ports and in a folder of its own: real Kafka, Redis and PostgreSQL.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use eventkit::transport::kafka::KafkaConfig;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::process::Command;

use crate::program::{self, Ran, variable};

/// Where the script is.
pub const BACKGROUND: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../background");
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

/// How a user says who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// A password, SCRAM-SHA-512 over TLS.
    Scram,
    /// A password, PLAIN over TLS.
    Plain,
    /// A certificate.
    Certificate,
}

/// An infrastructure; what runs of it when this is dropped is killed.
#[derive(Debug)]
pub struct Infrastructure {
    state: tempfile::TempDir,
    libraries: PathBuf,
    metadata: Metadata,
    ports: [u16; 6],
    /// Whether Kafka asks everybody who they are.
    secured: bool,
    /// The port that Kafka's clients are told to come back to, where it is not Kafka's own.
    advertised: Option<u16>,
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
        Ok(Self { state, libraries: libraries.to_owned(), metadata, ports, secured: false, advertised: None })
    }

    /// Has Kafka's clients come in by another port, that of a proxy.
    #[must_use]
    pub fn behind(mut self, port: u16) -> Self {
        self.advertised = Some(port);
        self
    }

    /// Has Kafka run as in production: over TLS, with logins and access rules.
    #[must_use]
    pub fn secured(mut self) -> Self {
        self.secured = true;
        self
    }

    /// Where the certificates and passwords of a secured Kafka are.
    pub fn secrets(&self) -> PathBuf {
        self.state.path().join("kafka/secrets")
    }

    /// How `user` gets into a secured Kafka.
    pub fn login(&self, user: &str, login: Login) -> KafkaConfig {
        let secret = |file: String| self.secrets().join(file).display().to_string();
        let ssl_ca = secret("ca.pem".to_owned());
        let by_password = |mechanism: &str| KafkaConfig {
            brokers: format!("127.0.0.1:{}", self.port("kafka")),
            security_protocol: "SASL_SSL".to_owned(),
            sasl_mechanism: mechanism.to_owned(),
            sasl_username: user.to_owned(),
            sasl_password_file: secret(format!("{user}.password")),
            ssl_ca: ssl_ca.clone(),
            ..KafkaConfig::default()
        };
        match login {
            Login::Scram => by_password("SCRAM-SHA-512"),
            Login::Plain => by_password("PLAIN"),
            Login::Certificate => KafkaConfig {
                brokers: format!("127.0.0.1:{}", self.port("kafka-internal")),
                security_protocol: "SSL".to_owned(),
                ssl_certificate: secret(format!("{user}.pem")),
                ssl_key: secret(format!("{user}.key")),
                ssl_ca: ssl_ca.clone(),
                ..KafkaConfig::default()
            },
        }
    }

    /// A folder with Kafka's own tools; this infrastructure need not run.
    ///
    /// # Errors
    /// They cannot be fetched or written.
    pub async fn tools(&self) -> anyhow::Result<PathBuf> {
        let folder = self.state.path().join("kafka/bin");
        let script = "set -euo pipefail; say() { :; }; fail() { echo \"$*\" >&2; exit 1; }
            . \"$HERE/native/parts.sh\"; . \"$HERE/native/tools.sh\"
            fetch_library \"$(kafka_pom)\"; write_kafka_tools \"$0\"";
        let mode = match self.metadata {
            Metadata::ZooKeeper => "zookeeper",
            Metadata::KRaft => "kraft",
        };
        let mut process = Command::new("bash");
        process.args(["-c", script]).arg(&folder).env("HERE", BACKGROUND).env("LIBRARY_DIR", &self.libraries);
        process.env("KAFKA_MODE", mode).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(COMMAND_MAX, process.output()).await.context("tools took too long")??;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(folder)
    }

    /// Runs one of Kafka's own tools as the administrator of a secured Kafka.
    ///
    /// # Errors
    /// It fails.
    pub async fn tool(&self, name: &str, args: &[&str]) -> anyhow::Result<String> {
        let server = format!("localhost:{}", self.port("kafka-internal"));
        let config = self.secrets().join("admin-certificate.properties").display().to_string();
        let login = ["--bootstrap-server", &server, "--command-config", &config];
        run_tool(&self.state.path().join("kafka/bin"), name, &[&login, args].concat()).await
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

    /// Starts PostgreSQL and Redis, if they do not run.
    ///
    /// # Errors
    /// They do not start: they are not installed, for example.
    pub async fn start_databases(&self) -> anyhow::Result<()> {
        let ran = self.run_with("start", &["--only", "redis,postgres"]).await?;
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

    /// Runs the script with a command and flags.
    ///
    /// # Errors
    /// It cannot be run, or takes too long.
    pub async fn run_with(&self, command: &str, flags: &[&str]) -> anyhow::Result<Ran> {
        self.run_script(command, flags, &program::path_variable()).await
    }

    /// As [`Infrastructure::run_with`], with no other programs than those in `bin`.
    ///
    /// # Errors
    /// As [`Infrastructure::run_with`].
    pub async fn run_found_in(&self, bin: &Path, command: &str, flags: &[&str]) -> anyhow::Result<Ran> {
        self.run_script(command, flags, &bin.display().to_string()).await
    }

    async fn run_script(&self, command: &str, flags: &[&str], path: &str) -> anyhow::Result<Ran> {
        let script = format!("{BACKGROUND}/start-infrastructure.sh");
        let mode = match self.metadata {
            Metadata::ZooKeeper => "--zookeeper",
            Metadata::KRaft => "--kraft",
        };
        let mut process = Command::new("bash");
        process
            .env("PATH", path)
            .arg(script)
            .args([command, "--native", mode])
            .args(flags)
            .arg("--state-dir")
            .arg(self.state.path());
        for (name, port) in PORTS.into_iter().zip(self.ports) {
            process.arg(format!("--{name}-port")).arg(port.to_string());
        }
        if self.secured {
            process.arg("--secured");
        }
        if let Some(port) = self.advertised {
            process.arg("--kafka-advertised-port").arg(port.to_string());
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
        format!("127.0.0.1:{}", self.advertised.unwrap_or_else(|| self.port("kafka")))
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

/// Runs one of Kafka's own tools, which are in `folder`.
///
/// # Errors
/// It fails.
pub async fn run_tool(folder: &Path, name: &str, args: &[&str]) -> anyhow::Result<String> {
    let mut process = Command::new(folder.join(format!("{name}.sh")));
    process.args(args).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(COMMAND_MAX, process.output()).await.context("the tool took too long")??;
    let stdout = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "{name} {args:?}: {stdout}{}", String::from_utf8_lossy(&output.stderr));
    Ok(stdout)
}

/// Whether a process is there.
pub fn runs(pid: Pid) -> bool {
    test_kill_process(pid).is_ok()
}

/// The names of the script's flags for ports.
const PORTS: [&str; 6] = ["zookeeper", "kafka", "kafka-internal", "kafka-controller", "redis", "postgres"];
