//! Who can be told something: employees, candidates and departments, kept from the events of the three services.
//!
//! The only place that knows these tables.

use contracts::company::{DepartmentCreated, DepartmentUpdated};
use contracts::recruitment::{Applicant, ApplicationReviewed, ApplicationSubmitted};
use contracts::services::{COMPANY_SERVICE, RECRUITMENT_SERVICE, USER_SERVICE};
use contracts::user::{EmployeeStatus, UserCreated, UserDeleted, UserUpdated};
use db::{Db, Row, params};
use eventkit::projection::{Project, Projecting, Projection, Told};
use eventkit::{Envelope, HandlerResult, RecipientType};

const EMPLOYEES: &str = "employees";
const CANDIDATES: &str = "candidates";
const DEPARTMENTS: &str = "departments";

/// The directory as it follows from events.
pub(crate) fn projection() -> Projection {
    Projection::new("directory")
        .table(EMPLOYEES, &["employee_id"])
        .table(CANDIDATES, &["candidate_id"])
        .table(DEPARTMENTS, &["department_id"])
        .made_from::<UserCreated>(USER_SERVICE, Keeper)
        .made_from::<UserUpdated>(USER_SERVICE, Keeper)
        .made_from::<UserDeleted>(USER_SERVICE, Keeper)
        .made_from::<DepartmentCreated>(COMPANY_SERVICE, Keeper)
        .made_from::<DepartmentUpdated>(COMPANY_SERVICE, Keeper)
        .made_from::<ApplicationSubmitted>(RECRUITMENT_SERVICE, Keeper)
        .made_from::<ApplicationReviewed>(RECRUITMENT_SERVICE, Keeper)
}

/// What the directory says of a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lookup<T> {
    /// This is it.
    Known(T),
    /// It was there once, and is to be left in peace.
    Gone,
    /// No event has told of it yet.
    Unknown,
}

/// Somebody who can be told something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) email: String,
    pub(crate) phone_number: Option<String>,
    pub(crate) department_id: Option<i64>,
}

/// A department, as far as the container must know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Department {
    pub(crate) headquarter_id: i64,
    pub(crate) name: String,
    pub(crate) leader_id: Option<i64>,
}

/// Answers who is who.
#[derive(Debug, Clone)]
pub(crate) struct Directory(Db);

impl Directory {
    pub(crate) fn new(db: Db) -> Self {
        Self(db)
    }

    /// Whoever has this number.
    pub(crate) async fn person(&self, kind: RecipientType, id: i64) -> Result<Lookup<Person>, db::Error> {
        let sql = match kind {
            RecipientType::Employee => {
                "select first_name, last_name, email, phone_number, department_id, has_left
                 from employees where employee_id = $1"
            }
            RecipientType::Candidate => {
                "select first_name, last_name, email, phone_number, null as department_id, false as has_left
                 from candidates where candidate_id = $1"
            }
        };
        let Some(row) = self.0.query_opt(sql, &params![id]).await? else { return Ok(Lookup::Unknown) };
        if row.get("has_left")? {
            return Ok(Lookup::Gone);
        }
        Ok(Lookup::Known(Person {
            first_name: row.get("first_name")?,
            last_name: row.get("last_name")?,
            email: row.get("email")?,
            phone_number: row.get("phone_number")?,
            department_id: row.get("department_id")?,
        }))
    }

    /// The department of this number.
    pub(crate) async fn department(&self, id: i64) -> Result<Lookup<Department>, db::Error> {
        let row = self
            .0
            .query_opt(
                "select headquarter_id, name, leader_id, is_active from departments where department_id = $1",
                &params![id],
            )
            .await?;
        row.map_or(Ok(Lookup::Unknown), |row| read_department(&row))
    }
}

fn read_department(row: &Row) -> Result<Lookup<Department>, db::Error> {
    if !row.get::<bool>("is_active")? {
        return Ok(Lookup::Gone);
    }
    Ok(Lookup::Known(Department {
        headquarter_id: row.get("headquarter_id")?,
        name: row.get("name")?,
        leader_id: row.get("leader_id")?,
    }))
}

/// Keeps the directory.
///
/// Events of one employee or one department come in order. A candidate has a key for each application: there the time
/// decides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keeper;

impl Project<UserCreated> for Keeper {
    async fn project(&self, told: Told<'_, UserCreated>, tables: &mut Projecting<'_>) -> HandlerResult {
        let user = told.event;
        let person = Person {
            first_name: user.first_name.clone(),
            last_name: user.last_name.clone(),
            email: user.email.clone(),
            phone_number: user.phone_number.clone(),
            department_id: user.department_id,
        };
        keep_employee(tables, user.employee_id, &person, user.status).await
    }
}

