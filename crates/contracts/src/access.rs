//! Who may do what: permissions, the roles that bundle them, and what a session amounts to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A kind of thing that access is given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// Employees, with their sessions.
    Employees,
    /// Roles, permissions and who has them.
    Roles,
    /// Companies.
    Companies,
    /// Headquarters.
    Headquarters,
    /// Departments and their types.
    Departments,
    /// Positions and their types.
    Positions,
    /// Job postings.
    JobPostings,
    /// Candidates.
    Candidates,
    /// Applications.
    Applications,
    /// Interviews.
    Interviews,
    /// What people want to be told, and how.
    Preferences,
    /// The audit trail.
    Audit,
}

/// What is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Making a new one.
    Create,
    /// Looking at it.
    Read,
    /// Changing it.
    Update,
    /// Removing it.
    Delete,
}

impl Resource {
    /// Every resource.
    pub const ALL: [Self; 12] = [
        Self::Employees,
        Self::Roles,
        Self::Companies,
        Self::Headquarters,
        Self::Departments,
        Self::Positions,
        Self::JobPostings,
        Self::Candidates,
        Self::Applications,
        Self::Interviews,
        Self::Preferences,
        Self::Audit,
    ];

    /// The name in a permission.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Employees => "employees",
            Self::Roles => "roles",
            Self::Companies => "companies",
            Self::Headquarters => "headquarters",
            Self::Departments => "departments",
            Self::Positions => "positions",
            Self::JobPostings => "job-postings",
            Self::Candidates => "candidates",
            Self::Applications => "applications",
            Self::Interviews => "interviews",
            Self::Preferences => "preferences",
            Self::Audit => "audit",
        }
    }
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 4] = [Self::Create, Self::Read, Self::Update, Self::Delete];

    /// The name in a permission.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// Leave to do one thing to one kind of thing; on the wire `employees:read`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Permission {
    /// To what.
    pub resource: Resource,
    /// To do what.
    pub action: Action,
}

impl Permission {
    /// Leave to do `action` to `resource`.
    pub const fn new(resource: Resource, action: Action) -> Self {
        Self { resource, action }
    }

    /// Every permission there is.
    pub fn all() -> impl Iterator<Item = Self> {
        Resource::ALL.into_iter().flat_map(|resource| Action::ALL.map(|action| Self::new(resource, action)))
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.resource.as_str(), self.action.as_str())
    }
}

/// A text that names no permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such permission; one is written resource:action, for example employees:read")]
pub struct UnknownPermission;

impl FromStr for Permission {
    type Err = UnknownPermission;

    fn from_str(text: &str) -> Result<Self, UnknownPermission> {
        Self::all().find(|permission| permission.to_string() == text).ok_or(UnknownPermission)
    }
}

impl Serialize for Permission {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How far a permission reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Scope {
    /// Everywhere.
    #[default]
    All,
    /// What belongs to one headquarters.
    Headquarters {
        /// Its number.
        headquarter_id: i64,
    },
    /// What belongs to one department.
    Department {
        /// Its number.
        department_id: i64,
    },
}

/// Where something is, for comparison with a [`Scope`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// The headquarters that it belongs to, where that is known.
    pub headquarter_id: Option<i64>,
    /// The department that it belongs to.
    pub department_id: Option<i64>,
}

impl Scope {
    /// Whether something at `place` is within the scope.
    pub fn covers(self, place: Place) -> bool {
        match self {
            Self::All => true,
            Self::Headquarters { headquarter_id } => place.headquarter_id == Some(headquarter_id),
            Self::Department { department_id } => place.department_id == Some(department_id),
        }
    }
}

/// A permission and how far it reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// What may be done.
    pub permission: Permission,
    /// Where.
    #[serde(default)]
    pub scope: Scope,
}

/// What a living session amounts to; the user-service tells the other services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// Who is logged in.
    pub employee_id: i64,
    /// The session.
    pub session_id: String,
    /// What the employee may do.
    pub grants: Vec<Grant>,
}

