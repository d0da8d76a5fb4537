//! Migrations: numbered steps of a schema, applied once each, whole sets or nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use refinery::Runner;
use rusqlite::Connection;

use crate::Dialect;
use crate::config::is_identifier;
use crate::error::{Error, Reason, Result};

/// How often a set is tried on a file that another process may be migrating too.
const ATTEMPTS_MAX: u32 = 3;

/// One step of a schema, written once for both databases.
///
/// `{{identity}}` stands for a generated key: `integer primary key autoincrement` on SQLite,
/// `bigint generated always as identity primary key` on PostgreSQL. Everything else is the dialect both share: `bigint`,
/// `text`, `bytea`, `boolean`, `double precision`. A step that was applied must not change any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its number; steps are applied in this order.
    pub version: i32,
    /// Letters, digits and underscores.
    pub name: &'static str,
    /// One or more statements.
    pub sql: &'static str,
}

impl Migration {
    /// The statements in one database's words.
    fn sql_for(&self, dialect: Dialect) -> String {
        let identity = match dialect {
            Dialect::Sqlite => "integer primary key autoincrement",
            Dialect::Postgres => "bigint generated always as identity primary key",
        };
        self.sql.replace("{{identity}}", identity)
    }
}

/// Checks a set and makes it ready to run.
pub(crate) fn runner(set: &str, migrations: &[Migration], dialect: Dialect) -> Result<Runner> {
    let refuse = |reason: String| Error::Migration { set: set.to_owned(), source: Arc::new(Reason(reason)) };
    if !is_identifier(set) || set.len() > 40 {
        return Err(refuse("the name of a set is lower-case letters, digits and underscores, at most 40".to_owned()));
    }
    let mut steps = Vec::with_capacity(migrations.len());
    for migration in migrations {
        let Migration { version, name, sql } = migration;
        let lower = sql.to_ascii_lowercase();
        if lower.contains("initially deferred") {
            // checked at the commit only, it would take the other units of a batch with it
            return Err(refuse(format!("step {version} `{name}` has a deferred constraint")));
        }
        if sql.contains("{{") && !sql.replace("{{identity}}", "").contains("{{") {
            // only the known placeholder
        } else if sql.contains("{{") {
            return Err(refuse(format!("step {version} `{name}` has an unknown placeholder")));
        }
        let step = refinery::Migration::unapplied(&format!("V{version}__{name}"), &migration.sql_for(dialect))
            .map_err(|error| failed(set, error))?;
        steps.push(step);
    }
    // grouped: the steps and the records of them are one transaction, so that a crash leaves all or nothing
    let mut runner = Runner::new(&steps).set_grouped(true);
    runner.set_migration_table_name(format!("{set}_migrations"));
    Ok(runner)
}

/// Applies a set to a SQLite file. Two processes may do so at once: SQLite lets one of them win, and the other finds the
/// work done when it tries again.
pub(crate) fn run_sqlite(set: &str, runner: &Runner, connection: &mut Connection, wait: Duration) -> Result<()> {
    let busy = |connection: &Connection, wait| connection.busy_timeout(wait).map_err(|error| failed(set, error));
    let give_up = Instant::now() + wait;
    let mut attempt = 1;
    busy(connection, wait)?;
    let result = loop {
        match runner.run(connection) {
            Ok(report) => break Ok(report),
            Err(error) if attempt >= ATTEMPTS_MAX || Instant::now() >= give_up => break Err(error),
            Err(error) => {
                tracing::debug!(set, %error, attempt, "migrations are tried again");
                attempt += 1;
            }
        }
    };
    busy(connection, Duration::ZERO)?;
    connection.flush_prepared_statement_cache();
    let report = result.map_err(|error| failed(set, error))?;
    let steps = report.applied_migrations().len();
    tracing::info!(set, steps, "migrations applied");
    Ok(())
}

pub(crate) fn failed(set: &str, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Migration { set: set.to_owned(), source: Arc::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Migration =
        Migration { version: 1, name: "first", sql: "create table t (id {{identity}}, n bigint not null)" };

    #[test]
    fn identity_is_put_into_each_databases_words() {
        assert_eq!(
            STEP.sql_for(Dialect::Sqlite),
            "create table t (id integer primary key autoincrement, n bigint not null)"
        );
        assert_eq!(
            STEP.sql_for(Dialect::Postgres),
            "create table t (id bigint generated always as identity primary key, n bigint not null)"
        );
    }

    #[test]
    fn odd_sets_and_steps_are_refused() {
        assert!(runner("users", &[STEP], Dialect::Sqlite).is_ok());
        assert!(runner("users; drop", &[STEP], Dialect::Sqlite).is_err());
        for sql in [
            "create table t (a bigint references u (id) deferrable INITIALLY DEFERRED)",
            "create table t (a {{money}})",
        ] {
            let step = Migration { sql, ..STEP };
            assert!(runner("users", &[step], Dialect::Sqlite).is_err());
        }
        let unnamed = Migration { name: "", ..STEP };
        assert!(runner("users", &[unnamed], Dialect::Sqlite).is_err());
    }
}
