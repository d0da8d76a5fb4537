//! A broker in a process of its own, to be killed: this test binary, started again.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use broker::{Broker, Config};

/// Begins the argument that tells the child where its data is.
const SERVE: &str = "serve-in=";
/// The argument that has the child compact and drop segments all the time.
const BUSY: &str = "busy";
/// Begins the line in which the child tells its address.
const LISTENING: &str = "listening on ";

/// A broker that dies by kill -9 when it is dropped.
#[derive(Debug)]
pub(crate) struct Served {
    child: Child,
    pub(crate) address: String,
}

impl Served {
    /// Starts a broker in `data_dir` and waits until it listens.
    pub(crate) fn start(data_dir: &Path) -> Self {
        Self::listening(spawn(data_dir, &[]))
    }

    /// As [`Self::start`], a broker that compacts and drops segments all the time.
    pub(crate) fn start_busy(data_dir: &Path) -> Self {
        Self::listening(spawn(data_dir, &[BUSY]))
    }

    /// Starts a busy broker and kills it after `delay`, wherever it has come by then.
    pub(crate) async fn start_and_kill(data_dir: &Path, delay: Duration) {
        let mut child = spawn(data_dir, &[BUSY]);
        let _ = tokio::time::timeout(delay, std::future::pending::<()>()).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn listening(mut child: Child) -> Self {
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let told = lines.find_map(|line| {
            let line = line.unwrap();
            let at = line.find(LISTENING)?;
            Some(line[at + LISTENING.len()..].to_owned())
        });
        Self { child, address: told.expect("the child tells its address") }
    }

    /// Ends it without giving it a chance to do anything.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Bytes of memory it holds.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Processor time that it has taken so far.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Behind the name, which is in parentheses, times are the twelfth and thirteenth field, in ticks of 10 ms.
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    fn end(&mut self) {
        // On Unix this is SIGKILL.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(data_dir: &Path, arguments: &[&str]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "support::child::serves_where_it_is_told_to"])
        .arg(format!("{SERVE}{}", data_dir.display()))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end();
    }
}

/// In the child this is the broker; among the tests it has nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn serves_where_it_is_told_to() {
    let Some(data_dir) = std::env::args().find_map(|argument| argument.strip_prefix(SERVE).map(str::to_owned)) else {
        return;
    };
    let mut config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        data_dir: data_dir.into(),
        checkpoint_interval_ms: 50,
        ..Config::default()
    };
    if std::env::args().any(|argument| argument == BUSY) {
        (config.retention_check_interval_ms, config.compaction_check_interval_ms) = (20, 20);
    }
    let broker = Broker::start(config).await.unwrap();
    println!("{LISTENING}{}", broker.address());
    std::future::pending::<()>().await;
}
