//! What can be done with candidates.
//!
//! A candidate belongs to the departments whose postings he or she has applied for: whoever holds a permission for some
//! departments only sees and changes those candidates, has them apply for more, and may add new ones.

use chassis::store::{change, create, find, remove, write};
use chassis::{Edit, EntityError, Patch, Principal};
use contracts::access::{Action, Permission, Place, Resource};
use contracts::audit::Actor;
use eventkit::UnitOfWork;

use super::Recruitment;
use crate::domain::candidate::{Candidate, CandidateFields, CandidateStatus};
use crate::error::Error;
use crate::store::candidates;

const UPDATE: Permission = Permission::new(Resource::Candidates, Action::Update);
const DELETE: Permission = Permission::new(Resource::Candidates, Action::Delete);

impl Recruitment {
    /// Adds a candidate.
    pub(crate) async fn create_candidate(
        &self,
        work: &mut UnitOfWork,
        actor: Actor,
        fields: &CandidateFields,
    ) -> Result<Candidate, Error> {
        Ok(create(work, actor, candidates::new(fields)).await?)
    }

    /// Changes what is known of a candidate.
    pub(crate) async fn update_candidate(&self, edit: &mut Edit, patch: Patch) -> Result<Candidate, Error> {
        let before: Candidate = edit.locked().await?;
        let places = candidates::places(&mut *edit.work, edit.id).await?;
        allow_anywhere(&edit.principal, UPDATE, &places)?;
        let fields = edit.apply(&before, patch)?;
        Ok(change(&mut edit.work, edit.principal.actor(), before, &fields).await?)
    }

    /// Removes a candidate who has nothing open.
    pub(crate) async fn delete_candidate(&self, edit: &mut Edit) -> Result<(), Error> {
        edit.principal.allow_at(DELETE, Place::default())?;
        let before: Candidate = edit.locked().await?;
        edit.check(&before)?;
        if candidates::has_open_application(&mut edit.work, edit.id).await? {
            return Err(Error::conflict("the candidate has an open application: reject or withdraw it first"));
        }
        Ok(remove(&mut edit.work, edit.principal.actor(), &before).await?)
    }

    /// Brings a locked candidate's status in line with the applications.
    pub(super) async fn follow_applications(&self, work: &mut UnitOfWork, actor: Actor, id: i64) -> Result<(), Error> {
        let before: Candidate = find(&mut *work, id).await?;
        let status = CandidateStatus::of(&candidates::application_statuses(work, id).await?);
        if status == before.status {
            return Ok(());
        }
        write(work, actor, &before, candidates::status(status)).await?;
        Ok(())
    }
}

/// Allows what is permitted everywhere, or at one of the places.
pub(crate) fn allow_anywhere(
    principal: &Principal,
    permission: Permission,
    places: &[Place],
) -> Result<(), EntityError> {
    match places.iter().any(|place| principal.may_at(permission, *place)) {
        true => Ok(()),
        false => principal.allow_at(permission, Place::default()),
    }
}
