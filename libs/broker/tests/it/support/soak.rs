//! How long the tests that break things go on: shortly in CI, long under `cargo xtask soak`, which asks by the environment.

use std::io::Write as _;

use super::variable;

/// How many kills a test is to do.
const KILLS_VARIABLE: &str = "TECHLEET_TEST_SOAK_KILLS";
/// Where randomness begins, to repeat a run.
const SEED_VARIABLE: &str = "TECHLEET_TEST_SOAK_SEED";
/// Set to try every place and not a sample.
const PLACES_VARIABLE: &str = "TECHLEET_TEST_SOAK_PLACES";
/// The file to which results are added.
const REPORT_VARIABLE: &str = "TECHLEET_TEST_SOAK_REPORT";

/// Kills of an ordinary test run.
const KILLS: usize = 10;
const SEED: u64 = 7;

/// How many times a test kills.
pub(crate) fn kills() -> usize {
    variable(KILLS_VARIABLE).and_then(|kills| kills.parse().ok()).unwrap_or(KILLS)
}

/// Where a test's randomness begins.
pub(crate) fn seed() -> u64 {
    variable(SEED_VARIABLE).and_then(|seed| seed.parse().ok()).unwrap_or(SEED)
}

/// Of so many places those to try: spread over all, or under the soak every one.
pub(crate) fn places(of: usize, sample: usize) -> Vec<usize> {
    let count = if variable(PLACES_VARIABLE).is_some() { of } else { sample.min(of) };
    (0..count).map(|step| step * of / count).collect()
}

/// Adds a row to the report, if one is asked for: what was tried, how often, what clients had been told of. A test that
/// finds an anomaly fails before it comes to this.
pub(crate) fn report(what: &str, tried: usize, told: usize) {
    if let Some(path) = variable(REPORT_VARIABLE) {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        writeln!(file, "| {what} | {tried} | {told} | 0 |").unwrap();
    }
}
