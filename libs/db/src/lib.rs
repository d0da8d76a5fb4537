//! Units of work over SQLite and PostgreSQL: one SQL text, savepoints, group commit, migrations.
//!
//! ```
//! # async fn example() -> db::Result<()> {
//! # let dir = std::env::temp_dir().join(format!("db-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&dir).expect("a temporary directory");
//! use db::{Config, Db, Migration, params};
//!
//! let config = Config::new(format!("sqlite:{}/example.db", dir.display()));
//! let db = Db::open(&config).await?;
//! db.migrate("people", &[Migration {
//!     version: 1,
//!     name: "create_employee",
//!     sql: "create table employee (id {{identity}}, email text not null unique)",
//! }]).await?;
//!
//! let id: i64 = db.unit(async |tx| {
//!     let row = tx.query_one("insert into employee (email) values ($1) returning id", &params!["a@b.c"]).await?;
//!     row.get("id")
//! }).await?; // durable from here on
//!
//! let row = db.query_one("select email from employee where id = $1", &params![id]).await?;
//! assert_eq!(row.get::<String>("email")?, "a@b.c");
//! db.close().await;
//! # std::fs::remove_dir_all(&dir).ok();
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new().expect("a runtime").block_on(example()).expect("the example works");
//! ```
//!
//! Modules: `config` the settings; `tx` the unit of work; `value` parameters and rows; `error` what can go wrong;
//! `listen` a word between processes;
//! [`metrics`] names of metrics; `migrate` schema steps; `sqlite` the shared writer, its queue and its readers;
//! `postgres` connections, units and types.
//!
//! Invariants:
//! - `Ok` from a commit means that the unit is on disk; an error other than [`Error::CommitUnknown`] means that nothing
//!   of it is kept.
//! - Nobody reads what is not committed, except the unit itself. (On SQLite a unit also sees the units of its batch that
//!   came before it. If their commit fails, its own fails with them.)
//! - A unit that fails, hangs, panics or is dropped is undone, and its neighbours are not touched. Where SQLite itself ends
//!   the whole transaction (a full disk, the interruption of an endless write), they do again what they did; only if that
//!   comes out otherwise, or another process wrote in between, are they told that nothing of them is kept.
//! - Units on SQLite begin in the order in which they asked.
//! - Nothing here knows what the tables mean.

mod config;
mod error;
mod listen;
pub mod metrics;
mod migrate;
mod postgres;
mod sqlite;
mod tx;
mod value;

use std::sync::Arc;

pub use crate::config::Config;
use crate::config::Target;
use crate::error::shorten;
pub use crate::error::{Cause, Error, Result};
pub use crate::listen::Listener;
pub use crate::metrics::Stats;
pub use crate::migrate::Migration;
pub use crate::tx::{Commit, Tx};
pub use crate::value::{FromValue, Row, Value};

/// Which database it is, for the rare statement that must differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// An open database; clones share it.
#[derive(Clone, Debug)]
pub struct Db(Arc<Backend>);

#[derive(Debug)]
enum Backend {
    Sqlite(sqlite::Sqlite),
    Postgres(Box<postgres::Postgres>),
}

impl Db {
    /// Opens the database, creating the file or the schema if it is missing. Needs a Tokio runtime, which must outlive
    /// it. Install the metrics recorder before.
    ///
    /// # Errors
    /// [`Error::Config`] names the key that cannot be used, [`Error::Open`] says why the database cannot be reached.
    pub async fn open(config: &Config) -> Result<Self> {
        let backend = match config.target()? {
            Target::Sqlite(path) => Backend::Sqlite(sqlite::Sqlite::open(&path, config).await?),
            Target::Postgres => Backend::Postgres(Box::new(postgres::Postgres::open(config).await?)),
        };
        Ok(Self(Arc::new(backend)))
    }

    /// Which database it is.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match &*self.0 {
            Backend::Sqlite(_) => Dialect::Sqlite,
            Backend::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Applies the steps of a set that were not applied before, all of them or none; several processes may do so at
    /// once. What was applied is kept in the table `<set>_migrations`.
    ///
    /// # Errors
    /// [`Error::Migration`] if a step fails, an applied one was changed or is missing, or the set cannot be used.
    pub async fn migrate(&self, set: &str, migrations: &[Migration]) -> Result<()> {
        match &*self.0 {
            Backend::Sqlite(db) => db.migrate(set, migrations).await,
            Backend::Postgres(db) => db.migrate(set, migrations).await,
        }
    }

