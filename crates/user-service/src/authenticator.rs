//! Who is asking: an access token is as good as its session, and lets do what the employee's roles let do right now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chassis::auth::Refusal;
use chassis::{Authenticator, EntityError, Principal};
use contracts::access::{Access, Grant, Permission};
use db::Db;
use eventkit::Clock;

use crate::domain::role::{ROLE, RoleScope};
use crate::store;
use crate::store::sessions::HeldRole;
use crate::tokens::AccessTokens;

/// A longer token is nobody's.
const TOKEN_BYTES_MAX: usize = 4_096;
/// Role definitions kept at the most; beyond that they are read anew.
const DEFINITIONS_MAX: usize = 1_000;

/// A version of a role and what it lets do.
type Definition = (i64, Arc<[Permission]>);

/// Asks the database about each token: session, employee and roles in one query. Only the definition of a role is
/// kept, under its version, which the query tells: no copy of the service ever goes by an old one.
pub(crate) struct SessionAuthenticator {
    db: Db,
    clock: Clock,
    tokens: Arc<AccessTokens>,
    definitions: Mutex<HashMap<i64, Definition>>,
}

impl SessionAuthenticator {
    pub(crate) fn new(db: Db, clock: Clock, tokens: Arc<AccessTokens>) -> Self {
        Self { db, clock, tokens, definitions: Mutex::default() }
    }

    async fn access(&self, session_id: String) -> Result<Option<Access>, EntityError> {
        let Some((employee_id, held)) = store::sessions::access(&self.db, &session_id, self.clock.now_ms()).await?
        else {
            return Ok(None);
        };
        let mut grants: Vec<Grant> = Vec::new();
        for role in &held {
            let scope = RoleScope::from_parts(&role.scope, role.scope_id);
            let corrupt = EntityError::Corrupt { entity: ROLE, id: role.role_id, reason: "its scope is unknown" };
            let scope = scope.ok_or(corrupt)?.into();
            let permissions = self.permissions(role).await?;
            grants.extend(permissions.iter().map(|permission| Grant { permission: *permission, scope }));
        }
        Ok(Some(Access { employee_id, session_id, grants }))
    }

    async fn permissions(&self, role: &HeldRole) -> Result<Arc<[Permission]>, EntityError> {
        let kept = self.definitions.lock().unwrap_or_else(PoisonError::into_inner).get(&role.role_id).cloned();
        match kept {
            Some((version, permissions)) if version == role.version => return Ok(permissions),
            _ => {}
        }
        // A role removed in this moment lets do nothing; a version newer than asked for is right as well.
        let (version, permissions): Definition = match store::roles::find(&self.db, role.role_id).await {
            Ok(found) => (found.version, found.permissions.into()),
            Err(EntityError::NotFound { .. }) => return Ok(Arc::new([])),
            Err(error) => return Err(error),
        };
        let mut definitions = self.definitions.lock().unwrap_or_else(PoisonError::into_inner);
        if definitions.len() >= DEFINITIONS_MAX {
            definitions.clear();
        }
        definitions.insert(role.role_id, (version, permissions.clone()));
        Ok(permissions)
    }
}

#[async_trait]
impl Authenticator for SessionAuthenticator {
    async fn authenticate(&self, token: &str) -> Result<Principal, Refusal> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::Unknown);
        }
        let Some(session_id) = self.tokens.session_of(token, self.clock.now_ms()) else {
            return Err(Refusal::Unknown);
        };
        match self.access(session_id).await {
            Ok(Some(access)) => Ok(Principal::Employee(Arc::new(access))),
            Ok(None) => Err(Refusal::Unknown),
            Err(error) => Err(Refusal::Unavailable(error.into())),
        }
    }
}
