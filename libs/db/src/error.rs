//! What can go wrong, told so that a caller can decide: try again, answer a conflict, or give up.

use std::error::Error as StdError;
use std::sync::Arc;

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A source that several waiters share, because one failed commit answers a whole batch.
pub type Cause = Arc<dyn StdError + Send + Sync + 'static>;

/// How many characters of a statement an error carries at most.
const SQL_SHOWN_MAX: usize = 160;

/// Every way in which this crate can fail.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key of the configuration cannot be used.
    #[error("database configuration key `{key}` cannot be used: {reason}")]
    Config {
        /// The key in [`Config`](crate::Config).
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The database could not be opened.
    #[error("cannot open the database `{database}`")]
    Open {
        /// File or schema, never the whole URL, which may hold a password.
        database: String,
        /// Why.
        source: Cause,
    },
    /// Too many units or queries wait already, or the wait took too long.
    #[error("too many units of work are waiting for the database")]
    Overloaded,
    /// The unit held the database longer than `unit_timeout_ms` and was rolled back.
    #[error("the unit of work took too long and was rolled back")]
    UnitTimedOut,
    /// An earlier statement of this unit failed or was abandoned, so it can only be rolled back.
    #[error("an earlier statement of this unit of work failed, it can only be rolled back")]
    UnitBroken,
    /// The database gave up the transaction that this unit shared with its neighbours.
    #[error("the transaction of this unit of work was rolled back by the database")]
    BatchLost {
        /// What made the database give it up.
        source: Cause,
    },
    /// [`Db::close`](crate::Db::close) was called.
    #[error("the database is closed")]
    Closed,
    /// A row with the same unique value exists.
    #[error("a row of `{table}` violates the unique constraint `{constraint}`")]
    UniqueViolation {
        /// The table.
        table: String,
        /// PostgreSQL: the constraint's name. SQLite: its columns, `employee.email`.
        constraint: String,
        /// The columns, as far as the database tells them.
        columns: Vec<String>,
    },
    /// A row refers to a row that does not exist, or is referred to.
    #[error("a foreign key constraint is violated")]
    ForeignKeyViolation,
    /// The database cannot serve now: connection away, file locked, disk full, deadlock. Transient.
    #[error("the database is not available now")]
    Unavailable {
        /// Why.
        source: Cause,
    },
    /// A statement ran longer than `statement_timeout_ms`.
    #[error("statement `{sql}` took too long")]
    StatementTimedOut {
        /// The statement, shortened.
        sql: String,
    },
    /// The database refused a statement.
    #[error("statement `{sql}` failed")]
    Statement {
        /// The statement, shortened; parameters are never shown.
        sql: String,
        /// What the database said.
        source: Cause,
    },
    /// A statement got more or fewer values than it has parameters.
    #[error("statement `{sql}` takes {expected} parameters, {given} were given")]
    Parameters {
        /// The statement, shortened.
        sql: String,
        /// Parameters of the statement.
        expected: usize,
        /// Values given.
        given: usize,
    },
    /// `begin`, `commit`, `savepoint` and their kin belong to the unit, not to its statements.
    #[error("statement `{sql}` controls transactions, which only the unit of work may do")]
    TransactionControl {
        /// The statement, shortened.
        sql: String,
    },
    /// A query that must give a row gave none.
    #[error("query `{sql}` gave no row")]
    NoRow {
        /// The statement, shortened.
        sql: String,
    },
    /// A query gave more rows than asked for or than `rows_max` allows.
    #[error("query `{sql}` gave more than {rows_max} rows")]
    TooManyRows {
        /// The statement, shortened.
        sql: String,
        /// The limit.
        rows_max: usize,
    },
    /// A column is missing or holds another type.
    #[error("column `{column}` holds {found}, not {expected}")]
    Column {
        /// The column asked for.
        column: String,
        /// The type asked for.
        expected: &'static str,
        /// The type found, or `no such column`.
        found: &'static str,
    },
    /// A set of migrations cannot be used or could not be applied.
    #[error("migrations `{set}` failed")]
    Migration {
        /// The name of the set.
        set: String,
        /// Why.
        source: Cause,
    },
    /// The commit failed: nothing of the unit is kept.
    #[error("the commit failed")]
    Commit {
        /// Why.
        source: Cause,
    },
    /// The answer to the commit was lost: the unit may or may not have been kept.
    #[error("the answer to the commit was lost, the unit of work may have been kept")]
    CommitUnknown {
        /// Why, where it is known.
        source: Cause,
    },
}

