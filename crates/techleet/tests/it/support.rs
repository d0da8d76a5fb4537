//! A broker in this process, the program as a process, and what of its output varies.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use broker::Broker;
use eventkit::transport::kafka::KafkaConfig;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// How long a command may take on a busy machine.
const RUN_MAX: Duration = Duration::from_secs(60);

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) struct Fixture {
    pub(crate) config: KafkaConfig,
    pub(crate) dir: tempfile::TempDir,
    _broker: Broker,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (listen, data_dir) = ("127.0.0.1:0".parse().unwrap(), dir.path().join("broker"));
        let broker = Broker::start(broker::Config { listen, data_dir, ..broker::Config::default() }).await.unwrap();
        let config = KafkaConfig { brokers: broker.address().to_string(), ..KafkaConfig::default() };
        Self { config, dir, _broker: broker }
    }

    /// `techleet` with these arguments.
    pub(crate) async fn techleet(&self, args: &[&str], stdin: &str) -> Ran {
        let mut command = program(&[]);
        command.arg("--set").arg(format!("kafka.brokers={}", self.config.brokers));
        for key in ["broker.listen", "user_service.listen", "container.listen"] {
            command.arg("--set").arg(format!("{key}=127.0.0.1:0"));
        }
        command.arg("--data-dir").arg(self.dir.path().join("data")).args(args);
        run(command, stdin).await
    }

    /// Output without the port, which differs from run to run.
    pub(crate) fn masked(&self, text: &str) -> String {
        let (_, port) = self.config.brokers.rsplit_once(':').unwrap();
        text.replace(&self.dir.path().display().to_string(), "DIR").replace(port, &"P".repeat(port.len()))
    }
}

/// The program with these arguments.
pub(crate) fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_techleet"));
    command.args(args);
    command
}

pub(crate) async fn run(mut command: Command, stdin: &str) -> Ran {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = piped.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // A command that does not read its input may be gone already.
    let _ = input.write_all(stdin.as_bytes()).await;
    drop(input);
    let output = tokio::time::timeout(RUN_MAX, child.wait_with_output()).await.expect("it does not end").unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The folder with Kafka's own tools, or why the test has nothing to compare with.
pub(crate) fn kafka_tools_folder() -> Option<PathBuf> {
    let folder = std::env::var_os("TECHLEET_TEST_KAFKA_TOOLS");
    if folder.is_none() {
        assert!(std::env::var_os("REQUIRE_INFRA").is_none(), "TECHLEET_TEST_KAFKA_TOOLS names no folder with jars");
        println!("skipped: TECHLEET_TEST_KAFKA_TOOLS names no folder with the jars of Apache Kafka's tools");
    }
    folder.map(PathBuf::from)
}

/// Whether what Kafka's tools print is to be recorded anew.
pub(crate) fn is_recording() -> bool {
    std::env::var_os("TECHLEET_RECORD_KAFKA_TOOLS").is_some()
}
