//! The projection of employees. A row says where an employee is now, never how many came or went, so that it is right
//! however the events of different employees are interleaved or repeated.

use db::params;
use eventkit::UnitOfWork;
use eventkit::projection::Projecting;

use super::count;
use crate::domain::Employee;
use crate::error::Error;

/// The projection's table.
pub(crate) const TABLE: &str = "employees";
/// Its key.
pub(crate) const KEY: &[&str] = &["employee_id"];

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
pub(crate) async fn add_employee(tables: &mut Projecting<'_>, employee: &Employee) -> eventkit::Result<()> {
    write(tables, employee, "do nothing").await
}

/// Keeps the latest of an employee; a deleted one stays deleted.
pub(crate) async fn put_employee(tables: &mut Projecting<'_>, employee: &Employee) -> eventkit::Result<()> {
    let update = "do update set first_name = excluded.first_name, last_name = excluded.last_name,
            department_id = excluded.department_id, position_id = excluded.position_id, works_here = excluded.works_here
        where not known.is_deleted";
    write(tables, employee, update).await
}

async fn write(tables: &mut Projecting<'_>, employee: &Employee, on_conflict: &str) -> eventkit::Result<()> {
    let sql = format!(
        "insert into {} as known
             (employee_id, first_name, last_name, department_id, position_id, works_here, is_deleted)
         values ($1, $2, $3, $4, $5, $6, $7) on conflict (employee_id) {on_conflict}",
        tables.table(TABLE)
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
    tables.execute(&sql, &values).await?;
    Ok(())
}

/// Keeps that an employee was deleted, whether or not one was known.
pub(crate) async fn mark_employee_deleted(tables: &mut Projecting<'_>, employee_id: i64) -> eventkit::Result<()> {
    let sql = format!(
        "insert into {} (employee_id, first_name, last_name, works_here, is_deleted) values ($1, $2, $3, $4, $5)
         on conflict (employee_id) do update set works_here = excluded.works_here, is_deleted = excluded.is_deleted",
        tables.table(TABLE)
    );
    tables.execute(&sql, &params![employee_id, "", "", false, true]).await?;
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