impl Error {
    /// Whether the same unit may well succeed if it is tried again.
    ///
    /// After [`Error::CommitUnknown`] the first try may have been kept: only an idempotent unit may be tried again.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Overloaded
            | Self::UnitTimedOut
            | Self::BatchLost { .. }
            | Self::Unavailable { .. }
            | Self::StatementTimedOut { .. }
            | Self::Commit { .. }
            | Self::CommitUnknown { .. } => true,
            Self::Open { source, .. } => source.downcast_ref::<Self>().is_some_and(Self::is_transient),
            _ => false,
        }
    }

    /// Whether a unique constraint on `column` (alone or with others) of `table` was violated.
    ///
    /// SQLite names columns (`employee.email`), PostgreSQL the constraint (`employee_email_key`): both are understood.
    #[must_use]
    pub fn violates(&self, table: &str, column: &str) -> bool {
        let Self::UniqueViolation { table: found, constraint, columns } = self else {
            return false;
        };
        if found != table {
            return false;
        }
        columns.iter().any(|known| known == column) || columns.is_empty() && constraint_names(constraint, table, column)
    }

    pub(crate) fn config(key: &'static str, reason: impl Into<String>) -> Self {
        Self::Config { key, reason: reason.into() }
    }

    pub(crate) fn unavailable(source: impl StdError + Send + Sync + 'static) -> Self {
        Self::Unavailable { source: Arc::new(source) }
    }

    pub(crate) fn statement(sql: &str, source: impl StdError + Send + Sync + 'static) -> Self {
        Self::Statement { sql: shorten(sql), source: Arc::new(source) }
    }
}

/// A reason that is words only.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Reason(pub(crate) String);

/// The beginning of a statement, on one line.
pub(crate) fn shorten(sql: &str) -> String {
    let mut short = String::new();
    for word in sql.split_whitespace() {
        if !short.is_empty() {
            short.push(' ');
        }
        short.push_str(word);
        if short.len() > SQL_SHOWN_MAX {
            break;
        }
    }
    if short.len() > SQL_SHOWN_MAX {
        let mut end = SQL_SHOWN_MAX;
        while !short.is_char_boundary(end) {
            end -= 1;
        }
        short.truncate(end);
        short.push('…');
    }
    short
}

/// Whether PostgreSQL's or a person's usual constraint name speaks of the column.
fn constraint_names(constraint: &str, table: &str, column: &str) -> bool {
    let rest = constraint.strip_prefix(table).and_then(|rest| rest.strip_prefix('_')).unwrap_or(constraint);
    let rest = ["_key", "_idx", "_unique", "_uq"].iter().find_map(|suffix| rest.strip_suffix(suffix)).unwrap_or(rest);
    rest == column
        || rest.starts_with(&format!("{column}_"))
        || rest.ends_with(&format!("_{column}"))
        || rest.contains(&format!("_{column}_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unique(table: &str, constraint: &str, columns: &[&str]) -> Error {
        Error::UniqueViolation {
            table: table.into(),
            constraint: constraint.into(),
            columns: columns.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn violates_understands_columns_and_constraint_names() {
        assert!(unique("employee", "employee.email", &["email"]).violates("employee", "email"));
        assert!(unique("employee", "employee_email_key", &[]).violates("employee", "email"));
        assert!(unique("employee", "employee_company_email_key", &[]).violates("employee", "email"));
        assert!(!unique("employee", "employee_email_key", &[]).violates("employee", "phone"));
        assert!(!unique("employee", "employee_email_key", &[]).violates("company", "email"));
        assert!(!unique("employee", "employee_email_key", &["phone"]).violates("employee", "email"));
        assert!(!Error::Overloaded.violates("employee", "email"));
    }

    #[test]
    fn shortened_statements_end_on_a_character() {
        let sql = format!("select   '{}'", "ñ".repeat(400));
        let short = shorten(&sql);
        assert!(short.starts_with("select 'ñ"));
        assert!(short.ends_with('…'));
        assert!(short.len() <= SQL_SHOWN_MAX + '…'.len_utf8());
        assert_eq!(shorten("select\n  1"), "select 1");
    }
}
