//! Records of who did what, on `audit-events`, under the entity's key.
//!
//! States are told as digests: an audit record proves what a state was without carrying it. Private fields are left out of
//! what is digested: of a birth date or a salary so few are possible that whoever has the digest could try them all. A
//! state's version, which is digested, tells that they changed.

use eventkit::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::topics::AUDIT_EVENTS;

/// Data was changed, or a route was steered or looked into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Event)]
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

/// Access was refused, or somebody tried what only an attacker would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
#[event(type = "audit.security", topic = AUDIT_EVENTS, key = "{entity}")]
pub struct AuditSecurity {
    /// What happened.
    pub incident: Incident,
    /// Whom or what it concerns: an entity's key, or the part that was asked, for example `part-user-service`.
    pub entity: String,
    /// Who tried, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// What was asked for, for example `GET /api/v1/users/{employee_id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Where the request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// How many more like it were not recorded one by one, because there were too many.
    #[serde(default)]
    pub suppressed: u64,
}

/// What threatened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Incident {
    /// A login with a wrong password or an unknown address.
    LoginFailed,
    /// A request without a token that is known.
    Unauthenticated,
    /// A request for what the actor may not do.
    Forbidden,
    /// A refresh token was used a second time.
    TokenReused,
    /// An invitation, a bootstrap token or a refresh token was refused.
    TokenRefused,
}

/// The system itself did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
#[event(type = "audit.system", topic = AUDIT_EVENTS, key = "{entity}")]
pub struct AuditSystem {
    /// What happened.
    pub occurrence: Occurrence,
    /// The part that it happened to, for example `part-user-service`.
    pub entity: String,
    /// The version of the program.
    pub version: String,
    /// Which copy of the part it was.
    pub instance: String,
    /// The digest of the configuration as `techleet config print` shows it, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
}

/// What the system did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Occurrence {
    /// A part started.
    Started,
    /// A part started with another configuration than it had before.
    Reconfigured,
    /// A part is about to stop.
    Stopping,
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// It was made.
    Create,
    /// It was changed.
    Update,
    /// It was removed.
    Delete,
    /// It was started by somebody.
    Start,
    /// It was stopped by somebody.
    Stop,
    /// It was stopped for a while by somebody.
    Suspend,
    /// It goes on after it was suspended.
    Resume,
    /// Somebody had it say again what it said before.
    RollBack,
    /// Somebody looked at what goes through it.
    Trace,
}

/// The digest of a state without its private fields: SHA-256 over its JSON, as `sha256:` and hexadecimal digits.
///
/// # Panics
/// When the state cannot be written as JSON, which plain data always can.
pub fn digest(state: &impl Serialize) -> String {
    let json = serde_json::to_vec(state).expect("plain data is always json");
    format!("sha256:{}", hex(&Sha256::digest(&json)))
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    let mut digits = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        digits.push(digit(byte >> 4));
        digits.push(digit(byte & 0xf));
    }
    digits
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
