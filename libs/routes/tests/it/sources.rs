//! Routes that begin by themselves: timers, files; and stopping them.

use std::time::Duration;

use routes::Limits;
use tokio::time::Instant;

use crate::support::{bodies, eventually, send, started};

#[tokio::test]
async fn a_timer_brings_as_many_exchanges_as_it_says() {
    let engine = started(
        r#"
- from: { uri: "timer:tick?period=5&delay=1&repeatCount=3&includeMetadata=true", steps: [ { setBody: { simple: "${header.CamelTimerCounter}" } }, { to: "mock:tick" } ] }
- from: { uri: "scheduler:turn?delay=1&initialDelay=1&repeatCount=2", steps: [ { setBody: { constant: turn } }, { to: "mock:turn" } ] }
- from: { uri: "cron:second?schedule=*+*+*+*+*+?", steps: [ { setBody: { constant: second } }, { to: "mock:second" } ] }
"#,
        Limits::default(),
    )
    .await;
    eventually("three ticks, two turns and a second", || {
        bodies(&engine, "tick").len() == 3
            && bodies(&engine, "turn").len() == 2
            && !bodies(&engine, "second").is_empty()
    })
    .await;
    assert_eq!(bodies(&engine, "tick"), ["1", "2", "3"]);
    assert!(engine.stop().await.is_empty());
}

#[tokio::test]
async fn files_come_once_and_are_put_away() {
    let folder = tempfile::tempdir().unwrap();
    let (inbox, outbox) = (folder.path().join("in"), folder.path().join("out"));
    std::fs::create_dir_all(&inbox).unwrap();
    std::fs::write(inbox.join("a.txt"), "first").unwrap();
    std::fs::write(inbox.join("b.txt"), "bad").unwrap();
    std::fs::write(inbox.join("c.csv"), "not wanted").unwrap();
    let route = format!(
        r#"
- from:
    uri: "file:{}?delay=10&initialDelay=1&includeExt=txt&move=done&moveFailed=failed"
    steps:
      - convertBodyTo: String
      - validate: {{ simple: "${{body}} != 'bad'" }}
      - to: "file:{}?fileName=${{header.CamelFileNameOnly}}.out"
      - to: mock:written
"#,
        inbox.display(),
        outbox.display()
    );
    let engine = started(&route, Limits::default()).await;
    eventually("both files are put away", || inbox.join("done/a.txt").exists() && inbox.join("failed/b.txt").exists())
        .await;
    assert!(engine.stop().await.is_empty());
    assert_eq!(std::fs::read_to_string(outbox.join("a.txt.out")).unwrap(), "first");
    assert_eq!(bodies(&engine, "written"), ["first"]);
    assert!(inbox.join("c.csv").exists());
    assert!(!outbox.join("b.txt.out").exists());
}

#[tokio::test]
async fn a_file_is_never_written_outside_of_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let route = format!(
        "- from: {{ uri: \"direct:start\", steps: [ {{ to: \"file:{}?fileName=${{body}}\" }} ] }}\n",
        folder.path().join("inside").display()
    );
    let engine = started(&route, Limits::default()).await;
    for name in ["../outside", "/tmp/outside", "a/../../outside"] {
        assert!(send(&engine, "direct:start", name).await.is_failed(), "{name}");
    }
    assert!(!send(&engine, "direct:start", "a/b").await.is_failed());
    assert!(!folder.path().join("outside").exists());
    assert_eq!(std::fs::read_to_string(folder.path().join("inside/a/b")).unwrap(), "a/b");
}

#[tokio::test]
async fn what_is_under_way_ends_before_a_route_stops() {
    let engine = started(
        r#"
- from: { uri: "seda:q", steps: [ { delay: { constant: "50" } }, { to: "mock:end" } ] }
- from: { uri: "direct:start", steps: [ { to: "seda:q" } ] }
"#,
        Limits::default(),
    )
    .await;
    for body in ["1", "2", "3"] {
        assert!(!send(&engine, "direct:start", body).await.is_failed());
    }
    assert!(engine.stop().await.is_empty());
    assert_eq!(bodies(&engine, "end"), ["1", "2", "3"]);
}

