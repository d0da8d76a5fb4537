//! Routes over a Kafka in memory, whose acknowledgements the tests hold back and refuse.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use routes::components::kafka::{
    Acknowledged, InRecord, Incoming, Kafka, OutRecord, Place, Reader, Subscription, Transport,
};
use routes::exchange::{Exception, Result, Text, class};
use routes::run::BoxFuture;
use routes::{Engine, Limits, Setup};
use tokio::sync::{Notify, watch};

use crate::support::{bodies, eventually};

/// One partition a topic; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Memory(Arc<State>);

#[derive(Debug)]
struct State {
    topics: Mutex<HashMap<String, Vec<InRecord>>>,
    /// The next record of each topic that the group is to read.
    committed: Mutex<HashMap<String, i64>>,
    changed: Notify,
    /// Whether acknowledgements come.
    acknowledges: watch::Sender<bool>,
    /// How many sends to a topic are refused.
    refusals: Mutex<HashMap<String, usize>>,
    /// How many records the route has been given.
    read: Mutex<usize>,
    /// How many records come at a time at the most.
    batch_max: Mutex<usize>,
    /// Whether the route does not want to read.
    is_paused: Mutex<bool>,
    /// How many readers there are, and how many there were at the most.
    readers: Mutex<(usize, usize)>,
    /// A topic that is to be taken away.
    revoked: Mutex<Option<(String, LetGo)>>,
}

/// Tells by its drop that a partition was let go.
#[derive(Debug)]
struct LetGo(watch::Sender<bool>);

impl Drop for LetGo {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self(Arc::new(State {
            topics: Mutex::default(),
            committed: Mutex::default(),
            changed: Notify::new(),
            acknowledges: watch::Sender::new(true),
            refusals: Mutex::default(),
            read: Mutex::default(),
            batch_max: Mutex::new(usize::MAX),
            is_paused: Mutex::default(),
            readers: Mutex::default(),
            revoked: Mutex::default(),
        }))
    }

    pub(crate) fn put(&self, topic: &str, key: &str, value: &str) {
        self.append(OutRecord {
            topic: topic.to_owned(),
            key: Some(Bytes::from(key.to_owned())),
            value: Some(Bytes::from(value.to_owned())),
            headers: Vec::new(),
        });
    }

    fn put_with(&self, topic: &str, key: &str, value: &str, headers: &[(&'static str, &'static str)]) {
        self.append(OutRecord {
            topic: topic.to_owned(),
            key: Some(Bytes::from(key.to_owned())),
            value: Some(Bytes::from(value.to_owned())),
            headers: headers.iter().map(|(name, value)| (Text::fixed(name), Bytes::from(*value))).collect(),
        });
    }

    pub(crate) fn headers(&self, topic: &str) -> Vec<Vec<(Text, Bytes)>> {
        let topics = self.0.topics.lock().unwrap();
        topics.get(topic).into_iter().flatten().map(|record| record.headers.clone()).collect()
    }

    /// Takes the topic's partition away from whoever reads it; tells when it has let go.
    fn revoke(&self, topic: &str) -> watch::Receiver<bool> {
        let (told, is_let_go) = watch::channel(false);
        *self.0.revoked.lock().unwrap() = Some((topic.to_owned(), LetGo(told)));
        self.0.changed.notify_waiters();
        is_let_go
    }

    pub(crate) fn append(&self, record: OutRecord) {
        let mut topics = self.0.topics.lock().unwrap();
        let records = topics.entry(record.topic.clone()).or_default();
        records.push(InRecord {
            topic: Text::from(record.topic),
            partition: 0,
            offset: i64::try_from(records.len()).unwrap(),
            timestamp_ms: 0,
            key: record.key,
            value: record.value,
            headers: record.headers,
        });
        self.0.changed.notify_waiters();
    }

    pub(crate) fn values(&self, topic: &str) -> Vec<String> {
        let topics = self.0.topics.lock().unwrap();
        let text = |record: &InRecord| String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap();
        topics.get(topic).into_iter().flatten().map(text).collect()
    }

    pub(crate) fn committed(&self, topic: &str) -> i64 {
        self.0.committed.lock().unwrap().get(topic).copied().unwrap_or(0)
    }

    pub(crate) fn commit(&self, offsets: Vec<(Text, i32, i64)>) {
        let mut committed = self.0.committed.lock().unwrap();
        for (topic, _, offset) in offsets {
            committed.insert(topic.to_string(), offset);
        }
    }

    fn refuse(&self, topic: &str, times: usize) {
        self.0.refusals.lock().unwrap().insert(topic.to_owned(), times);
    }
}

