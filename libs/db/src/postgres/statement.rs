//! Running one statement on a PostgreSQL connection, and saying what went wrong in this crate's words.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use deadpool_postgres::ClientWrapper;
use tokio_postgres::Statement;
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::types::ToSql;

use super::types::{Any, Param};
use crate::error::{Error, Reason, Result, shorten};
use crate::value::{Row, Value};

/// Statements that one connection keeps prepared; beyond, it starts again with none.
const STATEMENTS_KEPT: usize = 512;

/// A statement that is sent together with the next one.
#[derive(Debug)]
pub(super) struct Later {
    pub(super) sql: String,
    pub(super) params: Vec<Value>,
}

/// The answer to a statement that has been sent.
type Sent<'a> = Pin<Box<dyn Future<Output = Result<u64>> + Send + 'a>>;

/// Sends statements, in their order and without waiting for their answers: whatever is sent after this comes after them.
///
/// An error means that not all of them were sent, so that the transaction must not be committed.
pub(super) async fn send<'a>(client: &'a ClientWrapper, later: &'a [Later]) -> Result<Vec<Sent<'a>>> {
    let mut prepared = Vec::with_capacity(later.len());
    for Later { sql, params } in later {
        prepared.push(prepare(client, sql, params).await?);
    }
    let mut sent: Vec<Sent<'a>> = Vec::with_capacity(later.len());
    for (Later { sql, params }, statement) in later.iter().zip(prepared) {
        let mut answer: Sent<'a> = Box::pin(run(client, sql, params, statement));
        // The driver writes a prepared statement when it is first polled, or says at once why it cannot.
        match futures::poll!(&mut answer) {
            Poll::Ready(answer) => drop(answer?),
            Poll::Pending => sent.push(answer),
        }
    }
    Ok(sent)
}

/// Sends statements and, right behind them, the last one, whose answer it gives.
pub(super) async fn after<T>(
    client: &ClientWrapper,
    later: &[Later],
    last: impl Future<Output = Result<T>>,
) -> Result<T> {
    let sent = send(client, later).await?;
    let (before, last) = futures::join!(settle(sent), last);
    before.and(last)
}

/// Waits for the answers; the first error is the one that made the others fail.
pub(super) async fn settle(sent: Vec<Sent<'_>>) -> Result<()> {
    let mut outcome = Ok(());
    for answer in sent {
        outcome = outcome.and(answer.await.map(drop));
    }
    outcome
}

/// Runs a statement and gives the number of rows it inserted, updated or deleted.
pub(super) async fn execute(client: &ClientWrapper, sql: &str, params: &[Value]) -> Result<u64> {
    let statement = prepare(client, sql, params).await?;
    run(client, sql, params, statement).await
}

async fn run(client: &ClientWrapper, sql: &str, params: &[Value], statement: Statement) -> Result<u64> {
    let params: Vec<Param<'_>> = params.iter().map(Param).collect();
    let changed =
        client.execute_raw(&statement, params.iter().map(as_sql)).await.map_err(|error| failed(client, sql, &error))?;
    let reads = crate::sqlite::first_word(sql).eq_ignore_ascii_case("select");
    // PostgreSQL counts the rows that a select gives; here only changes count
    Ok(if reads { 0 } else { changed })
}

/// Runs a statement and gives its rows.
pub(super) async fn query(client: &ClientWrapper, sql: &str, params: &[Value], rows_max: usize) -> Result<Vec<Row>> {
    let statement = prepare(client, sql, params).await?;
    let columns: Arc<[String]> = statement.columns().iter().map(|column| column.name().to_owned()).collect();
    let params: Vec<Param<'_>> = params.iter().map(Param).collect();
    let stream =
        client.query_raw(&statement, params.iter().map(as_sql)).await.map_err(|error| failed(client, sql, &error))?;
    let mut stream = std::pin::pin!(stream);
    let mut found = Vec::new();
    while let Some(row) = next(&mut stream).await {
        let row = row.map_err(|error| failed(client, sql, &error))?;
        if found.len() == rows_max {
            return Err(Error::TooManyRows { sql: shorten(sql), rows_max });
        }
        let mut values = Vec::with_capacity(columns.len());
        for at in 0..columns.len() {
            let Any(value) = row.try_get(at).map_err(|error| failed(client, sql, &error))?;
            values.push(value);
        }
        found.push(Row::new(Arc::clone(&columns), values));
    }
    Ok(found)
}

