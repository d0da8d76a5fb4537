//! Security from outside: listeners, logins, certificates, access rules.

mod encryption;
mod java;
mod listeners;
mod logins;
mod record;
mod rules;

use broker::{Password, SecurityConfig};
use bytes::Bytes;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};

use crate::support::Running;
use crate::support::wire::{Wire, text};

/// The user that is there from the start on, and the password.
const ADMIN: (&str, &str) = ("admin", "admin-secret");

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Logins on the first listener, everybody let in on the second.
pub(crate) fn with_logins(security: &mut SecurityConfig) {
    security.listeners = owned(&["SASL_PLAINTEXT://127.0.0.1:0", "PLAINTEXT://127.0.0.1:0"]);
    security.sasl_mechanisms = owned(&["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]);
    security.first_user = ADMIN.0.to_owned();
    security.first_user_password = Password::from(ADMIN.1.to_owned());
    security.failed_login_delay_ms = 1;
}

/// What a client is told to log in as somebody.
fn login<'a>(mechanism: &'a str, user: &'a str, password: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", mechanism),
        ("sasl.username", user),
        ("sasl.password", password),
    ]
}

/// A connection that has said how it wants to log in.
pub(crate) async fn greeted(broker: &Running, mechanism: &str) -> Wire {
    let mut wire = Wire::connect(&broker.address()).await;
    let handshake = SaslHandshakeRequest::default().with_mechanism(text(mechanism));
    assert_eq!(wire.call(1, &handshake).await.error_code, 0);
    wire
}

pub(crate) fn message(bytes: &[u8]) -> SaslAuthenticateRequest {
    SaslAuthenticateRequest::default().with_auth_bytes(Bytes::copy_from_slice(bytes))
}

/// A connection of a user.
async fn logged_in(broker: &Running, (user, password): (&str, &str)) -> Wire {
    let mut wire = greeted(broker, "PLAIN").await;
    let answer = wire.call(1, &message(format!("\0{user}\0{password}").as_bytes())).await;
    assert_eq!(answer.error_code, 0, "{user}");
    wire
}
