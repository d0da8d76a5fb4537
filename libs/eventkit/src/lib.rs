//! Events that cannot be lost: published in the transaction that made them true, delivered in order, handled once.
//!
//! ```no_run
//! use std::sync::Arc;
//! use eventkit::{Clock, Consumer, Event, EventPublisher, Handle, HandlerResult, Keyed, Origin, Received, UnitOfWork};
//! use eventkit::relay::{self, RelayConfig};
//! use eventkit::transport::kafka::{KafkaConfig, KafkaTransport};
//! use serde::{Deserialize, Serialize};
//!
//! const USER_EVENTS: &str = "user-events";
//!
//! #[derive(Debug, Serialize, Deserialize, Event)]
//! #[serde(rename_all = "camelCase")]
//! #[event(type = "user.created", topic = USER_EVENTS, key = "user-{employee_id}")]
//! struct UserCreated {
//!     employee_id: i64,
//! }
//!
//! struct CountHeads;
//!
//! impl Handle<UserCreated> for CountHeads {
//!     async fn handle(&self, event: &Received<UserCreated>, work: &mut UnitOfWork) -> HandlerResult {
//!         work.execute("update departments set heads = heads + 1 where id = $1", &[event.event.employee_id.into()])
//!             .await?;
//!         Ok(())
//!     }
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let db = db::Db::open(&db::Config { url: "sqlite:company.db".into(), ..Default::default() }).await?;
//! eventkit::outbox::migrate(&db).await?;
//! let publisher = EventPublisher::new(db, "company-service", Clock::system());
//! let transport = Arc::new(KafkaTransport::new(KafkaConfig::default())?);
//!
//! let relay = relay::start(RelayConfig::new("company-service", "copy-1"), publisher.clone(), transport.clone());
//! let consumer = Consumer::new("company-service").on::<UserCreated>(CountHeads).dead_letters()
//!     .start(publisher.clone(), transport);
//!
//! let mut work = publisher.begin(Origin::default());
//! work.publish(&UserCreated { employee_id: 42 }).await?;
//! work.commit().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//! - [`event`], [`envelope`]: what an event is, and how it looks on the wire.
//! - [`publish`], [`layer`]: units of work, publishing inside them, one unit a request.
//! - [`outbox`], [`relay`]: the event store, and the way from it to Kafka.
//! - [`replay`], [`projection`]: stored events once more, and tables made from them.
//! - [`consume`], [`inbox`], [`retry`], [`dead_letter`], [`parking`]: handlers, once each, in order per key.
//! - [`trace`]: what a database knows of one event; [`trace_context`]: the trace that every event carries.
//! - [`transport`]: Kafka, and memory for tests; [`testing`]: the suites that state their contract.
//!
//! # Invariants
//! - An event is stored if and only if the state change that it tells of is committed.
//! - First occurrences of a key's events are on the topic in commit order.
//! - An offset is committed only when everything before it is finished.
//! - An effect inside a handler's unit of work happens once, however often its event is delivered.

pub mod clock;
pub mod consume;
pub mod dead_letter;
pub mod envelope;
mod error;
pub mod event;
pub mod failpoint;
pub mod inbox;
pub mod layer;
pub mod metrics;
pub mod outbox;
pub mod parking;
pub mod projection;
pub mod publish;
pub mod relay;
pub mod replay;
pub mod retry;
pub mod testing;
pub mod trace;
pub mod trace_context;
pub mod transport;

pub use clock::Clock;
pub use consume::{
    Consumer, ConsumerHandle, Effect, Handle, HandleBatch, HandleTombstone, HandlerResult, Received, Tombstone,
};
pub use envelope::{Envelope, RecipientType};
pub use error::{Error, HandlerError, Result, chain};
pub use event::{Event, Keyed};
pub use eventkit_macros::{Event, publish_event};
pub use layer::{CommitAnyway, EventPublisherLayer, Work};
pub use publish::{EventPublisher, Origin, UnitOfWork};
pub use retry::{FailureKind, RetryPolicy};
