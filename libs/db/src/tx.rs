//! The unit of work as callers hold it: statements, hooks, and its end.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::Dialect;
use crate::error::{Error, Result, shorten};
use crate::value::{Row, Value};
use crate::{postgres, sqlite};

/// What runs after the commit.
pub(crate) type Hook = Box<dyn FnOnce() + Send>;

/// Statements that begin so would end or split the transaction that units share.
const TRANSACTION_WORDS: [&str; 8] = ["begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release"];

/// A unit of work: its statements are kept together or not at all. Dropped without [`Tx::commit`], it is rolled back.
///
/// On SQLite a unit has the writer to itself until it ends, so nothing slow may happen inside: no network call, no
/// password hash, no wait for anybody. After a statement has failed, the unit can only be rolled back, on both
/// databases; write `on conflict` where a conflict is expected.
pub struct Tx {
    unit: Unit,
    broken: Option<Broken>,
    hooks: Vec<Hook>,
}

/// Why a unit can only be rolled back.
#[derive(Clone, Copy, Debug)]
enum Broken {
    /// A statement failed, or is running: its future may be dropped half-way, and then nobody knows what became of it.
    Statement,
    TimedOut,
}

impl Broken {
    fn error(self) -> Error {
        match self {
            Self::Statement => Error::UnitBroken,
            Self::TimedOut => Error::UnitTimedOut,
        }
    }
}

#[derive(Debug)]
enum Unit {
    Sqlite(sqlite::Unit),
    Postgres(postgres::Unit),
}

impl Tx {
    pub(crate) fn sqlite(unit: sqlite::Unit) -> Self {
        Self::new(Unit::Sqlite(unit))
    }

    pub(crate) fn postgres(unit: postgres::Unit) -> Self {
        Self::new(Unit::Postgres(unit))
    }

    fn new(unit: Unit) -> Self {
        Self { unit, broken: None, hooks: Vec::new() }
    }

    /// The database that the unit runs on.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match self.unit {
            Unit::Sqlite(_) => Dialect::Sqlite,
            Unit::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Runs a statement and gives the number of rows it inserted, updated or deleted.
    ///
    /// # Errors
    /// [`Error::UniqueViolation`], [`Error::ForeignKeyViolation`] and [`Error::Statement`] as the database says,
    /// [`Error::UnitTimedOut`] and [`Error::UnitBroken`] if the unit has come to its end, [`Error::Parameters`],
    /// [`Error::TransactionControl`], [`Error::StatementTimedOut`], [`Error::Unavailable`].
    pub async fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        self.start(sql)?;
        let result = match &mut self.unit {
            Unit::Sqlite(unit) => unit.execute(sql, params),
            // boxed, so that the futures of callers stay small where the database is SQLite
            Unit::Postgres(unit) => Box::pin(unit.execute(sql, params)).await,
        };
        self.finish(result)
    }

    /// Runs a statement of which nobody needs an answer: on PostgreSQL it is sent together with the next statement or the
    /// commit, in the order of the calls, so that nobody waits a round trip for it. On SQLite it runs at once.
    ///
    /// # Errors
    /// As [`Tx::execute`]; on PostgreSQL a failure may only show at the next statement or at [`Tx::commit`], which keeps
    /// nothing of the unit then.
    pub async fn execute_later(&mut self, sql: &str, params: impl Into<Vec<Value>>) -> Result<()> {
        self.start(sql)?;
        let params = params.into();
        let result = match &mut self.unit {
            Unit::Sqlite(unit) => unit.execute(sql, &params).map(drop),
            Unit::Postgres(unit) => Box::pin(unit.execute_later(sql, params)).await,
        };
        self.finish(result)
    }

    /// Runs a query, or a statement with `returning`, and gives its rows. It sees the unit's own changes.
    ///
    /// # Errors
    /// As [`Tx::execute`], and [`Error::TooManyRows`] beyond `rows_max`.
    pub async fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        self.rows(sql, params, usize::MAX).await
    }

    /// The row of a query that gives at most one.
    ///
    /// # Errors
    /// As [`Tx::execute`], and [`Error::TooManyRows`] if there is a second row.
    pub async fn query_opt(&mut self, sql: &str, params: &[Value]) -> Result<Option<Row>> {
        Ok(self.rows(sql, params, 1).await?.pop())
    }

    /// The row of a query that gives exactly one.
    ///
    /// # Errors
    /// As [`Tx::query_opt`], and [`Error::NoRow`]; that one leaves the unit whole.
    pub async fn query_one(&mut self, sql: &str, params: &[Value]) -> Result<Row> {
        let row = self.query_opt(sql, params).await?;
        row.ok_or_else(|| Error::NoRow { sql: shorten(sql) })
    }

    /// Has something done once the unit is durable, and never if it is not kept.
    ///
    /// Hooks run in the order of the commits, before [`Tx::commit`] answers, on the thread that committed: they must be
    /// short and must not block (wake a task, send into a channel).
    pub fn on_commit(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.hooks.push(Box::new(hook));
    }

    /// Commits; `Ok` means that the unit has been flushed to disk.
    ///
    /// # Errors
    /// [`Error::UnitBroken`] after a failed statement, [`Error::UnitTimedOut`], [`Error::BatchLost`],
    /// [`Error::Commit`], and those of [`Tx::execute_later`]: nothing of the unit is kept. [`Error::CommitUnknown`]: it may have been kept.
    pub async fn commit(self) -> Result<()> {
        self.release().await
    }

    /// Ends the unit's work and lets the next one go on at once; the answer resolves when the unit is durable.
    ///
    /// The unit is committed whether or not the answer is waited for.
    pub fn release(self) -> Commit {
        let Self { unit, broken, hooks } = self;
        if let Some(broken) = broken {
            drop(unit);
            return Commit(State::Answered(Some(Err(broken.error()))));
        }
        Commit(match unit {
            Unit::Sqlite(unit) => match unit.release(hooks) {
                Ok(pending) => State::Sqlite(pending),
                Err(error) => State::Answered(Some(Err(error))),
            },
            Unit::Postgres(unit) => State::Postgres(unit.release(hooks)),
        })
    }

    /// Undoes everything the unit did. Dropping the unit does the same.
    pub async fn rollback(self) {
        match self.unit {
            Unit::Sqlite(unit) => drop(unit),
            Unit::Postgres(unit) => unit.rollback().await,
        }
    }

    async fn rows(&mut self, sql: &str, params: &[Value], rows_max: usize) -> Result<Vec<Row>> {
        self.start(sql)?;
        let result = match &mut self.unit {
            Unit::Sqlite(unit) => unit.query(sql, params, rows_max),
            Unit::Postgres(unit) => Box::pin(unit.query(sql, params, rows_max)).await,
        };
        self.finish(result)
    }

    fn start(&mut self, sql: &str) -> Result<()> {
        if let Some(broken) = self.broken {
            return Err(broken.error());
        }
        refuse_transaction_words(sql)?;
        self.broken = Some(Broken::Statement);
        Ok(())
    }

    fn finish<T>(&mut self, result: Result<T>) -> Result<T> {
        self.broken = match &result {
            Ok(_) => None,
            Err(Error::UnitTimedOut) => Some(Broken::TimedOut),
            Err(_) => Some(Broken::Statement),
        };
        result
    }
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx")
            .field("unit", &self.unit)
            .field("broken", &self.broken)
            .field("hooks", &self.hooks.len())
            .finish()
    }
}

