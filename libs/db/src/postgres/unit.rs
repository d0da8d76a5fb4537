//! A unit of work on PostgreSQL: one connection from `begin` to `commit`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Object};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_postgres::NoTls;
use tokio_postgres::error::Severity;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::statement::{self, Later};
use crate::error::{Error, Reason, Result};
use crate::metrics::{Meter, Outcome};
use crate::sqlite::run_hooks;
use crate::tx::Hook;
use crate::value::{Row, Value};

/// Statements that are kept for the next one at the most.
const LATER_MAX: usize = 64;

/// A connection that is out of its pool. Dropped, it is closed: only [`Held::give_back`] returns it, and that is called
/// when no transaction is open. The token lets `close` wait for it.
#[derive(Debug)]
pub(super) struct Held {
    object: Option<Object>,
    _token: TaskTrackerToken,
}

impl Held {
    pub(super) fn new(object: Object, token: TaskTrackerToken) -> Self {
        Self { object: Some(object), _token: token }
    }

    pub(super) fn client(&self) -> &ClientWrapper {
        self.object.as_ref().expect("the connection leaves only with its holder")
    }

    pub(super) fn give_back(mut self) {
        self.object = None;
    }

    /// Ends what the server is doing for this connection, and the connection.
    fn cancel(self, runtime: &Handle) {
        let token = self.client().cancel_token();
        runtime.spawn(async move {
            if let Err(error) = token.cancel_query(NoTls).await {
                tracing::debug!(%error, "a statement could not be cancelled");
            }
            drop(self);
        });
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }
}

/// What a unit shares with the timer that ends it.
#[derive(Debug)]
struct Shared {
    held: Mutex<Option<Held>>,
    timed_out: AtomicBool,
    meter: Arc<Meter>,
    runtime: Handle,
}

impl Shared {
    fn expire(&self, mut held: MutexGuard<'_, Option<Held>>) {
        if let Some(held) = held.take() {
            self.timed_out.store(true, Ordering::Relaxed);
            self.meter.ended(Outcome::TimedOut, 1);
            tracing::warn!("a unit of work took too long and is rolled back");
            held.cancel(&self.runtime);
        }
    }

    fn gone(&self) -> Error {
        if self.timed_out.load(Ordering::Relaxed) { Error::UnitTimedOut } else { Error::Closed }
    }
}

/// A unit whose transaction is open.
#[derive(Debug)]
pub(crate) struct Unit {
    shared: Arc<Shared>,
    expires: Instant,
    timer: AbortHandle,
    rows_max: usize,
    end_timeout: Duration,
    /// Statements that go with the next one, or with the commit.
    later: Vec<Later>,
}

/// What a unit needs to know beside its connection.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) meter: Arc<Meter>,
    pub(super) runtime: Handle,
    pub(super) rows_max: usize,
    pub(super) unit_timeout: Duration,
    pub(super) end_timeout: Duration,
}

impl Unit {
    pub(super) async fn begin(held: Held, terms: &Terms) -> Result<Self> {
        let expires = Instant::now() + terms.unit_timeout;
        timeout_at(expires, held.client().batch_execute("begin"))
            .await
            .map_err(Error::unavailable)?
            .map_err(|error| statement::explain("begin", &error))?;
        let shared = Arc::new(Shared {
            held: Mutex::new(Some(held)),
            timed_out: AtomicBool::new(false),
            meter: Arc::clone(&terms.meter),
            runtime: terms.runtime.clone(),
        });
        let watched = Arc::clone(&shared);
        let timer = tokio::spawn(async move {
            sleep_until(expires).await;
            watched.expire(watched.held.lock().await);
        });
        Ok(Self {
            shared,
            expires,
            timer: timer.abort_handle(),
            rows_max: terms.rows_max,
            end_timeout: terms.end_timeout,
            later: Vec::new(),
        })
    }

