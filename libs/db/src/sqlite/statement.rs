//! Running one statement on a SQLite connection, and saying what went wrong in this crate's words.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error as SqliteError, Statement, ffi};

use crate::error::{Error, Reason, Result, shorten};
use crate::value::{Row, Value};

/// Virtual machine steps between two looks at the deadline, some 0.1 ms.
const STEPS_PER_LOOK: std::ffi::c_int = 10_000;
/// Statements that one connection keeps prepared; services have some hundred.
const STATEMENTS_KEPT: usize = 512;

/// The moment after which a connection's running statement is interrupted; shared with its progress handler.
#[derive(Debug)]
pub(crate) struct Deadline {
    base: Instant,
    at_ms: AtomicU64,
}

impl Deadline {
    /// Puts a deadline on everything that the connection runs; there is none until [`Self::set`].
    pub(crate) fn install(connection: &mut Connection) -> rusqlite::Result<Arc<Self>> {
        let deadline = Arc::new(Self { base: Instant::now(), at_ms: AtomicU64::new(u64::MAX) });
        let watched = Arc::clone(&deadline);
        connection.progress_handler(STEPS_PER_LOOK, Some(move || watched.has_passed()))?;
        Ok(deadline)
    }

    pub(crate) fn set(&self, from_now: Duration) {
        let at = self.base.elapsed().saturating_add(from_now);
        let at = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        self.at_ms.store(at, Ordering::Relaxed);
    }

    pub(crate) fn clear(&self) {
        self.at_ms.store(u64::MAX, Ordering::Relaxed);
    }

    fn has_passed(&self) -> bool {
        let at = self.at_ms.load(Ordering::Relaxed);
        at != u64::MAX && self.base.elapsed().as_millis() >= u128::from(at)
    }
}

/// A connection that remembers what it would otherwise find out about a statement each time it runs.
#[derive(Debug)]
pub(crate) struct Remembering {
    connection: Connection,
    facts: RefCell<HashMap<Box<str>, Arc<Facts>>>,
}

/// What is the same each time a statement runs.
#[derive(Debug)]
struct Facts {
    /// Which parameter stands at each place, from 0.
    places: Vec<usize>,
    /// How many parameters it takes.
    params: usize,
    changes_rows: bool,
    columns: Arc<[String]>,
}

impl Remembering {
    pub(crate) fn new(connection: Connection) -> Self {
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        Self { connection, facts: RefCell::default() }
    }

    pub(crate) fn into_inner(self) -> Connection {
        self.connection
    }

    fn facts(&self, sql: &str, statement: &Statement<'_>) -> Arc<Facts> {
        let mut known = self.facts.borrow_mut();
        if let Some(facts) = known.get(sql) {
            // a migration may have changed what `select *` answers
            if facts.columns.len() == statement.column_count() {
                return Arc::clone(facts);
            }
        }
        if known.len() >= STATEMENTS_KEPT {
            known.clear();
        }
        let facts = Arc::new(Facts::of(sql, statement));
        known.insert(sql.into(), Arc::clone(&facts));
        facts
    }
}

impl Deref for Remembering {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Remembering {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl Facts {
    fn of(sql: &str, statement: &Statement<'_>) -> Self {
        // `$n` is the nth value, wherever and however often it stands; SQLite itself would number by first use
        let number = |at: usize| {
            let name = statement.parameter_name(at).and_then(|name| name.get(1..));
            name.and_then(|digits| digits.parse::<usize>().ok()).unwrap_or(at)
        };
        let numbers: Vec<usize> = (1..=statement.parameter_count()).map(number).collect();
        Self {
            params: numbers.iter().copied().max().unwrap_or(0),
            places: numbers.into_iter().map(|number| number.saturating_sub(1)).collect(),
            changes_rows: changes_rows(sql),
            columns: statement.column_names().map(str::to_owned).collect(),
        }
    }
}

/// Runs a statement and gives the number of rows it changed; rows that it returns are passed over.
pub(crate) fn execute(connection: &Remembering, sql: &str, params: &[Value]) -> Result<u64> {
    let mut statement = connection.prepare_cached(sql).map_err(|error| explain(sql, error))?;
    let facts = connection.facts(sql, &statement);
    bind(&mut statement, &facts, sql, params)?;
    let mut rows = statement.raw_query();
    while rows.next().map_err(|error| explain(sql, error))?.is_some() {}
    // SQLite keeps the count of the last change, which a statement without changes leaves as it was
    Ok(if facts.changes_rows { connection.changes() } else { 0 })
}

/// Runs a statement and gives its rows.
pub(crate) fn query(connection: &Remembering, sql: &str, params: &[Value], rows_max: usize) -> Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(sql).map_err(|error| explain(sql, error))?;
    let facts = connection.facts(sql, &statement);
    bind(&mut statement, &facts, sql, params)?;
    let columns = &facts.columns;
    let mut rows = statement.raw_query();
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(|error| explain(sql, error))? {
        if found.len() == rows_max {
            return Err(Error::TooManyRows { sql: shorten(sql), rows_max });
        }
        let mut values = Vec::with_capacity(columns.len());
        for at in 0..columns.len() {
            let value = row.get_ref(at).map_err(|error| explain(sql, error))?;
            values.push(owned(sql, value)?);
        }
        found.push(Row::new(Arc::clone(columns), values));
    }
    Ok(found)
}

fn bind(statement: &mut Statement<'_>, facts: &Facts, sql: &str, params: &[Value]) -> Result<()> {
    if facts.params != params.len() {
        return Err(Error::Parameters { sql: shorten(sql), expected: facts.params, given: params.len() });
    }
    for (at, place) in facts.places.iter().enumerate() {
        let Some(value) = params.get(*place) else { continue };
        let bound = match value {
            Value::Null => statement.raw_bind_parameter(at + 1, rusqlite::types::Null),
            Value::Bool(value) => statement.raw_bind_parameter(at + 1, value),
            Value::Int(value) => statement.raw_bind_parameter(at + 1, value),
            Value::Real(value) => statement.raw_bind_parameter(at + 1, value),
            Value::Text(value) => statement.raw_bind_parameter(at + 1, value),
            Value::Bytes(value) => statement.raw_bind_parameter(at + 1, value),
        };
        bound.map_err(|error| explain(sql, error))?;
    }
    Ok(())
}

fn owned(sql: &str, value: ValueRef<'_>) -> Result<Value> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Int(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(error) => return Err(Error::statement(sql, error)),
        },
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_owned()),
    })
}

