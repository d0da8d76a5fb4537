//! Who may come in and what they may do: listeners, logins, and what is kept about both.

pub(crate) mod acl;
pub(crate) mod acls;
pub(crate) mod audit;
pub(crate) mod config;
pub(crate) mod listener;
pub(crate) mod listener_settings;
pub(crate) mod plain;
pub(crate) mod policy;
pub(crate) mod scram;
pub(crate) mod session;
pub(crate) mod store;
pub(crate) mod subject;
pub(crate) mod tls;
pub(crate) mod users;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::config::Config;
use crate::error::Error;
use crate::security::audit::Audit;
use crate::security::policy::Policy;
use crate::security::scram::Mechanism;
use crate::security::store::Store;

/// Passwords that are hashed at the same time at most: each keeps a processor busy for some milliseconds.
const HASHES_MAX: usize = 2;

/// What all connections share about security.
#[derive(Debug)]
pub(crate) struct Security {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) policy: Policy,
    pub(crate) audit: Audit,
    pub(crate) hashes: Semaphore,
    /// What users who do not exist are asked with, so that nobody learns who exists.
    pub(crate) decoy: [u8; 32],
}

impl Security {
    /// Reads what is kept, and makes sure of the first user.
    pub(crate) async fn start(config: Arc<Config>) -> Result<Self, Error> {
        let opened = {
            let config = Arc::clone(&config);
            spawn_blocking(move || Store::open(Arc::clone(&config.disk), &config.data_dir))
        };
        let store = opened.await.map_err(|_| Error::Worker { operation: "reading users" })??;
        let mut decoy = [0; 32];
        scram::fill_random(&mut decoy);
        let (policy, hashes) = (Policy::of(&config.security), Semaphore::new(HASHES_MAX));
        let security = Self { config, store, policy, audit: Audit::default(), hashes, decoy };
        security.ensure_first_user().await?;
        Ok(security)
    }

    /// Gives the configured user the configured password, in every mechanism that is offered.
    async fn ensure_first_user(&self) -> Result<(), Error> {
        let Some((user, password)) = self.config.security.first_user()? else { return Ok(()) };
        let known = self.store.read().users.get(&user).cloned().unwrap_or_default();
        let credentials = spawn_blocking(move || {
            let missing = Mechanism::ALL.into_iter().filter(|mechanism| {
                known.get(mechanism).is_none_or(|credential| !credential.proves(*mechanism, password.reveal()))
            });
            missing
                .map(|mechanism| (mechanism, scram::Credential::of_password(mechanism, password.reveal())))
                .collect::<Vec<_>>()
        });
        let credentials = credentials.await.map_err(|_| Error::Worker { operation: "hashing a password" })?;
        if credentials.is_empty() {
            return Ok(());
        }
        let path = self.store.path().to_owned();
        let stored = self.store.change(move |saved| saved.users.entry(user).or_default().extend(credentials)).await;
        stored.map_err(Error::storage("writing", path))
    }
}
