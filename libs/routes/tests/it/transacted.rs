//! Routes in transactions, over a Kafka in memory that holds back and loses them.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use routes::components::kafka::{
    Acknowledged, Broken, Incoming, Kafka, OutRecord, Reader, Subscription, Transaction, Transport,
};
use routes::exchange::{Exception, Result, Text, class};
use routes::run::{BoxFuture, RouteState};
use routes::{Engine, Limits, Setup};
use tokio::sync::watch;

use crate::kafka::Memory;
use crate::support::eventually;

/// A transport with transactions; clones are the same.
#[derive(Debug, Clone)]
struct Transactions(Arc<State>);

#[derive(Debug)]
struct State {
    memory: Memory,
    open: Mutex<Option<Vec<OutRecord>>>,
    /// What is refused for good: a topic and a value.
    refused: Mutex<Refused>,
    /// The same, before it has its place.
    refused_at_once: Mutex<Refused>,
    /// Whether the open transaction can only be aborted.
    is_broken: AtomicBool,
    /// Whether records get their places.
    takes: watch::Sender<bool>,
    /// Whether acknowledgements come.
    acknowledges: watch::Sender<bool>,
    /// How many sends fail for a passing reason.
    failing_sends: AtomicUsize,
    failing_commits: AtomicUsize,
    /// Whether commits come to their end.
    commits: watch::Sender<bool>,
    committed: AtomicUsize,
    aborted: AtomicUsize,
    /// How many memberships are over when they commit.
    ending: AtomicUsize,
}

type Refused = HashSet<(String, &'static str)>;

fn is_in(refused: &Mutex<Refused>, record: &OutRecord) -> bool {
    let is_it = |topic: &str, value: &str| *topic == record.topic && record.value.as_deref() == Some(value.as_bytes());
    refused.lock().unwrap().iter().any(|(topic, value)| is_it(topic, value))
}

fn take_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

impl Transactions {
    fn new() -> Self {
        Self(Arc::new(State {
            memory: Memory::new(),
            open: Mutex::default(),
            refused: Mutex::default(),
            refused_at_once: Mutex::default(),
            is_broken: AtomicBool::new(false),
            takes: watch::Sender::new(true),
            acknowledges: watch::Sender::new(true),
            failing_sends: AtomicUsize::new(0),
            failing_commits: AtomicUsize::new(0),
            commits: watch::Sender::new(true),
            committed: AtomicUsize::new(0),
            aborted: AtomicUsize::new(0),
            ending: AtomicUsize::new(0),
        }))
    }

    fn counted(&self) -> (usize, usize) {
        (self.0.committed.load(Ordering::SeqCst), self.0.aborted.load(Ordering::SeqCst))
    }

    /// How many records the open transaction has.
    fn sent(&self) -> usize {
        self.0.open.lock().unwrap().as_ref().map_or(0, Vec::len)
    }

    fn add(&self, record: OutRecord) -> Result<()> {
        let refused = if is_in(&self.0.refused, &record) {
            Exception::new(&class::KAFKA_RECORD_TOO_LARGE, "too large")
        } else if take_one(&self.0.failing_sends) {
            Exception::new(&class::KAFKA_TIMEOUT, "not now")
        } else {
            self.0.open.lock().unwrap().as_mut().expect("a transaction is open").push(record);
            return Ok(());
        };
        self.0.is_broken.store(true, Ordering::SeqCst);
        Err(refused)
    }
}

impl Transport for Transactions {
    fn subscribe(&self, wanted: Subscription) -> BoxFuture<'_, std::result::Result<Box<dyn Reader>, String>> {
        Box::pin(async move {
            assert!(wanted.transacted);
            // Whoever begins anew ends what was open.
            *self.0.open.lock().unwrap() = None;
            let inner = self.0.memory.subscribe(wanted).await?;
            let reader: Box<dyn Reader> = Box::new(TransactedReader { inner, transactions: self.clone() });
            Ok(reader)
        })
    }

    fn send(&self, record: OutRecord) -> BoxFuture<'_, Result<Acknowledged>> {
        self.0.memory.send(record)
    }
}

struct TransactedReader {
    inner: Box<dyn Reader>,
    transactions: Transactions,
}

