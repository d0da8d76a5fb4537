//! Records of who did what, on `audit-events`, under the entity's key.
//!
//! States are told as digests: an audit record proves what a state was without carrying private fields.

use eventkit::Event;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::topics::AUDIT_EVENTS;

/// Data was read or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Event)]
#[serde(rename_all = "camelCase")]
#[event(type = "audit.data", topic = AUDIT_EVENTS, key = "{entity}")]
pub struct AuditData {
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub action: Action,
    /// What it was done to: the entity's key, for example `user-42`.
    pub entity: String,
    /// The digest of the state before; absent for a creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The digest of the state after; absent for a deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Actor {
    /// Whoever holds the operator's token.
    Operator,
    /// An employee who is logged in.
    Employee {
        /// The employee's number.
        employee_id: i64,
    },
    /// A part of the system itself.
    Service {
        /// The part's name.
        name: String,
    },
}

/// What was done to an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// It was made.
    Create,
    /// It was changed.
    Update,
    /// It was removed.
    Delete,
}

/// The digest of a state: SHA-256 over its JSON, as `sha256:` and hexadecimal digits.
///
/// # Panics
/// When the state cannot be written as JSON, which plain data always can.
pub fn digest(state: &impl Serialize) -> String {
    let json = serde_json::to_vec(state).expect("plain data is always json");
    let digits: String = Sha256::digest(&json).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_sha_256_of_the_json() {
        // printf '{}' | sha256sum
        let empty = serde_json::json!({});
        let known = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(digest(&empty), known);
    }
}