impl Transport for Memory {
    fn subscribe(&self, wanted: Subscription) -> BoxFuture<'_, std::result::Result<Box<dyn Reader>, String>> {
        let topic = wanted.topics[0].clone();
        let position = usize::try_from(self.committed(&topic)).unwrap();
        let reader: Box<dyn Reader> = Box::new(MemoryReader { memory: self.clone(), topic, position });
        let mut readers = self.0.readers.lock().unwrap();
        readers.0 += 1;
        readers.1 = readers.0.max(readers.1);
        Box::pin(async move { Ok(reader) })
    }

    fn send(&self, record: OutRecord) -> BoxFuture<'_, Result<Acknowledged>> {
        let is_refused = {
            let mut refusals = self.0.refusals.lock().unwrap();
            let left = refusals.entry(record.topic.clone()).or_default();
            let is_refused = *left > 0;
            *left = left.saturating_sub(1);
            is_refused
        };
        let mut acknowledges = self.0.acknowledges.subscribe();
        if !is_refused {
            self.append(record);
        }
        let acknowledged: Acknowledged = Box::pin(async move {
            acknowledges.wait_for(|acknowledges| *acknowledges).await.unwrap();
            match is_refused {
                true => Err(Exception::new(&class::KAFKA_TIMEOUT, "refused")),
                false => Ok(()),
            }
        });
        Box::pin(async move { Ok(acknowledged) })
    }
}

struct MemoryReader {
    memory: Memory,
    topic: String,
    position: usize,
}

impl Drop for MemoryReader {
    fn drop(&mut self) {
        self.memory.0.readers.lock().unwrap().0 -= 1;
    }
}

impl Reader for MemoryReader {
    fn next(&mut self, most: usize) -> BoxFuture<'_, std::result::Result<Incoming, String>> {
        Box::pin(async move {
            loop {
                let state = Arc::clone(&self.memory.0);
                let changed = state.changed.notified();
                if let Some((topic, done)) = state.revoked.lock().unwrap().take() {
                    return Ok(Incoming::Revoked { places: vec![(Text::from(topic), 0)], done: Box::new(done) });
                }
                let mut records: Vec<_> = {
                    let topics = state.topics.lock().unwrap();
                    topics.get(&self.topic).map(|records| records[self.position..].to_vec()).unwrap_or_default()
                };
                records.truncate(most.min(*state.batch_max.lock().unwrap()));
                if !records.is_empty() && !*state.is_paused.lock().unwrap() {
                    self.position += records.len();
                    *state.read.lock().unwrap() += records.len();
                    return Ok(Incoming::Records(records));
                }
                changed.await;
            }
        })
    }

    fn pause(&mut self, _: &Place, is_paused: bool) {
        *self.memory.0.is_paused.lock().unwrap() = is_paused;
    }

    fn commit(&mut self, offsets: Vec<(Text, i32, i64)>) -> BoxFuture<'_, std::result::Result<(), String>> {
        self.memory.commit(offsets);
        Box::pin(async { Ok(()) })
    }
}

async fn started(memory: &Memory, route: &str, limits: Limits) -> Engine {
    let kafka = Arc::new(Kafka::new(Arc::new(memory.clone())));
    let engine = Engine::new(Setup { components: vec![kafka], limits, ..Setup::default() });
    engine.core().components.mocks().unwrap().record();
    let compiled = engine.load(&[("kafka.yaml".to_owned(), route.to_owned())]).unwrap();
    engine.start(compiled).await.unwrap();
    engine
}

