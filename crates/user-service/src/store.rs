//! Employees in the database: the only file that knows the table.

use db::{Db, Row, params};
use eventkit::UnitOfWork;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::{CreateUser, Employee, Status, fold_email};
use crate::error::Error;

const COLUMNS: &str = "employee_id, employee_code, first_name, last_name, email, phone_number, address, birth_date,
    start_date, status, notes, is_active, version, created_at, updated_at";

/// Adds an employee, who is invited; the number is the database's.
pub(crate) async fn insert(work: &mut UnitOfWork, new: &CreateUser) -> Result<Employee, Error> {
    let now_ms = work.publisher().clock().now_ms();
    let inserted = work
        .query_one(
            &format!(
                "insert into employees (employee_code, first_name, last_name, email, email_folded, phone_number,
                     address, birth_date, start_date, status, notes, is_active, version, created_at, updated_at)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) returning {COLUMNS}"
            ),
            &params![
                new.employee_code.clone(),
                new.first_name.trim(),
                new.last_name.trim(),
                new.email.as_str(),
                fold_email(&new.email),
                new.phone_number.clone(),
                new.address.clone(),
                new.birth_date.map(|date| date.to_string()),
                new.start_date.map(|date| date.to_string()),
                Status::Invited.as_str(),
                new.notes.clone(),
                true,
                1_i64,
                now_ms,
                now_ms,
            ],
        )
        .await;
    match inserted {
        Ok(row) => from_row(&row),
        Err(eventkit::Error::Database(error)) if error.violates("employees", "email_folded") => {
            Err(Error::Taken { field: "email" })
        }
        Err(eventkit::Error::Database(error)) if error.violates("employees", "employee_code") => {
            Err(Error::Taken { field: "employeeCode" })
        }
        Err(error) => Err(error.into()),
    }
}

/// The employee of this number.
pub(crate) async fn find(db: &Db, employee_id: i64) -> Result<Employee, Error> {
    let row =
        db.query_opt(&format!("select {COLUMNS} from employees where employee_id = $1"), &params![employee_id]).await?;
    row.map_or(Err(Error::NotFound { employee_id }), |row| from_row(&row))
}

/// Up to `limit` employees whose number is above `after`, by number.
pub(crate) async fn list(db: &Db, after: i64, limit: i64) -> Result<Vec<Employee>, Error> {
    let rows = db
        .query(
            &format!("select {COLUMNS} from employees where employee_id > $1 order by employee_id limit $2"),
            &params![after, limit],
        )
        .await?;
    rows.iter().map(from_row).collect()
}

fn from_row(row: &Row) -> Result<Employee, Error> {
    let employee_id = row.get("employee_id")?;
    let corrupt = |reason| Error::Corrupt { employee_id, reason };
    let date = |column: &str| -> Result<Option<Date>, Error> {
        let text: Option<String> = row.get(column)?;
        text.map(|text| text.parse().map_err(|_| corrupt("a date is none"))).transpose()
    };
    let time = |column: &str| -> Result<Timestamp, Error> {
        Timestamp::from_millisecond(row.get(column)?).map_err(|_| corrupt("a time is out of range"))
    };
    let status: String = row.get("status")?;
    Ok(Employee {
        employee_id,
        employee_code: row.get("employee_code")?,
        first_name: row.get("first_name")?,
        last_name: row.get("last_name")?,
        email: row.get("email")?,
        phone_number: row.get("phone_number")?,
        address: row.get("address")?,
        birth_date: date("birth_date")?,
        start_date: date("start_date")?,
        status: Status::parse(&status).ok_or_else(|| corrupt("its status is unknown"))?,
        notes: row.get("notes")?,
        is_active: row.get("is_active")?,
        version: row.get("version")?,
        created_at: time("created_at")?,
        updated_at: time("updated_at")?,
    })
}
