//! The clients of the soak: they work until their broker dies, and go on with the next where they were.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::InitProducerIdRequest;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio_util::sync::CancellationToken;

use crate::support::batch::{Stamp, keyed};
use crate::support::history::{History, Sent};
use crate::support::look::committed_of;
use crate::support::member::{Member, committed};
use crate::support::txn::Txn;
use crate::support::wire::{Ask, Wire};

use super::owner::Owner;

/// Records of one batch at most.
const BATCH_MAX: usize = 5;
/// Keys of the compacted topic.
const KEYS: usize = 12;
/// Makes segments of the small topics fill up.
const FILLING: usize = 100;
/// Records of one transaction at most.
const TRANSACTION_MAX: usize = 4;

/// The group that reads a topic.
pub(super) fn group_of(topic: &str) -> String {
    format!("g-{topic}")
}

/// A broker that may die at any moment.
#[derive(Debug, Clone)]
pub(super) struct Door {
    pub(super) address: String,
    /// Told when a connection through it ends.
    pub(super) broken: CancellationToken,
}

impl Door {
    pub(super) fn to(address: &str) -> Self {
        Self { address: address.to_owned(), broken: CancellationToken::new() }
    }

    pub(super) async fn wire(&self) -> Wire {
        Wire::connect_until(&self.broken, &self.address).await
    }
}

/// What clients were told, by topic.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) histories: Mutex<BTreeMap<String, History>>,
    pub(super) transactions: Mutex<Transactions>,
}

/// Transactions of several records, by the values of these.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    pub(super) all: Vec<Vec<String>>,
    /// Nobody knows how they ended, but they have: each record's topic and value.
    pub(super) undecided: Vec<Vec<(String, String)>>,
}

impl Told {
    pub(super) fn of<T>(&self, topic: &str, note: impl FnOnce(&mut History) -> T) -> T {
        note(self.histories.lock().unwrap().get_mut(topic).unwrap())
    }
}

/// Somebody who works with a broker.
#[derive(Debug)]
pub(super) enum Client {
    Producer(Producer),
    Transactor(Transactor),
    Reader(Reader),
    Owner(Owner),
}

impl Client {
    /// Works until the broker dies; whatever was under way then is gone on with at the next call.
    pub(super) async fn work(mut self, door: Door, told: Arc<Told>) -> Self {
        tokio::select! {
            () = self.go_on(&door, &told) => {}
            () = door.broken.cancelled() => {}
        }
        self
    }

    async fn go_on(&mut self, door: &Door, told: &Told) {
        match self {
            Self::Producer(producer) => producer.go_on(door, told).await,
            Self::Transactor(transactor) => transactor.go_on(door, told).await,
            Self::Reader(reader) => reader.go_on(door, told).await,
            Self::Owner(owner) => owner.go_on(door, told).await,
        }
    }
}

/// An idempotent producer, which sends again what it has no answer to.
#[derive(Debug)]
pub(super) struct Producer {
    topic: String,
    by: usize,
    /// Whether its records have few keys and are large.
    is_keyed: bool,
    producer_id: i64,
    sequence: i32,
    next: usize,
    pending: Vec<String>,
    random: StdRng,
}

