//! A whole backbone in one process for tests of a service: its database in a folder that goes away, topics in memory,
//! a relay, and the service's consumers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use db::{Db, Migration};
use jiff::Timestamp;
use uuid::Uuid;

use super::eventually;
use crate::clock::Clock;
use crate::consume::{Consumer, ConsumerHandle};
use crate::dead_letter;
use crate::envelope::Envelope;
use crate::event::{Event, decode};
use crate::outbox;
use crate::publish::EventPublisher;
use crate::relay::{self, RelayConfig, RelayHandle};
use crate::transport::memory::MemoryTransport;
use crate::transport::{ConsumedRecord, Record, Transport};

/// Where the harness's clock stands first: 2026-11-24T02:05:27Z.
const START_SECONDS: i64 = 1_795_485_927;
const RELAY: &str = "harness";
/// How often it is looked whether all is idle before the clock is moved to what is waited for next.
const LOOKS_PER_STEP: u32 = 10;
/// How long stopping the relay may take.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// A backbone for one test.
///
/// ```
/// # use eventkit::testing::Harness;
/// # use eventkit::{Consumer, Event, Handle, HandlerResult, Keyed, Origin, Received, UnitOfWork};
/// # #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, Event)]
/// # #[event(type = "user.created", topic = "user-events", key = "user-{employee_id}")]
/// # struct UserCreated { employee_id: i64 }
/// # struct Welcome;
/// # impl Handle<UserCreated> for Welcome {
/// #     async fn handle(&self, _: &Received<UserCreated>, _: &mut UnitOfWork) -> HandlerResult { Ok(()) }
/// # }
/// # #[tokio::main]
/// # async fn main() -> eventkit::Result<()> {
/// let mut harness = Harness::new(&[]).await;
/// harness.start(Consumer::new("company-service").on::<UserCreated>(Welcome));
/// let mut work = harness.publisher().begin(Origin::default());
/// work.publish(&UserCreated { employee_id: 42 }).await?;
/// work.commit().await?;
/// harness.run_until_idle().await;
/// assert_eq!(harness.published::<UserCreated>(), [UserCreated { employee_id: 42 }]);
/// assert!(harness.dead_letters::<UserCreated>().is_empty());
/// harness.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Harness {
    publisher: EventPublisher,
    clock: Clock,
    transport: Arc<MemoryTransport>,
    relay: RelayHandle,
    consumers: Vec<ConsumerHandle>,
    folder: PathBuf,
}

impl Harness {
    /// A backbone over a new SQLite file with eventkit's tables and those of `migrations`.
    ///
    /// # Panics
    /// When the database cannot be made.
    pub async fn new(migrations: &[Migration]) -> Self {
        let folder = std::env::temp_dir().join(format!("eventkit-{}", Uuid::now_v7()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let url = format!("sqlite:{}", folder.join("test.db").display());
        let db = Db::open(&db::Config::new(url)).await.expect("a database");
        outbox::migrate(&db).await.expect("eventkit's tables");
        db.migrate("harness", migrations).await.expect("the test's tables");
        let clock = Clock::stepped(Timestamp::from_second(START_SECONDS).expect("a time in range"));
        let publisher = EventPublisher::new(db, "harness", clock.clone());
        let transport = Arc::new(MemoryTransport::new());
        let relay = relay::start(RelayConfig::new(RELAY, RELAY), publisher.clone(), transport.clone());
        Self { publisher, clock, transport, relay, consumers: Vec::new(), folder }
    }

    /// The outbox of the service under test.
    pub fn publisher(&self) -> &EventPublisher {
        &self.publisher
    }

    /// Its database.
    pub fn db(&self) -> &Db {
        self.publisher.db()
    }

    /// The topics.
    pub fn transport(&self) -> &Arc<MemoryTransport> {
        &self.transport
    }

    /// Moves the clock on: the one that stamps events, and that a failed event's next try and the forgetting of what was
    /// handled long ago wait for. It stands still otherwise, but for [`Harness::run_until_idle`].
    pub fn advance(&self, by: Duration) {
        self.clock.advance_ms(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
    }

    /// Starts a consumer.
    pub fn start(&mut self, consumer: Consumer) {
        let consumer = consumer.commit_interval(Duration::from_millis(1));
        self.consumers.push(consumer.start(self.publisher.clone(), self.transport.clone()));
    }

    /// Puts a record on its topic as another service would.
    ///
    /// # Panics
    /// Never: the topics are in memory.
    pub async fn receive(&self, record: Record) {
        self.transport.publish(vec![record]).await.expect("memory takes everything");
    }

    /// Waits until every stored event is on its topic and every consumer is through with all topics. Where a failed event
    /// waits for its next try, the clock is moved to it, so that no test waits for a back-off.
    ///
    /// # Panics
    /// When that takes longer than [`super::EVENTUALLY_MAX`].
    pub async fn run_until_idle(&self) {
        let unchanged = AtomicU32::new(0);
        eventually("the backbone is idle", async || {
            let has_begun = self.consumers.iter().all(|consumer| self.transport.has_members(consumer.group()));
            let before = self.transport.total();
            let idle = self.is_published().await && self.transport.is_consumed() && self.is_published().await;
            // A handler that was still at work may have told of something meanwhile.
            if has_begun && idle && self.transport.total() == before && self.transport.is_consumed() {
                return Some(());
            }
            if unchanged.fetch_add(1, Ordering::Relaxed) % LOOKS_PER_STEP == LOOKS_PER_STEP - 1 {
                self.clock.advance_ms(self.clock.next_wait_ms().unwrap_or(0).max(0));
            }
            None
        })
        .await;
    }

    async fn is_published(&self) -> bool {
        outbox::oldest_waiting(self.db(), RELAY).await.is_ok_and(|oldest| oldest.is_none())
    }

    /// The events of one type that were published, in the order of their topic's partitions.
    ///
    /// # Panics
    /// When one of them cannot be read.
    pub fn published<E: Event>(&self) -> Vec<E> {
        let events = self.transport.records(E::TOPIC).into_iter().filter_map(|record| {
            let envelope = Envelope::read(&record.record.value?).expect("an envelope");
            (envelope.event_type == E::TYPE).then(|| decode(&envelope).expect("the event"))
        });
        events.collect()
    }

    /// The dead letters of the topic of one type of event.
    pub fn dead_letters<E: Event>(&self) -> Vec<ConsumedRecord> {
        self.transport.records(&format!("{}{}", E::TOPIC, dead_letter::SUFFIX))
    }

    /// Stops the consumers and the relay, and closes the database.
    pub async fn stop(mut self) {
        for consumer in std::mem::take(&mut self.consumers) {
            consumer.stop().await;
        }
        let relay = std::mem::replace(&mut self.relay, RelayHandle::stopped());
        relay.stop(DRAIN_MAX).await;
        self.publisher.db().close().await;
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        // What is left is in the system's temporary folder.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What was published of `$event`'s type, compared with a list: `published!(harness, UserCreated, [event])`.
#[macro_export]
macro_rules! published {
    ($harness:expr, $event:ty, $expected:expr) => {
        assert_eq!($harness.published::<$event>(), $expected, "published events of {}", <$event as $crate::Event>::TYPE)
    };
}
