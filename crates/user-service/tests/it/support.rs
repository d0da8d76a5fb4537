//! The databases that these tests run on; the one place where they read the environment.

use std::time::UNIX_EPOCH;

use db::Config;
use tempfile::TempDir;

/// SQLite in a temporary folder.
pub(crate) fn sqlite(folder: &TempDir) -> Config {
    Config::new(format!("sqlite:{}", folder.path().join("users.db").display()))
}

/// A schema of its own on the PostgreSQL server that is given, if one is; without it says so.
#[allow(clippy::print_stderr, clippy::disallowed_methods, reason = "a test that does not run says so")]
pub(crate) fn postgres() -> Option<Config> {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let Ok(url) = std::env::var("TECHLEET_TEST_POSTGRES_URL") else {
        assert!(std::env::var("REQUIRE_INFRA").is_err(), "TECHLEET_TEST_POSTGRES_URL must name a PostgreSQL server");
        eprintln!("no TECHLEET_TEST_POSTGRES_URL: this test is left out");
        return None;
    };
    let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let schema = format!("users_{}_{}_{next}", std::process::id(), UNIX_EPOCH.elapsed().unwrap().as_nanos());
    Some(Config { schema: Some(schema), connections_max: 4, ..Config::new(url) })
}
