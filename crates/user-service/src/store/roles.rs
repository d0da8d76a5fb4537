//! Roles and who has them.

use chassis::EntityError;
use chassis::listing::{Filter, Listing, Page, SortKey};
use chassis::store::{Reader, Source};
use contracts::access::{Grant, Permission};
use db::{Db, Row, params};
use eventkit::UnitOfWork;

use crate::domain::role::{ADMIN, ROLE, RoleScope};
use crate::domain::{Assignment, Role, Status, fold};

const SELECT: &str = "select role_id, name, name_folded, description, permissions, is_built_in, is_edited, version,
    created_at, updated_at from roles";

/// What a list can be sorted by.
pub(crate) const SORT_KEYS: &[SortKey] = &[("roleId", "role_id"), ("name", "name_folded")];

/// A role as it is to be stored.
#[derive(Debug)]
pub(crate) struct Definition<'a> {
    pub(crate) name: &'a str,
    pub(crate) description: Option<&'a str>,
    pub(crate) permissions: &'a [Permission],
}

impl Definition<'_> {
    fn permissions_json(&self) -> String {
        serde_json::to_string(self.permissions).expect("a list of texts is always JSON")
    }
}

/// Adds a role.
pub(crate) async fn insert(
    work: &mut UnitOfWork,
    role: &Definition<'_>,
    is_built_in: bool,
) -> Result<Role, EntityError> {
    let now_ms = work.publisher().clock().now_ms();
    let row = work
        .query_one(
            "insert into roles (name, name_folded, description, permissions, is_built_in, is_edited, version,
                 created_at, updated_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning role_id",
            &params![
                role.name.trim(),
                fold(role.name),
                role.description,
                role.permissions_json(),
                is_built_in,
                false,
                1_i64,
                now_ms,
                now_ms,
            ],
        )
        .await
        .map_err(taken)?;
    find(work, row.get("role_id")?).await
}

/// Writes a role's definition, and makes a new version of it.
pub(crate) async fn update(
    work: &mut UnitOfWork,
    role_id: i64,
    role: &Definition<'_>,
    is_edited: bool,
) -> Result<Role, EntityError> {
    let now_ms = work.publisher().clock().now_ms();
    work.execute(
        "update roles set name = $1, name_folded = $2, description = $3, permissions = $4, is_edited = $5,
             updated_at = $6, version = version + 1 where role_id = $7",
        &params![
            role.name.trim(),
            fold(role.name),
            role.description,
            role.permissions_json(),
            is_edited,
            now_ms,
            role_id,
        ],
    )
    .await
    .map_err(taken)?;
    find(work, role_id).await
}

/// Takes a role away for good.
pub(crate) async fn remove(work: &mut UnitOfWork, role_id: i64) -> Result<(), EntityError> {
    let now_ms = work.publisher().clock().now_ms();
    work.execute(
        "update roles set deleted_at = $1, version = version + 1 where role_id = $2",
        &params![now_ms, role_id],
    )
    .await?;
    Ok(())
}

/// The role of this number.
pub(crate) async fn find(source: impl Into<Source<'_>>, role_id: i64) -> Result<Role, EntityError> {
    let sql = format!("{SELECT} where role_id = $1 and deleted_at is null");
    let row = source.into().query_opt(&sql, &params![role_id]).await?;
    row.map_or(Err(EntityError::NotFound { entity: ROLE, id: role_id }), |row| from_row(&row))
}

/// The role of this name, and whether somebody has edited it.
pub(crate) async fn by_name(work: &mut UnitOfWork, name: &str) -> Result<Option<(Role, bool)>, EntityError> {
    let sql = format!("{SELECT} where name_folded = $1 and deleted_at is null");
    let Some(row) = work.query_opt(&sql, &params![fold(name)]).await? else { return Ok(None) };
    Ok(Some((from_row(&row)?, row.get("is_edited")?)))
}

/// One page of the roles that are wanted.
pub(crate) async fn list(db: &Db, listing: &Listing, search: Option<&str>) -> Result<Page<Role>, EntityError> {
    let filter = Filter::default().condition("deleted_at is null").contains("q", &["name_folded"], search)?;
    listing.page(db, SELECT, "role_id", filter, from_row).await
}

/// How many employees have a role.
pub(crate) async fn holders(work: &mut UnitOfWork, role_id: i64) -> Result<i64, EntityError> {
    let row = work
        .query_one(
            "select count(distinct employee_id) as holders from employee_roles where role_id = $1",
            &params![role_id],
        )
        .await?;
    Ok(row.get("holders")?)
}

const ASSIGNED: &str = "select roles.name, roles.permissions, employee_roles.scope, employee_roles.scope_id
    from employee_roles join roles on roles.role_id = employee_roles.role_id and roles.deleted_at is null
    where employee_roles.employee_id = $1
    order by roles.name_folded, employee_roles.scope, employee_roles.scope_id";

/// The roles of an employee, seen from inside the unit.
pub(crate) async fn assigned_to(work: &mut UnitOfWork, employee_id: i64) -> Result<Vec<Assignment>, EntityError> {
    let rows = work.query(ASSIGNED, &params![employee_id]).await?;
    rows.iter().map(|row| read_assignment(row, employee_id)).collect()
}

/// What the roles of an employee let do, seen from inside the unit.
pub(crate) async fn grants_of(work: &mut UnitOfWork, employee_id: i64) -> Result<Vec<Grant>, EntityError> {
    let mut grants = Vec::new();
    for row in work.query(ASSIGNED, &params![employee_id]).await? {
        let scope = read_assignment(&row, employee_id)?.scope.into();
        let permissions = read_permissions(&row.get::<String>("permissions")?, employee_id)?;
        grants.extend(permissions.into_iter().map(|permission| Grant { permission, scope }));
    }
    Ok(grants)
}

