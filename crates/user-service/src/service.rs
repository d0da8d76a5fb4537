//! What can be done: each method changes state and tells of it in one unit of work, which its caller commits.

mod bootstrap;
mod employees;
mod hiring;
mod invitations;
mod roles;
mod sessions;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use contracts::access::{Action, Permission, Resource};
use contracts::audit::{Actor, AuditSecurity, Incident};
use db::Db;
use eventkit::{Clock, UnitOfWork};

use crate::NAME;
use crate::answers::Answers;
use crate::attempts::Attempts;
use crate::error::Error;
use crate::hasher::Hasher;
use crate::tokens::AccessTokens;

pub(crate) use bootstrap::{BOOTSTRAP_FILE, NewAdmin, prepare_bootstrap};
pub(crate) use roles::seed_roles;
pub(crate) use sessions::LoggedIn;

/// Looking at an employee.
pub(crate) const READ: Permission = Permission::new(Resource::Employees, Action::Read);
/// Taking somebody on.
pub(crate) const CREATE: Permission = Permission::new(Resource::Employees, Action::Create);
/// Changing an employee's record, seeing its private fields, ending sessions.
pub(crate) const UPDATE: Permission = Permission::new(Resource::Employees, Action::Update);
/// Removing an employee.
pub(crate) const DELETE: Permission = Permission::new(Resource::Employees, Action::Delete);
/// Changing roles, and who has them.
pub(crate) const UPDATE_ROLES: Permission = Permission::new(Resource::Roles, Action::Update);

/// Held by whoever changes who runs the installation, so that two of them take turns.
const ADMIN_GATE: &str = "role-admin";

/// How the service behaves, as far as it is configured.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) invitation_url: String,
    pub(crate) invitation_keep_ms: i64,
    pub(crate) access_token_keep_ms: i64,
    pub(crate) refresh_token_keep_ms: i64,
}

/// The service over its database; a cheap handle to clone.
#[derive(Clone)]
pub(crate) struct Service {
    db: Db,
    clock: Clock,
    limits: Arc<Limits>,
    hasher: Hasher,
    tokens: Arc<AccessTokens>,
    answers: Arc<dyn Answers>,
    attempts: Arc<Attempts>,
    bootstrap_file: Arc<PathBuf>,
}

/// Where a request comes from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Client {
    pub(crate) address: Option<IpAddr>,
    pub(crate) user_agent: Option<String>,
}

impl Service {
    pub(crate) fn new(
        db: Db,
        clock: Clock,
        limits: Limits,
        tokens: Arc<AccessTokens>,
        answers: Arc<dyn Answers>,
        attempts: Attempts,
        bootstrap_file: PathBuf,
    ) -> Self {
        let (limits, attempts, bootstrap_file) = (Arc::new(limits), Arc::new(attempts), Arc::new(bootstrap_file));
        Self { db, clock, limits, hasher: Hasher::new(), tokens, answers, attempts, bootstrap_file }
    }

    /// Records that somebody was not let in, and makes the answer, which keeps the record.
    async fn not_let_in(
        &self,
        work: &mut UnitOfWork,
        client: &Client,
        incident: Incident,
        entity: Option<String>,
        detail: &'static str,
    ) -> Error {
        let record = AuditSecurity {
            incident,
            entity: entity.unwrap_or_else(|| format!("part-{NAME}")),
            actor: None,
            request: None,
            ip_address: client.address.map(|address| address.to_string()),
            suppressed: 0,
        };
        match work.publish(&record).await {
            Ok(_) => Error::NotLetIn(detail),
            Err(error) => error.into(),
        }
    }
}

/// What is done in the service's own name.
fn own_actor() -> Actor {
    Actor::Service { name: NAME.to_owned() }
}
