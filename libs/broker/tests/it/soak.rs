//! Row "durability" for long: kill -9 at random moments of everything a broker does, on one directory, and after each
//! kill a judge that knows only what clients were told.
//!
//! Kills come in chapters. Each has topics of its own, read whole after every kill; of the chapter before it is looked
//! once more whether anything has changed, then its topics are deleted. So a kill costs as much late in a run as early.

mod clients;
mod owner;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

use crate::support::child::Served;
use crate::support::history::{History, Keeps, Shown};
use crate::support::look::look;
use crate::support::soak;
use crate::support::wire::{Ask, Wire};

use clients::{Client, Door, Producer, Reader, Told, Transactor, group_of};
use owner::{Owner, create, delete};

/// Kills of one chapter.
const CHAPTER: usize = 20;
/// The kill comes somewhere within this time under load.
const LOAD_MAX_MS: u64 = 300;
/// One kill in so many comes while the broker starts, somewhere within this time.
const STARTS: u32 = 5;
const START_MAX_MS: u64 = 60;

const SMALL: (&str, &str) = ("segment.bytes", "2048");
/// A topic of a chapter.
struct Kind {
    name: &'static str,
    keeps: Keeps,
    configs: &'static [(&'static str, &'static str)],
}

const fn kind(name: &'static str, keeps: Keeps, configs: &'static [(&'static str, &'static str)]) -> Kind {
    Kind { name, keeps, configs }
}

const KINDS: [Kind; 6] = [
    kind("plain-a", Keeps::All, &[("segment.bytes", "65536")]),
    kind("plain-b", Keeps::All, &[SMALL]),
    kind("txn-a", Keeps::All, &[SMALL]),
    kind("txn-b", Keeps::All, &[]),
    kind("compacted", Keeps::LastOfKey, &[SMALL, ("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.01")]),
    kind("trimmed", Keeps::FromLogStart, &[SMALL, ("retention.bytes", "16384"), ("file.delete.delay.ms", "500")]),
];

/// Topics with what clients were told of them.
struct Chapter {
    number: usize,
    kills: usize,
    told: Arc<Told>,
    clients: Vec<Client>,
    /// What was shown the last time.
    shown: BTreeMap<String, Shown>,
}

impl Chapter {
    async fn open(number: usize, seed: u64, address: &str) -> Self {
        let mut wire = Wire::connect(address).await;
        let told = Told::default();
        for Kind { name, keeps, configs } in KINDS {
            let name = format!("{name}-{number}");
            assert_eq!(create(&mut wire, &name, configs).await, 0, "making {name}");
            told.histories.lock().unwrap().insert(name, History::of(keeps));
        }
        let topic = |name: &str| format!("{name}-{number}");
        let seed = |at: u64| seed ^ (number as u64) << 8 ^ at << 32;
        let producer = |name, by, is_keyed, at| Client::Producer(Producer::new(&topic(name), by, is_keyed, seed(at)));
        let transactor = |id, is_modern, moves, at| {
            let topics = ["txn-a", "txn-b"].map(topic);
            Client::Transactor(Transactor::new(topic(id), topics, is_modern, topic(moves), seed(at)))
        };
        let clients = vec![
            producer("plain-a", 0, false, 1),
            producer("plain-a", 1, false, 2),
            producer("plain-b", 0, false, 3),
            producer("compacted", 0, true, 4),
            producer("trimmed", 0, true, 5),
            transactor("classic", false, "plain-b", 6),
            transactor("modern", true, "txn-a", 7),
            Client::Reader(Reader::of(&topic("plain-a"))),
            Client::Reader(Reader::of(&topic("txn-b"))),
            Client::Owner(Owner::new(&topic("own"), &topic("trimmed"), seed(8))),
        ];
        Self { number, kills: 0, told: Arc::new(told), clients, shown: BTreeMap::new() }
    }

    /// Has the clients work and kills the broker in the middle of it.
    async fn work_and_kill(&mut self, served: Served, load: Duration) -> Result<(), String> {
        let mut working = JoinSet::new();
        for client in self.clients.drain(..) {
            working.spawn(client.work(Door::to(&served.address), Arc::clone(&self.told)));
        }
        let ended = tokio::time::timeout(load, working.join_next()).await;
        served.kill();
        if let Ok(ended) = ended {
            return Err(format!("a client ended before the kill: {ended:?}"));
        }
        while let Some(client) = working.join_next().await {
            self.clients.push(client.map_err(|error| error.to_string())?);
        }
        self.kills += 1;
        Ok(())
    }

    /// Looks at everything that a broker shows of the chapter; answers what does not go with what clients were told.
    async fn judge(&mut self, address: &str) -> Vec<String> {
        let mut wire = Wire::connect(address).await;
        let mut faults = Vec::new();
        for client in &mut self.clients {
            match client {
                // What its old self left open would hide what others have committed.
                Client::Transactor(transactor) => drop(transactor.settle(&Door::to(address), &self.told).await),
                Client::Owner(owner) => faults.extend(owner.judge(&mut wire).await),
                _ => {}
            }
        }
        self.shown = self.look(&mut wire).await;
        for (topic, shown) in &self.shown {
            let anomalies = self.told.of(topic, |told| {
                let anomalies = told.check(0, shown);
                told.saw_high_watermark(0, shown.high_watermark);
                told.saw_log_start(0, shown.log_start);
                anomalies
            });
            faults.extend(anomalies.into_iter().map(|anomaly| format!("{topic}: {anomaly:?}")));
            let end = wire.fetch(topic, 0, Ask { isolation: 1, ..Ask::at(shown.high_watermark) }).await;
            if end.last_stable_offset != shown.high_watermark {
                faults.push(format!("{topic}: a transaction without an owner is open at {}", end.last_stable_offset));
            }
        }
        faults.extend(self.judge_transactions());
        faults
    }

