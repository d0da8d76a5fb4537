//! Handlers of the real backbone that always fail, always hang or always panic: what they cannot handle becomes letters
//! that say why, others notice nothing, and once they are mended everything that was sent back has its effect, once.

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::load::Load;
use e2e::promises::{self, arrived};
use e2e::system::{Layout, System, UP};
use eventkit::transport::kafka::{KafkaConfig, KafkaReader, Next, Start};

/// Groups, what their handlers do, the topic that they read, and what their letters say.
const BROKEN: [(&str, &str, &str, &str); 3] = [
    ("company-service", "hang", "user-events", "timeout"),
    ("container-router", "panic", "user-events", "panic"),
    ("container-mail", "fail", "notification-events", "transient"),
];
const REQUESTS: usize = 12;
const PATIENCE: Duration = Duration::from_secs(10);

/// How many letters of each group there are now, by its kind of error.
async fn letters(system: &System, topic: &str) -> BTreeMap<(String, String), usize> {
    let (kafka, topic) = (KafkaConfig { brokers: system.broker(), ..KafkaConfig::default() }, format!("{topic}.dlq"));
    let read = move || {
        let reader = KafkaReader::open(&kafka, &topic, None, Start::Beginning).unwrap();
        let mut letters = BTreeMap::new();
        while let Next::Record(letter) = reader.next_or_end(PATIENCE).unwrap() {
            let header = |name: &str| letter.record.header(name).unwrap_or_default().to_owned();
            *letters.entry((header("dlq-group"), header("dlq-error-kind"))).or_default() += 1;
        }
        letters
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_that_always_fail_hang_or_panic_harm_nobody_else_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        // So that what comes back is in order.
        "eventkit.after_dead_letter=park_key".to_owned(),
        "eventkit.retry_attempts_max=2".to_owned(),
        "eventkit.retry_initial_ms=10".to_owned(),
        "eventkit.handler_timeout_ms=200".to_owned(),
    ];
    let mut system = System::prepare(Layout::Together, folder.path(), &settings).await.unwrap();
    let points = BROKEN.map(|(group, action, _, _)| format!("in-handler@{group}={action}"));
    system.arm(&points.join(","));
    system.start_process(UP).await.unwrap();
    let load = Load::begin(&system, "broken").unwrap();
    load.more_acknowledged(REQUESTS).await.unwrap();
    let answers = load.end().await;
    assert_eq!(answers.refused, 0, "requests notice nothing");
    let employees = answers.acknowledged.iter().filter(|fact| fact.event_id.ends_with("-create")).count();
    for (group, _, topic, kind) in BROKEN {
        arrived(&format!("letters of {group}"), async || {
            let letters = letters(&system, topic).await;
            Ok((letters.get(&(group.to_owned(), kind.to_owned())).is_some_and(|of| *of >= employees)).then_some(()))
        })
        .await
        .unwrap();
    }
    arrived("the audit trail, which nothing is wrong with", async || {
        let trail = promises::trail(&system).await?;
        let is_there = |id: &String| trail.iter().any(|fact| fact.event_id == *id);
        Ok(answers.acknowledged.iter().all(|fact| is_there(&fact.event_id)).then_some(()))
    })
    .await
    .unwrap();

    // Mended, as far as the program goes.
    system.kill(UP).await.unwrap();
    system.start_process(UP).await.unwrap();
    for topic in ["user-events", "notification-events"] {
        let ran = system.run("container", &["dlq", "redrive", "--topic", topic, "--execute"]).await.unwrap();
        assert!(ran.status.success(), "{}{}", ran.stdout, ran.stderr);
    }
    promises::check_all(&system, &answers.acknowledged).await.unwrap();
    promises::check_projections(&system).await.unwrap();
    system.stop().await.unwrap();
}