impl Reader for TransactedReader {
    fn next(&mut self, most: usize) -> BoxFuture<'_, std::result::Result<Incoming, String>> {
        match most {
            // Nothing concerns partitions here.
            0 => Box::pin(std::future::pending()),
            most => self.inner.next(most),
        }
    }

    fn commit(&mut self, offsets: Vec<(Text, i32, i64)>) -> BoxFuture<'_, std::result::Result<(), String>> {
        panic!("offsets are committed beside the transactions: {offsets:?}");
    }

    fn transaction(&self) -> Option<Arc<dyn Transaction>> {
        Some(Arc::new(self.transactions.clone()))
    }
}

impl Transaction for Transactions {
    fn begin(&self) -> BoxFuture<'_, std::result::Result<(), Broken>> {
        let before = self.0.open.lock().unwrap().replace(Vec::new());
        assert!(before.is_none(), "one transaction at a time");
        self.0.is_broken.store(false, Ordering::SeqCst);
        Box::pin(async { Ok(()) })
    }

    fn send(&self, record: OutRecord) -> BoxFuture<'_, Result<Acknowledged>> {
        let (mut takes, mut acknowledges) = (self.0.takes.subscribe(), self.0.acknowledges.subscribe());
        Box::pin(async move {
            takes.wait_for(|takes| *takes).await.unwrap();
            if is_in(&self.0.refused_at_once, &record) {
                self.0.is_broken.store(true, Ordering::SeqCst);
                return Err(Exception::new(&class::KAFKA_RECORD_TOO_LARGE, "too large"));
            }
            let outcome = self.add(record);
            let acknowledged: Acknowledged = Box::pin(async move {
                acknowledges.wait_for(|acknowledges| *acknowledges).await.unwrap();
                outcome
            });
            Ok(acknowledged)
        })
    }

    fn commit(&self, offsets: Vec<(Text, i32, i64)>) -> BoxFuture<'_, std::result::Result<(), Broken>> {
        let mut commits = self.0.commits.subscribe();
        Box::pin(async move {
            commits.wait_for(|commits| *commits).await.unwrap();
            if self.0.is_broken.load(Ordering::SeqCst) || take_one(&self.0.failing_commits) {
                return Err(Broken::Aborted("lost".to_owned()));
            }
            if take_one(&self.0.ending) {
                return Err(Broken::Over("fenced".to_owned()));
            }
            for record in self.0.open.lock().unwrap().take().expect("a transaction is open") {
                self.0.memory.append(record);
            }
            self.0.memory.commit(offsets);
            self.0.committed.fetch_add(1, Ordering::SeqCst);
            Ok(())
        })
    }

    fn abort(&self) -> BoxFuture<'_, std::result::Result<(), Broken>> {
        self.0.open.lock().unwrap().take().expect("a transaction is open");
        self.0.aborted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(()) })
    }
}

const ROUTE: &str = r#"
- from:
    uri: "kafka:in?groupId=g&autoOffsetReset=earliest&transacted=true"
    steps:
      - to: kafka:first
      - choice:
          when:
            - simple: "${body} == 'bad'"
              steps: [ { throwException: { exceptionType: java.lang.IllegalStateException, message: "no ${body}" } } ]
            - simple: "${body} contains 'slow'"
              steps: [ { delay: { constant: "50" } } ]
      - to: kafka:out
"#;

async fn started(transactions: &Transactions, route: &str) -> Engine {
    started_with(transactions, route, Limits::default()).await
}

async fn started_with(transactions: &Transactions, route: &str, limits: Limits) -> Engine {
    let kafka = Arc::new(Kafka::new(Arc::new(transactions.clone())));
    let engine = Engine::new(Setup { components: vec![kafka], limits, ..Setup::default() });
    let compiled = engine.load(&[("kafka.yaml".to_owned(), route.to_owned())]).unwrap();
    engine.start(compiled).await.unwrap();
    engine
}

#[tokio::test]
async fn what_records_send_and_their_offsets_are_one() {
    let transactions = Transactions::new();
    let memory = &transactions.0.memory;
    transactions.0.commits.send_replace(false);
    for n in 0..20 {
        memory.put("in", &format!("k{}", n % 3), &n.to_string());
    }
    let engine = started(&transactions, ROUTE).await;
    eventually("all is part of the transaction", || transactions.sent() == 40).await;
    assert!(memory.values("out").is_empty() && memory.committed("in") == 0);
    transactions.0.commits.send_replace(true);
    eventually("it is committed", || memory.committed("in") == 20).await;
    assert_eq!((memory.values("first").len(), memory.values("out").len()), (20, 20));
    assert_eq!(transactions.counted(), (1, 0));
    memory.put("in", "k", "more");
    eventually("the next one is committed", || memory.committed("in") == 21).await;
    assert!(engine.stop().await.is_empty());
}

