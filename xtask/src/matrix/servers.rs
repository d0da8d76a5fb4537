//! PostgreSQL and Redis for the tests: those that the environment names, or two that are started for this run.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use super::temporary;

const POSTGRES_VARIABLE: &str = "TECHLEET_TEST_POSTGRES_URL";
const REDIS_VARIABLE: &str = "TECHLEET_TEST_REDIS_URL";
/// What makes a test fail that does not find its server.
const REQUIRED_VARIABLE: &str = "REQUIRE_INFRA";
const SCRIPT: &str = "background/start-infrastructure.sh";

/// The servers; those that were started are stopped when this is dropped.
#[derive(Debug)]
pub(super) struct Servers {
    postgres_url: String,
    redis_url: String,
    started: Option<(PathBuf, tempfile::TempDir)>,
}

impl Servers {
    /// The given ones, if both are.
    #[allow(clippy::disallowed_methods, reason = "CI tells by the environment where its servers are")]
    pub(super) fn given_or_started(root: &Path) -> anyhow::Result<Self> {
        match (std::env::var(POSTGRES_VARIABLE), std::env::var(REDIS_VARIABLE)) {
            (Ok(postgres_url), Ok(redis_url)) => Ok(Self { postgres_url, redis_url, started: None }),
            _ => Self::start(root),
        }
    }

    fn start(root: &Path) -> anyhow::Result<Self> {
        let folder = temporary()?;
        // PostgreSQL runs as its own user where this is root, and has to reach its folder.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        // Both are held until both are known, so that they differ.
        let held = [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)));
        let mut ports = Vec::new();
        for listener in &held {
            let listener = listener.as_ref().map_err(|error| anyhow::anyhow!("no free port: {error}"))?;
            ports.push(listener.local_addr()?.port().to_string());
        }
        drop(held);
        let ports = ["--postgres-port", &ports[0], "--redis-port", &ports[1]];
        let status = script(root, "start", folder.path()).args(ports).args(["--only", "redis,postgres"]).status();
        ensure!(status.context("cannot start bash")?.success(), "{SCRIPT} could not start PostgreSQL and Redis");
        Ok(Self {
            postgres_url: format!("postgres://techleet:techleet123@127.0.0.1:{}/techleet", ports[1]),
            redis_url: format!("redis://:techleet123@127.0.0.1:{}", ports[3]),
            started: Some((root.to_owned(), folder)),
        })
    }

    /// Tells a command of both, and that tests must use them.
    pub(super) fn tell(&self, command: &mut Command) {
        command.env(POSTGRES_VARIABLE, &self.postgres_url).env(REDIS_VARIABLE, &self.redis_url);
        command.env(REQUIRED_VARIABLE, "1");
    }

    /// Tells a command of none.
    pub(super) fn hide(&self, command: &mut Command) {
        command.env_remove(POSTGRES_VARIABLE).env_remove(REDIS_VARIABLE).env_remove(REQUIRED_VARIABLE);
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if let Some((root, folder)) = &self.started {
            // What does not stop is said by the script.
            let _ = script(root, "stop", folder.path()).status();
        }
    }
}

fn script(root: &Path, command: &str, folder: &Path) -> Command {
    let mut process = Command::new("bash");
    process.arg(root.join(SCRIPT)).args([command, "--native", "--state-dir"]).arg(folder).current_dir(root);
    process
}
