//! The server: listener, connections, and the table of APIs.

pub(crate) mod access;
pub(crate) mod addresses;
pub(crate) mod answer;
pub(crate) mod api;
pub(crate) mod connection;
pub(crate) mod fetch_sessions;
pub(crate) mod keeper;
pub(crate) mod listener;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::catalog::quotas::Quotas;
use crate::config::Config;
use crate::groups::coordinator::Coordinator;
use crate::security::Security;
use crate::server::addresses::Addresses;
use crate::server::fetch_sessions::Sessions;
use crate::txns::coordinator::Coordinator as Transactions;
use crate::wire::memory::RequestMemory;

/// What every connection of a broker shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) groups: Arc<Coordinator>,
    pub(crate) txns: Arc<Transactions>,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) fetch_sessions: Sessions,
    pub(crate) security: Arc<Security>,
    pub(crate) stop: CancellationToken,
    /// A permit for each connection there may be.
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) request_memory: Arc<RequestMemory>,
}
