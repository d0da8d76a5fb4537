//! One connection: who is on it, and how far a login has come.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;
use tokio::time::Instant;

use crate::num::i64_of;
use crate::security::listener::Listener;
use crate::security::scram::{Credential, Exchange, Failed, First, Mechanism};
use crate::security::{Security, plain};
use crate::sync::lock;

/// Who everybody is on a listener that asks nobody.
const ANONYMOUS: &str = "User:ANONYMOUS";

/// How a client may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SaslMechanism {
    Plain,
    Scram(Mechanism),
}

impl SaslMechanism {
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let all = [Self::Plain, Self::Scram(Mechanism::Sha256), Self::Scram(Mechanism::Sha512)];
        all.into_iter().find(|mechanism| mechanism.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Scram(Mechanism::Sha256) => "SCRAM-SHA-256",
            Self::Scram(Mechanism::Sha512) => "SCRAM-SHA-512",
        }
    }
}

/// Somebody at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Who {
    /// `User:` and a name.
    pub(crate) principal: String,
    pub(crate) host: IpAddr,
}

impl Who {
    /// Whether they have said who they are.
    pub(crate) fn is_known(&self) -> bool {
        self.principal != ANONYMOUS
    }
}

/// How far a login has come.
#[derive(Debug)]
enum Login {
    NotBegun,
    /// A mechanism is chosen; `raw` if the client's messages come without request headers.
    Begun {
        mechanism: SaslMechanism,
        raw: bool,
        exchange: Option<Box<Exchange>>,
    },
    Failed,
}

#[derive(Debug)]
struct State {
    who: Option<Arc<Who>>,
    login: Login,
    expires: Option<Instant>,
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Session {
    security: Arc<Security>,
    listener: Arc<Listener>,
    host: IpAddr,
    state: Mutex<State>,
}

/// What a client gets for a message of its login.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) bytes: Vec<u8>,
    /// How long the login holds; 0 for ever, or if it is not through yet.
    pub(crate) lifetime_ms: i64,
}

/// Why a client gets none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginError {
    /// It did not prove who it is.
    Failed,
    /// It has not said how it wants to.
    NotBegun,
}

impl Session {
    /// A new connection of somebody whose certificate has this subject, if there is one. A login counts for more.
    pub(crate) fn new(security: Arc<Security>, listener: Arc<Listener>, host: IpAddr, subject: Option<String>) -> Self {
        let principal = || subject.map_or_else(|| ANONYMOUS.to_owned(), |subject| format!("User:{subject}"));
        let who = (!listener.protocol.is_sasl()).then(|| Arc::new(Who { principal: principal(), host }));
        let state = Mutex::new(State { who, login: Login::NotBegun, expires: None });
        Self { security, listener, host, state }
    }

    /// Who is there; nobody before the login.
    pub(crate) fn who(&self) -> Option<Arc<Who>> {
        lock(&self.state).who.clone()
    }

    /// Whether the next frame is a message of a login without a request's header.
    pub(crate) fn takes_raw(&self) -> bool {
        matches!(lock(&self.state).login, Login::Begun { raw: true, .. })
    }

    /// Whether a request of this kind may be made now.
    pub(crate) fn admits(&self, key: ApiKey) -> bool {
        let state = lock(&self.state);
        match (&state.login, &state.who) {
            (Login::Failed, _) => false,
            (Login::Begun { .. }, None) => key == ApiKey::SaslAuthenticate,
            (_, None) => matches!(key, ApiKey::ApiVersions | ApiKey::SaslHandshake),
            (_, Some(_)) => {
                let expired = state.expires.is_some_and(|expires| Instant::now() >= expires);
                !expired || matches!(key, ApiKey::ApiVersions | ApiKey::SaslHandshake | ApiKey::SaslAuthenticate)
            }
        }
    }

    /// The names of the mechanisms that are offered.
    pub(crate) fn mechanisms(&self) -> &[String] {
        &self.listener.settings.sasl_mechanisms
    }

    /// Begins a login.
    pub(crate) fn begin(&self, name: &str, raw: bool) -> Result<(), ResponseError> {
        let again = self.security.config.security.reauthentication_max_ms > 0;
        let mut state = lock(&self.state);
        let at_start = matches!(state.login, Login::NotBegun) && (state.who.is_none() || again && !raw);
        if !self.listener.protocol.is_sasl() || !at_start {
            return Err(ResponseError::IllegalSaslState);
        }
        let offered = self.mechanisms().iter().any(|offered| offered == name);
        let mechanism = SaslMechanism::of_name(name).filter(|_| offered);
        let mechanism = mechanism.ok_or(ResponseError::UnsupportedSaslMechanism)?;
        state.login = Login::Begun { mechanism, raw, exchange: None };
        Ok(())
    }

    /// Takes a login one message further. A failed one is answered late, and nothing is admitted after it.
    pub(crate) async fn proceed(&self, message: &[u8]) -> Result<Reply, LoginError> {
        let login = std::mem::replace(&mut lock(&self.state).login, Login::Failed);
        let Login::Begun { mechanism, raw, exchange } = login else {
            lock(&self.state).login = login;
            return Err(LoginError::NotBegun);
        };
        let outcome = match (mechanism, exchange) {
            (SaslMechanism::Plain, _) => match plain::check(message, &self.security).await {
                Ok(user) => self.succeed(&user, Vec::new()),
                Err(failed) => Err(failed),
            },
            (SaslMechanism::Scram(hash), None) => self.challenge(hash, message).map(|exchange| {
                let bytes = exchange.challenge().as_bytes().to_vec();
                lock(&self.state).login = Login::Begun { mechanism, raw, exchange: Some(Box::new(exchange)) };
                Reply { bytes, lifetime_ms: 0 }
            }),
            (SaslMechanism::Scram(_), Some(exchange)) => match exchange.finish(message) {
                Ok((user, proof)) => self.succeed(&user, proof.into_bytes()),
                Err(failed) => Err(failed),
            },
        };
        if let Err(Failed) = outcome {
            self.security.audit.login_failed(&self.listener.name, mechanism.name(), self.host);
            tokio::time::sleep(Duration::from_millis(self.security.config.security.failed_login_delay_ms)).await;
        }
        outcome.map_err(|Failed| LoginError::Failed)
    }

    fn challenge(&self, hash: Mechanism, message: &[u8]) -> Result<Exchange, Failed> {
        let first = First::parse(message)?;
        let known = self.security.store.read().users.get(&first.user).and_then(|known| known.get(&hash).cloned());
        let decoy = || Credential::decoy(hash, &self.security.decoy, &first.user);
        let credential = known.unwrap_or_else(decoy);
        Ok(Exchange::new(hash, first, credential))
    }

    /// The user is known now; who logs in again stays the same.
    fn succeed(&self, user: &str, bytes: Vec<u8>) -> Result<Reply, Failed> {
        let who = Arc::new(Who { principal: format!("User:{user}"), host: self.host });
        let lifetime_ms = self.security.config.security.reauthentication_max_ms;
        let mut state = lock(&self.state);
        if state.who.as_ref().is_some_and(|before| *before != who) {
            return Err(Failed);
        }
        state.who = Some(who);
        state.login = Login::NotBegun;
        state.expires = (lifetime_ms > 0).then(|| Instant::now() + Duration::from_millis(lifetime_ms));
        Ok(Reply { bytes, lifetime_ms: i64_of(lifetime_ms) })
    }
}
