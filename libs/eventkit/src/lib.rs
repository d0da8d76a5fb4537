//! Events that cannot be lost: published in the transaction that made them true, delivered in order, handled once.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use eventkit::db::{self, Db, Migration};
//! use eventkit::{Clock, Consumer, Event, EventPublisher, Handle, HandlerResult, Keyed, Origin, Received, UnitOfWork};
//! use eventkit::relay::{self, RelayConfig};
//! use eventkit::transport::memory::MemoryTransport;
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
//!         // The note that this event was handled is committed with it: it counts once.
//!         work.execute("update departments set heads = heads + 1 where id = $1", &[1_i64.into()]).await?;
//!         Ok(())
//!     }
//! }
//!
//! const TABLES: &[Migration] = &[Migration {
//!     version: 1,
//!     name: "departments",
//!     sql: "create table departments (id bigint primary key, heads bigint not null);
//!           create table users (id bigint primary key);
//!           insert into departments (id, heads) values (1, 0);",
//! }];
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let url = format!("sqlite:{}", folder.path().join("company.db").display());
//! // `sqlite:company.db`, or `postgres://…`
//! let db = Db::open(&db::Config::new(url)).await?;
//! eventkit::outbox::migrate(&db).await?;
//! db.migrate("company", TABLES).await?;
//! let publisher = EventPublisher::new(db.clone(), "company-service", Clock::system());
//! // `KafkaTransport::new(KafkaConfig { brokers, ..Default::default() })?` where there is a broker
//! let transport = Arc::new(MemoryTransport::new());
//!
//! let relay = relay::start(RelayConfig::new("company-service", "copy-1"), publisher.clone(), transport.clone());
//! let consumer = Consumer::new("company-service").on::<UserCreated>(CountHeads).dead_letters()
//!     .start(publisher.clone(), transport);
//!
//! // The row and the event are committed together, or neither is.
//! let mut work = publisher.begin(Origin::default());
//! work.execute("insert into users (id) values ($1)", &[42_i64.into()]).await?;
//! work.publish(&UserCreated { employee_id: 42 }).await?;
//! work.commit().await?;
//!
//! eventkit::testing::eventually("it is counted", async || {
//!     let row = db.query_one("select heads from departments where id = 1", &[]).await.ok()?;
//!     (row.get::<i64>("heads").ok()? == 1).then_some(())
//! })
//! .await;
//! consumer.stop().await;
//! relay.stop(Duration::from_secs(5)).await;
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

pub use ::db;
pub use clock::Clock;
pub use consume::{
    Consumer, ConsumerHandle, Effect, Handle, HandleBatch, HandleTombstone, HandlerResult, Received, Stalls, Tombstone,
};
pub use envelope::{Envelope, RecipientType};
pub use error::{Error, HandlerError, Result, TooLarge, chain};
pub use event::{Event, Keyed};
pub use eventkit_macros::{Event, publish_event};
pub use layer::{CommitAnyway, EventPublisherLayer, Work};
pub use publish::{EventPublisher, Origin, UnitOfWork};
pub use retry::{FailureKind, RetryPolicy};
