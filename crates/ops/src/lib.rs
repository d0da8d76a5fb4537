//! What an operator of TechLeet can do, as typed operations over Kafka: the command line and the consoles only show
//! what these answer.
//!
//! ```no_run
//! # async fn example() -> Result<(), ops::Error> {
//! let kafka = ops::Kafka::connect(eventkit::transport::kafka::KafkaConfig::default()).await?;
//! for group in kafka.list_groups().await? {
//!     println!("{} is {} records behind", group.id, group.lag);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Modules: [`topics`], [`groups`] (lag, moving offsets), [`dead_letters`] (looking at them, sending them back),
//! [`events`] (finding them), [`trace`] (one's whole path), [`replay`] (telling them again), [`waiting`] (parked and held
//! ones), [`projections`] (where they stand, rebuilding them), [`parts`] (asking a running part), [`produce`] (telling one by hand), [`health`] (what is wrong with a cluster, and what to do).
//!
//! Invariants:
//! - Looking changes nothing: no offset is committed, no group joined.
//! - What changes something takes a plan that was shown before, and does just that.
//! - Nothing is kept in memory without a limit that the caller gives, but for the places of the dead letters of a topic
//!   that were sent back or given up: some 100 bytes each, for as long as their markers lie there.

pub mod dead_letters;
mod error;
pub mod events;
pub mod groups;
pub mod health;
mod kafka;
pub mod parts;
pub mod produce;
pub mod projections;
pub mod replay;
pub mod routes;
mod scan;
pub mod topics;
pub mod trace;
pub mod waiting;

pub use error::{Error, Result};
pub use kafka::Kafka;
pub use parts::Part;
