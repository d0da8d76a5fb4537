//! Everything in the database: the only place that knows tables. What all entities share is here, the rest in one file
//! for each.

mod companies;
mod departments;
mod employees;
mod headquarters;
mod positions;
mod types;

use chassis::{Filter, Listing, Page};
use db::{Db, Row, Value, params};
use eventkit::UnitOfWork;
use jiff::Timestamp;

use crate::domain::{Entity, Record};
use crate::error::Error;

pub(crate) use departments::{COMPANY_OF_DEPARTMENT, departments_in, departments_led_by, departments_of_type};
pub(crate) use employees::{
    Standing, add_employee, employees_in, employees_on, mark_employee_deleted, put_employee, standing,
};
pub(crate) use headquarters::{headquarters_of, main_of};
pub(crate) use positions::positions_of_type;

/// How an entity is stored: its own columns, and those of [`Record`], which every table has.
pub(crate) trait Table: Entity {
    const TABLE: &'static str;
    /// The column of its number.
    const ID: &'static str;
    /// The columns of its fields, in the order of `values`.
    const COLUMNS: &'static [&'static str];
    /// Expressions with names that are read besides the columns, each after a comma.
    const DERIVED: &'static str = "";
    /// Columns that no two may have the same value in, with the field that is to blame.
    const UNIQUE: &'static [(&'static str, &'static str)] = &[];

    fn values(fields: &Self::Fields) -> Vec<Value>;
    fn read(row: &Row) -> Result<Self, Error>;
}

/// Adds an entity; answers its number.
pub(crate) async fn insert<T: Table>(work: &mut UnitOfWork, fields: &T::Fields) -> Result<i64, Error> {
    let now_ms = work.publisher().clock().now_ms();
    let mut values = T::values(fields);
    values.extend(params![true, 1_i64, now_ms, now_ms]);
    let columns = T::COLUMNS.join(", ");
    let places: Vec<String> = (1..=values.len()).map(|place| format!("${place}")).collect();
    let sql = format!(
        "insert into {} ({columns}, is_active, version, created_at, updated_at) values ({}) returning {}",
        T::TABLE,
        places.join(", "),
        T::ID
    );
    let row = work.query_one(&sql, &values).await.map_err(taken::<T>)?;
    Ok(row.get(T::ID)?)
}

/// Stores new fields as the next version.
pub(crate) async fn update<T: Table>(work: &mut UnitOfWork, id: i64, fields: &T::Fields) -> Result<(), Error> {
    let now_ms = work.publisher().clock().now_ms();
    let mut values = T::values(fields);
    values.extend(params![now_ms, id]);
    let columns = T::COLUMNS.iter().chain(&["updated_at"]).zip(1..);
    let assignments: Vec<String> = columns.map(|(column, place)| format!("{column} = ${place}")).collect();
    let sql = format!(
        "update {} set {}, version = version + 1 where {} = ${}",
        T::TABLE,
        assignments.join(", "),
        T::ID,
        values.len()
    );
    work.execute(&sql, &values).await.map_err(taken::<T>)?;
    Ok(())
}

/// Marks an entity as removed; answers what it then is.
pub(crate) async fn remove<T: Table>(work: &mut UnitOfWork, id: i64) -> Result<T, Error> {
    let now_ms = work.publisher().clock().now_ms();
    let sql = format!(
        "update {} set is_active = $1, deleted_at = $2, updated_at = $3, version = version + 1 where {} = $4",
        T::TABLE,
        T::ID
    );
    work.execute(&sql, &params![false, now_ms, now_ms, id]).await?;
    let row = work.query_one(&format!("{} where {} = $1", select::<T>(), T::ID), &params![id]).await?;
    T::read(&row)
}

/// The entity of this number, seen from inside a unit.
pub(crate) async fn find_in<T: Table>(work: &mut UnitOfWork, id: i64) -> Result<Option<T>, Error> {
    let sql = format!("{} where {} = $1 and deleted_at is null", select::<T>(), T::ID);
    let row = work.query_opt(&sql, &params![id]).await?;
    row.as_ref().map(T::read).transpose()
}

/// The entity of this number.
pub(crate) async fn find<T: Table>(db: &Db, id: i64) -> Result<T, Error> {
    let sql = format!("{} where {} = $1 and deleted_at is null", select::<T>(), T::ID);
    let row = db.query_opt(&sql, &params![id]).await?;
    row.as_ref().map_or(Err(Error::NotFound { entity: T::NAME, id }), T::read)
}

/// One page of what is there, as far as `filter` lets through.
pub(crate) async fn list<T: Table>(db: &Db, listing: &Listing, filter: Filter) -> Result<Page<T>, Error> {
    let filter = filter.condition("deleted_at is null");
    listing.page(db, &select::<T>(), T::ID, filter, T::read).await
}

fn select<T: Table>() -> String {
    let columns = T::COLUMNS.join(", ");
    let derived = T::DERIVED;
    format!("select {}, {columns}, is_active, version, created_at, updated_at{derived} from {}", T::ID, T::TABLE)
}

/// Counts what still needs something, for example the departments of a headquarters.
async fn count(work: &mut UnitOfWork, table: &str, condition: &str, id: i64) -> Result<i64, Error> {
    let sql = format!("select count(*) as found from {table} where {condition}");
    Ok(work.query_one(&sql, &params![id]).await?.get("found")?)
}

fn taken<T: Table>(error: eventkit::Error) -> Error {
    if let eventkit::Error::Database(cause) = &error {
        let violated = T::UNIQUE.iter().find(|(column, _)| cause.violates(T::TABLE, column));
        if let Some((_, field)) = violated {
            return Error::Taken { entity: T::NAME, field };
        }
    }
    error.into()
}

fn read_record<T: Table>(row: &Row) -> Result<Record, Error> {
    let time = |column: &str| -> Result<Timestamp, Error> {
        let time = Timestamp::from_millisecond(row.get(column)?);
        time.map_err(|_| corrupt::<T>(row, "a time is out of range"))
    };
    Ok(Record {
        is_active: row.get("is_active")?,
        version: row.get("version")?,
        created_at: time("created_at")?,
        updated_at: time("updated_at")?,
    })
}

fn read_money<T: Table>(row: &Row, column: &str) -> Result<Option<contracts::Money>, Error> {
    let text: Option<String> = row.get(column)?;
    let amount = text.map(|text| text.parse()).transpose();
    amount.map_err(|_| corrupt::<T>(row, "an amount of money is none"))
}

fn corrupt<T: Table>(row: &Row, reason: &'static str) -> Error {
    Error::Corrupt { entity: T::NAME, id: row.get(T::ID).unwrap_or_default(), reason }
}

/// Text as it is searched and compared.
fn fold(text: &str) -> String {
    text.to_lowercase()
}

fn fold_option(text: &Option<String>) -> Option<String> {
    text.as_deref().map(fold)
}

fn money(amount: Option<contracts::Money>) -> Option<String> {
    amount.map(|amount| amount.to_string())
}
