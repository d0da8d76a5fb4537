//! Routes with state and routes in transactions on the real program, killed with `kill -9` while records go through: every
//! record has its effect, and once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use e2e::ground::Ground;
use e2e::system::{Layout, System};
use eventkit::testing::eventually;
use eventkit::transport::ConsumedRecord;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::background::LIBRARIES;
use crate::routes::{KEYS, prepare, put, until_revision};
use crate::topics::read_until;

const RECORDS: usize = 4_800;
/// Rounds of two deaths each.
const ROUNDS: usize = 6;
/// How many records make a group.
const GROUP: usize = 5;
/// The container lives this long before it is killed, in milliseconds.
const LIFE_MS: std::ops::Range<u64> = 1..300;

/// Five of each key become one record.
const COLLECT: &str = r##"- route:
    id: collect
    from:
      uri: kafka:orders
      parameters: { groupId: collecting, autoOffsetReset: earliest }
      steps:
        - aggregate:
            correlationExpression: { header: kafka.KEY }
            aggregationStrategy: "#class:org.apache.camel.processor.aggregate.GroupedBodyAggregationStrategy"
            completionSize: 5
            steps:
              - setBody: { simple: "${body}" }
              - to: kafka:copies
"##;

/// Each number goes through once, however often it comes.
const ONCE: &str = r##"- beans:
    - name: seen
      type: org.apache.camel.support.processor.idempotent.MemoryIdempotentRepository
- route:
    id: once
    from:
      uri: kafka:orders
      parameters: { groupId: once, autoOffsetReset: earliest }
      steps:
        - idempotentConsumer:
            simple: "${body}"
            idempotentRepository: seen
            steps:
              - setBody: { simple: "copy ${body}" }
              - to: kafka:copies
"##;

/// Copies in transactions; what is divisible by 50 fails.
const TRANSACTED: &str = r##"- route:
    id: exactly
    from:
      uri: kafka:orders
      parameters: { groupId: exactly, autoOffsetReset: earliest, transacted: true }
      steps:
        - setBody: { simple: "copy ${body}" }
        - to: kafka:copies
        - filter:
            simple: "${body} endsWith '50'"
            steps:
              - throwException: { exceptionType: java.lang.IllegalStateException, message: "no" }
"##;

/// Puts each number `times` times, a part of them at a time while the container is down, and kills it again soon after it
/// has begun with them.
async fn put_and_kill(system: &mut System, group: &str, seed: u64, times: usize) {
    let mut random = StdRng::seed_from_u64(seed);
    let each = RECORDS / ROUNDS;
    let mut in_the_middle = 0;
    for round in 0..ROUNDS {
        system.kill("container").await.unwrap();
        for _ in 0..times {
            put(system, round * each..(round + 1) * each).await;
        }
        let before = lag(system, group).await.unwrap_or_default();
        system.start_process("container").await.unwrap();
        let life = Duration::from_millis(random.random_range(LIFE_MS));
        // The wait is the experiment: at any moment, while records go through.
        let _ = tokio::time::timeout(life, std::future::pending::<()>()).await;
        system.kill("container").await.unwrap();
        let left = lag(system, group).await.unwrap_or_default();
        in_the_middle += usize::from(left > 0 && before > 0);
        system.start_process("container").await.unwrap();
    }
    assert!(in_the_middle > 0, "nobody was killed in the middle");
}

/// How much of its topics a group has not committed; nothing as long as nothing is known of it.
async fn lag(system: &System, group: &str) -> Option<i64> {
    let ran = system.run("container", &["groups", "describe", group, "--format", "json"]).await.unwrap();
    let described: serde_json::Value = serde_json::from_str(ran.stdout.trim()).ok()?;
    let partitions = described["partitions"].as_array().filter(|partitions| !partitions.is_empty())?;
    partitions.iter().map(|partition| partition["lag"].as_i64()).sum()
}

fn text(record: &ConsumedRecord) -> String {
    String::from_utf8(record.record.value.clone().unwrap().to_vec()).unwrap()
}

/// What each event says, by its id; one that was sent again says the same.
fn by_id(records: &[ConsumedRecord]) -> BTreeMap<String, String> {
    let mut said = BTreeMap::new();
    for record in records {
        let id = record.record.header("ce_id").unwrap().to_owned();
        let before = said.insert(id, text(record));
        assert!(before.is_none_or(|before| before == text(record)), "two events with one id");
    }
    said
}

/// The numbers in a group's text.
fn numbers(group: &str) -> Vec<usize> {
    let words = group.split(|char: char| !char.is_ascii_digit()).filter(|word| !word.is_empty());
    words.map(|word| word.parse().unwrap()).collect()
}