/// The roles of an employee, with their version.
pub(crate) async fn find_assigned(db: &Db, employee_id: i64) -> Result<(Vec<Assignment>, i64), EntityError> {
    let version = "select roles_version from employees where employee_id = $1";
    let version = db.query_opt(version, &params![employee_id]).await?.map_or(Ok(0), |row| row.get("roles_version"))?;
    let rows = db.query(ASSIGNED, &params![employee_id]).await?;
    let assigned = rows.iter().map(|row| read_assignment(row, employee_id)).collect::<Result<_, _>>()?;
    Ok((assigned, version))
}

/// The version of an employee's roles, seen from inside the unit.
pub(crate) async fn assigned_version(work: &mut UnitOfWork, employee_id: i64) -> Result<i64, EntityError> {
    let row =
        work.query_one("select roles_version from employees where employee_id = $1", &params![employee_id]).await?;
    Ok(row.get("roles_version")?)
}

/// Gives an employee who is new the role of this name, if there is one.
pub(crate) async fn assign_first(work: &mut UnitOfWork, employee_id: i64, name: &str) -> Result<(), EntityError> {
    work.execute_later(
        "insert into employee_roles (employee_id, role_id, scope, scope_id)
         select cast($1 as bigint), role_id, 'all', 0 from roles where name_folded = $2 and deleted_at is null",
        params![employee_id, fold(name)],
    )
    .await?;
    Ok(())
}

/// Gives an employee these roles and no others.
pub(crate) async fn assign(
    work: &mut UnitOfWork,
    employee_id: i64,
    roles: &[(i64, RoleScope)],
) -> Result<i64, EntityError> {
    work.execute("delete from employee_roles where employee_id = $1", &params![employee_id]).await?;
    for (role_id, scope) in roles {
        let (word, scope_id) = scope.parts();
        work.execute(
            "insert into employee_roles (employee_id, role_id, scope, scope_id) values ($1, $2, $3, $4)
             on conflict (employee_id, role_id, scope, scope_id) do nothing",
            &params![employee_id, *role_id, word, scope_id],
        )
        .await?;
    }
    let row = work
        .query_one(
            "update employees set roles_version = roles_version + 1 where employee_id = $1 returning roles_version",
            &params![employee_id],
        )
        .await?;
    Ok(row.get("roles_version")?)
}

const ADMINS: &str = "select employees.employee_id from employee_roles
    join roles on roles.role_id = employee_roles.role_id
    join employees on employees.employee_id = employee_roles.employee_id
    where roles.name_folded = $1 and roles.is_built_in and employee_roles.scope = 'all'
        and employees.status = $2 and employees.deleted_at is null and employees.employee_id <> $3 limit 1";

/// Whether anybody but this employee runs the installation, seen from inside the unit.
pub(crate) async fn has_other_admin(work: &mut UnitOfWork, employee_id: i64) -> Result<bool, EntityError> {
    let found = work.query_opt(ADMINS, &params![ADMIN, Status::Active.as_str(), employee_id]).await?;
    Ok(found.is_some())
}

/// Whether this employee runs the installation, seen from inside the unit.
pub(crate) async fn is_admin(work: &mut UnitOfWork, employee_id: i64) -> Result<bool, EntityError> {
    let sql = ADMINS.replace("<> $3", "= $3");
    let found = work.query_opt(&sql, &params![ADMIN, Status::Active.as_str(), employee_id]).await?;
    Ok(found.is_some())
}

/// Whether anybody runs the installation.
pub(crate) async fn has_admin(db: &Db) -> Result<bool, EntityError> {
    let found = db.query_opt(ADMINS, &params![ADMIN, Status::Active.as_str(), 0_i64]).await?;
    Ok(found.is_some())
}

fn read_assignment(row: &Row, employee_id: i64) -> Result<Assignment, EntityError> {
    let word: String = row.get("scope")?;
    let scope = RoleScope::from_parts(&word, row.get("scope_id")?);
    let corrupt = EntityError::Corrupt { entity: "roles of employee", id: employee_id, reason: "a scope is unknown" };
    Ok(Assignment { role: row.get("name")?, scope: scope.ok_or(corrupt)? })
}

/// Permissions as they are stored.
pub(crate) fn read_permissions(json: &str, role_id: i64) -> Result<Vec<Permission>, EntityError> {
    serde_json::from_str(json).map_err(|_| EntityError::Corrupt {
        entity: ROLE,
        id: role_id,
        reason: "its permissions cannot be read",
    })
}

fn taken(error: eventkit::Error) -> EntityError {
    match error {
        eventkit::Error::Database(error) if error.violates("roles", "name_folded") => {
            EntityError::Taken { entity: ROLE, field: "name" }
        }
        error => error.into(),
    }
}

fn from_row(row: &Row) -> Result<Role, EntityError> {
    let reader = Reader::new(row, ROLE, "role_id")?;
    Ok(Role {
        role_id: reader.id,
        name: row.get("name")?,
        description: row.get("description")?,
        permissions: read_permissions(&row.get::<String>("permissions")?, reader.id)?,
        is_built_in: row.get("is_built_in")?,
        version: row.get("version")?,
        created_at: reader.time("created_at")?,
        updated_at: reader.time("updated_at")?,
    })
}
