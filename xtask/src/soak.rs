//! Runs the tests that kill for long, and keeps a record of what they found in `docs/soak.md`.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, ensure};
use cargo_metadata::MetadataCommand;
use jiff::Timestamp;

use crate::machine::Machine;
use crate::{clock, record};

/// Where the record is, from the root of the repository.
const RECORD: &str = "docs/soak.md";
/// What the tests read: how often each kills, and to which file it adds its row (`e2e/src/soak.rs`,
/// `libs/broker/tests/it/support/soak.rs`).
const KILLS_VARIABLE: &str = "TECHLEET_TEST_SOAK_KILLS";
const LOAD_KILLS_VARIABLE: &str = "TECHLEET_TEST_SOAK_LOAD_KILLS";
const ROUNDS_VARIABLE: &str = "TECHLEET_TEST_SOAK_ROUNDS";
const AWAY_VARIABLE: &str = "TECHLEET_TEST_SOAK_AWAY_SECONDS";
const PLACES_VARIABLE: &str = "TECHLEET_TEST_SOAK_PLACES";
const REPORT_VARIABLE: &str = "TECHLEET_TEST_SOAK_REPORT";

const HEAD: &str = "\
# Soak runs

What `cargo xtask soak` found, the latest run first; the command adds to this page.
With `--kills` the hiring story is told again and again while processes get `kill -9` at random moments and are started
again; with `--load-kills` they get it while employees are created and changed as fast as four clients can; with
`--failpoints` the process dies at every marked point in turn, as often as asked, under that load.
With `--outages` nobody dies under the load: the broker is away, as long as `--away` says, and refuses records, databases are
locked and full, a process stands still until another has taken over, the clock is set forth and back.
In the end every event that the answers promised is looked for: none may be lost, none may be there twice.
With `--broker-kills` the broker alone gets `kill -9` while clients produce, commit transactions and positions, make and
delete topics, and while it compacts and drops segments; with `--broker-places` its power fails after every change of the
disk, in each way of losing what was not synced, every change of the disk fails, and a bit flips in every byte of its files.
After each a checker that knows only what clients were told looks for anomalies: lost, doubled, moved or invented records,
reads of what was aborted or not yet committed, polls that skip or go back, holes, ends and positions that fell.
A run that finds one fails, and adds nothing here.
";

/// How processes die.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mode {
    /// At random moments, this often in each layout of the system.
    Kills { kills: u32 },
    /// At random moments while requests come in, this often in each layout of the system.
    LoadKills { kills: u32 },
    /// At every failpoint in turn, this often.
    Failpoints { rounds: u32 },
    /// Nobody dies: broker, database, disk and time are taken away in turn, the broker for so many seconds.
    Outages { away: u32 },
    /// The broker alone, at random moments.
    BrokerKills { kills: u32 },
    /// The broker alone, at every place there is.
    BrokerPlaces,
}

/// Tests that are run for long.
struct Tests {
    package: &'static str,
    /// What is in their names, one of these.
    filters: &'static [&'static str],
    /// What tells them for how long.
    variable: &'static str,
    times: u32,
    /// Head of the table that they fill.
    columns: &'static str,
}

const SYSTEM: &str = "| processes | kills | events | lost | doubled |\n|---|---|---|---|---|";
const OUTAGES: &str = "| processes | seconds without a broker | events | lost | doubled |\n|---|---|---|---|---|";
const BROKER: &str = "| what befell the broker | times | records acknowledged | anomalies |\n|---|---|---|---|";

impl Mode {
    /// The option that asks for it.
    fn option(self) -> String {
        match self {
            Self::Kills { kills } => format!("--kills {kills}"),
            Self::LoadKills { kills } => format!("--load-kills {kills}"),
            Self::Failpoints { rounds } => format!("--failpoints {rounds}"),
            Self::Outages { away } => format!("--outages --away {away}"),
            Self::BrokerKills { kills } => format!("--broker-kills {kills}"),
            Self::BrokerPlaces => "--broker-places".to_owned(),
        }
    }

