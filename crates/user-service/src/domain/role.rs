//! Roles: named sets of permissions, and who has them where.

use std::collections::BTreeSet;

use chassis::EntityError;
use chassis::rules::{not_blank, one_line};
use contracts::access::{Action, Grant, Permission, Place, Resource, Scope};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The longest name of a role.
const NAME_LENGTH_MAX: usize = 50;
/// The longest description.
const DESCRIPTION_LENGTH_MAX: usize = 500;
/// Entries in a role's list of permissions at the most; there are fewer different ones.
const PERMISSIONS_MAX: usize = 100;
/// Roles that one employee has at the most.
pub(crate) const ASSIGNMENTS_MAX: usize = 20;

/// The role that may do everything; its definition is the program's.
pub(crate) const ADMIN: &str = "admin";
/// The role that everybody begins with.
pub(crate) const BEGINNER: &str = "employee";
/// What errors call it.
pub(crate) const ROLE: &str = "role";

/// What clients write of a role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RoleFields {
    /// Its name; unique without regard to case.
    #[garde(length(chars, max = NAME_LENGTH_MAX), custom(not_blank), custom(one_line))]
    #[schema(max_length = 50)]
    pub(crate) name: String,
    /// Whom it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = DESCRIPTION_LENGTH_MAX), custom(one_line)))]
    #[schema(max_length = 500)]
    pub(crate) description: Option<String>,
    /// What it lets do: `employees:read`, or a type for all of a resource: `employees:VIEW` (read), `employees:EDIT`
    /// (create, read, update), `employees:FULL` (everything).
    #[garde(length(max = PERMISSIONS_MAX), inner(length(chars, max = NAME_LENGTH_MAX)))]
    #[schema(max_items = 100)]
    pub(crate) permissions: Vec<String>,
}

impl RoleFields {
    /// The permissions that are meant, each once, in order.
    ///
    /// # Errors
    /// The entry that names none.
    pub(crate) fn permissions(&self) -> Result<Vec<Permission>, EntityError> {
        let mut permissions = BTreeSet::new();
        for (at, text) in self.permissions.iter().enumerate() {
            let meant = expand(text).ok_or_else(|| {
                let message = "is no permission: write resource:action, or resource:VIEW, EDIT or FULL";
                EntityError::field(format!("permissions[{at}]"), message)
            })?;
            permissions.extend(meant);
        }
        Ok(permissions.into_iter().collect())
    }
}

fn expand(text: &str) -> Option<Vec<Permission>> {
    let (resource, what) = text.split_once(':')?;
    let resource = Resource::ALL.into_iter().find(|known| known.as_str() == resource)?;
    let actions: &[Action] = match what {
        "VIEW" => &[Action::Read],
        "EDIT" => &[Action::Create, Action::Read, Action::Update],
        "FULL" => &Action::ALL,
        action => return text.parse().ok().filter(|_| !action.is_empty()).map(|permission| vec![permission]),
    };
    Some(actions.iter().map(|action| Permission::new(resource, *action)).collect())
}

/// A named set of permissions.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Role {
    /// Its number.
    pub(crate) role_id: i64,
    /// Its name.
    pub(crate) name: String,
    /// Whom it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    /// What it lets do.
    #[schema(value_type = Vec<String>)]
    pub(crate) permissions: Vec<Permission>,
    /// Whether every installation has it; such a one cannot be deleted.
    pub(crate) is_built_in: bool,
    /// Grows with each change; the `ETag`.
    pub(crate) version: i64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: Timestamp,
    /// When it was changed last.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) updated_at: Timestamp,
}

impl Role {
    /// The key of its audit records.
    pub(crate) fn key(&self) -> String {
        key(self.role_id)
    }

    /// Whether it is the role that may do everything.
    pub(crate) fn is_admin(&self) -> bool {
        self.is_built_in && self.name == ADMIN
    }

    /// What clients may write, as it stands.
    pub(crate) fn fields(&self) -> RoleFields {
        RoleFields {
            name: self.name.clone(),
            description: self.description.clone(),
            permissions: self.permissions.iter().map(Permission::to_string).collect(),
        }
    }
}

/// The key of a role's audit records.
pub(crate) fn key(role_id: i64) -> String {
    format!("role-{role_id}")
}

