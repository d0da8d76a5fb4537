//! A transport that misbehaves as told: at the nth call, or at random from a seed that repeats.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::error::{Error, Result};
use crate::transport::{Incoming, Interest, Record, Subscription, TopicPartition, Transport};

/// One way to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The call fails and nothing is done.
    Fail,
    /// Half of it is done (of a publish; nothing of a commit), then the call fails.
    FailHalfway,
    /// All is done, and the call says that it failed.
    LieAboutFailure,
    /// The call takes this long.
    Delay(Duration),
    /// The call is done twice.
    Duplicate,
    /// A publish puts its records down in the opposite order. No transport may do that: for tests of checkers.
    Reorder,
    /// The call says that it succeeded, and nothing is done. No transport may do that: for tests of checkers.
    Lose,
}

/// Faults that a real transport has.
const HONEST: [Fault; 5] =
    [Fault::Fail, Fault::FailHalfway, Fault::LieAboutFailure, Fault::Delay(Duration::from_millis(3)), Fault::Duplicate];
/// How many calls a seeded plan may disturb.
const SEEDED_CALLS: usize = 10_000;

/// Which calls are disturbed, and how; calls are counted from 1, publishes and commits together.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    single: BTreeMap<usize, Fault>,
    cycle: Vec<Option<Fault>>,
}

impl Faults {
    /// Disturbs the `nth` call alone.
    pub fn nth(nth: usize, fault: Fault) -> Self {
        Self { single: BTreeMap::from([(nth, fault)]), ..Self::default() }
    }

    /// Disturbs about `share` of the first ten thousand calls with faults that a real transport has, the same for the
    /// same seed.
    pub fn seeded(seed: u64, share: f64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let calls = (1..=SEEDED_CALLS).filter_map(|call| {
            let is_disturbed = random.random_bool(share);
            let fault = HONEST[random.random_range(0..HONEST.len())];
            is_disturbed.then_some((call, fault))
        });
        Self { single: calls.collect(), ..Self::default() }
    }

    /// Disturbs call after call as the list says, over and over.
    pub fn cycle(faults: impl IntoIterator<Item = Option<Fault>>) -> Self {
        Self { cycle: faults.into_iter().collect(), ..Self::default() }
    }

    fn of(&self, call: usize) -> Option<Fault> {
        let of_cycle = || *self.cycle.get(call.saturating_sub(1).checked_rem(self.cycle.len())?)?;
        self.single.get(&call).copied().or_else(of_cycle)
    }
}

/// A transport with faults.
#[derive(Debug)]
pub struct FaultyTransport {
    inner: Arc<dyn Transport>,
    disturbance: Arc<Disturbance>,
}

#[derive(Debug)]
struct Disturbance {
    faults: Faults,
    calls: AtomicUsize,
}

impl FaultyTransport {
    /// `inner`, disturbed by `faults`.
    pub fn new(inner: Arc<dyn Transport>, faults: Faults) -> Self {
        Self { inner, disturbance: Arc::new(Disturbance { faults, calls: AtomicUsize::new(0) }) }
    }

    /// How many calls there were: a plan for a later one disturbs nothing, and a series of plans may end.
    pub fn calls(&self) -> usize {
        self.disturbance.calls.load(Ordering::SeqCst)
    }
}

impl Disturbance {
    async fn next(&self) -> Option<Fault> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let fault = self.faults.of(call);
        if let Some(Fault::Delay(delay)) = fault {
            tokio::time::sleep(delay).await;
        }
        fault
    }
}

fn planted(operation: &str) -> Error {
    Error::Transport { operation: operation.to_owned(), transient: true, source: "planted fault".into() }
}

#[async_trait]
impl Transport for FaultyTransport {
    async fn publish(&self, mut records: Vec<Record>) -> Result<()> {
        match self.disturbance.next().await {
            Some(Fault::Fail) => Err(planted("publish")),
            Some(Fault::FailHalfway) => {
                records.truncate(records.len() / 2);
                self.inner.publish(records).await?;
                Err(planted("publish"))
            }
            Some(Fault::LieAboutFailure) => {
                self.inner.publish(records).await?;
                Err(planted("publish"))
            }
            Some(Fault::Duplicate) => {
                self.inner.publish(records.clone()).await?;
                self.inner.publish(records).await
            }
            Some(Fault::Reorder) => {
                records.reverse();
                self.inner.publish(records).await
            }
            Some(Fault::Lose) => Ok(()),
            Some(Fault::Delay(_)) | None => self.inner.publish(records).await,
        }
    }

    async fn subscribe(&self, interest: Interest) -> Result<Box<dyn Subscription>> {
        let inner = self.inner.subscribe(interest).await?;
        Ok(Box::new(FaultySubscription { inner, disturbance: self.disturbance.clone() }))
    }
}

/// Commits with faults; what comes in is left as it is.
#[derive(Debug)]
struct FaultySubscription {
    inner: Box<dyn Subscription>,
    disturbance: Arc<Disturbance>,
}

#[async_trait]
impl Subscription for FaultySubscription {
    async fn next(&mut self) -> Result<Incoming> {
        self.inner.next().await
    }

    async fn commit(&self, offsets: &[(TopicPartition, i64)]) -> Result<()> {
        match self.disturbance.next().await {
            Some(Fault::Fail | Fault::FailHalfway) => Err(planted("commit offsets")),
            Some(Fault::LieAboutFailure) => {
                self.inner.commit(offsets).await?;
                Err(planted("commit offsets"))
            }
            Some(Fault::Lose) => Ok(()),
            _ => self.inner.commit(offsets).await,
        }
    }

    fn lag(&self, partitions: &[TopicPartition]) -> BoxFuture<'static, Result<Vec<(TopicPartition, i64)>>> {
        self.inner.lag(partitions)
    }

    fn set_paused(&self, partition: &TopicPartition, paused: bool) {
        self.inner.set_paused(partition, paused);
    }

    async fn close(self: Box<Self>) {
        self.inner.close().await;
    }
}
