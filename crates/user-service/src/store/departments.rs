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

/// Remembers what was told of a department at `told_at`, unless something later is known.
pub(crate) async fn remember(
    tables: &mut Projecting<'_>,
    department: &Department,
    told_at_ms: i64,
) -> eventkit::Result<()> {
    let sql = format!(
        "insert into {} as known (department_id, headquarter_id, name, is_active, told_at)
         values ($1, $2, $3, $4, $5)
         on conflict (department_id) do update set headquarter_id = excluded.headquarter_id, name = excluded.name,
             is_active = excluded.is_active, told_at = excluded.told_at
         where known.told_at <= excluded.told_at",
        tables.table(TABLE)
    );
    let values = params![
        department.department_id,
        department.headquarter_id,
        department.name.as_str(),
        department.is_active,
        told_at_ms,
    ];
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
