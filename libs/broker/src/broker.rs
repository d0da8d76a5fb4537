//! Starting and stopping a broker, and the few things its owner does without a socket.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::catalog::producer_ids::ProducerIds;
use crate::catalog::quotas::Quotas;
use crate::catalog::{Catalog, TopicError};
use crate::config::Config;
use crate::error::Error;
use crate::groups::coordinator::Coordinator;
use crate::log::LogEnv;
use crate::num::i32_of;
use crate::security::Security;
use crate::security::listener::Listener;
use crate::server::addresses::Addresses;
use crate::server::fetch_sessions::Sessions;
use crate::server::keeper::Pace;
use crate::server::listener::Port;
use crate::server::{Shared, keeper, listener};
use crate::state_log::Ends;
use crate::txns::coordinator::{Coordinator as Transactions, Parts};
use crate::wire::memory::RequestMemory;

/// How long a stop waits for connections to finish what they have begun.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// A running broker; dropping it stops it without the care that [`Broker::shutdown`] takes, and frees the data directory
/// when what it was doing has ended.
#[derive(Debug)]
pub struct Broker {
    shared: Arc<Shared>,
    /// Each listener's name and where it listens, the first one first.
    addresses: Vec<(String, SocketAddr)>,
    connections: TaskTracker,
    tasks: TaskTracker,
    /// Told when no connection is left that could have anything stored.
    settled: CancellationToken,
    _stop_on_drop: DropGuard,
}

/// How a running broker is doing, for health checks; it does not keep the broker.
#[derive(Debug, Clone)]
pub struct Condition(Weak<Catalog>);

impl Condition {
    /// Partitions that take no more records since a sync failed; of a broker that is gone there are none.
    #[must_use]
    pub fn failed_partitions(&self) -> usize {
        let partitions = self.0.upgrade().map(|catalog| catalog.partitions()).unwrap_or_default();
        partitions.iter().filter(|partition| partition.is_failed()).count()
    }
}

/// A topic as its owner wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// How many partitions it has at least.
    pub partitions: i32,
    /// What is set, by Kafka's key (`retention.ms`, …); everything else is default.
    pub configs: BTreeMap<String, String>,
}

/// What [`Broker::ensure_topic`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensured {
    /// The topic was not there.
    Created,
    /// The topic was there; partitions and configuration are now as asked.
    Existing,
}

impl Broker {
    /// Locks the data directory, recovers what is in it and serves it on the caller's runtime.
    ///
    /// # Errors
    /// [`Error::Config`] for a key that cannot work, [`Error::Locked`] if another broker has the directory,
    /// [`Error::Storage`] and [`Error::Metadata`] if it cannot be read, [`Error::Listen`] if the port is taken.
    pub async fn start(config: Config) -> Result<Self, Error> {
        let mut ports = Vec::new();
        for Listener { address, .. } in config.listeners()? {
            let listening = |source| Error::Listen { address, source };
            ports.push(TcpListener::bind(address).await.map_err(listening)?);
        }
        Self::start_on(ports, config).await
    }

    /// As [`Broker::start`], on ports that are bound already, one for each of [`Config::listeners`] in their order.
    ///
    /// # Errors
    /// Those of [`Broker::start`].
    pub async fn start_on(ports: Vec<TcpListener>, config: Config) -> Result<Self, Error> {
        config.check()?;
        let ports = Port::all(ports, &config)?;
        let config = Arc::new(config);
        let opened = {
            let config = Arc::clone(&config);
            let runtime = Handle::current();
            tokio::task::spawn_blocking(move || open(&config, runtime))
        };
        let Opened { catalog, producer_ids, quotas } =
            opened.await.map_err(|_| Error::Worker { operation: "recovery" })??;
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let settled = CancellationToken::new();
        let ends = Ends { stop: stop.clone(), settled: settled.clone() };
        let groups = Coordinator::start(Arc::clone(&config), Arc::clone(&catalog), ends.clone(), tasks.clone()).await?;
        let parts = Parts {
            config: Arc::clone(&config),
            catalog: Arc::clone(&catalog),
            groups: Arc::clone(&groups),
            producer_ids: Arc::new(producer_ids),
            ends,
            tasks: tasks.clone(),
        };
        let txns = Transactions::start(parts).await?;
        let security = Arc::new(Security::start(Arc::clone(&config)).await?);
        let shared = Arc::new(Shared {
            security,
            catalog: Arc::clone(&catalog),
            groups,
            txns,
            quotas: Arc::new(quotas),
            fetch_sessions: Sessions::new(&config),
            stop: stop.clone(),
            connections: Arc::new(Semaphore::new(config.connections_max)),
            addresses: Addresses::new(config.connections_per_address()),
            request_memory: RequestMemory::new(config.request_memory_bytes_max),
            config: Arc::clone(&config),
        });
        let groups = Arc::clone(&shared.groups);
        tasks.spawn(keeper::run(catalog, groups, Pace::of(&config), stop.clone()));
        let connections = TaskTracker::new();
        let mut addresses = Vec::new();
        for port in ports {
            tracing::info!(listener = port.listener.name, address = %port.address, "listening");
            addresses.push((port.listener.name.clone(), port.address));
            connections.spawn(listener::run(port, Arc::clone(&shared), connections.clone()));
        }
        tracing::info!(data_dir = %config.data_dir.display(), "broker started");
        Ok(Self { shared, addresses, connections, tasks, settled, _stop_on_drop: stop.drop_guard() })
    }