    /// Which tests run, for how long, and what they tell.
    fn tests(self) -> Tests {
        let (package, filters, variable, times, columns): (_, &[_], _, _, _) = match self {
            Self::Kills { kills } => ("e2e", &["the_story_holds_while"], KILLS_VARIABLE, kills, SYSTEM),
            Self::LoadKills { kills } => ("e2e", &["answers_hold_while"], LOAD_KILLS_VARIABLE, kills, SYSTEM),
            Self::Failpoints { rounds } => ("e2e", &["every_failpoint"], ROUNDS_VARIABLE, rounds, SYSTEM),
            Self::Outages { away } => ("e2e", &["outages_lose_no_event"], AWAY_VARIABLE, away, OUTAGES),
            Self::BrokerKills { kills } => ("broker", &["soak::"], KILLS_VARIABLE, kills, BROKER),
            Self::BrokerPlaces => ("broker", &["changes::", "crash::", "damage::"], PLACES_VARIABLE, 1, BROKER),
        };
        Tests { package, filters, variable, times, columns }
    }
}

/// One run, but for what it found.
struct Run {
    at: Timestamp,
    commit: String,
    machine: String,
    mode: Mode,
    seconds: u64,
}

/// Runs what `mode` says and adds what was found to the record.
pub(crate) fn run(mode: Mode) -> anyhow::Result<ExitCode> {
    let metadata =
        MetadataCommand::new().no_deps().exec().context("cannot read the workspace with `cargo metadata`")?;
    let root = metadata.workspace_root.as_std_path();
    let (at, commit) = (clock::now(), record::commit(root, RECORD)?);
    let began = Instant::now();
    let rows = test(root, mode)?;
    let run = Run { at, commit, machine: Machine::this().to_string(), mode, seconds: began.elapsed().as_secs() };
    record::add(root, RECORD, HEAD, &entry(&run, &rows))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the tests and returns the rows that they reported.
fn test(root: &Path, mode: Mode) -> anyhow::Result<Vec<String>> {
    let Tests { package, filters, variable, times, .. } = mode.tests();
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let report = folder.path().join("rows");
    let status = Command::new("cargo")
        .args(["test", "--release", "--package", package, "--test", "it", "--"])
        .args(filters)
        .env(variable, times.to_string())
        .env(REPORT_VARIABLE, &report)
        .current_dir(root)
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "the tests failed: {RECORD} stays as it is");
    let rows = std::fs::read_to_string(&report).context("the tests reported nothing")?;
    let mut rows: Vec<String> = rows.lines().map(str::to_owned).collect();
    // The tests run at once and end in any order.
    rows.sort();
    Ok(rows)
}

/// A run as a section of the record.
fn entry(run: &Run, rows: &[String]) -> String {
    let Run { at, commit, machine, mode, seconds } = run;
    let option = mode.option();
    let at = at.strftime("%Y-%m-%d %H:%M UTC");
    let rows = rows.join("\n");
    let columns = mode.tests().columns;
    format!(
        "\
## {at}

`cargo xtask soak {option}`, commit {commit}; it took {seconds} s, building included.
{machine}.

{columns}
{rows}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry_of(mode: Mode, rows: &[&str]) -> String {
        let run = Run {
            at: Timestamp::from_second(0).unwrap(),
            commit: "0123456789ab".to_owned(),
            machine: "Some Processor, cores: 2".to_owned(),
            mode,
            seconds: 90,
        };
        entry(&run, &rows.iter().map(|row| (*row).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn an_entry_says_what_ran_where_and_what_was_found() {
        let rows = ["| Apart | 200 | 900 | 0 | 0 |", "| Together | 200 | 950 | 0 | 0 |"];
        let entry = entry_of(Mode::Kills { kills: 200 }, &rows);
        for part in ["## 1970-01-01 00:00 UTC\n", "--kills 200`, commit 0123456789ab; it took 90 s", "Some Processor"] {
            assert!(entry.contains(part), "{part}: {entry}");
        }
        assert!(
            entry.ends_with("|---|---|---|---|---|\n| Apart | 200 | 900 | 0 | 0 |\n| Together | 200 | 950 | 0 | 0 |\n")
        );
    }

    #[test]
    fn an_entry_of_outages_says_how_long_the_broker_was_away() {
        let entry = entry_of(Mode::Outages { away: 60 }, &["| Apart | 60 | 4000 | 0 | 0 |"]);
        assert!(entry.contains("`cargo xtask soak --outages --away 60`, commit 0123456789ab"), "{entry}");
        let table = "| processes | seconds without a broker | events | lost | doubled |\n|---|---|---|---|---|\n";
        assert!(entry.ends_with(&format!("{table}| Apart | 60 | 4000 | 0 | 0 |\n")), "{entry}");
        let Tests { package, filters, variable, times, .. } = Mode::Outages { away: 60 }.tests();
        assert_eq!((package, filters, variable, times), ("e2e", &["outages_lose_no_event"][..], AWAY_VARIABLE, 60));
    }
}
