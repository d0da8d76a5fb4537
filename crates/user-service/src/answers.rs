//! What every request asks: whether a session lives, and what it lets do right now.

mod database;
mod redis;

use std::sync::Arc;

use async_trait::async_trait;
use contracts::access::Access;

use crate::error::Error;

pub(crate) use database::DatabaseAnswers;
pub(crate) use redis::RedisAnswers;

/// The session that a token names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) employee_id: i64,
    pub(crate) session_id: String,
}

/// What a living session amounts to, and until when it lives if nothing happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) access: Arc<Access>,
    pub(crate) expires_at_ms: i64,
}

/// Whose answers are going to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Those about one employee's sessions.
    Employee(i64),
    /// Those about everybody's.
    Everybody,
}

/// Where the answers come from. Whatever the implementation keeps, an answer is never older than the last change that
/// was announced with [`Answers::before_change`] and has committed.
#[async_trait]
pub(crate) trait Answers: Send + Sync {
    /// What the session amounts to; `None` where it does not live.
    async fn find(&self, named: &Named) -> Result<Option<Answer>, Error>;

    /// Must have succeeded before the unit begins that ends a session or changes what somebody may do.
    async fn before_change(&self, whose: Whose) -> Result<(), Error>;
}
