//! Answers by the database: session, employee and roles in one query.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chassis::EntityError;
use contracts::access::{Access, Grant, Permission};
use db::Db;
use eventkit::Clock;

use super::{Answer, Answers, Named, Whose};
use crate::domain::role::{ROLE, RoleScope};
use crate::error::Error;
use crate::store;
use crate::store::sessions::HeldRole;

/// Role definitions kept at the most; beyond that they are read anew.
const DEFINITIONS_MAX: usize = 1_000;

/// A version of a role and what it lets do.
type Definition = (i64, Arc<[Permission]>);

/// Asks about each token anew. Only the definition of a role is kept, under its version, which the query tells: no copy
/// of the service ever goes by an old one.
pub(crate) struct DatabaseAnswers {
    db: Db,
    clock: Clock,
    definitions: Mutex<HashMap<i64, Definition>>,
}

impl DatabaseAnswers {
    pub(crate) fn new(db: Db, clock: Clock) -> Self {
        Self { db, clock, definitions: Mutex::default() }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
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
impl Answers for DatabaseAnswers {
    async fn find(&self, named: &Named) -> Result<Option<Answer>, Error> {
        let found = store::sessions::living_one(&self.db, &named.session_id, self.clock.now_ms()).await?;
        let Some(living) = found.filter(|living| living.employee_id == named.employee_id) else {
            return Ok(None);
        };
        let mut grants: Vec<Grant> = Vec::new();
        for role in &living.held {
            let scope = RoleScope::from_parts(&role.scope, role.scope_id);
            let corrupt = EntityError::Corrupt { entity: ROLE, id: role.role_id, reason: "its scope is unknown" };
            let scope = scope.ok_or(corrupt)?.into();
            let permissions = self.permissions(role).await?;
            grants.extend(permissions.iter().map(|permission| Grant { permission: *permission, scope }));
        }
        let access = Access { employee_id: living.employee_id, session_id: named.session_id.clone(), grants };
        Ok(Some(Answer { access: Arc::new(access), expires_at_ms: living.expires_at_ms }))
    }

    async fn before_change(&self, _whose: Whose) -> Result<(), Error> {
        Ok(())
    }
}