impl Producer {
    pub(super) fn new(topic: &str, by: usize, is_keyed: bool, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed);
        let topic = topic.to_owned();
        Self { topic, by, is_keyed, producer_id: -1, sequence: 0, next: 0, pending: Vec::new(), random }
    }

    async fn go_on(&mut self, door: &Door, told: &Told) {
        let mut wire = door.wire().await;
        while self.producer_id == -1 {
            let request = InitProducerIdRequest::default().with_transactional_id(None);
            let answer = wire.call(4, &request).await;
            assert_eq!(answer.error_code, 0, "a producer id for {}", self.topic);
            self.producer_id = answer.producer_id.0;
        }
        loop {
            if self.pending.is_empty() {
                self.pending = (0..self.random.random_range(1..=BATCH_MAX)).map(|_| self.value()).collect();
            }
            let note = |value: &String, sent| told.of(&self.topic, |told| told.sent_by(self.by, 0, value, sent));
            self.pending.iter().for_each(|value| note(value, Sent::Unknown));
            let (producer_id, sequence) = (self.producer_id, self.sequence);
            let stamp = Stamp { producer_id, producer_epoch: 0, sequence, ..Stamp::default() };
            let records = self.pending.iter().map(|value| (value.split('/').next(), Some(value.as_str())));
            let answer = wire.produce(&self.topic, 0, keyed(stamp, &records.collect::<Vec<_>>())).await;
            assert_eq!(answer.error_code, 0, "sequence {sequence} of producer {} to {}", self.by, self.topic);
            let offsets = answer.base_offset..;
            self.pending.iter().zip(offsets).for_each(|(value, offset)| note(value, Sent::At(offset)));
            self.sequence += i32::try_from(self.pending.len()).unwrap();
            self.pending.clear();
        }
    }

    fn value(&mut self) -> String {
        self.next += 1;
        let (by, next) = (self.by, self.next);
        match self.is_keyed {
            true => format!("k{}/{by}-{next}{}", self.random.random_range(0..KEYS), " ".repeat(FILLING)),
            false => format!("{by}-{next}"),
        }
    }
}

/// A transactional producer to two topics, which also moves the position of a group.
#[derive(Debug)]
pub(super) struct Transactor {
    id: String,
    topics: [String; 2],
    /// Speaks as clients after KIP-890 do.
    is_modern: bool,
    /// The topic whose group it moves.
    moves: String,
    next: i64,
    open: Option<Open>,
    random: StdRng,
}

/// A transaction under way.
#[derive(Debug)]
struct Open {
    /// For each record its topic's place, and its value.
    records: Vec<(usize, String)>,
    /// Its end was asked for, and whether it is to be committed.
    asked: Option<bool>,
}

impl Transactor {
    pub(super) fn new(id: String, topics: [String; 2], is_modern: bool, moves: String, seed: u64) -> Self {
        Self { id, topics, is_modern, moves, next: 0, open: None, random: StdRng::seed_from_u64(seed) }
    }

    /// Ends what was under way when the last broker died; afterwards it is decided.
    pub(super) async fn settle(&mut self, door: &Door, told: &Told) -> Txn {
        let (producer_id, epoch, sequence) = (-1, -1, 0);
        let mut txn = Txn { wire: door.wire().await, id: self.id.clone(), producer_id, epoch, sequence };
        loop {
            match txn.init(60_000).await {
                0 => break,
                // What was decided is still being told to the partitions.
                code => assert_eq!(code, ResponseError::ConcurrentTransactions.code(), "{}", self.id),
            }
        }
        match self.open.take() {
            Some(Open { records, asked: Some(true) }) => {
                let of_topic = |(place, value): (usize, String)| (self.topics[place].clone(), value);
                told.transactions.lock().unwrap().undecided.push(records.into_iter().map(of_topic).collect());
            }
            Some(Open { records, .. }) => self.each(told, &records, |told, value| told.asked(0, value, false)),
            None => {}
        }
        txn
    }

    fn each(&self, told: &Told, records: &[(usize, String)], note: impl Fn(&mut History, &str)) {
        records.iter().for_each(|(place, value)| told.of(&self.topics[*place], |told| note(told, value)));
    }