fn as_sql<'a>(param: &'a Param<'_>) -> &'a (dyn ToSql + Sync) {
    param
}

async fn next(
    stream: &mut std::pin::Pin<&mut tokio_postgres::RowStream>,
) -> Option<Result<tokio_postgres::Row, tokio_postgres::Error>> {
    futures::StreamExt::next(stream).await
}

async fn prepare(client: &ClientWrapper, sql: &str, params: &[Value]) -> Result<Statement> {
    if client.statement_cache.size() >= STATEMENTS_KEPT {
        client.statement_cache.clear();
    }
    let statement = client.prepare_cached(sql).await.map_err(|error| failed(client, sql, &error))?;
    let expected = statement.params().len();
    if expected == params.len() {
        return Ok(statement);
    }
    Err(Error::Parameters { sql: shorten(sql), expected, given: params.len() })
}

/// The error in this crate's words; a plan that no longer fits the tables is forgotten, so that a retry makes a new one.
fn failed(client: &ClientWrapper, sql: &str, error: &tokio_postgres::Error) -> Error {
    if let Some(db) = error.as_db_error()
        && *db.code() == SqlState::FEATURE_NOT_SUPPORTED
        && db.message().contains("cached plan")
    {
        client.statement_cache.clear();
        return Error::unavailable(words(db));
    }
    explain(sql, error)
}

/// PostgreSQL's error in this crate's words. Its details are left out, since they may show a row's values.
pub(super) fn explain(sql: &str, error: &tokio_postgres::Error) -> Error {
    let Some(db) = error.as_db_error() else {
        let cause = std::error::Error::source(error);
        let reason = match cause {
            Some(cause) => Reason(format!("{error}: {cause}")),
            None => Reason(error.to_string()),
        };
        return if error.is_closed() || cause.is_some_and(|cause| cause.is::<std::io::Error>()) {
            Error::unavailable(reason)
        } else {
            Error::statement(sql, reason)
        };
    };
    let code = db.code();
    if *code == SqlState::UNIQUE_VIOLATION {
        return Error::UniqueViolation {
            table: db.table().unwrap_or_default().to_owned(),
            constraint: db.constraint().unwrap_or_default().to_owned(),
            columns: key_columns(db.detail().unwrap_or_default()),
        };
    }
    if *code == SqlState::FOREIGN_KEY_VIOLATION {
        tracing::debug!(constraint = db.constraint(), "a foreign key is violated");
        return Error::ForeignKeyViolation;
    }
    if *code == SqlState::QUERY_CANCELED {
        return Error::StatementTimedOut { sql: shorten(sql) };
    }
    if is_passing(code) {
        return Error::unavailable(words(db));
    }
    Error::statement(sql, words(db))
}

fn words(db: &DbError) -> Reason {
    Reason(format!("{}: {}", db.code().code(), db.message()))
}

/// Whether the server may well do the same later: connection trouble, resources, deadlocks, shutdown, idle limits.
pub(super) fn is_passing(code: &SqlState) -> bool {
    ["08", "40", "53", "57", "58"].iter().any(|class| code.code().starts_with(class))
        || *code == SqlState::LOCK_NOT_AVAILABLE
        || code.code() == "25P03"
        || code.code() == "25006"
}

/// Reads `Key (company, email)=(7, a@b.c) already exists.`; in another language the list is empty.
fn key_columns(detail: &str) -> Vec<String> {
    let Some((names, _)) = detail.split_once('(').and_then(|(_, rest)| rest.split_once(")=(")) else {
        return Vec::new();
    };
    names.split(", ").map(|name| name.trim_matches('"').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_read_from_the_detail() {
        assert_eq!(key_columns("Key (company, email)=(7, a@b.c) already exists."), ["company", "email"]);
        assert_eq!(key_columns("Schlüssel »(email)=(a)« existiert bereits."), ["email"]);
        assert!(key_columns("").is_empty());
    }
}
