//! The table of departments; head count, leader's name and company are read from the rows that they follow from.

use chassis::EntityError;
use chassis::store::{Columns, Reader, Table, text};
use db::params;
use eventkit::UnitOfWork;

use super::{count, fold, fold_option};
use crate::domain::{Department, DepartmentFields};
use crate::error::Error;

impl Table for Department {
    const TABLE: &'static str = "departments";
    const ID: &'static str = "department_id";
    const SELECT: &'static str = "select * from (select departments.*,
        (select headquarters.company_id from headquarters
            where headquarters.headquarter_id = departments.headquarter_id) as company_id,
        (select count(*) from employees
            where employees.department_id = departments.department_id and employees.works_here) as head_count,
        (select employees.first_name || ' ' || employees.last_name from employees
            where employees.employee_id = departments.leader_id) as leader_name
        from departments where deleted_at is null) as departments";

    fn columns(fields: &DepartmentFields) -> Columns {
        vec![
            ("headquarter_id", fields.headquarter_id.into()),
            ("department_type_id", fields.department_type_id.into()),
            ("name", (&fields.name).into()),
            ("name_folded", fold(&fields.name).into()),
            ("code", fields.code.clone().into()),
            ("code_folded", fold_option(&fields.code).into()),
            ("description", fields.description.clone().into()),
            ("budget", text(fields.budget)),
            ("leader_id", fields.leader_id.into()),
            ("notes", fields.notes.clone().into()),
        ]
    }

    fn read(reader: Reader<'_>) -> Result<Self, EntityError> {
        let leader_name: Option<String> = reader.get("leader_name")?;
        Ok(Self {
            department_id: reader.id,
            company_id: reader.get("company_id")?,
            head_count: reader.get("head_count")?,
            leader_name: leader_name.map(|name| name.trim().to_owned()),
            fields: DepartmentFields {
                headquarter_id: reader.get("headquarter_id")?,
                department_type_id: reader.get("department_type_id")?,
                name: reader.get("name")?,
                code: reader.get("code")?,
                description: reader.get("description")?,
                budget: reader.money_opt("budget")?,
                leader_id: reader.get("leader_id")?,
                notes: reader.get("notes")?,
            },
            record: reader.record()?,
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
