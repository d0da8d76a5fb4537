//! Roles, and who has them: nobody gives away what they do not hold, and somebody always runs the installation.

use chassis::store::audit;
use chassis::{Edit, EntityError, IfMatch, Listing, Page, Patch, Principal};
use contracts::access::{Action as Doing, Grant, Permission, Place, ROLES, Resource, Scope};
use contracts::audit::digest;
use eventkit::{EventPublisher, Origin, UnitOfWork};

use super::employees::place_of;
use super::{Service, UPDATE_ROLES, own_actor};
use crate::answers::{Answers, Whose};
use crate::domain::employee::key;
use crate::domain::role::{self, ROLE, RoleScope};
use crate::domain::{Assignment, Role, RoleFields};
use crate::error::Error;
use crate::store;
use crate::store::roles::Definition;

/// What is locked for what concerns an employee's roles: a change of them is a change of the employee.
const ROLES_OF: &str = "roles of employee";

impl Service {
    /// Makes a role.
    pub(crate) async fn create_role(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        fields: &RoleFields,
    ) -> Result<Role, Error> {
        let permissions = fields.permissions()?;
        require_held(principal, &everywhere(&permissions), Place::default())?;
        let role = store::roles::insert(work, &definition(fields, &permissions), false).await?;
        audit(work, principal.actor(), role.key(), None, Some(digest(&role))).await?;
        Ok(role)
    }

    /// Changes a role; who has it may do more or less from the next request on.
    pub(crate) async fn update_role(&self, edit: &mut Edit, patch: Patch) -> Result<Role, Error> {
        let Edit { principal, id: role_id, if_match, work } = edit;
        let role_id = *role_id;
        principal.allow_at(UPDATE_ROLES, Place::default())?;
        self.answers.before_change(Whose::Everybody).await?;
        work.lock_entity(&role::key(role_id)).await?;
        let before = store::roles::find(&mut **work, role_id).await?;
        if_match.check(ROLE, role_id, before.version)?;
        let fields: RoleFields = patch.apply(&before.fields())?;
        let permissions = fields.permissions()?;
        let is_renamed = fields.name.trim() != before.name;
        if before.is_built_in && is_renamed || before.is_admin() && permissions != before.permissions {
            let detail = "the name of a built-in role and what an admin may do cannot be changed";
            return Err(EntityError::Conflict(detail.to_owned()).into());
        }
        if !is_renamed && permissions == before.permissions && fields.description == before.description {
            return Ok(before);
        }
        let added: Vec<Permission> =
            permissions.iter().copied().filter(|permission| !before.permissions.contains(permission)).collect();
        require_held(principal, &everywhere(&added), Place::default())?;
        let after = store::roles::update(work, role_id, &definition(&fields, &permissions), true).await?;
        let (old, new) = (Some(digest(&before)), Some(digest(&after)));
        audit(work, principal.actor(), after.key(), old, new).await?;
        Ok(after)
    }

    /// Removes a role that nobody has.
    pub(crate) async fn delete_role(&self, edit: &mut Edit) -> Result<(), Error> {
        let Edit { principal, id: role_id, if_match, work } = edit;
        let role_id = *role_id;
        principal.allow_at(Permission::new(Resource::Roles, Doing::Delete), Place::default())?;
        work.lock_entity(&role::key(role_id)).await?;
        let role = store::roles::find(&mut **work, role_id).await?;
        if_match.check(ROLE, role_id, role.version)?;
        if role.is_built_in {
            return Err(EntityError::Conflict("a built-in role cannot be deleted".to_owned()).into());
        }
        let holders = store::roles::holders(work, role_id).await?;
        if holders > 0 {
            return Err(EntityError::Conflict(format!("{holders} employees have the role")).into());
        }
        store::roles::remove(work, role_id).await?;
        Ok(audit(work, principal.actor(), role.key(), Some(digest(&role)), None).await?)
    }

    pub(crate) async fn find_role(&self, role_id: i64) -> Result<Role, Error> {
        Ok(store::roles::find(&self.db, role_id).await?)
    }

    pub(crate) async fn list_roles(&self, listing: &Listing, search: Option<&str>) -> Result<Page<Role>, Error> {
        Ok(store::roles::list(&self.db, listing, search).await?)
    }

