//! Events that ask for somebody to be told something, on `notification-events`.
//!
//! The envelope names whom (`recipientId`, `recipientType`), and so does the key.

use eventkit::{Event, RecipientType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::topics::NOTIFICATION_EVENTS;

/// Somebody is to get an e-mail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
#[event(type = "notification.email", topic = NOTIFICATION_EVENTS)]
pub struct NotificationEmail {
    /// The address to send to; absent where the sender knows only the recipient's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The subject line.
    pub subject: String,
    /// The name of the template that makes the text, for example `user-notification`.
    pub template: String,
    /// What the template is filled with.
    #[serde(default)]
    pub variables: Map<String, Value>,
}

/// Somebody is to get a text message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
#[event(type = "notification.sms", topic = NOTIFICATION_EVENTS)]
pub struct NotificationSms {
    /// The telephone number to send to; absent where the sender knows only the recipient's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The name of the template that makes the text.
    pub template: String,
    /// What the template is filled with.
    #[serde(default)]
    pub variables: Map<String, Value>,
}

/// Somebody is to be told on their devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
#[event(type = "notification.push", topic = NOTIFICATION_EVENTS)]
pub struct NotificationPush {
    /// The first line.
    pub title: String,
    /// The name of the template that makes the text.
    pub template: String,
    /// What the template is filled with.
    #[serde(default)]
    pub variables: Map<String, Value>,
}

/// The key of everything addressed to one person.
pub fn recipient_key(recipient_type: RecipientType, recipient_id: i64) -> String {
    match recipient_type {
        RecipientType::Employee => format!("notification-{recipient_id}"),
        RecipientType::Candidate => format!("notification-candidate-{recipient_id}"),
    }
}

/// Whom a key of [`recipient_key`] addresses.
pub fn recipient_of_key(key: &str) -> Option<(RecipientType, i64)> {
    let rest = key.strip_prefix("notification-")?;
    match rest.strip_prefix("candidate-") {
        Some(id) => Some((RecipientType::Candidate, id.parse().ok()?)),
        None => Some((RecipientType::Employee, rest.parse().ok()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notification_of_the_seed_is_read() {
        let seed = r#"{"subject":"Important Update","template":"user-notification","variables":{"message":"hi"}}"#;
        let email: NotificationEmail = serde_json::from_str(seed).unwrap();
        assert_eq!(email.to, None);
        assert_eq!(email.variables["message"], "hi");
    }

    #[test]
    fn employees_and_candidates_have_keys_of_their_own() {
        assert_eq!(recipient_key(RecipientType::Employee, 42), "notification-42");
        assert_eq!(recipient_key(RecipientType::Candidate, 7), "notification-candidate-7");
    }

    #[test]
    fn a_key_tells_whom_it_addresses() {
        for recipient in [(RecipientType::Employee, 42), (RecipientType::Candidate, 7)] {
            assert_eq!(recipient_of_key(&recipient_key(recipient.0, recipient.1)), Some(recipient));
        }
        for key in ["user-42", "notification-", "notification-administrators", "notification-candidate-x"] {
            assert_eq!(recipient_of_key(key), None, "{key}");
        }
    }
}
