//! Companies.

use chassis::store::{Table, create as store_new, remove};
use contracts::audit::Actor;
use contracts::company::CompanyCreated;
use eventkit::{UnitOfWork, publish_event};

use super::refuse_while_needed;
use crate::domain::{Company, CompanyFields};
use crate::error::Error;
use crate::store;

/// Makes a company.
#[publish_event(CompanyCreated)]
pub(crate) async fn create(work: &mut UnitOfWork, actor: Actor, fields: CompanyFields) -> Result<Company, Error> {
    store_new(work, actor, Company::columns(&fields)).await
}

/// Removes a company that is locked and has no headquarters.
pub(crate) async fn delete(work: &mut UnitOfWork, actor: Actor, company: Company) -> Result<(), Error> {
    let found = store::headquarters_of(work, company.company_id).await?;
    refuse_while_needed(&company, found, "headquarters")?;
    remove(work, actor, &company).await
}