#[tokio::test]
async fn a_transaction_that_is_lost_is_done_again_and_counts_once() {
    for lose in [&|state: &State| &state.failing_commits, &|state: &State| &state.failing_sends]
        as [&(dyn Fn(&State) -> &AtomicUsize + Sync); 2]
    {
        let transactions = Transactions::new();
        lose(&transactions.0).store(2, Ordering::SeqCst);
        let memory = &transactions.0.memory;
        for (key, value) in [("a", "slow 1"), ("b", "2"), ("a", "3")] {
            memory.put("in", key, value);
        }
        let engine = started(&transactions, ROUTE).await;
        eventually("all is committed", || memory.committed("in") == 3).await;
        let (first, mut out) = (memory.values("first"), memory.values("out"));
        assert!(first.iter().position(|value| value == "slow 1") < first.iter().position(|value| value == "3"));
        out.sort();
        assert_eq!(out, ["2", "3", "slow 1"]);
        assert!(transactions.counted().1 >= 1);
        engine.stop().await;
    }
}

#[tokio::test]
async fn a_membership_that_is_over_is_begun_anew_where_the_offsets_stand() {
    let transactions = Transactions::new();
    transactions.0.ending.store(1, Ordering::SeqCst);
    let memory = &transactions.0.memory;
    memory.put("in", "a", "1");
    let engine = started(&transactions, ROUTE).await;
    eventually("it is committed", || memory.committed("in") == 1).await;
    assert_eq!(memory.values("out"), ["1"]);
    engine.stop().await;
}

#[tokio::test]
async fn what_fails_sends_nothing_but_its_dead_letter() {
    let transactions = Transactions::new();
    let memory = &transactions.0.memory;
    for (key, value) in [("a", "1"), ("a", "bad"), ("a", "2")] {
        memory.put("in", key, value);
    }
    let engine = started(&transactions, ROUTE).await;
    eventually("all is committed", || memory.committed("in") == 3).await;
    assert_eq!(
        (memory.values("first"), memory.values("out")),
        (vec!["1".to_owned(), "2".to_owned()], memory.values("first"))
    );
    assert_eq!(memory.values("in.dlq"), ["bad"]);
    engine.stop().await;
}

#[tokio::test]
async fn a_record_that_the_broker_refuses_fails_alone() {
    let transactions = Transactions::new();
    let memory = &transactions.0.memory;
    transactions.0.refused.lock().unwrap().insert(("out".to_owned(), "2"));
    for value in ["1", "2", "3"] {
        memory.put("in", "a", value);
    }
    let engine = started(&transactions, ROUTE).await;
    eventually("all is committed", || memory.committed("in") == 3).await;
    assert_eq!(memory.values("out"), ["1", "3"]);
    // Not even what it sent before.
    assert_eq!(memory.values("first"), ["1", "3"]);
    assert_eq!(memory.values("in.dlq"), ["2"]);
    engine.stop().await;
}

#[tokio::test]
async fn error_handling_sends_in_the_same_transaction() {
    let transactions = Transactions::new();
    let memory = &transactions.0.memory;
    transactions.0.refused.lock().unwrap().insert(("out".to_owned(), "2"));
    let route = format!("- errorHandler: {{ deadLetterChannel: {{ deadLetterUri: \"kafka:dead\" }} }}{ROUTE}");
    for value in ["1", "bad", "2"] {
        memory.put("in", "a", value);
    }
    let engine = started(&transactions, &route).await;
    eventually("all is committed", || memory.committed("in") == 3).await;
    assert_eq!(memory.values("out"), ["1"]);
    assert_eq!(memory.values("dead"), ["bad", "2"]);
    assert!(memory.values("in.dlq").is_empty());
    engine.stop().await;
}

