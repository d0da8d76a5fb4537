//! Runs the suites on every combination of broker, database and place of sessions, and keeps a record of what they found
//! in `docs/matrix.md`.

mod servers;
mod suites;

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, ensure};
use cargo_metadata::MetadataCommand;
use clap::Args;
use jiff::Timestamp;

use crate::machine::Machine;
use crate::{clock, record};
use servers::Servers;
use suites::{Outcome, Programs, Suite};

/// Where the record is, from the root of the repository.
const RECORD: &str = "docs/matrix.md";
const HEAD: &str = "\
# The matrix

What `cargo xtask matrix` found, the latest run first; the command adds to this page.
It runs the transport's contract on each broker, the contracts of outbox and inbox on each database, the services' tests
(which have a broker in memory) on each database with sessions in either place, and the hiring story and the crash tests
on every combination of them.
";

const BROKERS: [&str; 3] = ["embedded", "kafka-3", "kafka-4"];
const DATABASES: [&str; 2] = ["sqlite", "postgres"];
const SESSIONS: [&str; 2] = ["database", "redis"];
/// What `--ci` runs: each value but the embedded broker, on which every test run stands.
const OF_CI: [Ground; 2] = [
    Ground { broker: "kafka-3", database: "postgres", sessions: "redis" },
    Ground { broker: "kafka-4", database: "sqlite", sessions: "database" },
];

/// How often each test kills with `--ci`; everywhere else as often as in every test run.
const KILLS_OF_CI: u32 = 5;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only what continuous integration has time for: two combinations, few kills, no record
    #[arg(long)]
    ci: bool,
    /// Only combinations of this broker
    #[arg(long, value_parser = BROKERS)]
    broker: Option<String>,
}

/// On what tests stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ground {
    broker: &'static str,
    database: &'static str,
    sessions: &'static str,
}

/// As the tests of `e2e` read it.
impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { broker, database, sessions } = self;
        write!(f, "{broker},{database},{sessions}")
    }
}

/// Runs what is asked for, all of it whatever fails, and fails if anything did.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let metadata =
        MetadataCommand::new().no_deps().exec().context("cannot read the workspace with `cargo metadata`")?;
    let root = metadata.workspace_root.as_std_path();
    let (at, commit) = (clock::now(), record::commit(root, RECORD)?);
    let began = Instant::now();
    let programs = Programs::build(&metadata)?;
    let servers = Servers::given_or_started(root)?;
    let mut outcomes = BTreeMap::new();
    for (suite, ground) in plan(options) {
        let outcome = suite.run(&programs, &servers, ground, options.ci.then_some(KILLS_OF_CI))?;
        say(&format!("{suite:?} on {ground}: {outcome}"));
        outcomes.insert((suite, ground), outcome);
    }
    if !options.ci {
        let command = match &options.broker {
            None => "cargo xtask matrix".to_owned(),
            Some(broker) => format!("cargo xtask matrix --broker {broker}"),
        };
        let machine = Machine::this().to_string();
        let run = Run { at, commit, command, machine, seconds: began.elapsed().as_secs() };
        record::add(root, RECORD, HEAD, &entry(&run, &outcomes))?;
    }
    let failed = outcomes.values().filter(|outcome| matches!(outcome, Outcome::Failed { .. })).count();
    ensure!(failed == 0, "{failed} of {} did not pass", outcomes.len());
    Ok(ExitCode::SUCCESS)
}

#[allow(clippy::print_stdout, reason = "a command that takes an hour says how far it is")]
fn say(line: &str) {
    println!("{line}");
}