/// Waits until the group has committed all that is on the topic, as long as it comes further.
async fn until_committed(system: &System, group: &str) {
    let mut left = i64::MAX;
    while left > 0 {
        left = eventually(&format!("{group} commits more than all but {left}"), async || {
            lag(system, group).await.filter(|now| *now < left)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_lose_nothing_and_come_out_once_when_the_container_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::of_run(Path::new(LIBRARIES)).await.unwrap();
    let mut system = System::start_on(&ground, Layout::Apart, folder.path(), &[]).await.unwrap();
    let routes = prepare(&system).await;
    std::fs::write(routes.join("collect.yaml"), COLLECT).unwrap();
    until_revision(&system, "collect.yaml", 1).await;
    put_and_kill(&mut system, "collecting", 21, 1).await;
    let collected =
        |records: &[ConsumedRecord]| by_id(records).values().map(|group| numbers(group).len()).sum::<usize>();
    let records = read_until(&system.broker(), "copies", move |records| collected(records) >= RECORDS).await;
    let groups: Vec<_> = by_id(&records).values().map(|group| numbers(group)).collect();
    assert!(
        groups.iter().all(|group| group.len() == GROUP && group.iter().all(|number| number % KEYS == group[0] % KEYS))
    );
    // In the order of their key, since one of a key goes after the other.
    assert!(groups.iter().all(|group| group.is_sorted()));
    let mut all: Vec<_> = groups.concat();
    all.sort_unstable();
    assert_eq!(all, (0..RECORDS).collect::<Vec<_>>());
    until_committed(&system, "collecting").await;
    system.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_twice_goes_through_once_when_the_container_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::of_run(Path::new(LIBRARIES)).await.unwrap();
    let mut system = System::start_on(&ground, Layout::Apart, folder.path(), &[]).await.unwrap();
    let routes = prepare(&system).await;
    std::fs::write(routes.join("once.yaml"), ONCE).unwrap();
    until_revision(&system, "once.yaml", 1).await;
    put_and_kill(&mut system, "once", 22, 2).await;
    until_committed(&system, "once").await;
    let records = read_until(&system.broker(), "copies", |records| by_id(records).len() >= RECORDS).await;
    let mut all: Vec<_> = by_id(&records).values().flat_map(|copy| numbers(copy)).collect();
    all.sort_unstable();
    assert_eq!(all, (0..RECORDS).collect::<Vec<_>>());
    system.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transacted_route_copies_each_record_exactly_once_when_the_container_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::of_run(Path::new(LIBRARIES)).await.unwrap();
    let mut system = System::start_on(&ground, Layout::Apart, folder.path(), &[]).await.unwrap();
    let routes = prepare(&system).await;
    std::fs::write(routes.join("exactly.yaml"), TRANSACTED).unwrap();
    until_revision(&system, "exactly.yaml", 1).await;
    put_and_kill(&mut system, "exactly", 23, 1).await;
    until_committed(&system, "exactly").await;
    let fails = |number: &usize| number % 100 == 50;
    let (failing, copied): (Vec<usize>, Vec<usize>) = (0..RECORDS).partition(fails);
    // Whatever else comes would come behind what is wanted: all of it is read.
    let copies = read_all(&system, "copies").await;
    let mut seen: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for copy in &copies {
        let number = numbers(&text(copy))[0];
        seen.entry(number % KEYS).or_default().push(number);
    }
    assert!(seen.values().all(|numbers| numbers.is_sorted()), "each key is in order");
    let mut all: Vec<_> = seen.into_values().flatten().collect();
    all.sort_unstable();
    assert_eq!(all, copied);
    let letters: BTreeSet<_> = read_all(&system, "orders.dlq").await.iter().map(text).collect();
    let letters_total = read_all(&system, "orders.dlq").await.len();
    assert_eq!(letters, failing.iter().map(ToString::to_string).collect());
    assert_eq!(letters_total, failing.len());
    system.stop().await.unwrap();
}

/// All committed records of a topic.
async fn read_all(system: &System, topic: &'static str) -> Vec<ConsumedRecord> {
    use eventkit::transport::kafka::{KafkaReader, Next, Start};
    let config = system.kafka();
    let read = move || {
        let reader = KafkaReader::open(&config, topic, None, Start::Beginning).unwrap();
        let mut records = Vec::new();
        loop {
            match reader.next_or_end(Duration::from_secs(30)).unwrap() {
                Next::Record(record) => records.push(record),
                Next::End => return records,
                Next::Nothing => {}
            }
        }
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}
