//! An embedded, single-node Kafka-protocol broker: any Kafka client works with it unchanged.
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let data_dir = dir.path().to_path_buf();
//! let config = broker::Config { listen: "127.0.0.1:0".parse()?, data_dir, ..Default::default() };
//! let broker = broker::Broker::start(config).await?;
//! let spec = broker::TopicSpec { name: "events".to_owned(), partitions: 3, configs: Default::default() };
//! assert_eq!(broker.ensure_topic(&spec).await?, broker::Ensured::Created);
//! let _bootstrap_servers = broker.address().to_string();
//! broker.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Modules: `wire` (frames, headers, what requests look like), `server` (listener, connections, one file per API),
//! `security` (who may come in), `catalog` (topics and their configuration), `log` (partitions, segments, recovery, retention), `state_log` (the
//! broker's own state as a log), `groups` (consumer groups and their offsets), `txns` (transactions).
//!
//! Invariants:
//! - What is acknowledged is on stable storage, and nothing is visible to a consumer before it is. The one exception is
//!   chosen per topic: with `flush.messages` above 1 records are acknowledged and visible at once and synced when that
//!   many have come, or when `flush.ms` is over. A crash of the process costs nothing then, a crash of the machine may
//!   cost what was acknowledged since the last sync.
//! - The high watermark of a partition never falls, over restarts and over retention too.
//! - Batches are stored and served as they were sent; only what a broker must decide is patched. The one exception is
//!   chosen per topic: with a `compression.type` they are packed anew.
//! - Nothing a stranger sends takes memory before it has arrived, or ends more than its own connection.
//! - An idle broker has no task per partition and no open segment files.

mod broker;
mod catalog;
mod clock;
mod config;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod groups;
mod lines;
mod log;
pub mod metrics;
mod num;
mod sealed;
mod security;
mod server;
mod state_log;
mod sync;
mod txns;
mod wire;

pub use broker::{Broker, Condition, Ensured, TopicSpec};
pub use clock::{Clock, SystemClock};
pub use config::Config;
pub use error::Error;
pub use log::disk::{Disk, SystemDisk};
pub use security::config::{Password, SecurityConfig};
pub use security::listener::{Listener, Protocol};
pub use security::listener_settings::ListenerSettings;
pub use security::tls::ClientAuth;
