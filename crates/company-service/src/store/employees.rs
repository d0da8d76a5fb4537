//! The projection of employees. A row says where an employee is now, never how many came or went, so that it is right
//! however the events of different employees are interleaved or repeated.

use db::params;
use eventkit::UnitOfWork;

use super::count;
use crate::domain::Employee;
use crate::error::Error;

const TABLE: &str = "employees";

/// Whether somebody can be referred to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// No event has told of the employee yet.
    Unknown,
    WorksHere,
    /// Has left, or was deleted.
    Gone,
}

/// Keeps an employee who was just created. It is the first that is told of one, so what is known already is newer.
pub(crate) async fn add_employee(work: &mut UnitOfWork, employee: &Employee) -> Result<(), Error> {
    write(work, employee, "do nothing").await
}

/// Keeps the latest of an employee; a deleted one stays deleted.
pub(crate) async fn put_employee(work: &mut UnitOfWork, employee: &Employee) -> Result<(), Error> {
    let update = "do update set first_name = excluded.first_name, last_name = excluded.last_name,
            department_id = excluded.department_id, position_id = excluded.position_id, works_here = excluded.works_here
        where not employees.is_deleted";
    write(work, employee, update).await
}

async fn write(work: &mut UnitOfWork, employee: &Employee, on_conflict: &str) -> Result<(), Error> {
    let sql = format!(
        "insert into employees (employee_id, first_name, last_name, department_id, position_id, works_here, is_deleted)
         values ($1, $2, $3, $4, $5, $6, $7) on conflict (employee_id) {on_conflict}"
    );
    let values = params![
        employee.employee_id,
        &employee.first_name,
        &employee.last_name,
        employee.department_id,
        employee.position_id,
        employee.works_here,
        false,
    ];
    work.execute(&sql, &values).await?;
    Ok(())
}

/// Keeps that an employee was deleted, whether or not one was known.
pub(crate) async fn mark_employee_deleted(work: &mut UnitOfWork, employee_id: i64) -> Result<(), Error> {
    let sql = "insert into employees (employee_id, first_name, last_name, works_here, is_deleted)
        values ($1, $2, $3, $4, $5)
        on conflict (employee_id) do update set works_here = excluded.works_here, is_deleted = excluded.is_deleted";
    work.execute(sql, &params![employee_id, "", "", false, true]).await?;
    Ok(())
}

/// Whether the employee can be referred to.
pub(crate) async fn standing(work: &mut UnitOfWork, employee_id: i64) -> Result<Standing, Error> {
    let row = work.query_opt("select works_here from employees where employee_id = $1", &params![employee_id]).await?;
    let works_here: Option<bool> = row.map(|row| row.get("works_here")).transpose()?;
    Ok(match works_here {
        None => Standing::Unknown,
        Some(true) => Standing::WorksHere,
        Some(false) => Standing::Gone,
    })
}

/// How many work in a department.
pub(crate) async fn employees_in(work: &mut UnitOfWork, department_id: i64) -> Result<i64, Error> {
    count(work, TABLE, "department_id = $1 and works_here", department_id).await
}

/// How many hold a position.
pub(crate) async fn employees_on(work: &mut UnitOfWork, position_id: i64) -> Result<i64, Error> {
    count(work, TABLE, "position_id = $1 and works_here", position_id).await
}