#[tokio::test]
async fn error_handling_that_is_refused_does_not_hold_its_record_up() {
    let transactions = Transactions::new();
    let memory = &transactions.0.memory;
    transactions.0.refused.lock().unwrap().insert(("out".to_owned(), "2"));
    transactions.0.refused_at_once.lock().unwrap().insert(("dead".to_owned(), "2"));
    let route = format!("- errorHandler: {{ deadLetterChannel: {{ deadLetterUri: \"kafka:dead\" }} }}{ROUTE}");
    for value in ["1", "2", "3"] {
        memory.put("in", "a", value);
    }
    let engine = started(&transactions, &route).await;
    eventually("all is committed", || memory.committed("in") == 3).await;
    assert_eq!(
        (memory.values("first"), memory.values("out")),
        (vec!["1".to_owned(), "3".to_owned()], memory.values("first"))
    );
    // The dead letter channel passes over what fails in it, but what the record sent is lost.
    assert_eq!((memory.values("dead"), memory.values("in.dlq")), (Vec::new(), vec!["2".to_owned()]));
    engine.stop().await;
}

#[tokio::test]
async fn what_waits_for_its_transaction_is_seen() {
    let transactions = Transactions::new();
    let memory = &transactions.0.memory;
    transactions.0.takes.send_replace(false);
    transactions.0.acknowledges.send_replace(false);
    transactions.0.refused.lock().unwrap().insert(("in.dlq".to_owned(), "bad"));
    memory.put("in", "a", "1");
    let engine = started(&transactions, ROUTE).await;
    let stats = || engine.routes()[0].stats.snapshot();
    let waiting = || (stats().in_flight, stats().unacknowledged);
    eventually("it waits for the place of what it sends", || waiting() == (0, 1)).await;
    transactions.0.takes.send_replace(true);
    eventually("it waits for acknowledgements", || (transactions.sent(), waiting()) == (2, (0, 1))).await;
    transactions.0.acknowledges.send_replace(true);
    eventually("it is committed", || memory.committed("in") == 1).await;
    assert_eq!(waiting(), (0, 0));
    memory.put("in", "a", "bad");
    eventually("its dead letter is refused", || (transactions.counted().1 > 2, waiting()) == (true, (0, 1))).await;
    transactions.0.refused.lock().unwrap().clear();
    eventually("it is committed", || memory.committed("in") == 2).await;
    assert_eq!((memory.values("in.dlq"), waiting()), (vec!["bad".to_owned()], (0, 0)));
    engine.stop().await;
}

#[tokio::test]
async fn copies_that_nobody_waits_for_are_no_part_of_the_transaction() {
    let transactions = Transactions::new();
    let memory = &transactions.0.memory;
    let route = r#"
- from:
    uri: "kafka:in?groupId=g&autoOffsetReset=earliest&transacted=true"
    steps:
      - to: kafka:first
      - wireTap: { uri: "kafka:tapped" }
      - to: seda:side
      - delay: { constant: "60000" }
- from: { uri: "seda:side", steps: [ { to: "kafka:side" } ] }
"#;
    memory.put("in", "a", "1");
    let engine = started_with(&transactions, route, Limits { stop_ms: 50, ..Limits::default() }).await;
    let are_sent = || [memory.values("tapped"), memory.values("side")].concat() == ["1", "1"];
    eventually("the copies' records are there", are_sent).await;
    assert!(memory.values("first").is_empty() && memory.committed("in") == 0);
    engine.stop().await;
}

#[tokio::test]
async fn a_transaction_takes_records_up_to_a_size_and_a_stop_comes_between_two() {
    let transactions = Transactions::new();
    let memory = &transactions.0.memory;
    transactions.0.commits.send_replace(false);
    let large = "x".repeat(1_000);
    for n in 0..5 {
        memory.put("in", "a", &format!("{large}{n}"));
    }
    let limits = Limits { open_bytes_max: 2_500, ..Limits::default() };
    let engine = started_with(&transactions, ROUTE, limits.clone()).await;
    let route = Arc::clone(&engine.routes()[0]);
    eventually("two have sent", || transactions.sent() == 4).await;
    let (late, ()) = tokio::join!(engine.stop(), async {
        eventually("it is to stop", || route.state() == RouteState::Stopped).await;
        transactions.0.commits.send_replace(true);
    });
    assert!(late.is_empty());
    assert_eq!((memory.committed("in"), transactions.counted()), (2, (1, 0)));
    let engine = started_with(&transactions, ROUTE, limits).await;
    eventually("all is committed", || memory.committed("in") == 5).await;
    assert_eq!((memory.values("out").len(), transactions.counted()), (5, (3, 0)));
    engine.stop().await;
}

