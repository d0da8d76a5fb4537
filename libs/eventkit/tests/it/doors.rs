//! A transport in memory that takes what a test lets it take.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use eventkit::transport::memory::MemoryTransport;
use eventkit::transport::{Interest, Record, Subscription, Transport};
use eventkit::{Error, Result, TooLarge};
use tokio::sync::watch;

/// How something is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It may be taken later.
    ForNow,
    /// It is never taken as it is.
    ForGood,
}

/// Refuses what it is told to refuse; what stands before that in a call is taken.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    pub(crate) inner: MemoryTransport,
    /// Topics on which nothing may be written.
    closed: Mutex<BTreeSet<&'static str>>,
    /// Topics that cannot be reached.
    away: Mutex<BTreeSet<&'static str>>,
    /// How whatever is "huge" is refused.
    huge: Mutex<Option<Refusal>>,
    /// How large a record with its headers may be.
    limit: Mutex<Option<usize>>,
    /// How everything is refused.
    all: Mutex<Option<Refusal>>,
    /// The keys of what was taken, in order.
    taken: Mutex<Vec<String>>,
    /// The topic for which nothing comes to an end.
    stalled: watch::Sender<Option<&'static str>>,
    calls: AtomicUsize,
    largest: AtomicUsize,
    subscriptions: AtomicUsize,
}

impl Doors {
    /// Some that refuse what is "huge" for good, and the topics.
    pub(crate) fn closed(topics: &[&'static str]) -> Arc<Self> {
        let doors = Self { huge: Mutex::new(Some(Refusal::ForGood)), ..Self::default() };
        topics.iter().for_each(|topic| doors.close(topic));
        Arc::new(doors)
    }

    /// Some that refuse everything.
    pub(crate) fn shut(refusal: Refusal) -> Arc<Self> {
        Arc::new(Self { all: Mutex::new(Some(refusal)), ..Self::default() })
    }

    /// Some that take no record that is larger, with its headers.
    pub(crate) fn narrow(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: Mutex::new(Some(limit)), ..Self::default() })
    }

    /// Takes everything from now on.
    pub(crate) fn open_all(&self) {
        *self.all.lock().unwrap() = None;
    }

    pub(crate) fn open(&self, topic: &'static str) {
        self.closed.lock().unwrap().remove(topic);
        self.away.lock().unwrap().remove(topic);
    }

    pub(crate) fn close(&self, topic: &'static str) {
        self.closed.lock().unwrap().insert(topic);
    }

    pub(crate) fn lose(&self, topic: &'static str) {
        self.away.lock().unwrap().insert(topic);
    }

    pub(crate) fn stall(&self, topic: Option<&'static str>) {
        self.stalled.send_replace(topic);
    }

    pub(crate) fn refuse_huge(&self, refusal: Option<Refusal>) {
        *self.huge.lock().unwrap() = refusal;
    }

    pub(crate) fn is_closed(&self, topic: &str) -> bool {
        self.closed.lock().unwrap().contains(topic)
    }

    /// How often somebody published.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// How large the records of one call were together at the most.
    pub(crate) fn largest(&self) -> usize {
        self.largest.load(Ordering::SeqCst)
    }

    /// How often somebody subscribed.
    pub(crate) fn subscriptions(&self) -> usize {
        self.subscriptions.load(Ordering::SeqCst)
    }

    pub(crate) fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }

    /// The data of the events on a topic, in the order of their offsets, as often as they are there.
    pub(crate) fn data(&self, topic: &str) -> Vec<serde_json::Value> {
        let mut records = self.inner.records(topic);
        // The memory's partitions are not in the order in which the topic was written.
        records.sort_by_key(|record| record.offset);
        let envelopes = records.iter().map(|consumed| consumed.record.value.as_deref().unwrap());
        envelopes.map(|value| serde_json::from_slice::<serde_json::Value>(value).unwrap()["data"].take()).collect()
    }

    fn refusal_of(&self, record: &Record) -> Result<()> {
        if self.is_closed(&record.topic) {
            return Err(Error::TopicRefused { topic: record.topic.clone(), source: "not authorized".into() });
        }
        let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if self.limit.lock().unwrap().is_some_and(|limit| record.bytes() + headers > limit) {
            let source = TooLarge::new("the test's limit");
            let operation = format!("publish to {}", record.topic);
            return Err(Error::Transport { operation, transient: false, source: Box::new(source) });
        }
        let refuse = |refusal, source: &str| {
            let operation = format!("publish to {}", record.topic);
            Err(Error::Transport { operation, transient: refusal == Refusal::ForNow, source: source.into() })
        };
        if self.away.lock().unwrap().contains(&*record.topic) {
            return refuse(Refusal::ForNow, "away");
        }
        let is_huge = record.value.as_ref().is_some_and(|value| value.windows(4).any(|part| part == b"huge"));
        let huge = self.huge.lock().unwrap().filter(|_| is_huge);
        match huge.or(*self.all.lock().unwrap()) {
            Some(refusal) => refuse(refusal, "too large"),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Transport for Doors {
    async fn publish(&self, records: Vec<Record>) -> Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.largest.fetch_max(records.iter().map(Record::bytes).sum(), Ordering::SeqCst);
        for record in records {
            let mut stalled = self.stalled.subscribe();
            stalled.wait_for(|topic| *topic != Some(record.topic.as_str())).await.unwrap();
            self.refusal_of(&record)?;
            let key = String::from_utf8(record.key.as_ref().unwrap().to_vec()).unwrap();
            self.taken.lock().unwrap().push(key);
            self.inner.publish(vec![record]).await?;
        }
        Ok(())
    }

    async fn subscribe(&self, interest: Interest) -> Result<Box<dyn Subscription>> {
        self.subscriptions.fetch_add(1, Ordering::SeqCst);
        self.inner.subscribe(interest).await
    }
}
