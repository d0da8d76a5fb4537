//! What the owner of a broker chooses about security; the defaults are those of a development machine.

use serde::Deserialize;

/// The security of a broker. Unknown keys are refused when it is read from a file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecurityConfig {
    /// Listeners, each `NAME://ADDRESS:PORT`; none stands for one named `PLAINTEXT` on [`crate::Config::listen`].
    pub listeners: Vec<String>,
    /// `NAME://HOST:PORT` told to the clients of a listener; those of others are told the address they came in by.
    pub advertised_listeners: Vec<String>,
    /// `NAME:PROTOCOL` of listeners whose name is not itself a security protocol.
    pub listener_protocols: Vec<String>,
    /// Lets listeners that ask nobody who they are accept connections from other machines.
    pub allow_unauthenticated_public_listener: bool,
}
