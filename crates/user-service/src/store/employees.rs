//! The table of employees.

use std::sync::LazyLock;

use chassis::listing::{Filter, Listing, Page};
use chassis::store::{self, Columns, Reader, Source, text};
use chassis::{EntityError, listing};
use contracts::access::Scope;
use db::{Db, Row, Value, params};
use eventkit::UnitOfWork;

use crate::domain::employee::{EMPLOYEE, Gender};
use crate::domain::{Employee, EmployeeFields, Status, fold};

const TABLE: &str = "employees";
const ID: &str = "employee_id";
const COLUMNS: &str = "employee_id, employee_code, first_name, last_name, email, email_folded, phone_number,
    address, birth_date, gender, start_date, confirmation_date, avatar_url, base_salary, department_id, position_id,
    status, notes, is_active, version, created_at, updated_at, sort_name_folded,
    case when password_hash is null then 0 else 1 end as has_password,
    (select name from departments where departments.department_id = employees.department_id) as department_name,
    (select headquarter_id from departments
        where departments.department_id = employees.department_id) as headquarter_id";

static SELECT: LazyLock<String> = LazyLock::new(|| format!("select {COLUMNS} from employees"));

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
    let mut columns = columns(fields, status);
    columns.push(("password_hash", password_hash.into()));
    from_row(&store::insert_returning(work, TABLE, COLUMNS, columns).await.map_err(taken)?)
}

/// Writes what clients may write, and makes a new version of the record.
pub(crate) async fn update(
    work: &mut UnitOfWork,
    employee_id: i64,
    fields: &EmployeeFields,
    status: Status,
) -> Result<Employee, EntityError> {
    store::update(work, TABLE, ID, employee_id, columns(fields, status)).await.map_err(taken)?;
    find(work, employee_id).await
}

fn columns(fields: &EmployeeFields, status: Status) -> Columns {
    vec![
        ("employee_code", fields.employee_code.clone().into()),
        ("employee_code_folded", fields.employee_code.as_deref().map(fold).into()),
        ("first_name", fields.first_name.trim().into()),
        ("last_name", fields.last_name.trim().into()),
        ("full_name_folded", full_name(fields).into()),
        ("sort_name_folded", sort_name(fields).into()),
        ("email", (&fields.email).into()),
        ("email_folded", fold(&fields.email).into()),
        ("phone_number", fields.phone_number.clone().into()),
        ("address", fields.address.clone().into()),
        ("birth_date", text(fields.birth_date)),
        ("gender", fields.gender.map(Gender::as_str).into()),
        ("start_date", text(fields.start_date)),
        ("confirmation_date", text(fields.confirmation_date)),
        ("avatar_url", fields.avatar_url.clone().into()),
        ("base_salary", text(fields.base_salary)),
        ("department_id", fields.department_id.into()),
        ("position_id", fields.position_id.into()),
        ("status", status.as_str().into()),
        ("notes", fields.notes.clone().into()),
    ]
}

/// Sets the password.
pub(crate) async fn set_password(work: &mut UnitOfWork, employee_id: i64, hash: &str) -> Result<(), EntityError> {
    work.execute("update employees set password_hash = $1 where employee_id = $2", &params![hash, employee_id]).await?;
    Ok(())
}

/// Takes the record out of everything but the history.
pub(crate) async fn remove(work: &mut UnitOfWork, employee_id: i64) -> Result<(), EntityError> {
    let now_ms = work.publisher().clock().now_ms();
    let columns = vec![("deleted_at", now_ms.into()), ("is_active", false.into()), ("password_hash", Value::Null)];
    Ok(store::update(work, TABLE, ID, employee_id, columns).await?)
}

/// The employee of this number.
pub(crate) async fn find(source: impl Into<Source<'_>>, employee_id: i64) -> Result<Employee, EntityError> {
    let sql = format!("{} where employee_id = $1 and deleted_at is null", *SELECT);
    let row = source.into().query_opt(&sql, &params![employee_id]).await?;
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
    listing.page(db, &SELECT, "employee_id", filter, from_row).await
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
    let reader = Reader::new(row, EMPLOYEE, ID)?;
    Ok(Employee {
        employee_id: reader.id,
        employee_code: reader.get("employee_code")?,
        first_name: reader.get("first_name")?,
        last_name: reader.get("last_name")?,
        email: reader.get("email")?,
        phone_number: reader.get("phone_number")?,
        address: reader.get("address")?,
        birth_date: reader.date_opt("birth_date")?,
        gender: reader.word_opt("gender")?,
        start_date: reader.date_opt("start_date")?,
        confirmation_date: reader.date_opt("confirmation_date")?,
        avatar_url: reader.get("avatar_url")?,
        base_salary: reader.money_opt("base_salary")?,
        department_id: reader.get("department_id")?,
        position_id: reader.get("position_id")?,
        status: reader.word("status")?,
        notes: reader.get("notes")?,
        is_active: reader.get("is_active")?,
        version: reader.get("version")?,
        created_at: reader.time("created_at")?,
        updated_at: reader.time("updated_at")?,
        has_password: reader.get("has_password")?,
        department_name: reader.get("department_name")?,
        headquarter_id: reader.get("headquarter_id")?,
    })
}
