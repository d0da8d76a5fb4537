//! A transport that misbehaves as told: at the nth call, or at random from a seed that repeats.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::transport::{ConsumedRecord, Incoming, Interest, Record, Subscription, TopicPartition, Transport};

/// One way to misbehave.
///
/// What it means for records that come in stands with [`FaultyTransport::receiving`], and for stores with
/// [`crate::testing::FaultyOutbox`] and [`crate::testing::FaultyInbox`].
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
    /// A publish puts its records down in the opposite order; of a commit, the one before it is done once more, after it.
    /// No transport may do that: for tests of checkers.
    Reorder,
    /// The call says that it succeeded, and nothing is done. No transport may do that: for tests of checkers.
    Lose,
}

/// Faults that a real transport has.
const HONEST: [Fault; 5] =
    [Fault::Fail, Fault::FailHalfway, Fault::LieAboutFailure, Fault::Delay(Duration::from_millis(3)), Fault::Duplicate];
/// How many calls a seeded plan may disturb.
const SEEDED_CALLS: usize = 10_000;

/// Which calls are disturbed, and how; calls are counted from 1, of a transport publishes and commits together.
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
    calls: Arc<Disturbance>,
    arrivals: Arc<Disturbance>,
}

/// A plan, and how far it is.
#[derive(Debug, Default)]
pub(super) struct Disturbance {
    faults: Faults,
    calls: AtomicUsize,
}

impl FaultyTransport {
    /// `inner`, whose publishes and commits are disturbed by `faults`.
    pub fn new(inner: Arc<dyn Transport>, faults: Faults) -> Self {
        Self { inner, calls: Arc::new(Disturbance::by(faults)), arrivals: Arc::default() }
    }

    /// Disturbs what comes in as well: each time that records come to any of its members counts, apart from the calls.
    ///
    /// Where they fail the subscription ends, as one does that lost its broker: before them, after half of them, or after
    /// all of them ([`Fault::LieAboutFailure`]). Else they come late, twice, in the opposite order, or never.
    #[must_use]
    pub fn receiving(mut self, faults: Faults) -> Self {
        self.arrivals = Arc::new(Disturbance::by(faults));
        self
    }

    /// How many calls there were: a plan for a later one disturbs nothing, and a series of plans may end.
    pub fn calls(&self) -> usize {
        self.calls.count()
    }

    /// How often records came.
    pub fn arrivals(&self) -> usize {
        self.arrivals.count()
    }
}

impl Disturbance {
    pub(super) fn by(faults: Faults) -> Self {
        Self { faults, calls: AtomicUsize::new(0) }
    }

    pub(super) fn count(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// What happens to the next call.
    fn next(&self) -> Option<Fault> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        self.faults.of(call)
    }

    /// What happens to the next call, but for a delay, which has been waited for.
    pub(super) async fn pass(&self) -> Option<Fault> {
        match self.next() {
            Some(Fault::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                None
            }
            fault => fault,
        }
    }
}

fn planted(operation: &str) -> Error {
    Error::Transport { operation: operation.to_owned(), transient: true, source: "planted fault".into() }
}

#[async_trait]
impl Transport for FaultyTransport {
    async fn publish(&self, mut records: Vec<Record>) -> Result<()> {
        match self.calls.pass().await {
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
        let (calls, arrivals) = (self.calls.clone(), self.arrivals.clone());
        Ok(Box::new(FaultySubscription { inner, calls, arrivals, coming: VecDeque::new(), before: Mutex::default() }))
    }
}

#[derive(Debug)]
struct FaultySubscription {
    inner: Box<dyn Subscription>,
    calls: Arc<Disturbance>,
    arrivals: Arc<Disturbance>,
    /// What comes next, each at its time: kept here, so that whoever waits for it may stop waiting.
    coming: VecDeque<(Instant, Result<Vec<ConsumedRecord>>)>,
    /// The offsets of the last commit.
    before: Mutex<Vec<(TopicPartition, i64)>>,
}

impl FaultySubscription {
    fn disturb(&mut self, mut records: Vec<ConsumedRecord>) {
        let mut at = Instant::now();
        let fault = self.arrivals.next();
        match fault {
            Some(Fault::Fail | Fault::Lose) => records.clear(),
            Some(Fault::FailHalfway) => records.truncate(records.len() / 2),
            Some(Fault::Delay(delay)) => at += delay,
            Some(Fault::Duplicate) => self.coming.push_back((at, Ok(records.clone()))),
            Some(Fault::Reorder) => records.reverse(),
            Some(Fault::LieAboutFailure) | None => {}
        }
        if !records.is_empty() {
            self.coming.push_back((at, Ok(records)));
        }
        if matches!(fault, Some(Fault::Fail | Fault::FailHalfway | Fault::LieAboutFailure)) {
            self.coming.push_back((at, Err(planted("receive"))));
        }
    }
}

#[async_trait]
impl Subscription for FaultySubscription {
    async fn next(&mut self) -> Result<Incoming> {
        loop {
            if let Some((at, _)) = self.coming.front() {
                tokio::time::sleep_until(*at).await;
            }
            if let Some((_, records)) = self.coming.pop_front() {
                return records.map(Incoming::Records);
            }
            match self.inner.next().await? {
                Incoming::Records(records) => self.disturb(records),
                other => return Ok(other),
            }
        }
    }

    async fn commit(&self, offsets: &[(TopicPartition, i64)]) -> Result<()> {
        let before =
            std::mem::replace(&mut *self.before.lock().unwrap_or_else(PoisonError::into_inner), offsets.to_vec());
        match self.calls.pass().await {
            Some(Fault::Fail | Fault::FailHalfway) => Err(planted("commit offsets")),
            Some(Fault::LieAboutFailure) => {
                self.inner.commit(offsets).await?;
                Err(planted("commit offsets"))
            }
            Some(Fault::Duplicate) => {
                self.inner.commit(offsets).await?;
                self.inner.commit(offsets).await
            }
            Some(Fault::Reorder) => {
                self.inner.commit(offsets).await?;
                self.inner.commit(&before).await
            }
            Some(Fault::Lose) => Ok(()),
            Some(Fault::Delay(_)) | None => self.inner.commit(offsets).await,
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
