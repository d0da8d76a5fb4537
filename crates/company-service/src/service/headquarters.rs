//! Headquarters. Every change is made under the lock of the company, since a company has exactly one main headquarters
//! as long as it has any.

use chassis::Principal;
use chassis::store::{Table, change, create as store_new, find, locked, referred, remove};
use contracts::access::{Action, Permission, Resource};
use contracts::audit::Actor;
use db::Db;
use eventkit::UnitOfWork;

use super::refuse_while_needed;
use crate::domain::{Company, Headquarters, HeadquartersFields};
use crate::error::Error;
use crate::store;

/// What it takes to change a headquarters.
pub(crate) const UPDATE: Permission = Permission::new(Resource::Headquarters, Action::Update);

/// Makes a headquarters; the first of a company is the main one.
pub(crate) async fn create(
    work: &mut UnitOfWork,
    principal: &Principal,
    mut fields: HeadquartersFields,
) -> Result<Headquarters, Error> {
    let company: Company = referred(work, "companyId", fields.company_id).await?;
    match store::main_of(work, company.company_id).await? {
        None => fields.is_main = true,
        Some(main_id) if fields.is_main => demote(work, principal, main_id).await?,
        Some(_) => {}
    }
    store_new(work, principal.actor(), Headquarters::columns(&fields)).await
}

/// Locks the company of a headquarters, which is locked before the headquarters itself.
pub(crate) async fn lock_company(db: &Db, work: &mut UnitOfWork, headquarter_id: i64) -> Result<(), Error> {
    // The company of a headquarters never changes, so it can be asked for before anything is locked.
    let seen: Headquarters = find(db, headquarter_id).await?;
    locked::<Company>(work, seen.fields.company_id).await?;
    Ok(())
}

/// Changes a headquarters that is locked with its company.
pub(crate) async fn update(
    work: &mut UnitOfWork,
    principal: &Principal,
    before: Headquarters,
    fields: &HeadquartersFields,
) -> Result<Headquarters, Error> {
    if before.fields.company_id != fields.company_id {
        return Err(Error::field("companyId", "cannot be changed"));
    }
    if before.fields.is_main && !fields.is_main {
        return Err(Error::field("isMain", "cannot be taken away: make another headquarters the main one instead"));
    }
    if fields.is_main
        && !before.fields.is_main
        && let Some(main_id) = store::main_of(work, fields.company_id).await?
    {
        demote(work, principal, main_id).await?;
    }
    change(work, principal.actor(), before, fields).await
}

/// Removes a headquarters that is locked with its company. The main one goes last.
pub(crate) async fn delete(work: &mut UnitOfWork, actor: Actor, headquarters: Headquarters) -> Result<(), Error> {
    let found = store::departments_in(work, headquarters.headquarter_id).await?;
    refuse_while_needed(&headquarters, found, "departments")?;
    let others = store::headquarters_of(work, headquarters.fields.company_id).await? - 1;
    if headquarters.fields.is_main && others > 0 {
        let detail = format!(
            "headquarters {} is the main one of its company, which has others: make one of them the main one first",
            headquarters.headquarter_id
        );
        return Err(Error::Conflict(detail));
    }
    remove(work, actor, &headquarters).await
}

/// Takes being the main one from a headquarters, which needs leave to change that one too.
async fn demote(work: &mut UnitOfWork, principal: &Principal, main_id: i64) -> Result<(), Error> {
    let main: Headquarters = locked(work, main_id).await?;
    if !principal.may_at(UPDATE, main.place()) {
        let detail = format!("this also changes headquarters {main_id}, which needs the permission {UPDATE} there");
        return Err(Error::Forbidden(detail));
    }
    let fields = HeadquartersFields { is_main: false, ..main.fields.clone() };
    change(work, principal.actor(), main, &fields).await?;
    Ok(())
}