    async fn go_on(&mut self, door: &Door, told: &Told) {
        let mut txn = self.settle(door, told).await;
        let mut sequences = [0; 2];
        loop {
            let records = self.begin(told);
            for (place, value) in &records {
                txn.sequence = sequences[*place];
                let topic = &self.topics[*place];
                let code = match self.is_modern {
                    true => txn.produce_adding(topic, value).await,
                    false => match txn.add(topic).await {
                        0 => txn.produce(topic, value).await,
                        code => code,
                    },
                };
                assert_eq!(code, 0, "{value} to {topic}");
                sequences[*place] = txn.sequence;
            }
            let commits = self.random.random_bool(0.7);
            let moves_to = self.random.random_bool(0.5).then_some(self.next);
            if let Some(position) = moves_to {
                self.move_group(&mut txn, position).await;
            }
            self.each(told, &records, |told, value| told.asked(0, value, commits));
            if let Some(position) = moves_to.filter(|_| commits) {
                told.of(&self.moves, |told| told.tried_position(position));
            }
            self.open.as_mut().unwrap().asked = Some(commits);
            let code = match self.is_modern {
                true => txn.end_bumping(commits).await,
                false => txn.end(commits).await,
            };
            assert_eq!(code, 0, "the end of {}", records[0].1);
            if self.is_modern {
                sequences = [0; 2];
            }
            self.open = None;
            self.each(told, &records, |told, value| told.answered(0, value));
            if let Some(position) = moves_to.filter(|_| commits) {
                told.of(&self.moves, |told| told.committed_position(0, position));
            }
        }
    }

    fn begin(&mut self, told: &Told) -> Vec<(usize, String)> {
        self.next += 1;
        let count = self.random.random_range(1..=TRANSACTION_MAX);
        let mut record = |at| (self.random.random_range(0..2), format!("{}-{}-{at}", self.id, self.next));
        let records: Vec<_> = (0..count).map(&mut record).collect();
        self.each(told, &records, |told, value| {
            told.opened(value);
            told.sent(0, value, Sent::Unknown);
        });
        told.transactions.lock().unwrap().all.push(records.iter().map(|(_, value)| value.clone()).collect());
        self.open = Some(Open { records: records.clone(), asked: None });
        records
    }

    async fn move_group(&self, txn: &mut Txn, position: i64) {
        let group = group_of(&self.moves);
        let version = if self.is_modern { 5 } else { 3 };
        if !self.is_modern {
            assert_eq!(txn.add_offsets(&group).await, 0, "{group} in {}", self.id);
        }
        assert_eq!(txn.commit_offset(version, &group, &self.moves, position).await, 0, "{group} to {position}");
    }
}

/// The only member of a group, which reads what is committed and commits how far it has come.
#[derive(Debug)]
pub(super) struct Reader {
    topic: String,
    /// Times that it began to read: what it reads from one on is without a gap.
    begun: usize,
}

impl Reader {
    pub(super) fn of(topic: &str) -> Self {
        Self { topic: topic.to_owned(), begun: 0 }
    }

    async fn go_on(&mut self, door: &Door, told: &Told) {
        let mut member = self.join(door).await;
        let mut at = committed(&mut member.wire, &member.group, &self.topic).await.0.max(0);
        self.begun += 1;
        told.of(&self.topic, |told| _ = told.began(self.begun, at));
        loop {
            let ask = Ask { isolation: 1, wait_ms: 20, ..Ask::at(at) };
            let partition = member.wire.fetch(&self.topic, 0, ask).await;
            assert_eq!(partition.error_code, 0, "{} at {at}", self.topic);
            let Some((next, found)) = committed_of(partition, at) else { continue };
            at = next;
            told.of(&self.topic, |told| {
                told.polled(self.begun, found.iter().map(|(offset, _)| *offset));
                told.tried_position(at);
            });
            assert_eq!(member.commit(&self.topic, at, "").await, 0, "the position {at} in {}", self.topic);
            told.of(&self.topic, |told| told.committed_position(0, at));
        }
    }

    /// Takes the place of its old self.
    async fn join(&self, door: &Door) -> Member {
        let mut member = Member {
            wire: door.wire().await,
            group: group_of(&self.topic),
            id: String::new(),
            instance: Some("reader".to_owned()),
            generation: -1,
            session_timeout_ms: 10_000,
            members: Vec::new(),
        };
        loop {
            member.id.clear();
            assert_eq!(member.join().await.error_code, 0, "joining {}", member.group);
            if member.sync().await.is_ok() {
                return member;
            }
        }
    }
}
