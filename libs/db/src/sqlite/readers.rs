//! Read-only connections, so that queries neither wait for the writer nor see what is not committed.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::lock;
use super::statement::{self, Deadline, Remembering};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::value::{Row, Value};

/// A pool of readers; connections are opened when first needed and then kept.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Reader>>,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
    rows_max: usize,
    turn_timeout: Duration,
    statement_timeout: Duration,
    busy_timeout: Duration,
}

#[derive(Debug)]
struct Reader {
    connection: Remembering,
    deadline: Arc<Deadline>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, config: &Config) -> Self {
        Self {
            path,
            idle: Mutex::new(Vec::new()),
            permits: Arc::new(Semaphore::new(config.readers_max)),
            waiting: AtomicUsize::new(0),
            waiting_max: config.units_waiting_max,
            rows_max: config.rows_max,
            turn_timeout: config.turn_timeout(),
            statement_timeout: config.statement_timeout(),
            busy_timeout: config.busy_timeout(),
        }
    }

    /// Runs the query on a blocking thread. If the caller goes away, it runs to its end or its deadline.
    pub(super) async fn query(self: &Arc<Self>, sql: &str, params: &[Value], rows_max: usize) -> Result<Vec<Row>> {
        let permit = self.permit().await?;
        let readers = Arc::clone(self);
        let (sql, params) = (sql.to_owned(), params.to_owned());
        let answer = tokio::task::spawn_blocking(move || {
            let answer = readers.run(&sql, &params, rows_max);
            drop(permit);
            answer
        });
        answer.await.unwrap_or_else(|error| Err(Error::unavailable(error)))
    }

    /// Waits for the running queries and closes all connections.
    pub(super) async fn close(&self, readers_max: usize) {
        if let Ok(all) = u32::try_from(readers_max)
            && let Ok(permits) = self.permits.acquire_many(all).await
        {
            self.permits.close();
            drop(permits);
        }
        lock(&self.idle).clear();
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.waiting_max {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::Overloaded);
        }
        let _waiting = Waiting(&self.waiting);
        match timeout(self.turn_timeout, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(Error::Closed),
            Err(_) => Err(Error::Overloaded),
        }
    }

    fn run(&self, sql: &str, params: &[Value], rows_max: usize) -> Result<Vec<Row>> {
        let idle = lock(&self.idle).pop();
        let reader = match idle {
            Some(reader) => reader,
            None => self.connect().map_err(|error| statement::explain(sql, error))?,
        };
        reader.deadline.set(self.statement_timeout);
        let answer = statement::query(&reader.connection, sql, params, rows_max.min(self.rows_max));
        reader.deadline.clear();
        // a query cannot leave a transaction open, since words like `begin` are refused before
        lock(&self.idle).push(reader);
        answer
    }

    fn connect(&self) -> rusqlite::Result<Reader> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(self.busy_timeout)?;
        connection.execute_batch(super::CONNECTION_PRAGMAS)?;
        let deadline = Deadline::install(&mut connection)?;
        Ok(Reader { connection: Remembering::new(connection), deadline })
    }
}

/// Counts a waiting query for as long as it waits, however the wait ends.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
