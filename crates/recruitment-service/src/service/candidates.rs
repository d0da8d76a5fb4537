//! What can be done with candidates.
//!
//! A candidate belongs to the departments whose postings he or she has applied for: whoever holds a permission for some
//! departments only sees and changes those candidates, and may add new ones.

use chassis::{EntityError, Filter, IfMatch, Listing, Page, Patch, Principal};
use contracts::access::{Action, Permission, Place, Resource};
use eventkit::UnitOfWork;

use super::{Recruitment, allow, audit};
use crate::domain::candidate::{self, Candidate, CandidateFields, CandidateStatus};
use crate::domain::words::word;
use crate::error::Error;
use crate::store::candidates::{self, ENTITY};

const READ: Permission = Permission::new(Resource::Candidates, Action::Read);
const UPDATE: Permission = Permission::new(Resource::Candidates, Action::Update);
const DELETE: Permission = Permission::new(Resource::Candidates, Action::Delete);

/// Which candidates a list shows.
#[derive(Debug, Default)]
pub(crate) struct CandidateFilter {
    pub(crate) status: Option<CandidateStatus>,
    pub(crate) q: Option<String>,
    pub(crate) skill: Option<String>,
}

impl Recruitment {
    /// Adds a candidate.
    pub(crate) async fn create_candidate(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        fields: CandidateFields,
    ) -> Result<Candidate, Error> {
        let id = candidates::add(work, &fields).await?;
        let candidate = candidates::find(&mut *work, id).await?;
        audit(work, principal, candidate::key(id), None, Some(&candidate)).await?;
        Ok(candidate)
    }

    /// One candidate.
    pub(crate) async fn candidate(&self, principal: &Principal, id: i64) -> Result<Candidate, Error> {
        let candidate = candidates::find(&self.db, id).await?;
        let places = candidates::places(&self.db, id).await?;
        allow_anywhere(principal, READ, &places)?;
        Ok(candidate)
    }

    /// A page of the candidates whom the principal may see.
    pub(crate) async fn candidates(
        &self,
        principal: &Principal,
        listing: &Listing,
        wanted: CandidateFilter,
    ) -> Result<Page<Candidate>, Error> {
        let filter = candidates::covered_by(Filter::default(), &principal.scopes(READ))
            .equals("status", wanted.status.as_ref().map(word))
            .contains("q", &["name_folded", "email_folded"], wanted.q.as_deref())?;
        let filter = candidates::with_skill(filter, wanted.skill.as_deref())?;
        Ok(candidates::list(&self.db, listing, filter).await?)
    }

    /// Changes what is known of a candidate.
    pub(crate) async fn update_candidate(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        id: i64,
        if_match: IfMatch,
        patch: Patch,
    ) -> Result<Candidate, Error> {
        work.lock_entity(&candidate::key(id)).await?;
        let before = candidates::find(&mut *work, id).await?;
        let places = candidates::places(&mut *work, id).await?;
        allow_anywhere(principal, UPDATE, &places)?;
        if_match.check(ENTITY, id, before.record.version)?;
        let fields = patch.apply(&before.fields)?;
        if fields == before.fields {
            return Ok(before);
        }
        candidates::write(work, id, &fields).await?;
        let after = candidates::find(&mut *work, id).await?;
        audit(work, principal, candidate::key(id), Some(&before), Some(&after)).await?;
        Ok(after)
    }

    /// Removes a candidate who has nothing open.
    pub(crate) async fn delete_candidate(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        id: i64,
        if_match: IfMatch,
    ) -> Result<(), Error> {
        allow(principal, DELETE, Place::default())?;
        work.lock_entity(&candidate::key(id)).await?;
        let before = candidates::find(&mut *work, id).await?;
        if_match.check(ENTITY, id, before.record.version)?;
        if candidates::has_open_application(work, id).await? {
            return Err(Error::conflict("the candidate has an open application: reject or withdraw it first"));
        }
        candidates::remove(work, id, self.now()).await?;
        audit(work, principal, candidate::key(id), Some(&before), None).await
    }

    /// Brings a locked candidate's status in line with the applications.
    pub(super) async fn follow_applications(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        id: i64,
    ) -> Result<(), Error> {
        let before = candidates::find(&mut *work, id).await?;
        let status = CandidateStatus::of(&candidates::application_statuses(work, id).await?);
        if status == before.status {
            return Ok(());
        }
        candidates::set_status(work, id, status).await?;
        let after = candidates::find(&mut *work, id).await?;
        audit(work, principal, candidate::key(id), Some(&before), Some(&after)).await
    }
}

/// Allows what is permitted everywhere, or at one of the places.
fn allow_anywhere(principal: &Principal, permission: Permission, places: &[Place]) -> Result<(), EntityError> {
    match places.iter().any(|place| principal.may_at(permission, *place)) {
        true => Ok(()),
        false => allow(principal, permission, Place::default()),
    }
}
