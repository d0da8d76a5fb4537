//! SQLite: one writer that commits units in batches, and readers beside it.

mod queue;
mod readers;
mod statement;
mod writer;

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::oneshot;

use self::readers::Readers;
use self::statement::Remembering;
pub(crate) use self::statement::first_word;
pub(crate) use self::writer::run_hooks;
use self::writer::{Limits, Writer};
use crate::config::Config;
use crate::error::{Error, Reason, Result};
use crate::metrics::{Meter, Outcome, Stats};
use crate::migrate::{self, Migration};
use crate::tx::Hook;
use crate::value::{Row, Value};

/// Settings of every connection: 16 MB of page cache, 256 MB of the file mapped, sorting in memory.
const CONNECTION_PRAGMAS: &str =
    "pragma cache_size = -16000; pragma mmap_size = 268435456; pragma temp_store = memory;";
/// Settings of the writer: every commit is flushed; the log is folded into the file every 16 MB and then kept at 64 MB
/// at most.
const WRITER_PRAGMAS: &str = "pragma synchronous = full; pragma foreign_keys = on; \
     pragma wal_autocheckpoint = 4000; pragma journal_size_limit = 67108864;";

/// How long an open that met another one waits before it asks again.
const BUSY_PAUSE: Duration = Duration::from_millis(2);

/// A poisoned lock guards data that a rollback sets right: a panic in one unit must not take the database away.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A SQLite file that is open.
#[derive(Debug)]
pub(crate) struct Sqlite {
    writer: Arc<Writer>,
    readers: Arc<Readers>,
    config: Config,
}

impl Sqlite {
    pub(crate) async fn open(path: &Path, config: &Config) -> Result<Self> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let meter = Arc::new(Meter::new(&name));
        let connection = connect(path, config).await?;
        let limits = Limits {
            units_waiting_max: config.units_waiting_max,
            batch_units_max: config.batch_units_max,
            rows_max: config.rows_max,
            turn_timeout: config.turn_timeout(),
            unit_timeout: config.unit_timeout(),
            statement_timeout: config.statement_timeout(),
            busy_timeout: config.busy_timeout(),
        };
        let writer = Writer::new(connection, limits, meter)
            .map_err(|error| open_error(path, statement::explain("open", error)))?;
        Ok(Self { writer, readers: Arc::new(Readers::new(path.to_owned(), config)), config: config.clone() })
    }

    pub(crate) async fn begin(&self) -> Result<Unit> {
        let id = self.writer.begin().await?;
        Ok(Unit { writer: Arc::clone(&self.writer), id, ended: false })
    }

    pub(crate) async fn query(&self, sql: &str, params: &[Value], rows_max: usize) -> Result<Vec<Row>> {
        self.readers.query(sql, params, rows_max).await
    }

    pub(crate) async fn migrate(&self, set: &str, migrations: &[Migration]) -> Result<()> {
        let runner = migrate::runner(set, migrations, crate::Dialect::Sqlite)?;
        let name = set.to_owned();
        let wait = self.config.migration_timeout();
        let (sender, receiver) = oneshot::channel();
        let job = Box::new(move |connection: &mut Option<Remembering>| {
            let result = match connection {
                Some(connection) => migrate::run_sqlite(&name, &runner, connection, wait),
                None => Err(Error::Closed),
            };
            // a caller that no longer listens misses nothing
            let _ = sender.send(result);
        });
        self.writer.exclusive(job, false)?;
        receiver.await.unwrap_or_else(|_| {
            Err(Error::Migration {
                set: set.to_owned(),
                source: Arc::new(Reason("the migration did not come to its end".to_owned())),
            })
        })
    }

    pub(crate) async fn close(&self) {
        let (sender, receiver) = oneshot::channel();
        let job = Box::new(move |connection: &mut Option<Remembering>| {
            if let Some(connection) = connection.take() {
                close_writer(connection);
            }
            // a caller that no longer listens misses nothing
            let _ = sender.send(());
        });
        if self.writer.exclusive(job, true).is_err() {
            // closed already, or about to be
            return;
        }
        // readers go first, so that the checkpoint finds the whole log free
        self.readers.close(self.config.readers_max).await;
        // the sender goes away unused only if the runtime is being shut down
        let _ = receiver.await;
    }

    pub(crate) fn stats(&self) -> Stats {
        self.writer.meter.stats()
    }
}

/// A unit of work whose turn it is.
#[derive(Debug)]
pub(crate) struct Unit {
    writer: Arc<Writer>,
    id: u64,
    ended: bool,
}

impl Unit {
    pub(crate) fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        self.writer.run(self.id, |connection| statement::execute(connection, sql, params))
    }

    pub(crate) fn query(&mut self, sql: &str, params: &[Value], rows_max: usize) -> Result<Vec<Row>> {
        let rows_max = rows_max.min(self.writer.limits.rows_max);
        self.writer.run(self.id, |connection| statement::query(connection, sql, params, rows_max))
    }

    pub(crate) fn release(mut self, hooks: Vec<Hook>) -> Result<Pending> {
        let pending = self.writer.release(self.id, hooks).map(Pending);
        self.ended = pending.is_ok();
        pending
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        if !self.ended {
            self.writer.roll_back(self.id, Outcome::RolledBack);
        }
    }
}

/// A commit that has not been answered yet.
#[derive(Debug)]
pub(crate) struct Pending(oneshot::Receiver<Result<()>>);

impl Future for Pending {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.0).poll(ctx));
        Poll::Ready(answer.unwrap_or_else(|error| Err(Error::CommitUnknown { source: Arc::new(error) })))
    }
}

fn open_error(path: &Path, error: Error) -> Error {
    Error::Open { database: path.display().to_string(), source: Arc::new(error) }
}

/// Opens the writer's connection. When two processes open a new file at once, each holds the lock that the other needs to
/// switch to the write-ahead log: SQLite then refuses one of them without waiting, whatever the busy timeout, and the
/// refused one has to ask again.
async fn connect(path: &Path, config: &Config) -> Result<Remembering> {
    let give_up = Instant::now() + config.busy_timeout();
    loop {
        let (at, settings) = (path.to_owned(), config.clone());
        let opened = tokio::task::spawn_blocking(move || open_writer(&at, &settings))
            .await
            .map_err(|error| open_error(path, Error::unavailable(error)))?;
        match opened {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < give_up => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            opened => return opened.map_err(|error| open_error(path, statement::explain("open", error))),
        }
    }
}

fn open_writer(path: &Path, config: &Config) -> rusqlite::Result<Remembering> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(config.busy_timeout())?;
    let mode: String = connection.query_row("pragma journal_mode = wal", [], |row| row.get(0))?;
    if mode != "wal" {
        tracing::warn!(mode, "the file system allows no write-ahead log: readers wait for the writer");
    }
    connection.execute_batch(CONNECTION_PRAGMAS)?;
    connection.execute_batch(WRITER_PRAGMAS)?;
    if config.file_pages_max > 0 {
        connection.pragma_update(None, "max_page_count", config.file_pages_max)?;
    }
    // from here on nobody waits inside SQLite: a unit would block its thread
    connection.busy_timeout(Duration::ZERO)?;
    Ok(Remembering::new(connection))
}

fn close_writer(connection: Remembering) {
    // `truncate` waits for nobody: another process that reads keeps the log, which is harmless
    if let Err(error) = connection.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(())) {
        tracing::warn!(%error, "the log could not be folded into the file");
    }
    if let Err((_, error)) = connection.into_inner().close() {
        tracing::warn!(%error, "the database file could not be closed");
    }
}
