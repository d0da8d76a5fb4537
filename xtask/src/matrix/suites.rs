//! What is run on each combination: tests of the workspace, built once and as every other test run builds them.

use std::collections::BTreeMap;
use std::fmt;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, anyhow, ensure};
use cargo_metadata::{Message, Metadata};

use super::Ground;
use super::servers::Servers;

/// What tells the tests of `e2e` on what to stand (`e2e/src/ground.rs`).
const GROUND_VARIABLE: &str = "TECHLEET_TEST_GROUND";
/// What tells the tests of crashes how often to kill, before and under load (`e2e/src/soak.rs`).
const KILLS_VARIABLES: [&str; 2] = ["TECHLEET_TEST_SOAK_KILLS", "TECHLEET_TEST_SOAK_LOAD_KILLS"];
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

/// The programs of the tests `it`, by package.
#[derive(Debug)]
pub(super) struct Programs(BTreeMap<String, Program>);

#[derive(Debug)]
struct Program {
    path: PathBuf,
    /// Where cargo runs it.
    folder: PathBuf,
}

impl Programs {
    /// Builds them.
    pub(super) fn build(metadata: &Metadata) -> anyhow::Result<Self> {
        let mut cargo = Command::new("cargo")
            .args(["test", "--workspace", "--test", "it", "--no-run", "--message-format", "json-render-diagnostics"])
            .current_dir(&metadata.workspace_root)
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start cargo")?;
        let messages = BufReader::new(cargo.stdout.take().context("a piped stdout")?);
        let mut programs = BTreeMap::new();
        for message in Message::parse_stream(messages) {
            let Message::CompilerArtifact(artifact) = message.context("cannot read what cargo says")? else { continue };
            let Some(path) = artifact.executable.filter(|_| artifact.target.name == "it") else { continue };
            let package = metadata.packages.iter().find(|package| package.id == artifact.package_id);
            let package = package.with_context(|| format!("{} is no package of the workspace", artifact.package_id))?;
            let folder = package.manifest_path.parent().context("a manifest is in a folder")?.into();
            programs.insert(package.name.to_string(), Program { path: path.into(), folder });
        }
        ensure!(cargo.wait().context("cannot wait for cargo")?.success(), "the tests cannot be built");
        Ok(Self(programs))
    }

    /// A command that runs the tests of a package.
    fn command(&self, package: &str) -> anyhow::Result<Command> {
        let Program { path, folder } = self.0.get(package).with_context(|| format!("{package} has no tests `it`"))?;
        let mut command = Command::new(path);
        command.current_dir(folder).env("CARGO_MANIFEST_DIR", folder);
        Ok(command)
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

    /// Runs it, with so many kills a test instead of the usual ones; what the tests say is on this process's output.
    ///
    /// # Errors
    /// It cannot be run at all.
    pub(super) fn run(
        self,
        programs: &Programs,
        servers: &Servers,
        ground: Ground,
        kills: Option<u32>,
    ) -> anyhow::Result<Outcome> {
        let began = Instant::now();
        let (mut text, mut is_success) = (String::new(), true);
        for package in self.packages() {
            let mut command = programs.command(package)?;
            command.args(self.tests(ground)).env(GROUND_VARIABLE, ground.to_string());
            if let Some(kills) = kills {
                command.envs(KILLS_VARIABLES.map(|name| (name, kills.to_string())));
            }
            servers.tell(&mut command);
            // A test of both databases runs on the one that is there.
            if self == Self::Stores && ground.database == "sqlite" {
                servers.hide(&mut command);
            }
            let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot test {package}"))?;
            text.push_str(&String::from_utf8_lossy(&output.stdout));
            is_success &= output.status.success();
        }
        let seconds = began.elapsed().as_secs();
        let verdict = match is_success {
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
            (Self::Transport, Ground { broker: "embedded", .. }) => {
                vec!["keeps_the_contract_on_the_embedded_broker", "transactions_count_whole_on_the_embedded_broker"]
            }
            (Self::Transport, _) => vec![
                "keeps_the_contract_on_the_broker_of_this_run",
                "transactions_count_whole_on_the_broker_of_this_run",
                "--test-threads",
                "1",
            ],
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
                vec![
                    "the_story_holds_while",
                    "answers_hold_while",
                    "every_failpoint",
                    "routes_killed::",
                    "--test-threads",
                    "1",
                ]
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
