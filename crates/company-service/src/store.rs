//! Everything in the database: the only place that knows tables. One file for each; what all of them share is in
//! [`chassis::store`].

mod companies;
mod departments;
pub(crate) mod employees;
mod headquarters;
mod positions;
mod types;

use chassis::store::Versioned;
use db::params;
use eventkit::UnitOfWork;

use crate::domain::Record;
use crate::error::Error;

pub(crate) use departments::{departments_in, departments_led_by, departments_of_type};
pub(crate) use employees::{
    Standing, add_employee, employees_in, employees_on, mark_employee_deleted, put_employee, standing,
};
pub(crate) use headquarters::{headquarters_of, main_of};
pub(crate) use positions::positions_of_type;

impl From<Versioned> for Record {
    fn from(Versioned { is_active, version, created_at, updated_at }: Versioned) -> Self {
        Self { is_active, version, created_at, updated_at }
    }
}

/// Counts what still needs something, for example the departments of a headquarters.
async fn count(work: &mut UnitOfWork, table: &str, condition: &str, id: i64) -> Result<i64, Error> {
    let sql = format!("select count(*) as found from {table} where {condition}");
    Ok(work.query_one(&sql, &params![id]).await?.get("found")?)
}

/// Text as it is searched and compared.
fn fold(text: &str) -> String {
    text.to_lowercase()
}

fn fold_option(text: &Option<String>) -> Option<String> {
    text.as_deref().map(fold)
}