const ROUTE: &str = r#"
- from:
    uri: "kafka:in?groupId=g&autoOffsetReset=earliest"
    steps:
      - choice:
          when:
            - simple: "${body} == 'bad'"
              steps: [ { throwException: { exceptionType: java.lang.IllegalStateException, message: "no ${body}" } } ]
            - simple: "${body} contains 'slow'"
              steps: [ { delay: { constant: "200" } } ]
      - to: kafka:out
      - to: mock:through
"#;

#[tokio::test]
async fn no_offset_passes_a_send_that_is_not_acknowledged() {
    let memory = Memory::new();
    memory.0.acknowledges.send_replace(false);
    for n in 0..20 {
        memory.put("in", &format!("k{}", n % 3), &n.to_string());
    }
    let engine = started(&memory, ROUTE, Limits::default()).await;
    eventually("all are sent, none waits for another's acknowledgement", || memory.values("out").len() == 20).await;
    assert_eq!(memory.committed("in"), 0);
    // They are through the steps, and seen as what they are.
    let stats = || engine.routes()[0].stats.snapshot();
    eventually("all wait", || (stats().in_flight, stats().unacknowledged) == (0, 20)).await;
    memory.0.acknowledges.send_replace(true);
    eventually("all offsets are committed", || memory.committed("in") == 20).await;
    assert_eq!(stats().unacknowledged, 0);
    assert!(engine.stop().await.is_empty());
}

#[tokio::test]
async fn a_slow_record_holds_its_own_key_alone() {
    let memory = Memory::new();
    for (key, value) in [("a", "slow 1"), ("a", "2"), ("b", "3"), ("c", "4"), ("a", "5")] {
        memory.put("in", key, value);
    }
    let engine = started(&memory, ROUTE, Limits::default()).await;
    eventually("everything is through", || memory.values("out").len() == 5).await;
    assert_eq!(memory.values("out"), ["3", "4", "slow 1", "2", "5"]);
    eventually("all offsets are committed", || memory.committed("in") == 5).await;
    engine.stop().await;
}

#[tokio::test]
async fn what_fails_becomes_a_dead_letter_before_its_key_goes_on() {
    let memory = Memory::new();
    memory.refuse("in.dlq", 2);
    for (key, value) in [("a", "1"), ("a", "bad"), ("a", "2"), ("b", "3")] {
        memory.put("in", key, value);
    }
    let engine = started(&memory, ROUTE, Limits::default()).await;
    eventually("the other key is through, and this one stands still", || memory.values("out") == ["1", "3"]).await;
    assert!(memory.values("in.dlq").is_empty());
    assert!(memory.committed("in") <= 1);
    eventually("the key goes on behind the dead letter", || memory.values("out") == ["1", "3", "2"]).await;
    assert_eq!(memory.values("in.dlq"), ["bad"]);
    eventually("all offsets are committed", || memory.committed("in") == 4).await;
    engine.stop().await;
}

#[tokio::test]
async fn a_send_that_is_refused_fails_its_record() {
    let memory = Memory::new();
    memory.refuse("out", 1);
    memory.put("in", "a", "1");
    memory.put("in", "b", "2");
    let route = format!("- errorHandler: {{ deadLetterChannel: {{ deadLetterUri: \"kafka:dead\" }} }}{ROUTE}");
    let engine = started(&memory, &route, Limits::default()).await;
    eventually("all offsets are committed", || memory.committed("in") == 2).await;
    assert_eq!(memory.values("out"), ["2"]);
    assert_eq!(memory.values("dead"), ["1"]);
    assert!(memory.values("in.dlq").is_empty());
    engine.stop().await;
}

#[tokio::test]
async fn no_more_records_are_read_than_may_be_under_way() {
    let memory = Memory::new();
    memory.0.acknowledges.send_replace(false);
    for n in 0..20 {
        memory.put("in", &n.to_string(), &n.to_string());
    }
    let engine = started(&memory, ROUTE, Limits { in_flight_max: 4, ..Limits::default() }).await;
    eventually("as many as may be under way are sent", || bodies(&engine, "through").len() == 4).await;
    assert_eq!(*memory.0.read.lock().unwrap(), 4);
    memory.0.acknowledges.send_replace(true);
    eventually("all offsets are committed", || memory.committed("in") == 20).await;
    engine.stop().await;
}