    /// Begins a unit of work when its turn has come, first come first served.
    ///
    /// # Errors
    /// [`Error::Overloaded`] if too many wait or the wait was too long, [`Error::Unavailable`] if the database cannot
    /// serve now, [`Error::Closed`].
    pub async fn begin(&self) -> Result<Tx> {
        match &*self.0 {
            Backend::Sqlite(db) => Ok(Tx::sqlite(db.begin().await?)),
            Backend::Postgres(db) => Ok(Tx::postgres(db.begin().await?)),
        }
    }

    /// Runs a unit of work: commits on `Ok` (durable when this returns) and rolls back on `Err`.
    ///
    /// # Errors
    /// The closure's own error, or this crate's from beginning and committing; see [`Db::begin`] and [`Tx::commit`].
    pub async fn unit<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Tx) -> Result<T, E>,
        E: From<Error>,
    {
        let mut tx = self.begin().await?;
        match work(&mut tx).await {
            Ok(done) => {
                tx.commit().await?;
                Ok(done)
            }
            Err(error) => {
                tx.rollback().await;
                Err(error)
            }
        }
    }

    /// Runs a query outside any unit and gives its rows. It sees what was committed before it began.
    ///
    /// # Errors
    /// [`Error::Statement`], [`Error::StatementTimedOut`], [`Error::TooManyRows`], [`Error::Overloaded`],
    /// [`Error::Unavailable`], [`Error::Closed`]. A statement that writes is refused.
    pub async fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        self.rows(sql, params, usize::MAX).await
    }

    /// The row of a query that gives at most one.
    ///
    /// # Errors
    /// As [`Db::query`], and [`Error::TooManyRows`] if there is a second row.
    pub async fn query_opt(&self, sql: &str, params: &[Value]) -> Result<Option<Row>> {
        Ok(self.rows(sql, params, 1).await?.pop())
    }

    /// The row of a query that gives exactly one.
    ///
    /// # Errors
    /// As [`Db::query_opt`], and [`Error::NoRow`].
    pub async fn query_one(&self, sql: &str, params: &[Value]) -> Result<Row> {
        let row = self.query_opt(sql, params).await?;
        row.ok_or_else(|| Error::NoRow { sql: shorten(sql) })
    }

    /// Wakes whoever listens on a channel of this database, in whichever process; on SQLite nobody does.
    ///
    /// # Errors
    /// As [`Db::query`].
    pub async fn notify(&self, channel: &str) -> Result<()> {
        match &*self.0 {
            Backend::Sqlite(_) => Ok(()),
            Backend::Postgres(db) => db.notify(channel).await,
        }
    }

    /// Listens on a channel from now on, over one more connection, which is made again whenever it ends. On SQLite nothing
    /// is ever heard.
    #[must_use]
    pub fn listen(&self, channel: &str) -> Listener {
        match &*self.0 {
            Backend::Sqlite(_) => Listener::deaf(),
            Backend::Postgres(db) => db.listen(channel),
        }
    }

    /// What the database has done since it was opened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        match &*self.0 {
            Backend::Sqlite(db) => db.stats(),
            Backend::Postgres(db) => db.stats(),
        }
    }

    /// Lets the units that wait already come to their end, commits them, and closes the database. Later calls answer
    /// [`Error::Closed`].
    pub async fn close(&self) {
        match &*self.0 {
            Backend::Sqlite(db) => db.close().await,
            Backend::Postgres(db) => db.close().await,
        }
    }

    async fn rows(&self, sql: &str, params: &[Value], rows_max: usize) -> Result<Vec<Row>> {
        tx::refuse_transaction_words(sql)?;
        match &*self.0 {
            Backend::Sqlite(db) => db.query(sql, params, rows_max).await,
            Backend::Postgres(db) => db.query(sql, params, rows_max).await,
        }
    }
}