    fn judge_transactions(&self) -> Vec<String> {
        let committed = self.shown.values().flat_map(|shown| &shown.committed);
        let readable: HashSet<&str> = committed.map(|(_, value)| value.as_str()).collect();
        let mut transactions = self.told.transactions.lock().unwrap();
        for records in transactions.undecided.drain(..) {
            for (topic, value) in records {
                // As it has come out it stays.
                self.told.of(&topic, |told| match readable.contains(value.as_str()) {
                    true => told.answered(0, &value),
                    false => told.asked(0, &value, false),
                });
            }
        }
        let torn = History::check_whole(&transactions.all, &readable);
        torn.into_iter().map(|anomaly| format!("{anomaly:?}")).collect()
    }

    async fn look(&self, wire: &mut Wire) -> BTreeMap<String, Shown> {
        let mut all = BTreeMap::new();
        let topics: Vec<String> = self.told.histories.lock().unwrap().keys().cloned().collect();
        for topic in topics {
            let shown = look(wire, &topic, &group_of(&topic)).await;
            all.insert(topic, shown);
        }
        all
    }

    /// Looks at what nobody has worked with since [`Self::judge`], then deletes it; answers what has changed meanwhile.
    async fn close(self, address: &str) -> Vec<String> {
        let mut wire = Wire::connect(address).await;
        let mut faults = Vec::new();
        for (topic, shown) in self.look(&mut wire).await {
            let keeps_all = KINDS.iter().any(|kind| kind.keeps == Keeps::All && topic.starts_with(kind.name));
            if keeps_all && shown != self.shown[&topic] {
                faults.push(format!("{topic} has changed while nobody worked with it"));
            }
            if shown.high_watermark != self.shown[&topic].high_watermark {
                faults.push(format!("the end of {topic} has moved while nobody worked with it"));
            }
            assert_eq!(delete(&mut wire, &topic).await, 0, "deleting {topic}");
        }
        faults
    }

    /// How much clients were told of.
    fn acknowledged(&self) -> usize {
        self.told.histories.lock().unwrap().values().map(History::acknowledged).sum()
    }
}

/// Everything there is between kills.
struct Soak {
    seed: u64,
    random: StdRng,
    chapter: Chapter,
    before: Option<Chapter>,
    acknowledged: usize,
}

impl Soak {
    async fn begin(seed: u64, data_dir: &Path) -> Self {
        let served = Served::start_busy(data_dir);
        let chapter = Chapter::open(0, seed, &served.address).await;
        Self { seed, random: StdRng::seed_from_u64(seed), chapter, before: None, acknowledged: 0 }
    }

    /// Starts a broker, judges what it shows, and kills it again.
    async fn round(&mut self, data_dir: &Path) -> Result<(), String> {
        if self.random.random_ratio(1, STARTS) {
            let delay = Duration::from_millis(self.random.random_range(0..START_MAX_MS));
            Served::start_and_kill(data_dir, delay).await;
        }
        let served = Served::start_busy(data_dir);
        self.judge(&served.address).await?;
        if self.chapter.kills == CHAPTER {
            let next = Chapter::open(self.chapter.number + 1, self.seed, &served.address).await;
            let done = std::mem::replace(&mut self.chapter, next);
            self.acknowledged += done.acknowledged();
            if let Some(before) = self.before.replace(done) {
                none(before.close(&served.address).await)?;
            }
        }
        let load = Duration::from_millis(self.random.random_range(1..LOAD_MAX_MS));
        self.chapter.work_and_kill(served, load).await
    }

    async fn judge(&mut self, address: &str) -> Result<(), String> {
        none(self.chapter.judge(address).await)
    }
}

fn none(faults: Vec<String>) -> Result<(), String> {
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_at_any_moment_of_any_work_breaks_no_promise() {
    let (kills, seed) = (soak::kills(), soak::seed());
    let dir = tempfile::tempdir().unwrap();
    let mut soak = Soak::begin(seed, dir.path()).await;
    for kill in 1..=kills {
        if let Err(faults) = soak.round(dir.path()).await {
            panic!("seed {seed}, kill {kill}, data left in {}:\n{faults}", dir.keep().display());
        }
    }
    let served = Served::start_busy(dir.path());
    let mut faults = soak.chapter.judge(&served.address).await;
    if let Some(before) = soak.before.take() {
        faults.extend(before.close(&served.address).await);
    }
    assert!(faults.is_empty(), "seed {seed}, after the last kill:\n{}", faults.join("\n"));
    let acknowledged = soak.acknowledged + soak.chapter.acknowledged();
    assert!(acknowledged > kills, "work was done: {acknowledged} records");
    soak::report("kill -9 at random moments", kills, acknowledged);
}
