//! Companies.

use contracts::audit::Actor;
use contracts::company::CompanyCreated;
use eventkit::{UnitOfWork, publish_event};

use super::{change, insert, refuse_while_needed, remove};
use crate::domain::{Company, CompanyFields};
use crate::error::Error;
use crate::store;

/// Makes a company.
#[publish_event(CompanyCreated)]
pub(crate) async fn create(work: &mut UnitOfWork, actor: Actor, fields: CompanyFields) -> Result<Company, Error> {
    insert(work, actor, &fields).await
}

/// Changes a company that is locked. Its audit record alone tells of it.
pub(crate) async fn update(
    work: &mut UnitOfWork,
    actor: Actor,
    before: Company,
    fields: &CompanyFields,
) -> Result<Company, Error> {
    if before.fields == *fields {
        return Ok(before);
    }
    Ok(change(work, actor, before, fields).await?.after)
}

/// Removes a company that is locked and has no headquarters.
pub(crate) async fn delete(work: &mut UnitOfWork, actor: Actor, company: Company) -> Result<(), Error> {
    let found = store::headquarters_of(work, company.company_id).await?;
    refuse_while_needed(&company, found, "headquarters")?;
    remove(work, actor, company).await?;
    Ok(())
}
