//! The one place where these tests read the environment.

use std::time::UNIX_EPOCH;

use db::Config;

/// A schema of its own on the PostgreSQL server that is given, if one is; without it says so.
#[allow(clippy::print_stderr, clippy::disallowed_methods, reason = "a test that does not run says so")]
pub(crate) fn postgres() -> Option<Config> {
    let Ok(url) = std::env::var("TECHLEET_TEST_POSTGRES_URL") else {
        assert!(std::env::var("REQUIRE_INFRA").is_err(), "TECHLEET_TEST_POSTGRES_URL must name a PostgreSQL server");
        eprintln!("no TECHLEET_TEST_POSTGRES_URL: this test is left out");
        return None;
    };
    let schema = format!("recruitment_{}_{}", std::process::id(), UNIX_EPOCH.elapsed().unwrap().as_nanos());
    Some(Config { schema: Some(schema), connections_max: 8, ..Config::new(url) })
}
