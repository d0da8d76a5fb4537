//! Listeners: the addresses of a broker, each with a name, a security protocol and what its clients are told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use kafka_protocol::protocol::StrBytes;

use crate::config::{Config, split_host_port};
use crate::error::Error;
use crate::security::listener_settings::{self, ListenerSettings};
use crate::security::tls::ClientAuth;

/// The name of the listener of a broker that is given none.
const ONLY: &str = "PLAINTEXT";

/// How connections of a listener are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Neither encryption nor a question who it is.
    Plaintext,
    /// TLS; clients may have to show a certificate.
    Ssl,
    /// A login without encryption.
    SaslPlaintext,
    /// TLS and a login.
    SaslSsl,
}

impl Protocol {
    /// Whether a login is asked for.
    pub(crate) fn is_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }

    /// Whether connections are encrypted.
    pub(crate) fn is_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    fn of_name(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "PLAINTEXT" => Some(Self::Plaintext),
            "SSL" => Some(Self::Ssl),
            "SASL_PLAINTEXT" => Some(Self::SaslPlaintext),
            "SASL_SSL" => Some(Self::SaslSsl),
            _ => None,
        }
    }
}

/// One address of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// What its other settings name it by.
    pub name: String,
    /// Where it listens; port 0 takes a free one.
    pub address: SocketAddr,
    /// Host and port that its clients are told; port 0 stands for the port that was taken.
    pub advertise: Option<(String, u16)>,
    /// How its connections are protected.
    pub protocol: Protocol,
    /// How it lets clients in.
    pub settings: ListenerSettings,
}

impl Listener {
    /// Host and port for a client that came in at `local`.
    pub(crate) fn advertised(&self, local: SocketAddr) -> (StrBytes, i32) {
        match &self.advertise {
            Some((host, 0)) => (StrBytes::from_string(host.clone()), i32::from(local.port())),
            Some((host, port)) => (StrBytes::from_string(host.clone()), i32::from(*port)),
            None => (StrBytes::from_string(local.ip().to_string()), i32::from(local.port())),
        }
    }

    /// Refuses to be open to other machines without asking who they are, unless that is wanted.
    pub(crate) fn check_exposure(&self, bound: SocketAddr) -> Result<(), Error> {
        let certified = self.protocol.is_tls() && self.settings.tls_client_auth == ClientAuth::Required;
        if self.protocol.is_sasl()
            || certified
            || bound.ip().is_loopback()
            || self.settings.allow_unauthenticated_public_listener
        {
            return Ok(());
        }
        let reason = format!(
            "listener {} on {bound} would let other machines in without asking who they are; listen on the loopback, \
             choose a protocol that authenticates, or set allow_unauthenticated_public_listener",
            self.name
        );
        Err(Error::Config { key: "security.listeners", reason })
    }
}

impl Config {
    /// The listeners that the configuration asks for, at least one.
    ///
    /// # Errors
    /// [`Error::Config`] if they cannot be read, or two have the same name.
    pub fn listeners(&self) -> Result<Vec<Listener>, Error> {
        let security = &self.security;
        if security.listeners.is_empty() {
            let advertise = self.advertise.as_deref().map(|text| advertised("advertise", text)).transpose()?;
            listener_settings::check_names(security, &[ONLY])?;
            let settings = ListenerSettings::of(ONLY, security)?;
            let (name, protocol) = (ONLY.to_owned(), Protocol::Plaintext);
            return Ok(vec![Listener { name, address: self.listen, advertise, protocol, settings }]);
        }
        let mut listeners: Vec<Listener> = Vec::new();
        for text in &security.listeners {
            let (name, address) = named("security.listeners", text)?;
            if listeners.iter().any(|known| known.name == name) {
                return Err(bad("security.listeners", format!("{name} is there twice")));
            }
            let address = parse_address(address)
                .ok_or_else(|| bad("security.listeners", format!("{text} must be NAME://ADDRESS:PORT")))?;
            let protocol = self.protocol_of(&name)?;
            let settings = ListenerSettings::of(&name, security)?;
            listeners.push(Listener { name, address, advertise: None, protocol, settings });
        }
        let names: Vec<&str> = listeners.iter().map(|listener| listener.name.as_str()).collect();
        listener_settings::check_names(security, &names)?;
        for text in &security.advertised_listeners {
            let key = "security.advertised_listeners";
            let (name, address) = named(key, text)?;
            let listener = listeners.iter_mut().find(|listener| listener.name == name);
            let listener = listener.ok_or_else(|| bad(key, format!("there is no listener {name}")))?;
            listener.advertise = Some(advertised(key, address)?);
        }
        Ok(listeners)
    }

