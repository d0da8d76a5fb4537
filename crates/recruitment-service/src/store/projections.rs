//! What the other services tell of departments and employees, as far as hiring needs it.
//!
//! The events of one key come in order and each has its effect once, so the last one is the truth. Events of different
//! keys come in any order: no row here refers to another.

use chassis::EntityError;
use db::params;
use eventkit::UnitOfWork;
use eventkit::projection::Projecting;

pub(crate) const DEPARTMENTS: &str = "departments";
pub(crate) const EMPLOYEES: &str = "employees";

/// A department, as its last event tells of it.
#[derive(Debug)]
pub(crate) struct Department {
    pub(crate) department_id: i64,
    pub(crate) headquarter_id: i64,
    pub(crate) name: String,
    pub(crate) is_active: bool,
}

/// An employee, as the last event tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Employee {
    pub(crate) employee_id: i64,
    /// Absent where only the removal is known.
    pub(crate) name: Option<String>,
    pub(crate) works_here: bool,
}

pub(crate) async fn put_department(tables: &mut Projecting<'_>, department: &Department) -> eventkit::Result<()> {
    let sql = format!(
        "insert into {} (department_id, headquarter_id, name, is_active) values ($1, $2, $3, $4)
         on conflict (department_id) do update set headquarter_id = excluded.headquarter_id, name = excluded.name,
             is_active = excluded.is_active",
        tables.table(DEPARTMENTS)
    );
    let Department { department_id, headquarter_id, name, is_active } = department;
    tables.execute(&sql, &params![*department_id, *headquarter_id, name, *is_active]).await?;
    Ok(())
}

pub(crate) async fn department(work: &mut UnitOfWork, department_id: i64) -> Result<Option<Department>, EntityError> {
    let sql = "select department_id, headquarter_id, name, is_active from departments where department_id = $1";
    let Some(row) = work.query_opt(sql, &params![department_id]).await? else { return Ok(None) };
    Ok(Some(Department {
        department_id: row.get("department_id")?,
        headquarter_id: row.get("headquarter_id")?,
        name: row.get("name")?,
        is_active: row.get("is_active")?,
    }))
}

pub(crate) async fn put_employee(tables: &mut Projecting<'_>, employee: &Employee) -> eventkit::Result<()> {
    // Of somebody who was removed the name stays, so that it can still be shown.
    let sql = format!(
        "insert into {} as known (employee_id, name, works_here) values ($1, $2, $3)
         on conflict (employee_id) do update set name = coalesce(excluded.name, known.name),
             works_here = excluded.works_here",
        tables.table(EMPLOYEES)
    );
    tables.execute(&sql, &params![employee.employee_id, employee.name.clone(), employee.works_here]).await?;
    Ok(())
}

pub(crate) async fn employee(work: &mut UnitOfWork, employee_id: i64) -> Result<Option<Employee>, EntityError> {
    let sql = "select employee_id, name, works_here from employees where employee_id = $1";
    let Some(row) = work.query_opt(sql, &params![employee_id]).await? else { return Ok(None) };
    Ok(Some(Employee {
        employee_id: row.get("employee_id")?,
        name: row.get("name")?,
        works_here: row.get("works_here")?,
    }))
}
