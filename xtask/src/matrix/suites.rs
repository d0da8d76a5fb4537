//! What is run on each combination, as commands of cargo.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, anyhow, ensure};

use super::Ground;
use super::servers::Servers;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// So many tests passed.
    Passed { tests: usize, seconds: u64 },
    /// Not all passed, or none ran where some had to.
    Failed { seconds: u64 },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed { tests, seconds } => write!(f, "{tests} in {seconds} s"),
            Self::Failed { seconds } => write!(f, "**failed** after {seconds} s"),
        }
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
    ///
    /// # Errors
    /// It cannot be run at all.
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
        let seconds = began.elapsed().as_secs();
        let text = String::from_utf8_lossy(&output.stdout);
        let verdict = match output.status.success() {
            true => passed(&text, &self.tests(ground)),
            false => Err(anyhow!("{text}")),
        };
        Ok(match verdict {
            Ok(tests) => Outcome::Passed { tests, seconds },
            Err(why) => {
                super::say(&format!("{self:?} failed on {ground}: {why:#}"));
                Outcome::Failed { seconds }
            }
        })
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
        match (self, ground) {
            (Self::Transport, Ground { broker: "embedded", .. }) => vec!["keeps_the_contract_on_the_embedded_broker"],
            (Self::Transport, _) => vec!["keeps_the_contract_on_the_broker_of_this_run"],
            (Self::Stores, _) => vec!["the_outbox_keeps_its_contract", "the_inbox_keeps_its_contract"],
            // What names no database stands on SQLite.
            (Self::Services, Ground { database: "sqlite", sessions: "database", .. }) => {
                vec!["--skip", "postgres", "--skip", "redis"]
            }
            (Self::Services, Ground { database: "sqlite", .. }) => vec!["sqlite_with_redis", "redis::"],
            (Self::Services, Ground { sessions: "database", .. }) => vec!["postgres", "--skip", "redis"],
            (Self::Services, _) => vec!["postgres_with_redis"],
            (Self::Story, _) => vec!["the_story_holds_in_one", "the_story_holds_with", "--test-threads", "1"],
            (Self::Crashes, _) => {
                vec!["the_story_holds_while", "answers_hold_while", "every_failpoint", "--test-threads", "1"]
            }
        }
    }
}

/// How many tests passed, by `cargo test`'s output. Of each name that was asked for there has to be one: a test that was
/// renamed would be left out without a word.
fn passed(output: &str, asked: &[&str]) -> anyhow::Result<usize> {
    let result = |line: &'_ str| line.strip_prefix("test ")?.strip_suffix(" ... ok").map(str::to_owned);
    let passed: Vec<String> = output.lines().filter_map(result).collect();
    ensure!(!passed.is_empty(), "no test ran");
    for name in asked.iter().take_while(|name| !name.starts_with("--")) {
        ensure!(passed.iter().any(|test| test.contains(name)), "no test is called {name}");
    }
    Ok(passed.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_tests_are_counted_and_a_name_that_nothing_has_is_a_mistake() {
        let output = "running 2 tests\ntest kill::a_b ... ok\ntest story::c ... ok\ntest d ... FAILED\n";
        assert_eq!(passed(output, &["a_b", "c", "--test-threads", "1"]).unwrap(), 2);
        assert!(passed(output, &["a_b", "d"]).is_err());
        assert!(passed("test result: ok. 0 passed; 0 failed\n", &[]).is_err());
    }
}