#[tokio::test]
async fn kamelets_are_made_where_they_are_used() {
    let engine = started(
        r#"
- routeTemplate:
    id: mark
    parameters: [ { name: with }, { name: behind, defaultValue: "!" } ]
    from: { uri: "kamelet:source", steps: [ { setBody: { simple: "{{with}}${body}{{behind}}" } } ] }
- routeTemplate:
    id: ticks
    parameters: [ { name: count } ]
    from: { uri: "timer:t?delay=1&period=1&repeatCount={{count}}", steps: [ { setBody: { constant: tick } }, { to: "kamelet:sink" } ] }
- from:
    uri: direct:start
    steps:
      - kamelet: { name: mark, parameters: { with: "<" } }
      - to: "kamelet:mark?with=<&behind=>"
      - to: mock:marked
- from: { uri: "kamelet:ticks?count=2", steps: [ { to: "mock:tick" } ] }
"#,
        Limits::default(),
    )
    .await;
    assert!(!send(&engine, "direct:start", "m").await.is_failed());
    assert_eq!(bodies(&engine, "marked"), ["<<m!>"]);
    eventually("two ticks", || bodies(&engine, "tick").len() == 2).await;
    engine.stop().await;
}

#[tokio::test]
async fn a_chain_of_queues_is_empty_before_its_routes_stop() {
    let engine = started(
        r#"
- from: { uri: "direct:start", steps: [ { to: "seda:a" } ] }
- from: { uri: "seda:a", steps: [ { delay: { constant: "20" } }, { to: "direct:middle" } ] }
- from: { uri: "direct:middle", steps: [ { to: "seda:b" } ] }
- from: { uri: "seda:b", steps: [ { delay: { constant: "20" } }, { to: "mock:end" } ] }
"#,
        Limits::default(),
    )
    .await;
    for body in ["1", "2", "3"] {
        assert!(!send(&engine, "direct:start", body).await.is_failed());
    }
    assert!(engine.stop().await.is_empty());
    assert_eq!(bodies(&engine, "end"), ["1", "2", "3"]);
}

#[tokio::test]
async fn one_route_is_started_and_stopped_by_its_id() {
    let engine = started(
        r#"
- route: { id: later, autoStartup: false, from: { uri: "direct:later", steps: [ { to: "mock:end" } ] } }
"#,
        Limits::default(),
    )
    .await;
    assert!(send(&engine, "direct:later", "1").await.is_failed());
    engine.start_route("later").await.unwrap();
    assert!(!send(&engine, "direct:later", "2").await.is_failed());
    engine.stop_route("later").await.unwrap();
    assert!(send(&engine, "direct:later", "3").await.is_failed());
    assert_eq!(bodies(&engine, "end"), ["2"]);
    let refused = engine.start_route("latr").await.unwrap_err();
    assert_eq!(refused, "there is no route `latr`: did you mean `later`?");
}

#[tokio::test(start_paused = true)]
async fn sources_stop_together_and_those_with_an_order_one_after_the_other() {
    const STOP: Duration = Duration::from_secs(1);
    let source = |id: &str, order: &str| {
        let steps = format!("{{ to: \"mock:{id}\" }}, {{ delay: {{ constant: \"60000\" }} }}");
        format!(
            "- route: {{ id: {id}, {order} from: {{ uri: \"timer:{id}?repeatCount=1&delay=1\", steps: [ {steps} ] }} }}\n"
        )
    };
    let limits = Limits { stop_ms: 1_000, ..Limits::default() };
    for (orders, turns) in [(["", "", ""], 1), (["startupOrder: 1,", "startupOrder: 2,", ""], 3)] {
        let file = [source("a", orders[0]), source("b", orders[1]), source("c", orders[2])].concat();
        let engine = started(&file, limits.clone()).await;
        for _ in 0..100 {
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert!(["a", "b", "c"].iter().all(|id| bodies(&engine, id).len() == 1), "all are under way");
        let began = Instant::now();
        let late: Vec<_> = engine.stop().await.iter().map(ToString::to_string).collect();
        assert_eq!(late, if turns == 1 { ["a", "b", "c"] } else { ["c", "b", "a"] });
        assert!(began.elapsed() >= STOP * turns && began.elapsed() < STOP * (turns + 1), "{:?}", began.elapsed());
    }
}
