//! Routes that have nothing to do wake nobody, so that they cost no time of a processor.

use std::fmt::Write as _;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use routes::components::kafka::Kafka;
use routes::{Engine, Setup};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::kafka::Memory;

const ROUTES: usize = 200;
const HOUR: Duration = Duration::from_secs(3_600);
/// How often the runtime looks after timers that are far ahead, all of them together, within an hour.
const TURNS: u64 = 20;

/// Routes with these sources in turn; a `#` in one is the route's number.
fn idle(sources: &[&str]) -> String {
    let mut file = String::new();
    for number in 0..ROUTES {
        let source = sources[number % sources.len()].replace('#', &number.to_string());
        writeln!(
            file,
            "- route: {{ id: idle-{number}, from: {{ uri: \"{source}\", steps: [ {{ to: \"mock:end\" }} ] }} }}"
        )
        .unwrap();
    }
    file
}

/// How often somebody is woken in an hour, on a clock that jumps to whatever is next.
async fn wakes(file: &str) -> u64 {
    let kafka = Arc::new(Kafka::new(Arc::new(Memory::new())));
    let engine = Engine::new(Setup { components: vec![kafka], ..Setup::default() });
    let compiled = engine.load(&[("idle.yaml".to_owned(), file.to_owned())]).unwrap();
    engine.start(compiled).await.unwrap();
    let rests = async |time| timeout(time, pending::<()>()).await.unwrap_err();
    // All of them have begun.
    rests(Duration::from_secs(1)).await;
    let metrics = Handle::current().metrics();
    let before = metrics.worker_park_count(0);
    rests(HOUR).await;
    let count = metrics.worker_park_count(0) - before;
    assert!(engine.stop().await.is_empty());
    count
}

#[tokio::test(start_paused = true)]
async fn idle_routes_wake_nobody() {
    let alone = wakes("- from: { uri: \"direct:alone\", steps: [] }\n").await;
    assert!(alone <= TURNS, "{alone} without them");
    let sources =
        ["direct:idle-#", "seda:idle-#", "timer:idle-#?delay=86400000", "kafka:idle-#?groupId=idle-#&transacted=false"];
    let count = wakes(&idle(&sources)).await;
    assert!(count <= TURNS, "{count} with {ROUTES} routes");
}

#[tokio::test(start_paused = true)]
async fn routes_that_wait_for_a_day_look_at_the_clock_once_a_minute() {
    let count = wakes(&idle(&["cron:idle-#?schedule=0+0+0+1+1+?"])).await;
    // The runtime looks after a timer up to three times before it is over.
    assert!(count <= 60 * 3 + TURNS, "{count} with {ROUTES} routes");
}
