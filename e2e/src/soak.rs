//! How long the tests that kill go on, and whom they kill: shortly in CI, long under `cargo xtask soak`, which asks by
//! the environment.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use crate::program::variable;

/// Kills of an ordinary test run while stories are told.
const KILLS: usize = 10;
/// Kills of each process in an ordinary test run under load.
const LOAD_KILLS: usize = 20;
/// How many kills a test is to do. The program lets variables of tests (`TECHLEET_TEST_…`) pass; others of ours that
/// are no configuration it refuses.
pub const KILLS_VARIABLE: &str = "TECHLEET_TEST_SOAK_KILLS";
/// How many kills a test is to do while requests come in.
pub const LOAD_KILLS_VARIABLE: &str = "TECHLEET_TEST_SOAK_LOAD_KILLS";
/// How often a test is to go through every failpoint.
pub const ROUNDS_VARIABLE: &str = "TECHLEET_TEST_SOAK_ROUNDS";
/// How many seconds the broker is away at a time.
pub const AWAY_VARIABLE: &str = "TECHLEET_TEST_SOAK_AWAY_SECONDS";
/// As long in an ordinary test run: records are given up on some times in it.
const AWAY_SECONDS: usize = 5;
/// The file to which results are added.
pub const REPORT_VARIABLE: &str = "TECHLEET_TEST_SOAK_REPORT";

/// How many times a test kills.
pub fn kills() -> usize {
    number(KILLS_VARIABLE).unwrap_or(KILLS)
}

/// How many times a test kills under load, of so many processes.
pub fn load_kills(processes: usize) -> usize {
    number(LOAD_KILLS_VARIABLE).unwrap_or(LOAD_KILLS * processes)
}

/// How often a test goes through every failpoint.
pub fn rounds() -> usize {
    number(ROUNDS_VARIABLE).unwrap_or(1)
}

/// How long a test takes the broker away.
pub fn away() -> Duration {
    Duration::from_secs(number(AWAY_VARIABLE).unwrap_or(AWAY_SECONDS) as u64)
}

/// Whose turn it is to be killed: everybody's, before anybody's second.
#[derive(Debug, Default)]
pub struct Turns {
    killed: BTreeMap<&'static str, usize>,
}

impl Turns {
    /// Who is next of these, the least killed and of those the first.
    ///
    /// # Panics
    /// There is nobody.
    pub fn next(&self, processes: &[&'static str]) -> &'static str {
        let killed = |process: &&&'static str| self.killed.get(**process).copied().unwrap_or(0);
        processes.iter().min_by_key(killed).expect("a system has processes")
    }

    /// It was killed.
    pub fn killed(&mut self, process: &'static str) {
        *self.killed.entry(process).or_default() += 1;
    }

    /// Insists that each of these was killed as often as the others, or once more.
    ///
    /// # Panics
    /// One was not.
    pub fn assert_fair(&self, processes: &[&'static str]) {
        let share = self.killed.values().sum::<usize>() / processes.len();
        for process in processes {
            let killed = self.killed.get(process).copied().unwrap_or(0);
            assert!((share..=share + 1).contains(&killed), "{process}: {:?}", self.killed);
        }
    }
}

fn number(name: &str) -> Option<usize> {
    variable(name).and_then(|number| number.parse().ok())
}

/// Tells how far a long run is.
pub fn progress(so_far: &str) {
    if variable(REPORT_VARIABLE).is_some() {
        // Whoever closed stderr does not want to know.
        let _ = writeln!(std::io::stderr(), "{so_far}");
    }
}

/// Adds a row to the report, if one is asked for.
///
/// # Panics
/// When the report cannot be written: then the soak would be for nothing.
pub fn report(what: &str, times: usize, events: usize) {
    if let Some(path) = variable(REPORT_VARIABLE) {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).expect("the report opens");
        writeln!(file, "| {what} | {times} | {events} | 0 | 0 |").expect("the report is written");
    }
}