impl Access {
    /// Whether the permission is held anywhere.
    pub fn may(&self, permission: Permission) -> bool {
        self.grants.iter().any(|grant| grant.permission == permission)
    }

    /// Whether the permission is held for something at `place`.
    pub fn may_at(&self, permission: Permission, place: Place) -> bool {
        self.grants.iter().any(|grant| grant.permission == permission && grant.scope.covers(place))
    }
}

/// A named set of permissions that every installation has; more can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: &'static str,
    /// Whom it is for.
    pub description: &'static str,
    /// For each resource, what may be done to it.
    pub grants: &'static [(Resource, &'static [Action])],
}

const READ: &[Action] = &[Action::Read];
const EDIT: &[Action] = &[Action::Create, Action::Read, Action::Update];
const FULL: &[Action] = &Action::ALL;

/// The roles that every installation begins with.
pub const ROLES: &[Role] = &[
    Role {
        name: "admin",
        description: "Runs the installation: may do everything",
        grants: &[
            (Resource::Employees, FULL),
            (Resource::Roles, FULL),
            (Resource::Companies, FULL),
            (Resource::Headquarters, FULL),
            (Resource::Departments, FULL),
            (Resource::Positions, FULL),
            (Resource::JobPostings, FULL),
            (Resource::Candidates, FULL),
            (Resource::Applications, FULL),
            (Resource::Interviews, FULL),
            (Resource::Preferences, FULL),
            (Resource::Audit, READ),
        ],
    },
    Role {
        name: "hr",
        description: "Takes people on, and looks after their records",
        grants: &[
            (Resource::Employees, FULL),
            (Resource::Companies, READ),
            (Resource::Headquarters, EDIT),
            (Resource::Departments, EDIT),
            (Resource::Positions, FULL),
            (Resource::JobPostings, FULL),
            (Resource::Candidates, FULL),
            (Resource::Applications, FULL),
            (Resource::Interviews, FULL),
            (Resource::Preferences, EDIT),
        ],
    },
    Role {
        name: "manager",
        description: "Leads a department, and decides whom it hires",
        grants: &[
            (Resource::Employees, READ),
            (Resource::Companies, READ),
            (Resource::Headquarters, READ),
            (Resource::Departments, READ),
            (Resource::Positions, READ),
            (Resource::JobPostings, EDIT),
            (Resource::Candidates, EDIT),
            (Resource::Applications, EDIT),
            (Resource::Interviews, EDIT),
        ],
    },
    Role {
        name: "interviewer",
        description: "Talks to candidates",
        grants: &[
            (Resource::JobPostings, READ),
            (Resource::Candidates, READ),
            (Resource::Applications, READ),
            (Resource::Interviews, &[Action::Read, Action::Update]),
        ],
    },
    Role {
        name: "employee",
        description: "Works here",
        grants: &[
            (Resource::Companies, READ),
            (Resource::Headquarters, READ),
            (Resource::Departments, READ),
            (Resource::Positions, READ),
            (Resource::JobPostings, READ),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_reads_back_what_it_writes() {
        for permission in Permission::all() {
            assert_eq!(permission.to_string().parse(), Ok(permission));
        }
        assert_eq!("employees:fire".parse::<Permission>(), Err(UnknownPermission));
    }

    #[test]
    fn a_scope_covers_what_belongs_to_it() {
        let place = Place { headquarter_id: Some(1), department_id: Some(2) };
        assert!(Scope::All.covers(Place::default()));
        assert!(Scope::Headquarters { headquarter_id: 1 }.covers(place));
        assert!(!Scope::Headquarters { headquarter_id: 2 }.covers(place));
        assert!(Scope::Department { department_id: 2 }.covers(place));
        assert!(!Scope::Department { department_id: 2 }.covers(Place::default()));
    }
}
