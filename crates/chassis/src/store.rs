//! Entities in tables: what every table of a service does in the same way, so that a service shows only its columns.
//!
//! Every function that changes something is part of a unit of work, and leaves an audit record in it.

mod reader;

use contracts::audit::{Action, Actor, AuditData};
use db::{Db, Row, Value, params};
use eventkit::UnitOfWork;
use jiff::Timestamp;

use crate::entity::{Entity, EntityError};
use crate::listing::{Filter, Listing, Page};

pub use reader::{Reader, Versioned};

/// Names of columns with their values.
pub type Columns = Vec<(&'static str, Value)>;

/// How an entity is stored: its own columns, and those of [`Versioned`], which every such table has.
pub trait Table: Entity {
    /// The table's name.
    const TABLE: &'static str;
    /// The column of its number.
    const ID: &'static str;
    /// A statement up to its conditions that reads all there is, without what was removed.
    const SELECT: &'static str;
    /// Columns that no two may have the same value in, with the field that is to blame.
    const UNIQUE: &'static [(&'static str, &'static str)] = &[];

    /// What a client may write, as columns.
    fn columns(fields: &Self::Fields) -> Columns;

    /// The entity in a row.
    ///
    /// # Errors
    /// [`EntityError::Corrupt`] for what cannot be read.
    fn read(reader: Reader<'_>) -> Result<Self, EntityError>;
}

/// Where a row is read from: a unit of work sees its own changes, the database what is committed.
#[derive(Debug)]
pub enum Source<'a> {
    /// From inside a unit.
    Work(&'a mut UnitOfWork),
    /// What everybody sees.
    Db(&'a Db),
}

impl Source<'_> {
    /// The only row of a query, if there is one.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn query_opt(self, sql: &str, params: &[Value]) -> Result<Option<Row>, EntityError> {
        match self {
            Self::Work(work) => Ok(work.query_opt(sql, params).await?),
            Self::Db(db) => Ok(db.query_opt(sql, params).await?),
        }
    }

    /// All rows of a query.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn query(self, sql: &str, params: &[Value]) -> Result<Vec<Row>, EntityError> {
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

/// The entity of this number.
///
/// # Errors
/// [`EntityError::NotFound`], and those of the database.
pub async fn find<T: Table>(source: impl Into<Source<'_>>, id: i64) -> Result<T, EntityError> {
    let row = source.into().query_opt(&format!("{} where {} = $1", T::SELECT, T::ID), &params![id]).await?;
    row.map_or(Err(EntityError::NotFound { entity: T::NAME, id }), |row| read(&row))
}

/// The entity of this number, which nobody else changes until the unit ends.
///
/// # Errors
/// As [`find`].
pub async fn locked<T: Table>(work: &mut UnitOfWork, id: i64) -> Result<T, EntityError> {
    work.lock_entity(&T::key_of(id)).await?;
    find(work, id).await
}

/// As [`locked`], for what `field` of a request refers to: that it is not there is the request's mistake.
///
/// # Errors
/// [`EntityError::Invalid`] for `field`, and those of the database.
pub async fn referred<T: Table>(work: &mut UnitOfWork, field: &'static str, id: i64) -> Result<T, EntityError> {
    locked(work, id).await.map_err(|error| match error {
        EntityError::NotFound { id, .. } => no_such::<T>(field, id),
        error => error,
    })
}

/// The mistake of a request whose `field` refers to what is not there, or not for whoever asks.
#[must_use]
pub fn no_such<T: Entity>(field: &'static str, id: i64) -> EntityError {
    EntityError::field(field, format!("there is no {} {id}", T::NAME))
}

/// One page of what is there, as far as `filter` lets through.
///
/// # Errors
/// Those of the database, and a cursor of another list.
pub async fn list<T: Table>(db: &Db, listing: &Listing, filter: Filter) -> Result<Page<T>, EntityError> {
    listing.page(db, T::SELECT, T::ID, filter, read).await
}

/// Makes an entity out of its columns.
///
/// # Errors
/// [`EntityError::Taken`], and those of the database.
pub async fn create<T: Table>(work: &mut UnitOfWork, actor: Actor, columns: Columns) -> Result<T, EntityError> {
    let id = insert(work, T::TABLE, T::ID, columns).await.map_err(taken::<T>)?;
    let made: T = find(&mut *work, id).await?;
    audit(work, actor, made.key(), None, Some(made.digest())).await?;
    Ok(made)
}

/// Stores what a client may write of a locked entity; nothing happens where it is the same.
///
/// # Errors
/// As [`write()`].
pub async fn change<T: Table>(
    work: &mut UnitOfWork,
    actor: Actor,
    before: T,
    fields: &T::Fields,
) -> Result<T, EntityError> {
    match before.fields() == fields {
        true => Ok(before),
        false => write(work, actor, &before, T::columns(fields)).await,
    }
}

/// Stores columns of a locked entity as its next version; answers what it then is.
///
/// # Errors
/// [`EntityError::Taken`], and those of the database.
pub async fn write<T: Table>(
    work: &mut UnitOfWork,
    actor: Actor,
    before: &T,
    columns: Columns,
) -> Result<T, EntityError> {
    update(work, T::TABLE, T::ID, before.id(), columns).await.map_err(taken::<T>)?;
    let after: T = find(&mut *work, before.id()).await?;
    audit(work, actor, before.key(), Some(before.digest()), Some(after.digest())).await?;
    Ok(after)
}

/// Removes a locked entity: its row stays and is shown no more.
///
/// # Errors
/// Those of the database.
pub async fn remove<T: Table>(work: &mut UnitOfWork, actor: Actor, before: &T) -> Result<(), EntityError> {
    let now_ms = work.publisher().clock().now_ms();
    let columns = vec![("is_active", false.into()), ("deleted_at", now_ms.into())];
    update(work, T::TABLE, T::ID, before.id(), columns).await?;
    audit(work, actor, before.key(), Some(before.digest()), None).await
}

/// Records who did what to the entity of this key, with digests of what it was and is.
///
/// # Errors
/// Those of the database.
pub async fn audit(
    work: &mut UnitOfWork,
    actor: Actor,
    entity: String,
    before: Option<String>,
    after: Option<String>,
) -> Result<(), EntityError> {
    let action = match (&before, &after) {
        (None, _) => Action::Create,
        (Some(_), Some(_)) => Action::Update,
        (Some(_), None) => Action::Delete,
    };
    work.publish(&AuditData { actor, action, entity, before, after }).await?;
    Ok(())
}

/// Adds a row in its first version; answers its number.
///
/// # Errors
/// Those of the database.
pub async fn insert(work: &mut UnitOfWork, table: &str, id_column: &str, columns: Columns) -> eventkit::Result<i64> {
    Ok(insert_returning(work, table, id_column, columns).await?.get(id_column)?)
}

/// Adds a row in its first version; answers the columns `returned` of it.
///
/// # Errors
/// Those of the database.
pub async fn insert_returning(
    work: &mut UnitOfWork,
    table: &str,
    returned: &str,
    mut columns: Columns,
) -> eventkit::Result<Row> {
    let now_ms = work.publisher().clock().now_ms();
    columns.extend([
        ("is_active", true.into()),
        ("version", 1_i64.into()),
        ("created_at", now_ms.into()),
        ("updated_at", now_ms.into()),
    ]);
    let (names, values): (Vec<&str>, Vec<Value>) = columns.into_iter().unzip();
    let places: Vec<String> = (1..=values.len()).map(|place| format!("${place}")).collect();
    let (names, places) = (names.join(", "), places.join(", "));
    let sql = format!("insert into {table} ({names}) values ({places}) returning {returned}");
    work.query_one(&sql, &values).await
}

/// Changes columns of a row and counts its version up.
///
/// # Errors
/// Those of the database.
pub async fn update(
    work: &mut UnitOfWork,
    table: &str,
    id_column: &str,
    id: i64,
    mut columns: Columns,
) -> eventkit::Result<()> {
    columns.push(("updated_at", work.publisher().clock().now_ms().into()));
    let (names, mut values): (Vec<&str>, Vec<Value>) = columns.into_iter().unzip();
    let assignments: Vec<String> = names.iter().zip(1..).map(|(name, place)| format!("{name} = ${place}")).collect();
    values.push(id.into());
    let (assignments, place) = (assignments.join(", "), values.len());
    let sql = format!("update {table} set {assignments}, version = version + 1 where {id_column} = ${place}");
    work.execute(&sql, &values).await?;
    Ok(())
}

/// A time as it is stored.
#[must_use]
pub fn milliseconds(time: Timestamp) -> i64 {
    time.as_millisecond()
}

/// A date or an amount as the text that is stored.
#[must_use]
pub fn text(value: Option<impl ToString>) -> Value {
    value.map(|value| value.to_string()).into()
}

/// A list of texts as it is stored.
#[must_use]
pub fn texts(list: &[String]) -> Value {
    serde_json::Value::from(list).to_string().into()
}

fn read<T: Table>(row: &Row) -> Result<T, EntityError> {
    T::read(Reader::new(row, T::NAME, T::ID)?)
}

fn taken<T: Table>(error: eventkit::Error) -> EntityError {
    if let eventkit::Error::Database(cause) = &error {
        let violated = T::UNIQUE.iter().find(|(column, _)| cause.violates(T::TABLE, column));
        if let Some((_, field)) = violated {
            return EntityError::Taken { entity: T::NAME, field };
        }
    }
    error.into()
}