impl Project<UserUpdated> for Keeper {
    async fn project(&self, told: Told<'_, UserUpdated>, tables: &mut Projecting<'_>) -> HandlerResult {
        let user = told.event;
        let person = Person {
            first_name: user.first_name.clone(),
            last_name: user.last_name.clone(),
            email: user.email.clone(),
            phone_number: user.phone_number.clone(),
            department_id: user.department_id,
        };
        keep_employee(tables, user.employee_id, &person, user.status).await
    }
}

impl Project<UserDeleted> for Keeper {
    async fn project(&self, told: Told<'_, UserDeleted>, tables: &mut Projecting<'_>) -> HandlerResult {
        // Nothing personal is kept of somebody whose record was removed.
        let sql = format!(
            "insert into {} (employee_id, first_name, last_name, email, has_left) values ($1, '', '', '', true)
             on conflict (employee_id) do update set
                 first_name = '', last_name = '', email = '', phone_number = null, department_id = null,
                 has_left = true",
            tables.table(EMPLOYEES)
        );
        tables.execute(&sql, &params![told.event.employee_id]).await?;
        Ok(())
    }
}

impl Project<DepartmentCreated> for Keeper {
    async fn project(&self, told: Told<'_, DepartmentCreated>, tables: &mut Projecting<'_>) -> HandlerResult {
        let DepartmentCreated { department_id, headquarter_id, name, leader_id, .. } = told.event;
        let department = Department { headquarter_id: *headquarter_id, name: name.clone(), leader_id: *leader_id };
        keep_department(tables, *department_id, &department, true).await
    }
}

impl Project<DepartmentUpdated> for Keeper {
    async fn project(&self, told: Told<'_, DepartmentUpdated>, tables: &mut Projecting<'_>) -> HandlerResult {
        let DepartmentUpdated { department_id, headquarter_id, name, leader_id, is_active, .. } = told.event;
        let department = Department { headquarter_id: *headquarter_id, name: name.clone(), leader_id: *leader_id };
        keep_department(tables, *department_id, &department, *is_active).await
    }
}

impl Project<ApplicationSubmitted> for Keeper {
    async fn project(&self, told: Told<'_, ApplicationSubmitted>, tables: &mut Projecting<'_>) -> HandlerResult {
        keep_candidate(tables, &told.event.candidate, told_at_ms(told.envelope)).await
    }
}

impl Project<ApplicationReviewed> for Keeper {
    async fn project(&self, told: Told<'_, ApplicationReviewed>, tables: &mut Projecting<'_>) -> HandlerResult {
        keep_candidate(tables, &told.event.candidate, told_at_ms(told.envelope)).await
    }
}

fn told_at_ms(envelope: &Envelope) -> i64 {
    envelope.timestamp.map_or(0, |time| time.as_millisecond())
}

async fn keep_employee(tables: &mut Projecting<'_>, id: i64, person: &Person, status: EmployeeStatus) -> HandlerResult {
    let sql = format!(
        "insert into {}
             (employee_id, first_name, last_name, email, phone_number, department_id, has_left)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (employee_id) do update set
             first_name = excluded.first_name, last_name = excluded.last_name, email = excluded.email,
             phone_number = excluded.phone_number, department_id = excluded.department_id,
             has_left = excluded.has_left",
        tables.table(EMPLOYEES)
    );
    let values = params![
        id,
        &person.first_name,
        &person.last_name,
        &person.email,
        person.phone_number.clone(),
        person.department_id,
        status == EmployeeStatus::Left
    ];
    tables.execute(&sql, &values).await?;
    Ok(())
}

async fn keep_candidate(tables: &mut Projecting<'_>, candidate: &Applicant, as_of_ms: i64) -> HandlerResult {
    let sql = format!(
        "insert into {} as known (candidate_id, first_name, last_name, email, phone_number, as_of)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (candidate_id) do update set
             first_name = excluded.first_name, last_name = excluded.last_name, email = excluded.email,
             phone_number = excluded.phone_number, as_of = excluded.as_of
         where known.as_of <= excluded.as_of",
        tables.table(CANDIDATES)
    );
    let values = params![
        candidate.candidate_id,
        &candidate.first_name,
        &candidate.last_name,
        &candidate.email,
        candidate.phone_number.clone(),
        as_of_ms
    ];
    tables.execute(&sql, &values).await?;
    Ok(())
}

async fn keep_department(
    tables: &mut Projecting<'_>,
    id: i64,
    department: &Department,
    is_active: bool,
) -> HandlerResult {
    let sql = format!(
        "insert into {} (department_id, headquarter_id, name, leader_id, is_active)
         values ($1, $2, $3, $4, $5)
         on conflict (department_id) do update set
             headquarter_id = excluded.headquarter_id, name = excluded.name, leader_id = excluded.leader_id,
             is_active = excluded.is_active",
        tables.table(DEPARTMENTS)
    );
    let values = params![id, department.headquarter_id, &department.name, department.leader_id, is_active];
    tables.execute(&sql, &values).await?;
    Ok(())
}
