//! The table of departments; head count, leader's name and company are read from the rows that they follow from.

use db::{Row, Value, params};
use eventkit::UnitOfWork;

use super::{Table, count, fold, fold_option, money, read_money, read_record};
use crate::domain::{Department, DepartmentFields};
use crate::error::Error;

/// The company that a row of the table belongs to.
pub(crate) const COMPANY_OF_DEPARTMENT: &str = "(select headquarters.company_id from headquarters
    where headquarters.headquarter_id = departments.headquarter_id)";

impl Table for Department {
    const TABLE: &'static str = "departments";
    const ID: &'static str = "department_id";
    const COLUMNS: &'static [&'static str] = &[
        "headquarter_id",
        "department_type_id",
        "name",
        "name_folded",
        "code",
        "code_folded",
        "description",
        "budget",
        "leader_id",
        "notes",
    ];
    const DERIVED: &'static str = ",
        (select headquarters.company_id from headquarters
            where headquarters.headquarter_id = departments.headquarter_id) as company_id,
        (select count(*) from employees
            where employees.department_id = departments.department_id and employees.works_here) as head_count,
        (select employees.first_name || ' ' || employees.last_name from employees
            where employees.employee_id = departments.leader_id) as leader_name";

    fn values(fields: &DepartmentFields) -> Vec<Value> {
        params![
            fields.headquarter_id,
            fields.department_type_id,
            &fields.name,
            fold(&fields.name),
            fields.code.clone(),
            fold_option(&fields.code),
            fields.description.clone(),
            money(fields.budget),
            fields.leader_id,
            fields.notes.clone(),
        ]
        .to_vec()
    }

    fn read(row: &Row) -> Result<Self, Error> {
        let leader_name: Option<String> = row.get("leader_name")?;
        Ok(Self {
            department_id: row.get(Self::ID)?,
            company_id: row.get("company_id")?,
            head_count: row.get("head_count")?,
            leader_name: leader_name.map(|name| name.trim().to_owned()),
            fields: DepartmentFields {
                headquarter_id: row.get("headquarter_id")?,
                department_type_id: row.get("department_type_id")?,
                name: row.get("name")?,
                code: row.get("code")?,
                description: row.get("description")?,
                budget: read_money::<Self>(row, "budget")?,
                leader_id: row.get("leader_id")?,
                notes: row.get("notes")?,
            },
            record: read_record::<Self>(row)?,
        })
    }
}

/// How many departments a headquarters has.
pub(crate) async fn departments_in(work: &mut UnitOfWork, headquarter_id: i64) -> Result<i64, Error> {
    count(work, Department::TABLE, "headquarter_id = $1 and deleted_at is null", headquarter_id).await
}

/// How many departments are of a type.
pub(crate) async fn departments_of_type(work: &mut UnitOfWork, department_type_id: i64) -> Result<i64, Error> {
    count(work, Department::TABLE, "department_type_id = $1 and deleted_at is null", department_type_id).await
}

/// The numbers of the departments that an employee leads, from the lowest.
pub(crate) async fn departments_led_by(work: &mut UnitOfWork, employee_id: i64) -> Result<Vec<i64>, Error> {
    let sql = "select department_id from departments where leader_id = $1 and deleted_at is null
        order by department_id";
    let rows = work.query(sql, &params![employee_id]).await?;
    Ok(rows.iter().map(|row| row.get("department_id")).collect::<Result<_, _>>()?)
}
