//! How long the tests that kill go on: shortly in CI, long under `cargo xtask soak`, which asks by the environment.

use std::io::Write as _;

use crate::program::variable;

/// Kills of an ordinary test run.
const KILLS: usize = 10;
/// How many kills a test is to do. The program lets variables of tests (`TECHLEET_TEST_…`) pass; others of ours that
/// are no configuration it refuses.
pub const KILLS_VARIABLE: &str = "TECHLEET_TEST_SOAK_KILLS";
/// How often a test is to go through every failpoint.
pub const ROUNDS_VARIABLE: &str = "TECHLEET_TEST_SOAK_ROUNDS";
/// The file to which results are added.
pub const REPORT_VARIABLE: &str = "TECHLEET_TEST_SOAK_REPORT";

/// How many times a test kills.
pub fn kills() -> usize {
    variable(KILLS_VARIABLE).and_then(|kills| kills.parse().ok()).unwrap_or(KILLS)
}

/// How often a test goes through every failpoint.
pub fn rounds() -> usize {
    variable(ROUNDS_VARIABLE).and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

/// Adds a row to the report, if one is asked for.
///
/// # Panics
/// When the report cannot be written: then the soak would be for nothing.
pub fn report(what: &str, kills: usize, events: usize) {
    if let Some(path) = variable(REPORT_VARIABLE) {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).expect("the report opens");
        writeln!(file, "| {what} | {kills} | {events} | 0 | 0 |").expect("the report is written");
    }
}
