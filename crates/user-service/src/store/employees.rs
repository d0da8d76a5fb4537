//! The table of employees.

use chassis::listing::{Filter, Listing, Page};
use chassis::{EntityError, listing};
use contracts::access::Scope;
use db::{Db, Row, params};
use eventkit::UnitOfWork;
use jiff::civil::Date;

use crate::domain::employee::{EMPLOYEE, Gender};
use crate::domain::{Employee, EmployeeFields, Status, fold};
use crate::store::time;

const SELECT: &str = "select employee_id, employee_code, first_name, last_name, email, email_folded, phone_number,
    address, birth_date, gender, start_date, confirmation_date, avatar_url, base_salary, department_id, position_id,
    status, notes, is_active, version, created_at, updated_at, sort_name_folded,
    case when password_hash is null then 0 else 1 end as has_password,
    (select name from departments where departments.department_id = employees.department_id) as department_name,
    (select headquarter_id from departments
        where departments.department_id = employees.department_id) as headquarter_id
    from employees";

/// What a list can be sorted by.
pub(crate) const SORT_KEYS: &[listing::SortKey] = &[
    ("employeeId", "employee_id"),
    ("name", "sort_name_folded"),
    ("email", "email_folded"),
    ("createdAt", "created_at"),
];

/// What a list is to hold.
#[derive(Debug, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) status: Option<Status>,
    pub(crate) department_id: Option<i64>,
    pub(crate) position_id: Option<i64>,
    pub(crate) search: Option<&'a str>,
}

/// Adds an employee; the number is the database's.
pub(crate) async fn insert(
    work: &mut UnitOfWork,
    fields: &EmployeeFields,
    status: Status,
    password_hash: Option<&str>,
) -> Result<Employee, EntityError> {
    let now_ms = work.publisher().clock().now_ms();
    let inserted = work
        .query_one(
            "insert into employees (employee_code, first_name, last_name, email, email_folded, phone_number, address,
                 birth_date, gender, start_date, confirmation_date, avatar_url, base_salary, department_id, position_id,
                 status, notes, password_hash, full_name_folded, sort_name_folded, employee_code_folded, is_active,
                 version, created_at, updated_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
                 $22, $23, $24, $25) returning employee_id",
            &params![
                fields.employee_code.clone(),
                fields.first_name.trim(),
                fields.last_name.trim(),
                fields.email.as_str(),
                fold(&fields.email),
                fields.phone_number.clone(),
                fields.address.clone(),
                fields.birth_date.map(|date| date.to_string()),
                fields.gender.map(Gender::as_str),
                fields.start_date.map(|date| date.to_string()),
                fields.confirmation_date.map(|date| date.to_string()),
                fields.avatar_url.clone(),
                fields.base_salary.map(|salary| salary.to_string()),
                fields.department_id,
                fields.position_id,
                status.as_str(),
                fields.notes.clone(),
                password_hash,
                full_name(fields),
                sort_name(fields),
                fields.employee_code.as_deref().map(fold),
                true,
                1_i64,
                now_ms,
                now_ms,
            ],
        )
        .await
        .map_err(taken)?;
    get(work, inserted.get("employee_id")?).await
}

/// Writes what clients may write, and makes a new version of the record.
pub(crate) async fn update(
    work: &mut UnitOfWork,
    employee_id: i64,
    fields: &EmployeeFields,
    status: Status,
) -> Result<Employee, EntityError> {
    let now_ms = work.publisher().clock().now_ms();
    work.execute(
        "update employees set employee_code = $1, first_name = $2, last_name = $3, email = $4, email_folded = $5,
             phone_number = $6, address = $7, birth_date = $8, gender = $9, start_date = $10, confirmation_date = $11,
             avatar_url = $12, base_salary = $13, department_id = $14, position_id = $15, status = $16, notes = $17,
             full_name_folded = $18, sort_name_folded = $19, employee_code_folded = $20, updated_at = $21,
             version = version + 1
         where employee_id = $22 and deleted_at is null",
        &params![
            fields.employee_code.clone(),
            fields.first_name.trim(),
            fields.last_name.trim(),
            fields.email.as_str(),
            fold(&fields.email),
            fields.phone_number.clone(),
            fields.address.clone(),
            fields.birth_date.map(|date| date.to_string()),
            fields.gender.map(Gender::as_str),
            fields.start_date.map(|date| date.to_string()),
            fields.confirmation_date.map(|date| date.to_string()),
            fields.avatar_url.clone(),
            fields.base_salary.map(|salary| salary.to_string()),
            fields.department_id,
            fields.position_id,
            status.as_str(),
            fields.notes.clone(),
            full_name(fields),
            sort_name(fields),
            fields.employee_code.as_deref().map(fold),
            now_ms,
            employee_id,
        ],
    )
    .await
    .map_err(taken)?;
    get(work, employee_id).await
}