    pub(crate) async fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        let later = std::mem::take(&mut self.later);
        let guard = self.shared.held.lock().await;
        let held = guard.as_ref().ok_or_else(|| self.shared.gone())?;
        let work = statement::after(held.client(), &later, statement::execute(held.client(), sql, params));
        match timeout_at(self.expires, work).await {
            Ok(result) => result,
            Err(_) => {
                self.shared.expire(guard);
                Err(Error::UnitTimedOut)
            }
        }
    }

    pub(crate) async fn query(&mut self, sql: &str, params: &[Value], rows_max: usize) -> Result<Vec<Row>> {
        let rows_max = rows_max.min(self.rows_max);
        let later = std::mem::take(&mut self.later);
        let guard = self.shared.held.lock().await;
        let held = guard.as_ref().ok_or_else(|| self.shared.gone())?;
        let work = statement::after(held.client(), &later, statement::query(held.client(), sql, params, rows_max));
        match timeout_at(self.expires, work).await {
            Ok(result) => result,
            Err(_) => {
                self.shared.expire(guard);
                Err(Error::UnitTimedOut)
            }
        }
    }

    /// Keeps a statement until the next one is sent, so that nobody waits a round trip for it.
    pub(crate) async fn execute_later(&mut self, sql: &str, params: Vec<Value>) -> Result<()> {
        if self.later.len() == LATER_MAX {
            return self.execute(sql, &params).await.map(drop);
        }
        self.later.push(Later { sql: sql.to_owned(), params });
        Ok(())
    }

    /// Commits on a task of its own, so that nothing keeps it from its end.
    pub(crate) fn release(mut self, hooks: Vec<Hook>) -> Pending {
        let later = std::mem::take(&mut self.later);
        let Some(held) = self.take() else {
            return Pending(Err(Some(self.shared.gone())));
        };
        let meter = Arc::clone(&self.shared.meter);
        let runtime = self.shared.runtime.clone();
        let end_timeout = self.end_timeout;
        Pending(Ok(runtime.spawn(async move {
            let start = std::time::Instant::now();
            let result = commit(held, &later, end_timeout).await;
            match &result {
                Ok(()) => {
                    meter.committed(1, start.elapsed().as_secs_f64());
                    run_hooks(hooks);
                }
                Err(error) => {
                    tracing::debug!(%error, "a unit of work was not committed");
                    meter.ended(Outcome::Failed, 1);
                }
            }
            result
        })))
    }

    pub(crate) async fn rollback(self) {
        if let Some(held) = self.take() {
            self.shared.meter.ended(Outcome::RolledBack, 1);
            // a task of its own: the caller may go away while it runs
            let task = self.shared.runtime.spawn(roll_back(held, self.end_timeout));
            // it ends one way or the other, and there is nothing to tell
            let _ = task.await;
        }
    }

    /// The connection, unless the timer took it. The lock is free: statements borrow the unit.
    fn take(&self) -> Option<Held> {
        self.timer.abort();
        match self.shared.held.try_lock() {
            Ok(mut held) => held.take(),
            // the timer has just come
            Err(_) => {
                self.shared.timed_out.store(true, Ordering::Relaxed);
                None
            }
        }
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        if let Some(held) = self.take() {
            self.shared.meter.ended(Outcome::RolledBack, 1);
            self.shared.runtime.spawn(roll_back(held, self.end_timeout));
        }
    }
}

/// Gives the connection back only if the server says that the transaction is over.
async fn roll_back(held: Held, end_timeout: Duration) {
    match timeout(end_timeout, held.client().batch_execute("rollback")).await {
        Ok(Ok(())) => held.give_back(),
        Ok(Err(error)) => tracing::debug!(%error, "a connection is closed instead of rolled back"),
        Err(_) => tracing::debug!("a connection is closed, its rollback took too long"),
    }
}

/// Commits, together with the statements that were kept for it: when one of them fails, so has the transaction, and the
/// server takes the commit for a rollback.
async fn commit(held: Held, later: &[Later], end_timeout: Duration) -> Result<()> {
    let client = held.client();
    // An error ends the connection, and with it the transaction.
    let sent = timeout(end_timeout, statement::send(client, later)).await.map_err(Error::unavailable)??;
    let work = async { futures::join!(statement::settle(sent), client.batch_execute("commit")) };
    let error = match timeout(end_timeout, work).await {
        Ok((kept, Ok(()))) => {
            held.give_back();
            return kept;
        }
        Ok((_, Err(error))) => error,
        Err(elapsed) => {
            return Err(Error::CommitUnknown { source: Arc::new(elapsed) });
        }
    };
    let refused = error.as_db_error().is_some_and(|db| db.parsed_severity() == Some(Severity::Error));
    if !refused {
        // cut off: by the network, or by a server that is going down
        return Err(Error::CommitUnknown { source: Arc::new(Reason(error.to_string())) });
    }
    match statement::explain("commit", &error) {
        violation @ (Error::UniqueViolation { .. } | Error::ForeignKeyViolation) => Err(violation),
        error => Err(Error::Commit { source: Arc::new(error) }),
    }
}

/// A commit that has not been answered yet, or the reason why there is none.
#[derive(Debug)]
pub(crate) struct Pending(Result<JoinHandle<Result<()>>, Option<Error>>);

impl Future for Pending {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Ok(task) => {
                let answer = ready!(Pin::new(task).poll(ctx));
                Poll::Ready(answer.unwrap_or_else(|error| Err(Error::CommitUnknown { source: Arc::new(error) })))
            }
            Err(error) => match error.take() {
                Some(error) => Poll::Ready(Err(error)),
                // polled after its answer, which the contract of futures leaves open
                None => Poll::Pending,
            },
        }
    }
}