    /// The roles of an employee, with their version; everybody may see their own.
    pub(crate) async fn find_assigned(
        &self,
        principal: &Principal,
        employee_id: i64,
    ) -> Result<(Vec<Assignment>, i64), Error> {
        let read = Permission::new(Resource::Roles, Doing::Read);
        if principal.employee_id() != Some(employee_id) {
            if !principal.may(read) {
                principal.allow_at(read, Place::default())?;
            }
            let employee = store::employees::find(&self.db, employee_id).await?;
            principal.allow_at(read, employee.place())?;
        }
        Ok(store::roles::find_assigned(&self.db, employee_id).await?)
    }

    /// Gives an employee these roles and no others; they count from the next request on.
    pub(crate) async fn assign_roles(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        employee_id: i64,
        if_match: IfMatch,
        wanted: Vec<Assignment>,
    ) -> Result<(Vec<Assignment>, i64), Error> {
        self.answers.before_change(Whose::Employee(employee_id)).await?;
        work.lock_entity(&key(employee_id)).await?;
        let employee = store::employees::find(&mut *work, employee_id).await?;
        principal.allow_at(UPDATE_ROLES, employee.place())?;
        let version = store::roles::assigned_version(work, employee_id).await?;
        if_match.check(ROLES_OF, employee_id, version)?;
        let before = store::roles::assigned_to(work, employee_id).await?;
        let meant = resolve(work, principal, wanted, &before).await?;
        let is_meant = |assignment: &Assignment| meant.iter().any(|(_, meant)| meant == assignment);
        for taken in before.iter().filter(|assignment| !is_meant(assignment)) {
            require_role_held(work, principal, taken).await?;
        }
        let keeps_admin = meant.iter().any(|(role, kept)| role.is_admin() && kept.scope == RoleScope::All);
        if !keeps_admin {
            self.require_another_admin(work, employee_id).await?;
        }
        if before.len() == meant.len() && before.iter().all(is_meant) {
            return Ok((before, version));
        }
        let rows: Vec<(i64, RoleScope)> = meant.iter().map(|(role, meant)| (role.role_id, meant.scope)).collect();
        let version = store::roles::assign(work, employee_id, &rows).await?;
        let after = store::roles::assigned_to(work, employee_id).await?;
        let (old, new) = (Some(digest(&before)), Some(digest(&after)));
        audit(work, principal.actor(), employee.key(), old, new).await?;
        Ok((after, version))
    }

    /// Refuses to take over the account of somebody who may do more.
    pub(super) async fn require_not_above(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        employee_id: i64,
    ) -> Result<(), Error> {
        for grant in store::roles::grants_of(work, employee_id).await? {
            let place = match grant.scope {
                Scope::Department { department_id } => known_place(work, department_id).await?,
                _ => Place::default(),
            };
            require_held(principal, &[grant], place)?;
        }
        Ok(())
    }
}

/// The roles that are meant, each once and under its own name: a request may spell it in another case. Those that
/// come to the ones `before` must be the principal's to give.
async fn resolve(
    work: &mut UnitOfWork,
    principal: &Principal,
    wanted: Vec<Assignment>,
    before: &[Assignment],
) -> Result<Vec<(Role, Assignment)>, Error> {
    let mut resolved: Vec<(Role, Assignment)> = Vec::with_capacity(wanted.len());
    for (at, Assignment { role, scope }) in wanted.into_iter().enumerate() {
        let Some((role, _)) = store::roles::by_name(work, &role).await? else {
            return Err(EntityError::field(format!("[{at}].role"), "is not known").into());
        };
        let meant = Assignment { role: role.name.clone(), scope };
        if resolved.iter().any(|(_, known)| *known == meant) {
            continue;
        }
        if !before.contains(&meant) {
            let place = scope_place(work, scope).await?;
            let scope: Scope = scope.into();
            let grants: Vec<Grant> =
                role.permissions.iter().map(|permission| Grant { permission: *permission, scope }).collect();
            require_held(principal, &grants, place)?;
        }
        resolved.push((role, meant));
    }
    Ok(resolved)
}

async fn require_role_held(work: &mut UnitOfWork, principal: &Principal, taken: &Assignment) -> Result<(), Error> {
    let Some((role, _)) = store::roles::by_name(work, &taken.role).await? else { return Ok(()) };
    let place = match taken.scope {
        RoleScope::Department { department_id } => known_place(work, department_id).await?,
        _ => Place::default(),
    };
    let scope = taken.scope.into();
    let grants: Vec<Grant> =
        role.permissions.iter().map(|permission| Grant { permission: *permission, scope }).collect();
    Ok(require_held(principal, &grants, place)?)
}