/// Sets the password.
pub(crate) async fn set_password(work: &mut UnitOfWork, employee_id: i64, hash: &str) -> Result<(), EntityError> {
    work.execute("update employees set password_hash = $1 where employee_id = $2", &params![hash, employee_id]).await?;
    Ok(())
}

/// Takes the record out of everything but the history.
pub(crate) async fn remove(work: &mut UnitOfWork, employee_id: i64) -> Result<(), EntityError> {
    let now_ms = work.publisher().clock().now_ms();
    work.execute(
        "update employees set deleted_at = $1, updated_at = $2, is_active = $3, password_hash = null,
             version = version + 1 where employee_id = $4",
        &params![now_ms, now_ms, false, employee_id],
    )
    .await?;
    Ok(())
}

/// The employee of this number, seen from inside the unit.
pub(crate) async fn get(work: &mut UnitOfWork, employee_id: i64) -> Result<Employee, EntityError> {
    let sql = format!("{SELECT} where employee_id = $1 and deleted_at is null");
    let row = work.query_opt(&sql, &params![employee_id]).await?;
    row.map_or(Err(EntityError::NotFound { entity: EMPLOYEE, id: employee_id }), |row| from_row(&row))
}

/// The employee of this number.
pub(crate) async fn find(db: &Db, employee_id: i64) -> Result<Employee, EntityError> {
    let sql = format!("{SELECT} where employee_id = $1 and deleted_at is null");
    let row = db.query_opt(&sql, &params![employee_id]).await?;
    row.map_or(Err(EntityError::NotFound { entity: EMPLOYEE, id: employee_id }), |row| from_row(&row))
}

/// The number of whoever has this address.
pub(crate) async fn id_by_email(work: &mut UnitOfWork, email: &str) -> Result<Option<i64>, EntityError> {
    let row = work
        .query_opt(
            "select employee_id from employees where email_folded = $1 and deleted_at is null",
            &params![fold(email)],
        )
        .await?;
    Ok(row.map(|row| row.get("employee_id")).transpose()?)
}

/// What is needed to check a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) employee_id: i64,
    pub(crate) is_active: bool,
    pub(crate) password_hash: Option<String>,
}

/// What is needed to check the password of whoever has this address.
pub(crate) async fn credentials(db: &Db, email: &str) -> Result<Option<Credentials>, EntityError> {
    let row = db
        .query_opt(
            "select employee_id, status, password_hash from employees where email_folded = $1 and deleted_at is null",
            &params![fold(email)],
        )
        .await?;
    row.map(|row| read_credentials(&row)).transpose()
}

/// The same of an employee whose entity is locked.
pub(crate) async fn credentials_of(
    work: &mut UnitOfWork,
    employee_id: i64,
) -> Result<Option<Credentials>, EntityError> {
    let row = work
        .query_opt(
            "select employee_id, status, password_hash from employees where employee_id = $1 and deleted_at is null",
            &params![employee_id],
        )
        .await?;
    row.map(|row| read_credentials(&row)).transpose()
}

fn read_credentials(row: &Row) -> Result<Credentials, EntityError> {
    Ok(Credentials {
        employee_id: row.get("employee_id")?,
        is_active: row.get::<String>("status")? == Status::Active.as_str(),
        password_hash: row.get("password_hash")?,
    })
}

