//! What the owner of a broker chooses about security; the defaults are those of a development machine.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use crate::error::Error;
use crate::security::tls::ClientAuth;

/// Longest password file read, bytes.
const PASSWORD_BYTES_MAX: u64 = 4096;

/// The security of a broker. Unknown keys are refused when it is read from a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecurityConfig {
    /// Listeners, each `NAME://ADDRESS:PORT`; none stands for one named `PLAINTEXT` on [`crate::Config::listen`].
    pub listeners: Vec<String>,
    /// `NAME://HOST:PORT` told to the clients of a listener; those of others are told the address they came in by.
    pub advertised_listeners: Vec<String>,
    /// `NAME:PROTOCOL` of listeners whose name is not itself a security protocol.
    pub listener_protocols: Vec<String>,
    /// `NAME:KEY=VALUE` for one listener, in the place of what holds for all: `sasl_mechanisms` (joined by commas), one of
    /// the keys that begin with `tls_`, or `allow_unauthenticated_public_listener`.
    pub listener_settings: Vec<String>,
    /// Lets listeners that ask nobody who they are accept connections from other machines.
    pub allow_unauthenticated_public_listener: bool,
    /// The certificates (PEM) that TLS listeners show, the broker's own first.
    pub tls_certificate_file: Option<PathBuf>,
    /// The private key (PEM, without a password) of that certificate.
    pub tls_key_file: Option<PathBuf>,
    /// Whether clients of TLS listeners show a certificate, whose subject they are then.
    pub tls_client_auth: ClientAuth,
    /// The certificates (PEM) that clients' are checked against.
    pub tls_client_ca_file: Option<PathBuf>,
    /// How clients may log in: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`.
    pub sasl_mechanisms: Vec<String>,
    /// A user that exists from the start on; empty: none.
    pub first_user: String,
    /// That user's password.
    pub first_user_password: Password,
    /// A file with that user's password, in the place of the key before.
    pub first_user_password_file: Option<PathBuf>,
    /// How long a failed login waits for its answer, milliseconds.
    pub failed_login_delay_ms: u64,
    /// After how long a client must log in again, milliseconds; 0: never.
    pub reauthentication_max_ms: u64,
    /// Whether access rules decide who may do what; otherwise everybody who comes in may do everything.
    pub authorize: bool,
    /// Who may do everything whatever the rules say, as `User:NAME` joined by semicolons.
    pub super_users: String,
    /// Whether a resource without any rule is open to everybody.
    pub allow_everyone_if_no_acl_found: bool,
    /// Access rules at most.
    pub acls_max: usize,
    /// Users at most.
    pub users_max: usize,
}

impl Default for SecurityConfig {
    fn default() -> Self {
        Self {
            listeners: Vec::new(),
            advertised_listeners: Vec::new(),
            listener_protocols: Vec::new(),
            listener_settings: Vec::new(),
            allow_unauthenticated_public_listener: false,
            tls_certificate_file: None,
            tls_key_file: None,
            tls_client_auth: ClientAuth::None,
            tls_client_ca_file: None,
            sasl_mechanisms: vec!["SCRAM-SHA-256".to_owned(), "SCRAM-SHA-512".to_owned()],
            first_user: String::new(),
            first_user_password: Password::default(),
            first_user_password_file: None,
            failed_login_delay_ms: 100,
            reauthentication_max_ms: 0,
            authorize: false,
            super_users: String::new(),
            allow_everyone_if_no_acl_found: false,
            acls_max: 5_000,
            users_max: 10_000,
        }
    }
}

impl SecurityConfig {
    /// Refuses what cannot work.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.first_user.is_empty() {
            return Ok(());
        }
        match (self.first_user_password.is_empty(), &self.first_user_password_file) {
            (true, None) => Err(bad("security.first_user_password", format!("{} has none", self.first_user))),
            (false, Some(_)) => Err(bad("security.first_user_password", "there is a file with it too".to_owned())),
            _ => Ok(()),
        }
    }

    /// The user that exists from the start on, with its password.
    pub(crate) fn first_user(&self) -> Result<Option<(String, Password)>, Error> {
        if self.first_user.is_empty() {
            return Ok(None);
        }
        let Some(path) = &self.first_user_password_file else {
            return Ok(Some((self.first_user.clone(), self.first_user_password.clone())));
        };
        let size = std::fs::metadata(path).map_err(Error::storage("reading", path))?.len();
        let text = if size > PASSWORD_BYTES_MAX { String::new() } else { read(path)? };
        let password = Password(text.trim_end_matches(['\r', '\n']).to_owned());
        if password.is_empty() {
            let reason = format!("{} is empty or larger than {PASSWORD_BYTES_MAX} bytes", path.display());
            return Err(bad("security.first_user_password_file", reason));
        }
        Ok(Some((self.first_user.clone(), password)))
    }
}

fn read(path: &PathBuf) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(Error::storage("reading", path))
}

fn bad(key: &'static str, reason: String) -> Error {
    Error::Config { key, reason }
}

/// A password, which is never printed.
#[derive(Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "unset" } else { "***" })
    }
}