/// Where a scope lies; what it names must be known and still exist.
async fn scope_place(work: &mut UnitOfWork, scope: RoleScope) -> Result<Place, EntityError> {
    match scope {
        RoleScope::All => Ok(Place::default()),
        RoleScope::Department { department_id } => place_of(work, Some(department_id)).await,
        RoleScope::Headquarters { headquarter_id } => {
            match store::departments::knows_headquarters(work, headquarter_id).await? {
                true => Ok(Place { headquarter_id: Some(headquarter_id), department_id: None }),
                false => Err(EntityError::NotYetKnown { field: "headquarterId", id: headquarter_id }),
            }
        }
    }
}

async fn known_place(work: &mut UnitOfWork, department_id: i64) -> Result<Place, EntityError> {
    let known = store::departments::find(work, department_id).await?;
    let headquarter_id = known.map(|department| department.headquarter_id);
    Ok(Place { headquarter_id, department_id: Some(department_id) })
}

/// Refuses to deal in grants that the principal does not hold, unless they may change roles everywhere.
fn require_held(principal: &Principal, grants: &[Grant], place: Place) -> Result<(), EntityError> {
    let Principal::Employee(access) = principal else { return Ok(()) };
    if role::covers(&access.grants, UPDATE_ROLES, Scope::All, Place::default()) {
        return Ok(());
    }
    match grants.iter().find(|grant| !role::covers(&access.grants, grant.permission, grant.scope, place)) {
        None => Ok(()),
        Some(grant) => {
            Err(EntityError::Forbidden(format!("you do not hold the permission {} there yourself", grant.permission)))
        }
    }
}

fn everywhere(permissions: &[Permission]) -> Vec<Grant> {
    permissions.iter().map(|permission| Grant { permission: *permission, scope: Scope::All }).collect()
}

fn definition<'a>(fields: &'a RoleFields, permissions: &'a [Permission]) -> Definition<'a> {
    Definition { name: &fields.name, description: fields.description.as_deref(), permissions }
}

/// Brings the roles that every installation has; one that somebody edited stays as it is, but for what an admin may do.
pub(crate) async fn seed_roles(publisher: &EventPublisher, answers: &dyn Answers) -> Result<(), Error> {
    let mut work = publisher.begin(Origin::default());
    if !seed(&mut work, Seeding::NewOnes).await? {
        work.undo().await;
        if let Err(error) = answers.before_change(Whose::Everybody).await {
            // A start does not wait for Redis: what it keeps is renewed within half a minute.
            tracing::warn!(error = eventkit::chain(&error), "built-in roles change without redis being told");
        }
        seed(&mut work, Seeding::All).await?;
    }
    Ok(work.commit().await?)
}

/// Which built-in roles are brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seeding {
    NewOnes,
    All,
}

/// Tells whether nothing is left to be brought.
async fn seed(work: &mut UnitOfWork, seeding: Seeding) -> Result<bool, Error> {
    // Several copies of the service may start at once.
    work.lock_entity("part-user-service").await?;
    for built_in in ROLES {
        let of_resource = |(resource, actions): &(Resource, &'static [Doing])| {
            let resource = *resource;
            actions.iter().map(move |action| Permission::new(resource, *action))
        };
        let permissions: Vec<Permission> = built_in.grants.iter().flat_map(of_resource).collect();
        let definition =
            Definition { name: built_in.name, description: Some(built_in.description), permissions: &permissions };
        match store::roles::by_name(work, built_in.name).await? {
            None => {
                let role = store::roles::insert(work, &definition, true).await?;
                audit(work, own_actor(), role.key(), None, Some(digest(&role))).await?;
            }
            Some((role, is_edited)) if is_ours(&role, is_edited) && role.permissions != permissions => {
                if seeding == Seeding::NewOnes {
                    return Ok(false);
                }
                let description = if is_edited { role.description.as_deref() } else { definition.description };
                let definition = Definition { description, ..definition };
                let after = store::roles::update(work, role.role_id, &definition, is_edited).await?;
                let (old, new) = (Some(digest(&role)), Some(digest(&after)));
                audit(work, own_actor(), role.key(), old, new).await?;
            }
            Some(_) => {}
        }
    }
    Ok(true)
}

/// Whether the program says what a role lets do: of the one for everything nobody else can, whatever was edited of it.
fn is_ours(role: &Role, is_edited: bool) -> bool {
    role.is_built_in && (!is_edited || role.is_admin())
}
