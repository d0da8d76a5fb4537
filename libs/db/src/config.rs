//! How a database is reached and what its limits are, read from one table of a configuration file.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::error::{Error, Result};

/// Settings of one database; every key has a default but `url`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `sqlite:PATH` or `postgres://user:password@host:port/database`.
    pub url: String,
    /// PostgreSQL: the schema that everything lives in (`search_path`), created when missing.
    pub schema: Option<String>,
    /// Connections for queries outside units.
    pub readers_max: usize,
    /// PostgreSQL: connections for units.
    pub connections_max: usize,
    /// Units (and, counted apart, queries) that may wait for their turn; more are refused as overload.
    pub units_waiting_max: usize,
    /// How long a unit or a query waits for its turn before it is refused as overload, in milliseconds.
    pub turn_timeout_ms: u64,
    /// How long a unit may hold the database before it is rolled back from outside, in milliseconds.
    pub unit_timeout_ms: u64,
    /// SQLite: units that one commit makes durable at most.
    pub batch_units_max: usize,
    /// How long one statement may run, in milliseconds; a query's wait for a connection counts apart.
    pub statement_timeout_ms: u64,
    /// How long to wait for a file that another process has locked, or for a connection to be made, in milliseconds.
    pub busy_timeout_ms: u64,
    /// How long to wait for another copy that is migrating the same database, in milliseconds.
    pub migration_timeout_ms: u64,
    /// Rows that one query may give.
    pub rows_max: usize,
    /// SQLite: pages (of 4096 bytes) that the file may grow to; 0 leaves it to the disk.
    pub file_pages_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: String::new(),
            schema: None,
            readers_max: 4,
            connections_max: 16,
            units_waiting_max: 4096,
            turn_timeout_ms: 10_000,
            unit_timeout_ms: 5_000,
            batch_units_max: 256,
            statement_timeout_ms: 5_000,
            busy_timeout_ms: 5_000,
            migration_timeout_ms: 60_000,
            rows_max: 100_000,
            file_pages_max: 0,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("url", &without_password(&self.url))
            .field("schema", &self.schema)
            .field("readers_max", &self.readers_max)
            .field("connections_max", &self.connections_max)
            .field("units_waiting_max", &self.units_waiting_max)
            .field("turn_timeout_ms", &self.turn_timeout_ms)
            .field("unit_timeout_ms", &self.unit_timeout_ms)
            .field("batch_units_max", &self.batch_units_max)
            .field("statement_timeout_ms", &self.statement_timeout_ms)
            .field("busy_timeout_ms", &self.busy_timeout_ms)
            .field("migration_timeout_ms", &self.migration_timeout_ms)
            .field("rows_max", &self.rows_max)
            .field("file_pages_max", &self.file_pages_max)
            .finish()
    }
}

/// Where the database is, once the URL is understood.
#[derive(Debug)]
pub(crate) enum Target {
    Sqlite(PathBuf),
    Postgres,
}

impl Config {
    /// The defaults with a URL.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// Checks every key and tells which database is meant.
    pub(crate) fn target(&self) -> Result<Target> {
        let positive = [
            ("readers_max", self.readers_max as u64),
            ("connections_max", self.connections_max as u64),
            ("units_waiting_max", self.units_waiting_max as u64),
            ("turn_timeout_ms", self.turn_timeout_ms),
            ("unit_timeout_ms", self.unit_timeout_ms),
            ("batch_units_max", self.batch_units_max as u64),
            ("statement_timeout_ms", self.statement_timeout_ms),
            ("busy_timeout_ms", self.busy_timeout_ms),
            ("migration_timeout_ms", self.migration_timeout_ms),
            ("rows_max", self.rows_max as u64),
        ];
        for (key, value) in positive {
            // the upper bound keeps sums of times and the database's own 32 bit settings in range
            if value == 0 || value > u64::from(u32::MAX / 4) {
                return Err(Error::config(key, "must be between 1 and 1073741823"));
            }
        }
        if let Some(schema) = &self.schema
            && !is_identifier(schema)
        {
            return Err(Error::config("schema", "must be lower-case letters, digits and underscores, at most 63"));
        }
        if self.url.starts_with("postgres://") || self.url.starts_with("postgresql://") {
            return Ok(Target::Postgres);
        }
        let Some(path) = self.url.strip_prefix("sqlite:") else {
            return Err(Error::config("url", "must begin with sqlite: or postgres://"));
        };
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() || path.starts_with(":memory:") {
            // readers have their own connections, which cannot see another connection's memory
            return Err(Error::config("url", "sqlite: needs the path of a file"));
        }
        Ok(Target::Sqlite(PathBuf::from(path)))
    }

    pub(crate) fn turn_timeout(&self) -> Duration {
        Duration::from_millis(self.turn_timeout_ms)
    }

    pub(crate) fn unit_timeout(&self) -> Duration {
        Duration::from_millis(self.unit_timeout_ms)
    }

    pub(crate) fn statement_timeout(&self) -> Duration {
        Duration::from_millis(self.statement_timeout_ms)
    }

    pub(crate) fn busy_timeout(&self) -> Duration {
        Duration::from_millis(self.busy_timeout_ms)
    }

    pub(crate) fn migration_timeout(&self) -> Duration {
        Duration::from_millis(self.migration_timeout_ms)
    }
}

/// Whether a word can stand in SQL without quotes, in both databases.
pub(crate) fn is_identifier(word: &str) -> bool {
    let mut bytes = word.bytes();
    word.len() <= 63
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The URL as it may be shown in logs.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    // a password may also stand in the query part
    let rest = rest.split_once('?').map_or(rest, |(path, _)| path);
    format!("{scheme}://{rest}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn urls_tell_the_database() {
        assert!(matches!(
            Config::new("sqlite:/tmp/a.db").target().unwrap(),
            Target::Sqlite(path) if path == *"/tmp/a.db"
        ));
        assert!(matches!(
            Config::new("sqlite://data/a.db").target().unwrap(),
            Target::Sqlite(path) if path == *"data/a.db"
        ));
        assert!(matches!(Config::new("postgres://localhost/x").target().unwrap(), Target::Postgres));
        for wrong in ["", "mysql://x", "sqlite:", "sqlite::memory:"] {
            assert!(matches!(Config::new(wrong).target(), Err(Error::Config { key: "url", .. })));
        }
    }

    #[test]
    fn zero_limits_and_odd_schemas_are_refused() {
        let mut config = Config::new("sqlite:a.db");
        config.batch_units_max = 0;
        assert!(matches!(config.target(), Err(Error::Config { key: "batch_units_max", .. })));
        let mut config = Config::new("postgres://localhost/x");
        config.schema = Some("a; drop schema b".into());
        assert!(matches!(config.target(), Err(Error::Config { key: "schema", .. })));
    }

    #[test]
    fn debug_output_hides_the_password() {
        let shown = format!("{:?}", Config::new("postgres://me:s3cr@t@host/x?password=s3cr"));
        assert!(shown.contains("postgres://host/x"));
        assert!(!shown.contains("s3cr"));
    }
}