    fn protocol_of(&self, listener: &str) -> Result<Protocol, Error> {
        let key = "security.listener_protocols";
        for text in &self.security.listener_protocols {
            let (name, protocol) =
                text.split_once(':').ok_or_else(|| bad(key, format!("{text} must be NAME:PROTOCOL")))?;
            if name.trim().eq_ignore_ascii_case(listener) {
                let known = Protocol::of_name(protocol.trim());
                return known.ok_or_else(|| bad(key, format!("there is no security protocol {protocol}")));
            }
        }
        Protocol::of_name(listener).ok_or_else(|| bad(key, format!("listener {listener} has no security protocol")))
    }
}

/// `NAME://REST` in two, the name in capitals.
fn named<'a>(key: &'static str, text: &'a str) -> Result<(String, &'a str), Error> {
    match text.trim().split_once("://") {
        Some((name, rest)) if !name.is_empty() => Ok((name.to_ascii_uppercase(), rest)),
        _ => Err(bad(key, format!("{text} must be NAME://HOST:PORT"))),
    }
}

fn advertised(key: &'static str, text: &str) -> Result<(String, u16), Error> {
    split_host_port(text).ok_or_else(|| bad(key, format!("{text} must be HOST:PORT")))
}

/// An address with its port; without an address every one of this machine.
fn parse_address(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix(':') {
        Some(port) => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port.parse().ok()?)),
        None => text.parse().ok(),
    }
}