/// How far a role reaches for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, Validate, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(crate) enum RoleScope {
    /// Everywhere.
    #[default]
    All,
    /// What belongs to one headquarters.
    Headquarters {
        /// Its number.
        #[garde(range(min = 1))]
        #[schema(minimum = 1)]
        headquarter_id: i64,
    },
    /// What belongs to one department.
    Department {
        /// Its number.
        #[garde(range(min = 1))]
        #[schema(minimum = 1)]
        department_id: i64,
    },
}

impl RoleScope {
    /// As it is stored: a word and a number.
    pub(crate) fn parts(self) -> (&'static str, i64) {
        match self {
            Self::All => ("all", 0),
            Self::Headquarters { headquarter_id } => ("headquarters", headquarter_id),
            Self::Department { department_id } => ("department", department_id),
        }
    }

    /// From how it is stored.
    pub(crate) fn from_parts(word: &str, id: i64) -> Option<Self> {
        match word {
            "all" => Some(Self::All),
            "headquarters" => Some(Self::Headquarters { headquarter_id: id }),
            "department" => Some(Self::Department { department_id: id }),
            _ => None,
        }
    }
}

impl From<RoleScope> for Scope {
    fn from(scope: RoleScope) -> Self {
        match scope {
            RoleScope::All => Self::All,
            RoleScope::Headquarters { headquarter_id } => Self::Headquarters { headquarter_id },
            RoleScope::Department { department_id } => Self::Department { department_id },
        }
    }
}

impl From<Scope> for RoleScope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::All => Self::All,
            Scope::Headquarters { headquarter_id } => Self::Headquarters { headquarter_id },
            Scope::Department { department_id } => Self::Department { department_id },
        }
    }
}

/// A role that an employee has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Assignment {
    /// The role's name.
    #[garde(length(chars, max = NAME_LENGTH_MAX), custom(not_blank), custom(one_line))]
    #[schema(max_length = 50)]
    pub(crate) role: String,
    /// How far it reaches.
    #[serde(default)]
    #[garde(dive)]
    pub(crate) scope: RoleScope,
}

/// Whether somebody who holds `grants` holds the permission for the whole of `scope`, which lies at `place`.
pub(crate) fn covers(grants: &[Grant], permission: Permission, scope: Scope, place: Place) -> bool {
    grants.iter().any(|grant| {
        let reaches = match scope {
            Scope::All => grant.scope == Scope::All,
            Scope::Headquarters { .. } => grant.scope == Scope::All || grant.scope == scope,
            Scope::Department { .. } => grant.scope.covers(place),
        };
        grant.permission == permission && reaches
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(permissions: &[&str]) -> RoleFields {
        let permissions = permissions.iter().map(|text| (*text).to_owned()).collect();
        RoleFields { name: "Lead".to_owned(), description: None, permissions }
    }

    #[test]
    fn types_stand_for_their_actions_and_nothing_is_listed_twice() {
        let permissions = fields(&["employees:EDIT", "employees:read", "roles:VIEW"]).permissions().unwrap();
        let texts: Vec<String> = permissions.iter().map(Permission::to_string).collect();
        assert_eq!(texts, ["employees:create", "employees:read", "employees:update", "roles:read"]);
        assert_eq!(fields(&["audit:FULL"]).permissions().unwrap().len(), Action::ALL.len());
    }

    #[test]
    fn what_is_no_permission_is_named() {
        for text in ["employees", "employees:", "employees:fire", "planets:read", ""] {
            let error = fields(&["roles:read", text]).permissions().unwrap_err();
            let EntityError::Invalid(errors) = error else { panic!("{text}") };
            assert_eq!(errors[0].field, "permissions[1]");
        }
    }

    #[test]
    fn a_grant_covers_no_more_than_its_scope() {
        let permission = Permission::new(Resource::Employees, Action::Read);
        let department = Scope::Department { department_id: 3 };
        let place = Place { headquarter_id: Some(1), department_id: Some(3) };
        let held = |scope| [Grant { permission, scope }];
        assert!(covers(&held(Scope::Headquarters { headquarter_id: 1 }), permission, department, place));
        assert!(covers(&held(Scope::All), permission, department, place));
        assert!(!covers(&held(department), permission, Scope::All, Place::default()));
        assert!(!covers(&held(Scope::Department { department_id: 4 }), permission, department, place));
    }
}