/// What runs on what.
fn plan(options: &Options) -> Vec<(Suite, Ground)> {
    if options.ci {
        let of_ci = |ground| [Suite::Transport, Suite::Story, Suite::Crashes].map(|suite| (suite, ground));
        return OF_CI.into_iter().flat_map(of_ci).collect();
    }
    let mut plan = Vec::new();
    for broker in BROKERS.into_iter().filter(|broker| options.broker.as_deref().is_none_or(|only| only == *broker)) {
        plan.push((Suite::Transport, Ground { broker, database: "sqlite", sessions: "database" }));
        for database in DATABASES {
            for sessions in SESSIONS {
                let ground = Ground { broker, database, sessions };
                // These know no broker: once is enough.
                if broker == "embedded" {
                    plan.extend((sessions == "database").then_some((Suite::Stores, ground)));
                    plan.push((Suite::Services, ground));
                }
                plan.extend([(Suite::Story, ground), (Suite::Crashes, ground)]);
            }
        }
    }
    plan
}

/// One run, but for what it found.
struct Run {
    at: Timestamp,
    commit: String,
    command: String,
    machine: String,
    seconds: u64,
}

/// A run as a section of the record.
fn entry(run: &Run, outcomes: &BTreeMap<(Suite, Ground), Outcome>) -> String {
    let Run { at, commit, command, machine, seconds } = run;
    let at = at.strftime("%Y-%m-%d %H:%M UTC");
    let mut rows = String::new();
    for ((suite, Ground { broker, database, sessions }), outcome) in outcomes {
        let any = |is_known: bool, name| if is_known { name } else { "any" };
        let broker = any(!matches!(suite, Suite::Stores | Suite::Services), *broker);
        let database = any(*suite != Suite::Transport, *database);
        let sessions = any(!matches!(suite, Suite::Transport | Suite::Stores), *sessions);
        rows.push_str(&format!("| {} | {broker} | {database} | {sessions} | {outcome} |\n", suite.name()));
    }
    format!(
        "\
## {at}

`{command}`, commit {commit}; it took {seconds} s, building included.
{machine}.

| suite | broker | database | sessions | passed |
|---|---|---|---|---|
{rows}"
    )
}

/// The folder in which the matrix keeps what its servers write.
fn temporary() -> anyhow::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix("techleet-matrix-").tempdir().context("cannot make a temporary folder")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_touched_in_ci_but_what_every_test_run_stands_on() {
        let brokers = OF_CI.map(|ground| ground.broker);
        assert!(BROKERS.iter().all(|broker| *broker == "embedded" || brokers.contains(broker)));
        assert!(DATABASES.iter().all(|database| OF_CI.iter().any(|ground| ground.database == *database)));
        assert!(SESSIONS.iter().all(|sessions| OF_CI.iter().any(|ground| ground.sessions == *sessions)));
    }

    #[test]
    fn story_and_crashes_run_on_all_twelve() {
        let plan = plan(&Options { ci: false, broker: None });
        for suite in [Suite::Story, Suite::Crashes] {
            assert_eq!(plan.iter().filter(|(planned, _)| *planned == suite).count(), 12);
        }
        assert_eq!(plan.iter().filter(|(planned, _)| *planned == Suite::Services).count(), 4);
        assert_eq!(plan.iter().filter(|(planned, _)| *planned == Suite::Transport).count(), 3);
    }

    #[test]
    fn an_entry_says_what_ran_where_and_how_much() {
        let run = Run {
            at: Timestamp::from_second(0).unwrap(),
            commit: "0123456789ab".to_owned(),
            command: "cargo xtask matrix".to_owned(),
            machine: "Some Processor, cores: 2".to_owned(),
            seconds: 90,
        };
        let ground = Ground { broker: "kafka-3", database: "postgres", sessions: "redis" };
        let outcomes = BTreeMap::from([
            ((Suite::Story, ground), Outcome::Passed { tests: 4, seconds: 80 }),
            ((Suite::Crashes, ground), Outcome::Failed { seconds: 9 }),
        ]);
        let entry = entry(&run, &outcomes);
        assert!(entry.contains("## 1970-01-01 00:00 UTC\n"), "{entry}");
        assert!(entry.contains("| hiring story | kafka-3 | postgres | redis | 4 in 80 s |\n"), "{entry}");
        assert!(entry.ends_with("| crashes | kafka-3 | postgres | redis | **failed** after 9 s |\n"), "{entry}");
    }
}