#[tokio::test]
async fn a_route_that_starts_again_goes_on_where_it_was() {
    let memory = Memory::new();
    memory.put("in", "a", "1");
    let engine = started(&memory, ROUTE, Limits::default()).await;
    eventually("the first is through", || memory.values("out") == ["1"]).await;
    assert!(engine.stop().await.is_empty());
    assert_eq!(memory.committed("in"), 1);
    memory.put("in", "a", "2");
    let engine = started(&memory, ROUTE, Limits::default()).await;
    eventually("the second is through", || memory.values("out") == ["1", "2"]).await;
    engine.stop().await;
}

#[tokio::test]
async fn what_follows_from_a_record_has_the_same_id_when_it_comes_again() {
    let route = r#"
- from:
    uri: "kafka:in?groupId=g&autoOffsetReset=earliest"
    steps:
      - split:
          simple: "${body}"
          steps: [ { setBody: { simple: "part ${body}" } }, { to: "kafka:parts" } ]
      - to: kafka:copy
      - setBody: { simple: "new ${body}" }
      - to: kafka:out
      - to: kafka:out
"#;
    let memory = Memory::new();
    memory.put_with("in", "k", "a,b", &[("ce_id", "event-1"), ("ce_type", "thing.happened"), ("x", "kept")]);
    let mut seen = Vec::new();
    for turn in 1..=2 {
        let engine = started(&memory, route, Limits::default()).await;
        eventually("all is sent", || memory.values("out").len() == 2 * turn).await;
        eventually("it is committed", || memory.committed("in") == 1).await;
        engine.stop().await;
        seen.push([memory.headers("parts"), memory.headers("out"), memory.headers("copy")]);
        // As after a death between the sends and the commit.
        memory.0.committed.lock().unwrap().clear();
    }
    let id = |headers: &[(Text, Bytes)]| {
        headers.iter().find(|(name, _)| name.as_str() == "ce_id").map(|(_, id)| String::from_utf8(id.to_vec()).unwrap())
    };
    let [first, second] = seen.try_into().unwrap();
    let ids = |records: &[Vec<(Text, Bytes)>]| records.iter().map(|headers| id(headers).unwrap()).collect::<Vec<_>>();
    // The second turn has put the same behind the first.
    for topic in 0..2 {
        let (before, both) = (ids(&first[topic]), ids(&second[topic]));
        assert_eq!(both, [before.clone(), before.clone()].concat());
        assert_ne!(before[0], before[1]);
        assert!(before.iter().all(|id| id != "event-1"));
    }
    // What goes on as it came is the same event; another one is not described as the first was.
    assert_eq!(ids(&first[2]), ["event-1"]);
    let names = |headers: &[(Text, Bytes)]| headers.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&first[2][0]), ["ce_id", "ce_type", "x"]);
    assert_eq!(names(&first[1][0]), ["x", "ce_id"]);
}

#[tokio::test]
async fn partitions_that_go_away_are_committed_first() {
    let memory = Memory::new();
    memory.0.acknowledges.send_replace(false);
    memory.put("in", "a", "1");
    memory.put("in", "a", "slow 2");
    let engine = started(&memory, ROUTE, Limits::default()).await;
    eventually("the first is sent", || memory.values("out") == ["1"]).await;
    let mut is_let_go = memory.revoke("in");
    assert!(!*is_let_go.borrow());
    memory.0.acknowledges.send_replace(true);
    is_let_go.wait_for(|is_let_go| *is_let_go).await.unwrap();
    // What had begun is finished, and committed before anybody else reads on.
    assert_eq!((memory.committed("in"), memory.values("out")), (2, vec!["1".to_owned(), "slow 2".to_owned()]));
    engine.stop().await;
}

