//! Transports with one flaw each: the suite that states the contract of a transport has to catch every one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use eventkit::testing::{refusal_suite, transport_suite};
use eventkit::transport::memory::MemoryTransport;
use eventkit::transport::{Incoming, Interest, Record, RevocationGuard, Subscription, TopicPartition, Transport};
use eventkit::{Error, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Mutex as Turn;

use crate::support::complaint;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Flaw {
    None,
    LosesHeaders,
    LosesTombstones,
    LosesTimes,
    LosesEveryTenth,
    Reverses,
    OneGroupForAll,
    ForgetsCommits,
    CommitsWhatItDelivers,
    EverybodyGetsAll,
    NeverPauses,
    NeverResumes,
    LetsNobodyFinish,
    TellsNoLag,
    TellsAnOldLag,
    TakesFollowers,
    TellsOfRefusalsAsPassing,
}

/// Memory with one flaw.
#[derive(Debug)]
struct Broken {
    flaw: Flaw,
    inner: MemoryTransport,
    published: Mutex<usize>,
    members: Mutex<usize>,
    /// What each group committed, where its members are alone in groups of their own.
    committed: Arc<Mutex<Committed>>,
}

impl Broken {
    fn new(flaw: Flaw) -> Arc<Self> {
        Arc::new(Self {
            flaw,
            inner: MemoryTransport::new(),
            published: Mutex::default(),
            members: Mutex::default(),
            committed: Arc::default(),
        })
    }

    fn number(counter: &Mutex<usize>) -> usize {
        let mut counter = counter.lock().unwrap();
        *counter += 1;
        *counter
    }

    /// The record as it is kept; `None` where it is lost.
    fn spoil(&self, mut record: Record) -> Option<Record> {
        match self.flaw {
            Flaw::LosesHeaders => record.headers.clear(),
            Flaw::LosesTombstones => record.value = Some(record.value.unwrap_or_default()),
            Flaw::LosesTimes => record.timestamp_ms = None,
            Flaw::LosesEveryTenth if Self::number(&self.published).is_multiple_of(10) => return None,
            _ => {}
        }
        Some(record)
    }
}

/// What is larger than that is refused.
const LIMIT: usize = 100_000;

#[async_trait]
impl Transport for Broken {
    async fn publish(&self, mut records: Vec<Record>) -> Result<()> {
        if self.flaw == Flaw::Reverses {
            records.reverse();
        }
        let mut refused = None;
        for record in records {
            if record.bytes() > LIMIT {
                let transient = self.flaw == Flaw::TellsOfRefusalsAsPassing;
                refused = Some(Error::Transport { operation: "publish".to_owned(), transient, source: "large".into() });
            } else if refused.is_none() || self.flaw == Flaw::TakesFollowers {
                let kept = self.spoil(record);
                self.inner.publish(kept.into_iter().collect()).await?;
            }
        }
        refused.map_or(Ok(()), Err)
    }

    async fn subscribe(&self, mut interest: Interest) -> Result<Box<dyn Subscription>> {
        let number = Self::number(&self.members);
        let group = interest.group.clone();
        match self.flaw {
            Flaw::OneGroupForAll => interest.group = "all".to_owned(),
            // Each is alone in a group of its own.
            Flaw::EverybodyGetsAll | Flaw::ForgetsCommits => interest.group = format!("{}-{number}", interest.group),
            _ => {}
        }
        if self.flaw == Flaw::EverybodyGetsAll {
            let offsets: Lag =
                self.committed.lock().unwrap().entry(group.clone()).or_default().clone().into_iter().collect();
            self.inner.subscribe(interest.clone()).await?.commit(&offsets).await?;
        }
        let inner = Turn::new(self.inner.subscribe(interest).await?);
        Ok(Box::new(BrokenMember {
            flaw: self.flaw,
            group,
            committed: self.committed.clone(),
            inner,
            paused: Mutex::default(),
            first_lag: Arc::default(),
            ends: HashMap::new(),
        }))
    }
}

type Lag = Vec<(TopicPartition, i64)>;
/// Offsets by group and partition.
type Committed = HashMap<String, HashMap<TopicPartition, i64>>;

#[derive(Debug)]
struct BrokenMember {
    flaw: Flaw,
    group: String,
    committed: Arc<Mutex<Committed>>,
    inner: Turn<Box<dyn Subscription>>,
    paused: Mutex<HashMap<TopicPartition, bool>>,
    /// What it answered first when it was asked for the lag.
    first_lag: Arc<Mutex<Option<Lag>>>,
    /// Where what was delivered ends, if that is to be committed at the end.
    ends: HashMap<TopicPartition, i64>,
}

#[async_trait]
impl Subscription for BrokenMember {
    async fn next(&mut self) -> Result<Incoming> {
        let inner = self.inner.get_mut();
        let incoming = inner.next().await?;
        Ok(match incoming {
            Incoming::Revoked { partitions, done } if self.flaw == Flaw::LetsNobodyFinish => {
                drop(done);
                Incoming::Revoked { partitions, done: RevocationGuard::detached() }
            }
            Incoming::Records(records) if self.flaw == Flaw::CommitsWhatItDelivers => {
                self.ends.extend(records.iter().map(|record| (record.topic_partition(), record.offset + 1)));
                Incoming::Records(records)
            }
            other => other,
        })
    }

    async fn commit(&self, offsets: &[(TopicPartition, i64)]) -> Result<()> {
        self.committed.lock().unwrap().entry(self.group.clone()).or_default().extend(offsets.iter().cloned());
        self.inner.lock().await.commit(offsets).await
    }

    fn lag(&self, partitions: &[TopicPartition]) -> BoxFuture<'static, Result<Lag>> {
        let lag = self.inner.try_lock().unwrap().lag(partitions);
        let (flaw, first_lag) = (self.flaw, self.first_lag.clone());
        async move {
            let lag = lag.await?;
            Ok(match flaw {
                Flaw::TellsNoLag => Vec::new(),
                Flaw::TellsAnOldLag => first_lag.lock().unwrap().get_or_insert(lag).clone(),
                _ => lag,
            })
        }
        .boxed()
    }

    fn set_paused(&self, partition: &TopicPartition, paused: bool) {
        let before = self.paused.lock().unwrap().insert(partition.clone(), paused);
        let is_ignored = match self.flaw {
            Flaw::NeverPauses => true,
            Flaw::NeverResumes => before == Some(true),
            _ => false,
        };
        if !is_ignored {
            self.inner.try_lock().unwrap().set_paused(partition, paused);
        }
    }

    async fn close(self: Box<Self>) {
        let inner = self.inner.into_inner();
        let ends: Vec<_> = self.ends.into_iter().collect();
        // Nothing is done about nothing.
        let _ = inner.commit(&ends).await;
        inner.close().await;
    }
}

