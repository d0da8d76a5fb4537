//! Transports with one flaw each: the suite that states the contract of a transport has to catch every one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use eventkit::testing::{refusal_suite, transport_suite};
use eventkit::transport::memory::MemoryTransport;
use eventkit::transport::{Incoming, Interest, Record, RevocationGuard, Subscription, TopicPartition, Transport};
use eventkit::{Error, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Mutex as Turn;

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
}

impl Broken {
    fn new(flaw: Flaw) -> Arc<Self> {
        Arc::new(Self { flaw, inner: MemoryTransport::new(), published: Mutex::default(), members: Mutex::default() })
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
        match self.flaw {
            Flaw::OneGroupForAll => interest.group = "all".to_owned(),
            // Each is alone in a group of its own.
            Flaw::EverybodyGetsAll | Flaw::ForgetsCommits => interest.group = format!("{}-{number}", interest.group),
            _ => {}
        }
        let inner = Turn::new(self.inner.subscribe(interest).await?);
        Ok(Box::new(BrokenMember { flaw: self.flaw, inner, paused: Mutex::default(), ends: HashMap::new() }))
    }
}

#[derive(Debug)]
struct BrokenMember {
    flaw: Flaw,
    inner: Turn<Box<dyn Subscription>>,
    paused: Mutex<HashMap<TopicPartition, bool>>,
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
        self.inner.lock().await.commit(offsets).await
    }

    fn lag(&self, partitions: &[TopicPartition]) -> BoxFuture<'static, Result<Vec<(TopicPartition, i64)>>> {
        self.inner.try_lock().unwrap().lag(partitions)
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

/// A suite that hangs so long would lose patience in the end.
const HANGS: Duration = Duration::from_secs(5);

/// Whether a suite lets a transport pass.
async fn passes(suite: impl Future<Output = ()>) -> bool {
    let run = std::panic::AssertUnwindSafe(suite).catch_unwind();
    matches!(tokio::time::timeout(HANGS, run).await, Ok(Ok(())))
}

async fn keeps_the_contract(flaw: Flaw) -> bool {
    passes(transport_suite(Broken::new(flaw), async |_| {})).await
}

#[tokio::test]
async fn every_broken_transport_is_caught() {
    transport_suite(Broken::new(Flaw::None), async |_| {}).await;
    let flaws = [
        Flaw::LosesHeaders,
        Flaw::LosesTombstones,
        Flaw::LosesTimes,
        Flaw::LosesEveryTenth,
        Flaw::Reverses,
        Flaw::OneGroupForAll,
        Flaw::ForgetsCommits,
        Flaw::CommitsWhatItDelivers,
        Flaw::EverybodyGetsAll,
        Flaw::NeverPauses,
        Flaw::NeverResumes,
        Flaw::LetsNobodyFinish,
    ];
    let verdicts = futures::future::join_all(flaws.map(|flaw| async move { (flaw, keeps_the_contract(flaw).await) }));
    let passed: Vec<_> = verdicts.await.into_iter().filter(|(_, passed)| *passed).map(|(flaw, _)| flaw).collect();
    assert_eq!(passed, [], "transports with these flaws passed");
}

#[tokio::test]
async fn every_transport_that_mishandles_a_refusal_is_caught() {
    let refused = Record {
        topic: "accounts".to_owned(),
        key: Some("account-1".into()),
        value: Some(Bytes::from(vec![b'x'; LIMIT + 1])),
        headers: Vec::new(),
        timestamp_ms: None,
    };
    refusal_suite(Broken::new(Flaw::None), &refused).await;
    for flaw in [Flaw::TakesFollowers, Flaw::TellsOfRefusalsAsPassing] {
        assert!(!passes(refusal_suite(Broken::new(flaw), &refused)).await, "a transport passed that {flaw:?}");
    }
    assert!(!passes(refusal_suite(Arc::new(MemoryTransport::new()), &refused)).await, "memory refuses nothing");
}
