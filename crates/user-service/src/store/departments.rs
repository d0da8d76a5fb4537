//! What company-events have told of departments, and which hired applications have been seen to.

use chassis::EntityError;
use db::params;
use eventkit::UnitOfWork;
use eventkit::projection::Projecting;

/// The projection of departments.
pub(crate) const TABLE: &str = "departments";
pub(crate) const KEY: &[&str] = &["department_id"];

/// A department as it is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Department {
    pub(crate) department_id: i64,
    pub(crate) headquarter_id: i64,
    pub(crate) name: String,
    pub(crate) is_active: bool,
}

/// Keeps a department that was just made. It is the first that is told of one, so what is known already is newer.
pub(crate) async fn add(tables: &mut Projecting<'_>, department: &Department) -> eventkit::Result<()> {
    write(tables, department, "do nothing").await
}

/// Keeps the latest of a department; one that was removed stays so. Events of one department come in order: the clocks of
/// those who tell them are not asked, for they may differ.
pub(crate) async fn put(tables: &mut Projecting<'_>, department: &Department) -> eventkit::Result<()> {
    let update = "do update set headquarter_id = excluded.headquarter_id, name = excluded.name,
            is_active = excluded.is_active
        where known.is_active";
    write(tables, department, update).await
}

async fn write(tables: &mut Projecting<'_>, department: &Department, on_conflict: &str) -> eventkit::Result<()> {
    let sql = format!(
        "insert into {} as known (department_id, headquarter_id, name, is_active) values ($1, $2, $3, $4)
         on conflict (department_id) {on_conflict}",
        tables.table(TABLE)
    );
    let values =
        params![department.department_id, department.headquarter_id, department.name.as_str(), department.is_active];
    tables.execute(&sql, &values).await?;
    Ok(())
}

/// The department of this number, if it has been told of.
pub(crate) async fn find(work: &mut UnitOfWork, department_id: i64) -> Result<Option<Department>, EntityError> {
    let row = work
        .query_opt(
            "select department_id, headquarter_id, name, is_active from departments where department_id = $1",
            &params![department_id],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Department {
        department_id: row.get("department_id")?,
        headquarter_id: row.get("headquarter_id")?,
        name: row.get("name")?,
        is_active: row.get("is_active")?,
    }))
}

/// Whether a department of this headquarters has been told of.
pub(crate) async fn knows_headquarters(work: &mut UnitOfWork, headquarter_id: i64) -> Result<bool, EntityError> {
    let row = work
        .query_opt("select 1 as found from departments where headquarter_id = $1 limit 1", &params![headquarter_id])
        .await?;
    Ok(row.is_some())
}

/// Claims an application that was hired; false where it has been seen to before.
pub(crate) async fn claim_hired(work: &mut UnitOfWork, application_id: i64) -> Result<bool, EntityError> {
    let now_ms = work.publisher().clock().now_ms();
    let inserted = work
        .execute(
            "insert into hired_applications (application_id, employee_id, outcome, handled_at)
             values ($1, $2, $3, $4) on conflict (application_id) do nothing",
            &params![application_id, 0_i64, "begun", now_ms],
        )
        .await?;
    Ok(inserted == 1)
}

/// Records what became of an application that was hired.
pub(crate) async fn record_hired(
    work: &mut UnitOfWork,
    application_id: i64,
    employee_id: i64,
    outcome: &str,
) -> Result<(), EntityError> {
    work.execute(
        "update hired_applications set employee_id = $1, outcome = $2 where application_id = $3",
        &params![employee_id, outcome, application_id],
    )
    .await?;
    Ok(())
}
