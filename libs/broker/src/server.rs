//! The server: listener, connections, and the table of APIs.

pub(crate) mod api;
pub(crate) mod connection;
pub(crate) mod fetch_sessions;
pub(crate) mod keeper;
pub(crate) mod listener;

use std::net::SocketAddr;
use std::sync::Arc;

use kafka_protocol::protocol::StrBytes;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::config::{Config, split_host_port};
use crate::groups::coordinator::Coordinator;
use crate::server::fetch_sessions::Sessions;
use crate::txns::coordinator::Coordinator as Transactions;

/// What every connection of a broker shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) groups: Arc<Coordinator>,
    pub(crate) txns: Arc<Transactions>,
    pub(crate) fetch_sessions: Sessions,
    pub(crate) stop: CancellationToken,
    pub(crate) request_memory: Arc<Semaphore>,
    pub(crate) fetch_memory: Arc<Semaphore>,
}

impl Shared {
    /// Host and port for a client that came in at `local`.
    pub(crate) fn advertised(&self, local: SocketAddr) -> (StrBytes, i32) {
        match self.config.advertise.as_deref().and_then(split_host_port) {
            // Port 0 stands for the port that was taken.
            Some((host, 0)) => (StrBytes::from_string(host), i32::from(local.port())),
            Some((host, port)) => (StrBytes::from_string(host), i32::from(port)),
            None => (StrBytes::from_string(local.ip().to_string()), i32::from(local.port())),
        }
    }
}
