//! What the recruitment-service can refuse or fail at, and how that is answered.

use chassis::{EntityError, ErrorCode, Problem};

/// A request that was not fulfilled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The entity does not allow it.
    #[error(transparent)]
    Entity(#[from] EntityError),
    /// Somebody applies a second time for the same posting.
    #[error("candidate {candidate_id} has applied for job posting {job_posting_id} before")]
    AppliedBefore {
        /// Who applies.
        candidate_id: i64,
        /// For what.
        job_posting_id: i64,
    },
}

impl Error {
    /// The state of things does not allow it.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        EntityError::Conflict(detail.into()).into()
    }
}

impl From<eventkit::Error> for Error {
    fn from(error: eventkit::Error) -> Self {
        Self::Entity(error.into())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Entity(error) => error.into(),
            Error::AppliedBefore { candidate_id, job_posting_id } => Self::new(ErrorCode::Duplicate)
                .detail(format!("candidate {candidate_id} has applied for job posting {job_posting_id} before")),
        }
    }
}