/// What the suite says of a transport with a flaw.
async fn verdict(flaw: Flaw) -> Option<String> {
    complaint(transport_suite(Broken::new(flaw), async |_| {})).await
}

/// Time is passed over where nothing happens: a suite that waits for records that never come loses patience at once.
#[tokio::test(start_paused = true)]
async fn every_broken_transport_is_caught() {
    assert_eq!(verdict(Flaw::None).await, None);
    let flaws = [
        (Flaw::LosesHeaders, "records arrive as they were sent"),
        (Flaw::LosesTombstones, "records arrive as they were sent"),
        (Flaw::LosesTimes, "records arrive as they were sent"),
        (Flaw::LosesEveryTenth, "only 90 of 100 arrived within 20 s: all records of a topic"),
        (Flaw::Reverses, "records arrive as they were sent"),
        (Flaw::OneGroupForAll, "only 0 of 100 arrived within 20 s: all records for each group"),
        (Flaw::ForgetsCommits, "a new member goes on where its group committed"),
        (Flaw::CommitsWhatItDelivers, "only 0 of 2 arrived within 20 s: what was delivered and not committed"),
        (Flaw::EverybodyGetsAll, "two members share a topic's partitions"),
        (Flaw::NeverPauses, "a paused partition delivered a record"),
        (Flaw::NeverResumes, "only 0 of 1 arrived within 20 s: records of a partition that goes on"),
        (Flaw::LetsNobodyFinish, "a partition went to another member before the first had let go of it"),
        (Flaw::TellsNoLag, "the lag after committing None"),
        (Flaw::TellsAnOldLag, "the lag after committing Some(2)"),
    ];
    for (flaw, expected) in flaws {
        let said = verdict(flaw).await.unwrap_or_else(|| panic!("a transport passed that {flaw:?}"));
        assert!(said.contains(expected), "of one that {flaw:?} it is said: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_transport_that_mishandles_a_refusal_is_caught() {
    let refused = Record {
        topic: "accounts".to_owned(),
        key: Some("account-1".into()),
        value: Some(Bytes::from(vec![b'x'; LIMIT + 1])),
        headers: Vec::new(),
        timestamp_ms: None,
    };
    refusal_suite(Broken::new(Flaw::None), &refused).await;
    let memory: Arc<dyn Transport> = Arc::new(MemoryTransport::new());
    let flawed: [(Arc<dyn Transport>, &str); 3] = [
        (Broken::new(Flaw::TakesFollowers), "a record overtook an earlier one of its key"),
        (Broken::new(Flaw::TellsOfRefusalsAsPassing), "a record that is refused for good is told as such: Err"),
        (memory, "a record that is refused for good is told as such: Ok"),
    ];
    for (transport, expected) in flawed {
        let said = complaint(refusal_suite(transport, &refused)).await.unwrap_or_default();
        assert!(said.contains(expected), "{said}");
    }
}