/// The answer to a commit; see [`Tx::release`].
#[derive(Debug)]
#[must_use = "a unit is durable only when its commit has answered"]
pub struct Commit(State);

#[derive(Debug)]
enum State {
    Answered(Option<Result<()>>),
    Sqlite(sqlite::Pending),
    Postgres(postgres::Pending),
}

impl Future for Commit {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Answered(answer) => match answer.take() {
                Some(answer) => Poll::Ready(answer),
                // polled after its answer, which the contract of futures leaves open
                None => Poll::Pending,
            },
            State::Sqlite(pending) => Pin::new(pending).poll(ctx),
            State::Postgres(pending) => Pin::new(pending).poll(ctx),
        }
    }
}

/// What puts a check off to the commit, which units share: who breaks a rule is to hear of it from the statement.
const DEFERS_CHECKS: &str = "defer_foreign_keys";

/// Refuses statements that would end the transaction under the unit, or under its neighbours.
pub(crate) fn refuse_transaction_words(sql: &str) -> Result<()> {
    let word = sqlite::first_word(sql);
    let defers = || word.eq_ignore_ascii_case("pragma") && sql.to_ascii_lowercase().contains(DEFERS_CHECKS);
    if TRANSACTION_WORDS.iter().any(|known| word.eq_ignore_ascii_case(known)) || defers() {
        return Err(Error::TransactionControl { sql: shorten(sql) });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_control_transactions_are_refused_however_written() {
        let deferring = "Pragma main.DEFER_foreign_keys = on";
        for sql in
            ["commit", " ROLLBACK to unit", "-- so\n begin immediate", "/* so */ ; savepoint x", "END;", deferring]
        {
            assert!(matches!(refuse_transaction_words(sql), Err(Error::TransactionControl { .. })));
        }
        for sql in ["select 1", "insert into releases values (1)", "", "-- commit", "pragma table_info(t)"] {
            assert!(refuse_transaction_words(sql).is_ok());
        }
    }
}
