//! Redis for tests: the one that a test run is given, and servers of a test's own that it kills, freezes and restarts.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use eventkit::testing::eventually;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::redis::{Patience, Redis, RedisConfig};
use crate::secret::Secret;

/// The password of a test's own server.
const PASSWORD: &str = "a password that is never printed";
const SERVER: &str = "redis-server";

/// The Redis server that is given, if one is, with names of keys for this call alone; without it says so.
#[allow(clippy::print_stderr, clippy::disallowed_methods, reason = "a test that does not run says so")]
pub fn redis() -> Option<Redis> {
    let Ok(url) = std::env::var("TECHLEET_TEST_REDIS_URL") else {
        assert!(!is_required(), "TECHLEET_TEST_REDIS_URL must name a Redis server");
        eprintln!("no TECHLEET_TEST_REDIS_URL: this test is left out");
        return None;
    };
    let login = url.strip_prefix("redis://:").and_then(|rest| rest.split_once('@'));
    let (password, address) = login.expect("redis://:PASSWORD@HOST:PORT");
    let (host, port) = address.split_once(':').expect("HOST:PORT");
    let config = RedisConfig { host: host.to_owned(), ..config(port.parse().expect("a port"), password) };
    Redis::new(&config).expect("an address")
}

/// A Redis that is away.
pub fn no_redis() -> Redis {
    // Nothing listens there.
    Redis::new(&config(1, "")).expect("an address").expect("a host")
}

#[allow(clippy::disallowed_methods, reason = "a test run is told by its environment what there is")]
fn is_required() -> bool {
    std::env::var("REQUIRE_INFRA").is_ok()
}

/// On this machine, with names of keys for this call alone.
fn config(port: u16, password: &str) -> RedisConfig {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let nanos = UNIX_EPOCH.elapsed().expect("it is after 1970").as_nanos();
    RedisConfig {
        host: "127.0.0.1".to_owned(),
        port,
        password: Secret::new(password),
        key_prefix: format!("test-{}-{nanos}-{next}", std::process::id()),
        timeout_ms: 2_000,
    }
}

/// A Redis server of a test's own; killed when this is dropped.
#[derive(Debug)]
pub struct RedisServer {
    folder: TempDir,
    config: RedisConfig,
    child: Child,
}

impl RedisServer {
    /// Starts one that keeps its data on disk; without `redis-server` says so.
    #[allow(clippy::print_stderr, reason = "a test that does not run says so")]
    pub async fn start() -> Option<Self> {
        let is_there = Command::new(SERVER).arg("--version").stdout(Stdio::null()).status().is_ok();
        if !is_there {
            assert!(!is_required(), "{SERVER} must be installed");
            eprintln!("no {SERVER}: this test is left out");
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let config = config(listener.local_addr().expect("an address").port(), PASSWORD);
        drop(listener);
        let child = spawn(folder.path(), config.port, PASSWORD);
        let server = Self { folder, config, child };
        server.answers().await;
        Some(server)
    }

    /// How to reach it.
    pub fn config(&self) -> &RedisConfig {
        &self.config
    }

    /// A client that does not wait for long.
    pub fn client(&self) -> Redis {
        let config = RedisConfig { timeout_ms: 500, ..self.config.clone() };
        Redis::new(&config).expect("an address").expect("a host")
    }

    /// A client with a password that is not the server's.
    pub fn client_with(&self, password: &str) -> Redis {
        let config = RedisConfig { password: Secret::new(password), ..self.config.clone() };
        Redis::new(&config).expect("an address").expect("a host")
    }

    /// Where its data is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Starts it again on the same port and data, after it was killed.
    pub async fn restart(&mut self) {
        self.child = spawn(self.folder.path(), self.config.port, PASSWORD);
        self.answers().await;
    }

    /// Has it stand still.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Has it go on.
    pub async fn thaw(&self) {
        self.signal(Signal::CONT);
        self.answers().await;
    }

    /// Sends it a command whose answer is a number or nothing of interest.
    pub async fn command(&self, words: &[&str]) -> Option<i64> {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let answer: redis::Value = self.client().ask(Patience::Insist, |_| command).await.expect("an answer");
        match answer {
            redis::Value::Int(number) => Some(number),
            _ => None,
        }
    }

    async fn answers(&self) {
        let client = self.client();
        eventually("redis answers", async || client.info().await.ok()).await;
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a process");
        kill_process(pid, signal).expect("it runs");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // Killed already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &Path, port: u16, password: &str) -> Child {
    let port = port.to_string();
    let mut command = Command::new(SERVER);
    command.args(["--bind", "127.0.0.1", "--port", &port, "--requirepass", password, "--save", ""]);
    command.args(["--appendonly", "yes", "--appendfsync", "always", "--dir"]).arg(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("redis-server starts")
}
