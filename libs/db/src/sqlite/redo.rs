//! Remembers what units did until their commit, so that they can do it again when the transaction that they share is lost
//! through the fault of another: SQLite rolls all of it back when a write is interrupted or finds the disk full.
//!
//! Doing it again from the same state gives the same, unless another process wrote meanwhile or a statement answers other
//! rows than before: both are noticed, and then the units fail as the others do. Not noticed is what a statement of which
//! only the number of rows is known writes by a function of no state (`random()`): values are to come from parameters.

use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::statement::{self, Deadline, Remembering};
use crate::error::{Error, Reason, Result, shorten};
use crate::value::{Row, Value};

/// What one unit did.
#[derive(Default)]
pub(super) struct UnitLog {
    statements: Vec<Done>,
    bytes: usize,
}

/// A statement that was run, and what came of it.
struct Done {
    sql: String,
    params: Vec<Value>,
    answer: Answer,
}

enum Answer {
    Changed(u64),
    /// A digest of the rows.
    Rows(u64),
}

impl UnitLog {
    /// How much memory it takes, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn changed(&mut self, sql: &str, params: &[Value], rows: u64) {
        self.note(sql, params, Answer::Changed(rows));
    }

    pub(super) fn answered(&mut self, sql: &str, params: &[Value], rows: &[Row]) {
        if !is_read(sql) {
            self.note(sql, params, Answer::Rows(digest(rows)));
        }
    }

    fn note(&mut self, sql: &str, params: &[Value], answer: Answer) {
        self.bytes += size_of::<Done>() + sql.len() + params.iter().map(size).sum::<usize>();
        self.statements.push(Done { sql: sql.to_owned(), params: params.to_vec(), answer });
    }

    /// Does all of it again, under a savepoint of its own.
    pub(super) fn redo(
        &self,
        connection: &Remembering,
        deadline: &Deadline,
        statement_timeout: Duration,
    ) -> Result<()> {
        statement::execute(connection, "savepoint unit", &[])?;
        for Done { sql, params, answer } in &self.statements {
            deadline.set(statement_timeout);
            let is_same = match answer {
                Answer::Changed(before) => statement::execute(connection, sql, params)? == *before,
                Answer::Rows(before) => digest(&statement::query(connection, sql, params, usize::MAX)?) == *before,
            };
            if !is_same {
                let reason = format!("`{}` did something else when it was run again", shorten(sql));
                return Err(Error::Commit { source: Arc::new(Reason(reason)) });
            }
        }
        deadline.clear();
        statement::execute(connection, "release unit", &[]).map(drop)
    }
}

impl fmt::Debug for UnitLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnitLog").field("statements", &self.statements.len()).field("bytes", &self.bytes).finish()
    }
}

/// Begins a transaction in which what was done can be done again: in the state that `version` tells of.
pub(super) fn begin_again(connection: &Remembering, version: i64) -> Result<()> {
    statement::execute(connection, "begin immediate", &[])?;
    if state_version(connection)? == version {
        return Ok(());
    }
    Err(Error::Commit { source: Arc::new(Reason("another process wrote to the file meanwhile".to_owned())) })
}

/// A number that changes when another connection commits.
pub(super) fn state_version(connection: &Remembering) -> Result<i64> {
    let rows = statement::query(connection, "pragma data_version", &[], 1)?;
    rows.first().map_or(Ok(0), |row| row.get("data_version"))
}

/// Whether a statement leaves all as it is.
fn is_read(sql: &str) -> bool {
    statement::first_word(sql).eq_ignore_ascii_case("select")
}

fn size(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            _ => 0,
        }
}

fn digest(rows: &[Row]) -> u64 {
    /// Takes text in as it is written.
    struct Text(DefaultHasher);
    impl Write for Text {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut text = Text(DefaultHasher::new());
    // Writing into a digest does not fail.
    let _ = write!(text, "{rows:?}");
    text.0.finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::params;

    const INSERT: &str = "insert into t (n) values ($1) returning n";

    fn connection() -> (Remembering, Arc<Deadline>) {
        let mut connection = Remembering::new(Connection::open_in_memory().unwrap());
        statement::execute(&connection, "create table t (id integer primary key, n bigint)", &[]).unwrap();
        let deadline = Deadline::install(&mut connection).unwrap();
        (connection, deadline)
    }

    fn insert(connection: &Remembering, log: &mut UnitLog, sql: &str, n: i64) {
        let rows = statement::query(connection, sql, &params![n], 10).unwrap();
        log.answered(sql, &params![n], &rows);
    }

    #[test]
    fn what_was_done_is_done_again_with_its_own_parameters() {
        let (connection, deadline) = connection();
        let mut log = UnitLog::default();
        statement::execute(&connection, "begin", &[]).unwrap();
        insert(&connection, &mut log, INSERT, 1);
        insert(&connection, &mut log, INSERT, 2);
        let update = "update t set n = n + $1";
        log.changed(update, &params![5], statement::execute(&connection, update, &params![5]).unwrap());
        statement::execute(&connection, "rollback", &[]).unwrap();
        statement::execute(&connection, "begin", &[]).unwrap();
        log.redo(&connection, &deadline, Duration::from_secs(5)).unwrap();
        let rows = statement::query(&connection, "select n from t order by id", &[], 10).unwrap();
        assert_eq!(rows.iter().map(|row| row.get::<i64>("n").unwrap()).collect::<Vec<_>>(), [6, 7]);
    }

    #[test]
    fn what_comes_out_otherwise_is_noticed() {
        let (connection, deadline) = connection();
        for sql in ["insert into t (n) values (random() + $1) returning n", INSERT] {
            let mut log = UnitLog::default();
            statement::execute(&connection, "begin", &[]).unwrap();
            insert(&connection, &mut log, sql, 1);
            statement::execute(&connection, "rollback", &[]).unwrap();
            statement::execute(&connection, "begin", &[]).unwrap();
            let redone = log.redo(&connection, &deadline, Duration::from_secs(5));
            assert_eq!(redone.is_ok(), sql == INSERT, "{sql}");
            statement::execute(&connection, "rollback", &[]).unwrap();
        }
    }
}