#[tokio::test]
async fn headers_of_a_record_do_not_say_what_steps_do() {
    let memory = Memory::new();
    let steering = [("KAFKA.override_topic", "elsewhere"), ("CamelFileName", "x"), ("notify.to", "x"), ("kept", "x")];
    memory.put_with("in", "k", "1", &steering);
    let engine = started(&memory, ROUTE, Limits::default()).await;
    eventually("it is committed", || memory.committed("in") == 1).await;
    assert_eq!((memory.values("out"), memory.values("elsewhere").len()), (vec!["1".to_owned()], 0));
    let names: Vec<_> = memory.headers("out")[0].iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names, ["kept"]);
    let received = engine.core().components.mocks().unwrap().received();
    let headers = &received["through"][0].message.headers;
    assert!(headers.get("CamelFileName").is_none() && headers.get("notify.to").is_none());
    engine.stop().await;
}

#[tokio::test]
async fn a_source_that_ends_late_does_not_go_on_beside_its_successor() {
    let memory = Memory::new();
    memory.put("in", "a", "1");
    let route = |steps: &str| {
        let from = "uri: \"kafka:in?groupId=g&autoOffsetReset=earliest\"";
        format!("- route: {{ id: r, from: {{ {from}, steps: [ {steps} ] }} }}\n")
    };
    let old = route("{ to: \"mock:begun\" }, { delay: { constant: \"60000\" } }, { to: \"kafka:out\" }");
    let engine = started(&memory, &old, Limits { stop_ms: 50, ..Limits::default() }).await;
    eventually("it is under way", || bodies(&engine, "begun").len() == 1).await;
    let new = route("{ setBody: { simple: \"new ${body}\" } }, { to: \"kafka:out\" }");
    let new = engine.load(&[("kafka.yaml".to_owned(), new)]).unwrap().routes;
    assert_eq!(engine.swap(new, &[Text::fixed("r")]).await.unwrap(), ["r"]);
    eventually("the new one takes it", || memory.committed("in") == 1).await;
    assert_eq!(memory.values("out"), ["new 1"]);
    assert_eq!(*memory.0.readers.lock().unwrap(), (1, 1), "now and at the most");
    assert!(engine.stop().await.is_empty());
}

#[tokio::test]
async fn what_only_waits_for_its_key_does_not_hold_up_a_stop() {
    let memory = Memory::new();
    for (key, value) in [("a", "slow 1"), ("a", "2"), ("a", "3"), ("b", "4")] {
        memory.put("in", key, value);
    }
    let engine = started(&memory, ROUTE, Limits::default()).await;
    eventually("another key is through", || memory.values("out") == ["4"]).await;
    assert!(engine.stop().await.is_empty());
    assert_eq!((memory.values("out"), memory.committed("in")), (vec!["4".to_owned(), "slow 1".to_owned()], 1));
    // What has waited comes again, and what was done behind it too.
    let engine = started(&memory, ROUTE, Limits::default()).await;
    eventually("all is through", || memory.committed("in") == 4).await;
    assert_eq!(memory.values("out")[2..].iter().filter(|value| *value != "4").collect::<Vec<_>>(), ["2", "3"]);
    engine.stop().await;
}

#[tokio::test]
async fn large_records_pause_their_partition_and_too_large_ones_are_dead_letters() {
    let memory = Memory::new();
    memory.0.acknowledges.send_replace(false);
    *memory.0.batch_max.lock().unwrap() = 1;
    let large = "x".repeat(1_000);
    for n in 0..6 {
        memory.put("in", "a", &format!("{large} {n}"));
    }
    memory.put("in", "a", &"x".repeat(3_000));
    let limits = Limits { open_bytes_max: 2_500, body_bytes_max: 2_000, ..Limits::default() };
    let engine = started(&memory, ROUTE, limits).await;
    eventually("it is paused", || *memory.0.is_paused.lock().unwrap()).await;
    assert_eq!(*memory.0.read.lock().unwrap(), 3);
    memory.0.acknowledges.send_replace(true);
    eventually("all offsets are committed", || memory.committed("in") == 7).await;
    let values: Vec<_> = (0..6).map(|n| format!("{large} {n}")).collect();
    assert_eq!((memory.values("out"), memory.values("in.dlq")), (values, vec!["x".repeat(3_000)]));
    assert!(engine.stop().await.is_empty());
}