#[tokio::test]
async fn what_a_transaction_keeps_has_a_limit() {
    let transactions = Transactions::new();
    let memory = &transactions.0.memory;
    let route = r#"
- from:
    uri: "kafka:in?groupId=g&autoOffsetReset=earliest&transacted=true"
    steps:
      - to: kafka:first
      - choice:
          when:
            - simple: "${body} contains 'slow'"
              steps: [ { delay: { constant: "50" } } ]
            - simple: "${body} contains 'much'"
              steps: [ { loop: { constant: "10", steps: [ { to: "kafka:out" } ] } } ]
      - to: kafka:out
"#;
    let large = "x".repeat(1_000);
    let slow: Vec<_> = (0..6).map(|n| format!("slow {n} {large}")).collect();
    let much = format!("much {large}");
    for (n, value) in slow.iter().chain([&much]).enumerate() {
        memory.put("in", &n.to_string(), value);
    }
    let limits = Limits { transaction_bytes_max: 5_000, ..Limits::default() };
    let engine = started_with(&transactions, route, limits).await;
    eventually("all is committed", || memory.committed("in") == 7).await;
    // What is too much together is sent by fewer at a time; what is too much alone sends nothing.
    let [first, out] = ["first", "out"].map(|topic| {
        let mut values = memory.values(topic);
        values.sort();
        values
    });
    assert_eq!((first, out, memory.values("in.dlq")), (slow.clone(), slow, vec![much]));
    assert!(transactions.counted().1 > 0);
    let said = memory.headers("in.dlq")[0].iter().any(|(_, value)| {
        String::from_utf8_lossy(value).contains("one record sends more in a transaction than may be kept")
    });
    assert!(said);
    engine.stop().await;
}

#[tokio::test]
async fn what_is_too_much_for_a_transaction_is_buried_also_where_error_handling_is_satisfied() {
    let transactions = Transactions::new();
    let memory = &transactions.0.memory;
    let route = r#"
- errorHandler:
    deadLetterChannel: { deadLetterUri: "kafka:dead" }
- from:
    uri: "kafka:in?groupId=g&autoOffsetReset=earliest&transacted=true"
    steps: [ { loop: { constant: "10", steps: [ { to: "kafka:out" } ] } } ]
"#;
    let much = "x".repeat(1_000);
    memory.put("in", "1", &much);
    let limits = Limits { transaction_bytes_max: 5_000, ..Limits::default() };
    let engine = started_with(&transactions, route, limits).await;
    eventually("all is committed", || memory.committed("in") == 1).await;
    let none: Vec<String> = Vec::new();
    assert_eq!(
        (memory.values("out"), memory.values("dead"), memory.values("in.dlq")),
        (none.clone(), none, vec![much])
    );
    engine.stop().await;
}

#[tokio::test]
async fn what_was_too_much_for_a_transaction_gives_its_key_back() {
    let transactions = Transactions::new();
    let memory = &transactions.0.memory;
    let route = r#"
- errorHandler:
    deadLetterChannel: { deadLetterUri: "kafka:dead" }
- beans:
    - { name: seen, type: org.apache.camel.support.processor.idempotent.MemoryIdempotentRepository }
- from:
    uri: "kafka:in?groupId=g&autoOffsetReset=earliest&transacted=true"
    steps:
      - idempotentConsumer:
          constant: "the same"
          idempotentRepository: seen
          steps: [ { loop: { constant: "10", steps: [ { to: "kafka:out" } ] } } ]
"#;
    let limits = Limits { transaction_bytes_max: 5_000, ..Limits::default() };
    let engine = started_with(&transactions, route, limits).await;
    let much = "x".repeat(1_000);
    memory.put("in", "1", &much);
    eventually("it is buried", || memory.values("in.dlq") == [much.as_str()]).await;
    memory.put("in", "1", "little");
    eventually("all is committed", || memory.committed("in") == 2).await;
    assert_eq!(memory.values("out"), ["little"; 10]);
    engine.stop().await;
}

#[tokio::test]
async fn a_transport_without_transactions_is_refused() {
    let kafka = Arc::new(Kafka::new(Arc::new(Memory::new())));
    let engine = Engine::new(Setup { components: vec![kafka], ..Setup::default() });
    let compiled = engine.load(&[("kafka.yaml".to_owned(), ROUTE.to_owned())]).unwrap();
    let refused = engine.start(compiled).await.unwrap_err();
    assert!(refused.contains("transacted"), "{refused}");
}