/// Whether the statement is one that counts changed rows.
fn changes_rows(sql: &str) -> bool {
    let word = first_word(sql);
    ["insert", "update", "delete", "replace", "with"].iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// The statement's first word, past spaces and comments.
pub(crate) fn first_word(sql: &str) -> &str {
    let mut rest = sql.trim_start();
    loop {
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, rest)| rest);
        } else if let Some(empty) = rest.strip_prefix(';') {
            rest = empty;
        } else {
            break;
        }
        rest = rest.trim_start();
    }
    let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
    &rest[..end]
}

/// SQLite's error in this crate's words.
pub(crate) fn explain(sql: &str, error: SqliteError) -> Error {
    let (code, words) = match &error {
        SqliteError::SqliteFailure(code, words) => (*code, words.as_deref().unwrap_or_default()),
        SqliteError::SqlInputError { error, msg, .. } => (*error, msg.as_str()),
        _ => return Error::statement(sql, error),
    };
    match code.extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => {
            return unique_violation(words);
        }
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => return Error::ForeignKeyViolation,
        _ => {}
    }
    match code.extended_code & 0xff {
        ffi::SQLITE_BUSY
        | ffi::SQLITE_LOCKED
        | ffi::SQLITE_FULL
        | ffi::SQLITE_IOERR
        | ffi::SQLITE_NOMEM
        | ffi::SQLITE_CANTOPEN
        | ffi::SQLITE_PROTOCOL => Error::unavailable(error),
        ffi::SQLITE_INTERRUPT => Error::StatementTimedOut { sql: shorten(sql) },
        // the error would carry the whole text of the statement a second time
        _ if matches!(error, SqliteError::SqlInputError { .. }) => Error::statement(sql, Reason(words.to_owned())),
        _ => Error::statement(sql, error),
    }
}

/// Reads `UNIQUE constraint failed: employee.company, employee.email`.
fn unique_violation(words: &str) -> Error {
    let constraint = words.rsplit_once(": ").map_or(words, |(_, names)| names);
    let mut table = "";
    let mut columns = Vec::new();
    for name in constraint.split(", ") {
        if let Some((of, column)) = name.split_once('.') {
            table = of;
            columns.push(column.to_owned());
        }
    }
    Error::UniqueViolation { table: table.to_owned(), constraint: constraint.to_owned(), columns }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::params;

    #[test]
    fn parameters_are_bound_by_number_in_any_order_and_often() {
        let connection = Remembering::new(Connection::open_in_memory().unwrap());
        let rows = query(&connection, "select $2 as second, $1 as first, $2 as again", &params!["a", 2], 10).unwrap();
        assert_eq!(rows[0].get::<i64>("second").unwrap(), 2);
        assert_eq!(rows[0].get::<String>("first").unwrap(), "a");
        assert_eq!(rows[0].get::<i64>("again").unwrap(), 2);
        for wrong in [&params![1][..], &params![1, 2, 3][..]] {
            assert!(matches!(
                query(&connection, "select $2, $1", wrong, 10),
                Err(Error::Parameters { expected: 2, given, .. }) if given == wrong.len()
            ));
        }
    }

    #[test]
    fn a_statement_without_changes_counts_none() {
        let connection = Remembering::new(Connection::open_in_memory().unwrap());
        execute(&connection, "create table t (n bigint)", &[]).unwrap();
        let insert = "insert into t (n) values (1), (2) returning n";
        assert_eq!(execute(&connection, insert, &[]).unwrap(), 2);
        assert_eq!(execute(&connection, "create table u (n bigint)", &[]).unwrap(), 0);
        assert_eq!(execute(&connection, "select n from t", &[]).unwrap(), 0);
        let update = "-- a word\n /* and another */ update t set n = 3 where n > $1";
        assert_eq!(execute(&connection, update, &params![1]).unwrap(), 1);
    }

    #[test]
    fn a_statement_past_its_deadline_is_interrupted() {
        let mut connection = Connection::open_in_memory().unwrap();
        let deadline = Deadline::install(&mut connection).unwrap();
        let connection = Remembering::new(connection);
        deadline.set(Duration::from_millis(20));
        let endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
        assert!(matches!(query(&connection, endless, &[], 10), Err(Error::StatementTimedOut { .. })));
        deadline.clear();
        assert_eq!(query(&connection, "select 1 as one", &[], 10).unwrap().len(), 1);
    }

    #[test]
    fn unique_violations_name_table_and_columns() {
        let error = unique_violation("UNIQUE constraint failed: employee.company, employee.email");
        assert!(error.violates("employee", "email"));
        assert!(error.violates("employee", "company"));
        assert!(!error.violates("employee", "name"));
    }
}
