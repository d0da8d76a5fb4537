//! Taking a port, with an error that says who wanted it and how to choose another; and the way to other parts.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::config::Settings;
use crate::error::{ConfigError, Error};
use crate::profile::Profile;

/// A client for the parts of a backbone. It takes no proxy, whatever the environment names: what it carries, a session's
/// token say, is for the other part alone.
///
/// # Panics
/// Never: it has nothing that could fail to be set up.
#[must_use]
pub fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("without TLS nothing has to be set up")
}

/// Which addresses this process may listen on, by its profile.
#[derive(Clone, Copy, Debug)]
pub struct Binder {
    loopback_only: bool,
}

impl Binder {
    /// By the keys `profile` and `allow_public_bind`.
    ///
    /// # Errors
    /// The keys cannot be read.
    pub fn from_settings(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self::new(settings.profile()?, settings.get("allow_public_bind")?))
    }

    /// The development profile keeps to loopback addresses unless `allow_public_bind`.
    #[must_use]
    pub fn new(profile: Profile, allow_public_bind: bool) -> Self {
        Self { loopback_only: profile == Profile::Development && !allow_public_bind }
    }

    /// Listens on `address` (`HOST:PORT`; port 0 lets the system choose) for `part`;
    /// `key` is the configuration key of the address, for the messages.
    ///
    /// # Errors
    /// The address is unknown, not allowed, taken, or refused by the system.
    pub async fn bind(&self, part: &str, key: &str, address: &str) -> Result<TcpListener, Error> {
        let unknown = |source| Error::AddressUnknown {
            part: part.to_owned(),
            key: key.to_owned(),
            address: address.to_owned(),
            source,
        };
        let found: Vec<SocketAddr> = tokio::net::lookup_host(address).await.map_err(unknown)?.collect();
        if found.is_empty() {
            return Err(unknown(io::Error::new(io::ErrorKind::NotFound, "the name has no address")));
        }
        let public = found.iter().find(|address| !address.ip().is_loopback());
        if let (true, Some(public)) = (self.loopback_only, public) {
            return Err(Error::PublicBind { part: part.to_owned(), key: key.to_owned(), address: *public });
        }
        TcpListener::bind(found.as_slice()).await.map_err(|source| {
            let (part, key, address) = (part.to_owned(), key.to_owned(), address.to_owned());
            match source.kind() {
                io::ErrorKind::AddrInUse => Error::PortTaken { part, key, address },
                _ => Error::Bind { part, key, address, source },
            }
        })
    }
}
