//! What may be set for one listener in the place of what holds for all of them.

use std::path::PathBuf;

use crate::error::Error;
use crate::security::config::SecurityConfig;
use crate::security::session::SaslMechanism;
use crate::security::tls::ClientAuth;

const KEY: &str = "security.listener_settings";

/// How one listener lets clients in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSettings {
    /// Whether it may be open to other machines although it asks nobody who they are.
    pub allow_unauthenticated_public_listener: bool,
    /// The certificates (PEM) that it shows.
    pub tls_certificate_file: Option<PathBuf>,
    /// The private key (PEM) of the first of them.
    pub tls_key_file: Option<PathBuf>,
    /// Whether its clients show a certificate.
    pub tls_client_auth: ClientAuth,
    /// The certificates (PEM) that clients' are checked against.
    pub tls_client_ca_file: Option<PathBuf>,
    /// How its clients may log in.
    pub sasl_mechanisms: Vec<String>,
}

/// One setting of one listener, as it is configured.
struct Setting<'a> {
    listener: &'a str,
    key: &'a str,
    value: &'a str,
}

impl ListenerSettings {
    /// Those of a listener: what is set for it, else what holds for all.
    pub(crate) fn of(listener: &str, config: &SecurityConfig) -> Result<Self, Error> {
        let mut settings = Self {
            allow_unauthenticated_public_listener: config.allow_unauthenticated_public_listener,
            tls_certificate_file: config.tls_certificate_file.clone(),
            tls_key_file: config.tls_key_file.clone(),
            tls_client_auth: config.tls_client_auth,
            tls_client_ca_file: config.tls_client_ca_file.clone(),
            sasl_mechanisms: config.sasl_mechanisms.clone(),
        };
        for text in &config.listener_settings {
            let setting = parse(text)?;
            if setting.listener.eq_ignore_ascii_case(listener) {
                settings.set(&setting).map_err(|reason| bad(format!("{text}: {reason}")))?;
            }
        }
        if let Some(unknown) = settings.sasl_mechanisms.iter().find(|name| SaslMechanism::of_name(name).is_none()) {
            let reason = format!("there is no mechanism {unknown}");
            return Err(Error::Config { key: "security.sasl_mechanisms", reason });
        }
        Ok(settings)
    }

    fn set(&mut self, setting: &Setting<'_>) -> Result<(), String> {
        let value = setting.value;
        let file = || (!value.is_empty()).then(|| PathBuf::from(value));
        match setting.key {
            "allow_unauthenticated_public_listener" => {
                let parsed = value.parse();
                self.allow_unauthenticated_public_listener = parsed.map_err(|_| "it must be true or false")?;
            }
            "tls_certificate_file" => self.tls_certificate_file = file(),
            "tls_key_file" => self.tls_key_file = file(),
            "tls_client_ca_file" => self.tls_client_ca_file = file(),
            "tls_client_auth" => {
                let known = ClientAuth::of_name(value);
                self.tls_client_auth = known.ok_or("it must be none, requested or required")?;
            }
            "sasl_mechanisms" => {
                self.sasl_mechanisms = value.split(',').map(|name| name.trim().to_owned()).collect();
            }
            unknown => return Err(format!("{unknown} cannot be set for one listener")),
        }
        Ok(())
    }
}

/// Refuses settings of listeners that there are not.
pub(crate) fn check_names(config: &SecurityConfig, listeners: &[&str]) -> Result<(), Error> {
    for text in &config.listener_settings {
        let name = parse(text)?.listener;
        if !listeners.iter().any(|listener| listener.eq_ignore_ascii_case(name)) {
            return Err(bad(format!("{text}: there is no listener {name}")));
        }
    }
    Ok(())
}

fn parse(text: &str) -> Result<Setting<'_>, Error> {
    let parts = text.split_once(':').and_then(|(listener, rest)| Some((listener, rest.split_once('=')?)));
    let (listener, (key, value)) = parts.ok_or_else(|| bad(format!("{text} must be NAME:KEY=VALUE")))?;
    Ok(Setting { listener: listener.trim(), key: key.trim(), value: value.trim() })
}

fn bad(reason: String) -> Error {
    Error::Config { key: KEY, reason }
}
