//! The one place where these tests read the environment, and what a suite says of a broken implementation.

use std::panic::AssertUnwindSafe;
use std::time::UNIX_EPOCH;

use db::Config;
use futures::FutureExt;

/// A schema of its own on the PostgreSQL server that is given, if one is; without it says so.
#[allow(clippy::print_stderr, clippy::disallowed_methods, reason = "a test that does not run says so")]
pub(crate) fn postgres() -> Option<Config> {
    let Ok(url) = std::env::var("TECHLEET_TEST_POSTGRES_URL") else {
        assert!(std::env::var("REQUIRE_INFRA").is_err(), "TECHLEET_TEST_POSTGRES_URL must name a PostgreSQL server");
        eprintln!("no TECHLEET_TEST_POSTGRES_URL: this test is left out");
        return None;
    };
    let schema = format!("eventkit_{}_{}", std::process::id(), UNIX_EPOCH.elapsed().unwrap().as_nanos());
    Some(Config { schema: Some(schema), ..Config::new(url) })
}

/// The message with which a suite ends, if it does not let its subject pass.
pub(crate) async fn complaint(suite: impl Future<Output = ()>) -> Option<String> {
    let panic = AssertUnwindSafe(suite).catch_unwind().await.err()?;
    let text = panic.downcast_ref::<String>().cloned();
    Some(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap())
}
