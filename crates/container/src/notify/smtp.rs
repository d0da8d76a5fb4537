//! Hands mails to a mail server over SMTP, and tells what its answers mean.
//!
//! The server's words may hold addresses: only its reply code is kept of them.

use std::fmt;
use std::time::Duration;

use chassis::Secret;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::{AsyncSmtpTransport, Error as SmtpError};
use lettre::{AsyncTransport, Message as Mail, Tokio1Executor};
use serde::Deserialize;

use super::Undelivered;
use crate::error::Error;

/// Replies that refuse our login, not the mail: they mend themselves once the configuration is right.
const LOGIN_REFUSED: [u16; 5] = [454, 530, 534, 535, 538];

/// The section `container.smtp`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SmtpConfig {
    /// The server; empty for none.
    pub(crate) host: String,
    /// Its port.
    pub(crate) port: u16,
    /// How the connection is protected.
    pub(crate) tls: TlsMode,
    /// Who we are to it; empty for no login.
    pub(crate) user: String,
    /// How we show it.
    pub(crate) password: Secret,
    /// How long one exchange with it may take.
    pub(crate) timeout_ms: u64,
}

/// How the connection to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TlsMode {
    /// Not at all.
    None,
    /// It begins open and must become TLS before anything is said.
    Starttls,
    /// It is TLS from the beginning.
    Tls,
}

/// A way to one mail server.
pub(super) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    put_off: Duration,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").finish_non_exhaustive()
    }
}

impl Smtp {
    /// A way to the configured server; nothing is connected yet. `put_off` is how long to wait after a 4xx reply.
    pub(super) fn new(config: &SmtpConfig, put_off: Duration) -> Result<Self, Error> {
        let parameters = || {
            TlsParameters::new(config.host.clone()).map_err(|error| Error::SmtpUnusable { reason: error.to_string() })
        };
        let tls = match config.tls {
            TlsMode::None => Tls::None,
            TlsMode::Starttls => Tls::Required(parameters()?),
            TlsMode::Tls => Tls::Wrapper(parameters()?),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(config.host.as_str())
            .port(config.port)
            .tls(tls)
            .timeout(Some(Duration::from_millis(config.timeout_ms)));
        if !config.user.is_empty() {
            let password = config.password.expose().to_owned();
            builder = builder.credentials(Credentials::new(config.user.clone(), password));
        }
        Ok(Self { transport: builder.build(), put_off })
    }

    /// Hands one mail over.
    pub(super) async fn send(&self, mail: &Mail) -> Result<(), Undelivered> {
        let envelope = mail.envelope();
        let Err(error) = self.transport.send_raw(envelope, &mail.formatted()).await else { return Ok(()) };
        let Some(code) = error.status().map(u16::from) else {
            return Err(self.broken_off(&error).await);
        };
        let refused = Error::SmtpRefused { code };
        Err(match code {
            code if LOGIN_REFUSED.contains(&code) => Undelivered::Away(refused),
            400..=499 => Undelivered::PutOff(refused, Some(self.put_off)),
            _ => Undelivered::Refused(refused),
        })
    }

    /// A conversation that ended without a reply: the server may be away, or it may not bear this one mail.
    async fn broken_off(&self, error: &SmtpError) -> Undelivered {
        let reason = if error.is_timeout() { "it did not answer in time" } else { "the connection failed" };
        let broken = Error::SmtpBroken { reason };
        match self.transport.test_connection().await {
            Ok(true) => Undelivered::PutOff(broken, Some(self.put_off)),
            _ => Undelivered::Away(broken),
        }
    }
}
