//! The database: the only place that knows tables.

pub(crate) mod applications;
pub(crate) mod candidates;
pub(crate) mod interviews;
pub(crate) mod postings;
pub(crate) mod projections;

use chassis::EntityError;
use contracts::Money;
use db::{Db, FromValue, Row, Value};
use eventkit::UnitOfWork;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::de::DeserializeOwned;

use crate::domain::{Record, words};

/// What is between the entries of a column that is searched for whole entries; no entry can hold it.
const SEPARATOR: char = '\u{1f}';

/// Names of columns with their values.
type Columns = Vec<(&'static str, Value)>;

/// Adds a row in its first version; answers its number.
async fn insert(work: &mut UnitOfWork, table: &str, id_column: &str, mut columns: Columns) -> eventkit::Result<i64> {
    let now_ms = work.publisher().clock().now_ms();
    columns.extend([
        ("is_active", true.into()),
        ("version", 1_i64.into()),
        ("created_at", now_ms.into()),
        ("updated_at", now_ms.into()),
    ]);
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let places: Vec<String> = (1..=columns.len()).map(|place| format!("${place}")).collect();
    let sql =
        format!("insert into {table} ({}) values ({}) returning {id_column}", names.join(", "), places.join(", "));
    let values: Vec<Value> = columns.into_iter().map(|(_, value)| value).collect();
    Ok(work.query_one(&sql, &values).await?.get(id_column)?)
}

/// Changes columns of a row and counts its version up.
async fn update(
    work: &mut UnitOfWork,
    table: &str,
    id_column: &str,
    id: i64,
    mut columns: Columns,
) -> eventkit::Result<()> {
    columns.push(("updated_at", work.publisher().clock().now_ms().into()));
    let assignments: Vec<String> =
        columns.iter().zip(1..).map(|((name, _), place)| format!("{name} = ${place}")).collect();
    let sql = format!(
        "update {table} set {}, version = version + 1 where {id_column} = ${}",
        assignments.join(", "),
        columns.len() + 1
    );
    let mut values: Vec<Value> = columns.into_iter().map(|(_, value)| value).collect();
    values.push(id.into());
    work.execute(&sql, &values).await?;
    Ok(())
}

/// Where a row is read from: a unit of work sees its own changes, the database what is committed.
pub(crate) enum Source<'a> {
    Work(&'a mut UnitOfWork),
    Db(&'a Db),
}

impl Source<'_> {
    async fn query_opt(self, sql: &str, params: &[Value]) -> Result<Option<Row>, EntityError> {
        match self {
            Self::Work(work) => Ok(work.query_opt(sql, params).await?),
            Self::Db(db) => Ok(db.query_opt(sql, params).await?),
        }
    }

    async fn query(self, sql: &str, params: &[Value]) -> Result<Vec<Row>, EntityError> {
        match self {
            Self::Work(work) => Ok(work.query(sql, params).await?),
            Self::Db(db) => Ok(db.query(sql, params).await?),
        }
    }
}

impl<'a> From<&'a mut UnitOfWork> for Source<'a> {
    fn from(work: &'a mut UnitOfWork) -> Self {
        Self::Work(work)
    }
}

impl<'a> From<&'a Db> for Source<'a> {
    fn from(db: &'a Db) -> Self {
        Self::Db(db)
    }
}

/// Reads the columns of one entity's row; what cannot be read is told with the entity's number.
#[derive(Clone, Copy)]
struct Reader<'a> {
    row: &'a Row,
    entity: &'static str,
    id: i64,
}

impl<'a> Reader<'a> {
    fn new(row: &'a Row, entity: &'static str, id_column: &str) -> Result<Self, EntityError> {
        Ok(Self { row, entity, id: row.get(id_column)? })
    }

    fn corrupt(self, reason: &'static str) -> EntityError {
        EntityError::Corrupt { entity: self.entity, id: self.id, reason }
    }

    fn get<T: FromValue>(self, column: &str) -> Result<T, EntityError> {
        Ok(self.row.get(column)?)
    }

    fn time(self, column: &str) -> Result<Timestamp, EntityError> {
        self.time_opt(column)?.ok_or_else(|| self.corrupt("a time is missing"))
    }

    fn time_opt(self, column: &str) -> Result<Option<Timestamp>, EntityError> {
        let ms: Option<i64> = self.get(column)?;
        ms.map(|ms| Timestamp::from_millisecond(ms).map_err(|_| self.corrupt("a time is out of range"))).transpose()
    }

    fn date_opt(self, column: &str) -> Result<Option<Date>, EntityError> {
        let text: Option<String> = self.get(column)?;
        text.map(|text| text.parse().map_err(|_| self.corrupt("a date is none"))).transpose()
    }

    fn money_opt(self, column: &str) -> Result<Option<Money>, EntityError> {
        let text: Option<String> = self.get(column)?;
        text.map(|text| text.parse().map_err(|_| self.corrupt("an amount of money is none"))).transpose()
    }

    fn word<T: DeserializeOwned>(self, column: &str) -> Result<T, EntityError> {
        self.word_opt(column)?.ok_or_else(|| self.corrupt("a word is missing"))
    }

    fn word_opt<T: DeserializeOwned>(self, column: &str) -> Result<Option<T>, EntityError> {
        let text: Option<String> = self.get(column)?;
        text.map(|text| words::parse(&text).ok_or_else(|| self.corrupt("a word is unknown"))).transpose()
    }

    fn texts(self, column: &str) -> Result<Vec<String>, EntityError> {
        let json: String = self.get(column)?;
        serde_json::from_str(&json).map_err(|_| self.corrupt("a list of texts is none"))
    }

    fn record(self) -> Result<Record, EntityError> {
        Ok(Record {
            is_active: self.get("is_active")?,
            version: self.get("version")?,
            created_at: self.time("created_at")?,
            updated_at: self.time("updated_at")?,
        })
    }
}

/// A time as it is stored.
fn milliseconds(time: Timestamp) -> i64 {
    time.as_millisecond()
}

/// A date, an amount or a number as the text that is stored.
fn text(value: Option<impl ToString>) -> Value {
    value.map(|value| value.to_string()).into()
}

/// A list of texts as it is stored.
fn texts(list: &[String]) -> Value {
    serde_json::Value::from(list).to_string().into()
}

/// Entries with a separator around each, in lower case, so that one is found as a whole.
fn folded_entries(list: &[String]) -> String {
    list.iter().fold(SEPARATOR.to_string(), |mut folded, entry| {
        folded.push_str(&entry.to_lowercase());
        folded.push(SEPARATOR);
        folded
    })
}