fn bad(key: &'static str, reason: String) -> Error {
    Error::Config { key, reason }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn with(listeners: &[&str], advertised: &[&str], protocols: &[&str]) -> Result<Vec<Listener>, String> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let mut config = Config::default();
        config.security.listeners = owned(listeners);
        config.security.advertised_listeners = owned(advertised);
        config.security.listener_protocols = owned(protocols);
        config.listeners().map_err(|error| error.to_string())
    }

    #[test]
    fn without_listeners_there_is_one_on_the_address_to_listen_on() {
        let listeners = with(&[], &[], &[]).unwrap();
        assert_eq!(listeners.len(), 1);
        assert_eq!((listeners[0].name.as_str(), listeners[0].address.port()), ("PLAINTEXT", 9092));
    }

    #[test]
    fn listeners_have_names_addresses_and_what_clients_are_told() {
        let listeners = with(
            &["internal://127.0.0.1:0", "PLAINTEXT://:9093"],
            &["PLAINTEXT://kafka.example.com:19093"],
            &["INTERNAL:plaintext"],
        );
        let listeners = listeners.unwrap();
        assert_eq!(listeners[0].name, "INTERNAL");
        assert_eq!(listeners[0].advertise, None);
        assert_eq!(listeners[1].address, "0.0.0.0:9093".parse().unwrap());
        assert_eq!(listeners[1].advertise, Some(("kafka.example.com".to_owned(), 19093)));
    }

    #[test]
    fn listeners_that_cannot_be_are_refused_by_key() {
        for (listeners, advertised, protocols, key) in [
            (&["127.0.0.1:1"][..], &[][..], &[][..], "security.listeners"),
            (&["PLAINTEXT://kafka:9092"], &[], &[], "security.listeners"),
            (&["PLAINTEXT://:1", "PLAINTEXT://:2"], &[], &[], "security.listeners"),
            (&["PLAINTEXT://:1"], &["OTHER://h:1"], &[], "security.advertised_listeners"),
            (&["PLAINTEXT://:1"], &["PLAINTEXT://h"], &[], "security.advertised_listeners"),
            (&["INSIDE://:1"], &[], &[], "security.listener_protocols"),
            (&["INSIDE://:1"], &[], &["INSIDE:TELNET"], "security.listener_protocols"),
        ] {
            let error = with(listeners, advertised, protocols).unwrap_err();
            assert!(error.contains(key), "{listeners:?}: {error}");
        }
    }

    #[test]
    fn a_listener_for_other_machines_is_refused_unless_asked_for() {
        let mut config = Config::default();
        let listener = config.listeners().unwrap().remove(0);
        let public = "192.0.2.1:9092".parse().unwrap();
        assert!(listener.check_exposure("127.0.0.1:9092".parse().unwrap()).is_ok());
        let refused = listener.check_exposure(public).unwrap_err().to_string();
        assert!(refused.contains("allow_unauthenticated_public_listener"), "{refused}");
        config.security.allow_unauthenticated_public_listener = true;
        assert!(config.listeners().unwrap()[0].check_exposure(public).is_ok());
    }

    fn with_settings(settings: &[&str]) -> Result<Vec<Listener>, String> {
        let mut config = Config::default();
        config.security.listeners = vec!["SSL://127.0.0.1:1".to_owned(), "SASL_SSL://127.0.0.1:2".to_owned()];
        config.security.tls_certificate_file = Some("all.pem".into());
        config.security.listener_settings = settings.iter().map(|text| (*text).to_owned()).collect();
        config.listeners().map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_set_for_a_listener_counts_there_and_nowhere_else() {
        let listeners = with_settings(&[
            "ssl:tls_client_auth=required",
            "SSL:tls_certificate_file=own.pem",
            "SASL_SSL:sasl_mechanisms=PLAIN, SCRAM-SHA-512",
            "SASL_SSL:allow_unauthenticated_public_listener=true",
        ]);
        let [of_ssl, of_sasl] =
            listeners.unwrap().try_into().map(|both: [Listener; 2]| both.map(|one| one.settings)).unwrap();
        assert_eq!((of_ssl.tls_client_auth, of_sasl.tls_client_auth), (ClientAuth::Required, ClientAuth::None));
        assert_eq!(of_ssl.tls_certificate_file, Some("own.pem".into()));
        assert_eq!(of_sasl.tls_certificate_file, Some("all.pem".into()));
        assert_eq!(of_ssl.sasl_mechanisms, ["SCRAM-SHA-256", "SCRAM-SHA-512"]);
        assert_eq!(of_sasl.sasl_mechanisms, ["PLAIN", "SCRAM-SHA-512"]);
        assert!(of_sasl.allow_unauthenticated_public_listener && !of_ssl.allow_unauthenticated_public_listener);
    }

    #[test]
    fn settings_that_cannot_be_are_refused_with_what_is_wrong() {
        for (setting, reason) in [
            ("SSL", "must be NAME:KEY=VALUE"),
            ("OTHER:tls_client_auth=none", "there is no listener OTHER"),
            ("SSL:tls_client_auth=maybe", "none, requested or required"),
            ("SSL:first_user=admin", "first_user cannot be set for one listener"),
            ("SSL:allow_unauthenticated_public_listener=yes", "true or false"),
            ("SASL_SSL:sasl_mechanisms=GSSAPI", "there is no mechanism GSSAPI"),
        ] {
            let error = with_settings(&[setting]).unwrap_err();
            assert!(error.contains(reason), "{setting}: {error}");
        }
    }
}
