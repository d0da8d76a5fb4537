//! What the other services tell of departments and employees, as far as hiring needs it.
//!
//! The events of one key come in order and each has its effect once, but one that became a dead letter comes late, when
//! it is redriven. So a creation changes nothing that is known, and what was removed stays so: the numbers are not used
//! again. Of two changes the one that comes last counts. Events of different keys come in any order: no row here refers
//! to another.

use std::collections::HashMap;

use chassis::EntityError;
use db::{Value, params};
use eventkit::UnitOfWork;
use eventkit::projection::Projecting;

pub(crate) const DEPARTMENTS: &str = "departments";
pub(crate) const EMPLOYEES: &str = "employees";
/// Employees that one statement asks for.
const EMPLOYEES_ASKED_MAX: usize = 500;

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

/// Keeps a department that was just made.
pub(crate) async fn add_department(tables: &mut Projecting<'_>, department: &Department) -> eventkit::Result<()> {
    write_department(tables, department, "do nothing").await
}

/// Keeps what is told of a department, unless it was removed.
pub(crate) async fn put_department(tables: &mut Projecting<'_>, department: &Department) -> eventkit::Result<()> {
    let update = "do update set headquarter_id = excluded.headquarter_id, name = excluded.name,
            is_active = excluded.is_active
        where known.is_active";
    write_department(tables, department, update).await
}

async fn write_department(
    tables: &mut Projecting<'_>,
    department: &Department,
    on_conflict: &str,
) -> eventkit::Result<()> {
    let sql = format!(
        "insert into {} as known (department_id, headquarter_id, name, is_active) values ($1, $2, $3, $4)
         on conflict (department_id) {on_conflict}",
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

/// Keeps an employee who was just taken on.
pub(crate) async fn add_employee(tables: &mut Projecting<'_>, employee: &Employee) -> eventkit::Result<()> {
    // Where only the removal is known the name is not, and can be shown.
    let name = "do update set name = excluded.name where known.name is null";
    write_employee(tables, employee, false, name).await
}

/// Keeps what is told of an employee, unless the record was removed.
pub(crate) async fn put_employee(tables: &mut Projecting<'_>, employee: &Employee) -> eventkit::Result<()> {
    let update = "do update set name = excluded.name, works_here = excluded.works_here and not known.is_removed
        where not known.is_removed or known.name is null";
    write_employee(tables, employee, false, update).await
}

/// Keeps that an employee's record was removed, whether or not one was known. The name stays, to be shown.
pub(crate) async fn remove_employee(tables: &mut Projecting<'_>, employee_id: i64) -> eventkit::Result<()> {
    let employee = Employee { employee_id, name: None, works_here: false };
    let update = "do update set works_here = excluded.works_here, is_removed = excluded.is_removed";
    write_employee(tables, &employee, true, update).await
}

async fn write_employee(
    tables: &mut Projecting<'_>,
    employee: &Employee,
    is_removed: bool,
    on_conflict: &str,
) -> eventkit::Result<()> {
    let sql = format!(
        "insert into {} as known (employee_id, name, works_here, is_removed) values ($1, $2, $3, $4)
         on conflict (employee_id) {on_conflict}",
        tables.table(EMPLOYEES)
    );
    let values = params![employee.employee_id, employee.name.clone(), employee.works_here, is_removed];
    tables.execute(&sql, &values).await?;
    Ok(())
}

/// Those of these employees that are known, by their numbers.
pub(crate) async fn employees(
    work: &mut UnitOfWork,
    employee_ids: &[i64],
) -> Result<HashMap<i64, Employee>, EntityError> {
    let mut employee_ids = employee_ids.to_vec();
    employee_ids.sort_unstable();
    employee_ids.dedup();
    let mut known = HashMap::with_capacity(employee_ids.len());
    for asked in employee_ids.chunks(EMPLOYEES_ASKED_MAX) {
        let places: Vec<String> = (1..=asked.len()).map(|place| format!("${place}")).collect();
        let sql =
            format!("select employee_id, name, works_here from employees where employee_id in ({})", places.join(", "));
        let values: Vec<Value> = asked.iter().copied().map(Value::from).collect();
        for row in work.query(&sql, &values).await? {
            let employee_id = row.get("employee_id")?;
            let employee = Employee { employee_id, name: row.get("name")?, works_here: row.get("works_here")? };
            known.insert(employee_id, employee);
        }
    }
    Ok(known)
}
