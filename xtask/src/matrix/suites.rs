//! What is run on each combination, as commands of cargo.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};

use super::servers::Servers;
use super::{Ground, passed};

/// What tells the tests of `e2e` on what to stand (`e2e/src/ground.rs`).
const GROUND_VARIABLE: &str = "TECHLEET_TEST_GROUND";
/// The packages with the services' tests.
const SERVICES: [&str; 4] = ["user-service", "company-service", "recruitment-service", "container"];

/// Tests that are run together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Suite {
    Transport,
    Stores,
    Services,
    Story,
    Crashes,
}

/// How it went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    pub(super) passed: u32,
    pub(super) seconds: u64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} s", self.passed, self.seconds)
    }
}

impl Suite {
    /// As the record calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Transport => "transport",
            Self::Stores => "outbox and inbox",
            Self::Services => "services",
            Self::Story => "hiring story",
            Self::Crashes => "crashes",
        }
    }

    /// Runs it; what the tests say is on this process's output.
    pub(super) fn run(self, root: &Path, servers: &Servers, ground: Ground) -> anyhow::Result<Outcome> {
        let began = Instant::now();
        let mut command = Command::new("cargo");
        command.arg("test").args(self.packages().iter().flat_map(|package| ["--package", *package]));
        command.args(["--test", "it", "--"]).args(self.tests(ground)).current_dir(root);
        command.env(GROUND_VARIABLE, ground.to_string());
        servers.tell(&mut command);
        // A test of both databases runs on the one that is there.
        if self == Self::Stores && ground.database == "sqlite" {
            servers.hide(&mut command);
        }
        let output = command.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{self:?} failed on {ground}:\n{text}");
        let passed = passed(&text).with_context(|| format!("{self:?} on {ground}"))?;
        Ok(Outcome { passed, seconds: began.elapsed().as_secs() })
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Stores => &["eventkit"],
            Self::Services => &SERVICES,
            Self::Transport | Self::Story | Self::Crashes => &["e2e"],
        }
    }

    /// Which tests, by parts of their names. Those that start a Kafka each do so one after the other.
    fn tests(self, ground: Ground) -> Vec<&'static str> {
        match self {
            Self::Transport if ground.broker == "embedded" => vec!["keeps_the_contract_on_the_embedded_broker"],
            Self::Transport => vec!["keeps_the_contract_on_the_broker_of_this_run"],
            Self::Stores => vec!["the_outbox_keeps_its_contract", "the_inbox_keeps_its_contract"],
            Self::Services if ground.sessions == "database" => vec![ground.database, "--skip", "with_redis"],
            Self::Services => vec![ground.database],
            Self::Story => vec!["the_story_holds_in_one", "the_story_holds_with", "--test-threads", "1"],
            Self::Crashes => vec!["the_story_holds_while", "every_failpoint", "kill_nine", "--test-threads", "1"],
        }
    }
}