/// One page of the employees that are wanted, and within one of `scopes`.
pub(crate) async fn list(
    db: &Db,
    listing: &Listing,
    wanted: &Wanted<'_>,
    scopes: &[Scope],
) -> Result<Page<Employee>, EntityError> {
    let searched = ["full_name_folded", "sort_name_folded", "email_folded", "employee_code_folded"];
    let mut filter = Filter::default()
        .condition("deleted_at is null")
        .equals("status", wanted.status.map(Status::as_str))
        .equals("department_id", wanted.department_id)
        .equals("position_id", wanted.position_id)
        .contains("q", &searched, wanted.search)?;
    if let Some(condition) = within(scopes) {
        filter = filter.condition(&condition);
    }
    listing.page(db, SELECT, "employee_id", filter, from_row).await
}

/// The condition that keeps a list within the scopes; none where one of them is everything. The numbers are ours.
fn within(scopes: &[Scope]) -> Option<String> {
    let mut conditions = Vec::new();
    for scope in scopes {
        conditions.push(match scope {
            Scope::All => return None,
            Scope::Department { department_id } => format!("department_id = {department_id}"),
            Scope::Headquarters { headquarter_id } => {
                format!(
                    "department_id in (select department_id from departments where headquarter_id = {headquarter_id})"
                )
            }
        });
    }
    match conditions.is_empty() {
        true => Some("1 = 0".to_owned()),
        false => Some(format!("({})", conditions.join(" or "))),
    }
}

fn full_name(fields: &EmployeeFields) -> String {
    format!("{} {}", fold(&fields.first_name), fold(&fields.last_name))
}

fn sort_name(fields: &EmployeeFields) -> String {
    format!("{} {}", fold(&fields.last_name), fold(&fields.first_name))
}

fn taken(error: eventkit::Error) -> EntityError {
    let violates = |column| matches!(&error, eventkit::Error::Database(error) if error.violates("employees", column));
    if violates("email_folded") {
        return EntityError::Taken { entity: EMPLOYEE, field: "email" };
    }
    if violates("employee_code") {
        return EntityError::Taken { entity: EMPLOYEE, field: "employeeCode" };
    }
    error.into()
}

fn from_row(row: &Row) -> Result<Employee, EntityError> {
    let employee_id = row.get("employee_id")?;
    let corrupt = |reason| EntityError::Corrupt { entity: EMPLOYEE, id: employee_id, reason };
    let date = |column: &str| -> Result<Option<Date>, EntityError> {
        let text: Option<String> = row.get(column)?;
        text.map(|text| text.parse().map_err(|_| corrupt("a date is none"))).transpose()
    };
    let status: String = row.get("status")?;
    let gender: Option<String> = row.get("gender")?;
    let salary: Option<String> = row.get("base_salary")?;
    Ok(Employee {
        employee_id,
        employee_code: row.get("employee_code")?,
        first_name: row.get("first_name")?,
        last_name: row.get("last_name")?,
        email: row.get("email")?,
        phone_number: row.get("phone_number")?,
        address: row.get("address")?,
        birth_date: date("birth_date")?,
        gender: gender.map(|text| Gender::parse(&text).ok_or_else(|| corrupt("its gender is unknown"))).transpose()?,
        start_date: date("start_date")?,
        confirmation_date: date("confirmation_date")?,
        avatar_url: row.get("avatar_url")?,
        base_salary: salary.map(|text| text.parse().map_err(|_| corrupt("its salary is none"))).transpose()?,
        department_id: row.get("department_id")?,
        position_id: row.get("position_id")?,
        status: Status::parse(&status).ok_or_else(|| corrupt("its status is unknown"))?,
        notes: row.get("notes")?,
        is_active: row.get("is_active")?,
        version: row.get("version")?,
        created_at: time(row, "created_at", EMPLOYEE, employee_id)?,
        updated_at: time(row, "updated_at", EMPLOYEE, employee_id)?,
        has_password: row.get("has_password")?,
        department_name: row.get("department_name")?,
        headquarter_id: row.get("headquarter_id")?,
    })
}