    /// Where its first listener listens, with the port it really has.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.addresses[0].1
    }

    /// Where the listener of this name listens, with the port it really has.
    #[must_use]
    pub fn address_of(&self, listener: &str) -> Option<SocketAddr> {
        self.addresses.iter().find(|(name, _)| name == listener).map(|(_, address)| *address)
    }

    /// How it is doing, to be asked at any time.
    #[must_use]
    pub fn condition(&self) -> Condition {
        Condition(Arc::downgrade(&self.shared.catalog))
    }

    /// Stops accepting, lets connections finish what they have begun, syncs everything and frees the data directory.
    ///
    /// # Errors
    /// [`Error::Storage`] if the final checkpoint could not be written; nothing acknowledged is lost then either.
    pub async fn shutdown(self) -> Result<(), Error> {
        self.shared.stop.cancel();
        self.connections.close();
        let mut has_ended = true;
        if tokio::time::timeout(STOP_PATIENCE, self.connections.wait()).await.is_err() {
            tracing::warn!("connections did not finish in time");
            has_ended = false;
        }
        self.settled.cancel();
        self.tasks.close();
        if tokio::time::timeout(STOP_PATIENCE, self.tasks.wait()).await.is_err() {
            tracing::warn!("background work did not finish in time; the data directory is free when it has");
            has_ended = false;
        }
        let catalog = Arc::clone(&self.shared.catalog);
        let flushing = Arc::clone(&catalog);
        let flushed = tokio::task::spawn_blocking(move || {
            for partition in flushing.partitions() {
                partition.flush();
            }
        });
        flushed.await.map_err(|_| Error::Worker { operation: "the final sync" })?;
        let saved = keeper::save_checkpoint(&catalog, true).await;
        let path = &self.shared.config.data_dir;
        if has_ended {
            catalog.env.lock.unlock().map_err(Error::storage("unlocking", path))?;
        }
        if !saved {
            let source = std::io::Error::other("the checkpoint could not be written");
            return Err(Error::Storage { operation: "writing the final checkpoint in", path: path.clone(), source });
        }
        tracing::info!("broker stopped");
        Ok(())
    }

    /// Makes a topic, or brings one that exists to what the spec says: missing partitions are added and configuration
    /// that differs is mended; what the spec does not name goes back to its default.
    ///
    /// # Errors
    /// [`Error::Topic`] if the name, partition count or configuration cannot be, or it could not be written down.
    pub async fn ensure_topic(&self, spec: &TopicSpec) -> Result<Ensured, Error> {
        let catalog = &self.shared.catalog;
        let failed = |error: TopicError| Error::Topic {
            topic: spec.name.clone(),
            reason: crate::server::api::chain(&error).to_string(),
        };
        match catalog.create(&spec.name, spec.partitions, spec.configs.clone()).await {
            Ok(_) => return Ok(Ensured::Created),
            Err(TopicError::Exists) => {}
            Err(error) => return Err(failed(error)),
        }
        let existing = catalog.get(&spec.name).map_or(0, |topic| i32_of(topic.partitions.len()));
        if existing < spec.partitions {
            catalog.add_partitions(&spec.name, spec.partitions, false).await.map_err(failed)?;
        }
        let wanted = spec.configs.clone();
        let mend = move |configs: &mut BTreeMap<String, String>| {
            *configs = wanted;
            Ok(())
        };
        catalog.configure(&spec.name, false, mend).await.map_err(failed)?;
        Ok(Ensured::Existing)
    }
}

/// What a data directory holds.
struct Opened {
    catalog: Arc<Catalog>,
    producer_ids: ProducerIds,
    quotas: Quotas,
}

/// Locks and reads the data directory; blocking.
fn open(config: &Arc<Config>, runtime: Handle) -> Result<Opened, Error> {
    let dir = &config.data_dir;
    fs::create_dir_all(dir).map_err(Error::storage("creating", dir))?;
    let path = dir.join("lock");
    let lock = File::create(&path).map_err(Error::storage("creating", &path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(Error::Locked { path: dir.clone() }),
        Err(TryLockError::Error(source)) => return Err(Error::storage("locking", &path)(source)),
    }
    let env = Arc::new(LogEnv::new(config, runtime, lock));
    let catalog = Arc::new(Catalog::open(env, Arc::clone(config))?);
    let producer_ids = ProducerIds::open(Arc::clone(&config.disk), dir)?;
    let quotas = Quotas::open(Arc::clone(&config.disk), dir)?;
    Ok(Opened { catalog, producer_ids, quotas })
}
