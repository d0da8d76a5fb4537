//! What is seen of routes: each step is counted once, and exchanges are followed step by step.

use std::sync::Arc;
use std::time::Duration;

use routes::exchange::{Message, Text, Value};
use routes::run::{Followed, Masking, Route, Snapshot};
use routes::{Engine, Limits};

use crate::support::{bodies, eventually, send, started};

fn route(engine: &Engine, id: &str) -> Arc<Route> {
    engine.route(id).unwrap()
}

fn counted(engine: &Engine, id: &str, step: &str) -> Snapshot {
    let route = route(engine, id);
    let steps: Vec<_> = route.plan.steps.iter().map(|step| step.name.to_string()).collect();
    let found = route.plan.steps.iter().find(|known| known.name == *step);
    found.unwrap_or_else(|| panic!("no step {step} in {steps:?}")).stats.snapshot()
}

/// Exchanges that came, failed, were tried again, became dead letters and are under way.
fn numbers(counted: Snapshot) -> [u64; 5] {
    [counted.total, counted.failed, counted.redelivered, counted.dead_lettered, counted.in_flight]
}

fn masking() -> Masking {
    Masking::new(&["password".to_owned()], true)
}

const NESTED: &str = r#"
- route:
    id: orders
    from:
      uri: direct:orders
      steps:
        - setHeader: { id: mark, name: kind, constant: order }
        - choice:
            when:
              - simple: "${body} == 'bad'"
                steps:
                  - throwException: { exceptionType: java.lang.IllegalStateException, message: spoiled }
            otherwise:
              steps:
                - split:
                    tokenize: ","
                    steps:
                      - to: mock:part
        - to: mock:out
        - to: { id: mark, uri: mock:out }
"#;

#[tokio::test]
async fn every_step_is_counted_once_for_each_exchange_that_comes_to_it() {
    let engine = started(NESTED, Limits::default()).await;
    for body in ["a,b", "c", "bad"] {
        send(&engine, "direct:orders", body).await;
    }
    let steps = &route(&engine, "orders").plan.steps;
    let told: Vec<_> =
        steps.iter().map(|step| (step.name.to_string(), step.depth, numbers(step.stats.snapshot()))).collect();
    let expected: [(&str, usize, [u64; 5]); 7] = [
        ("mark", 0, [3, 0, 0, 0, 0]),
        ("choice:8", 0, [3, 1, 0, 0, 0]),
        ("throwException:12", 1, [1, 1, 0, 0, 0]),
        ("split:15", 1, [2, 0, 0, 0, 0]),
        ("to:18", 2, [3, 0, 0, 0, 0]),
        ("to:19", 0, [2, 0, 0, 0, 0]),
        ("mark:11", 0, [2, 0, 0, 0, 0]),
    ];
    assert_eq!(told, expected.map(|(name, depth, counted)| (name.to_owned(), depth, counted)));
    assert_eq!(numbers(route(&engine, "orders").stats.snapshot()), [3, 1, 0, 0, 0]);
    let sends_to: Vec<_> =
        steps.iter().map(|step| step.sends_to.iter().map(Text::as_str).collect::<Vec<_>>()).collect();
    let out = vec!["mock:out"];
    assert_eq!(sends_to, [vec![], vec![], vec![], vec![], vec!["mock:part"], out.clone(), out]);
}

#[tokio::test(start_paused = true)]
async fn attempts_and_dead_letters_are_counted_where_the_step_failed() {
    let engine = started(
        r#"
- errorHandler:
    deadLetterChannel:
      deadLetterUri: mock:dead
      redeliveryPolicy: { maximumRedeliveries: 2, redeliveryDelay: 1000 }
- route:
    id: r
    from:
      uri: direct:r
      steps:
        - filter:
            id: pick
            simple: "${body} != 'passed over'"
            steps:
              - throwException: { id: throw, exceptionType: java.lang.IllegalStateException, message: no }
        - delay: { id: wait, constant: "500" }
"#,
        Limits::default(),
    )
    .await;
    send(&engine, "direct:r", "never").await;
    assert_eq!(bodies(&engine, "dead"), ["never"]);
    assert_eq!(numbers(counted(&engine, "r", "throw")), [1, 1, 2, 1, 0]);
    // The step around it has not failed: the failure was handled.
    assert_eq!(numbers(counted(&engine, "r", "pick")), [1, 0, 0, 0, 0]);
    let whole = route(&engine, "r").stats.snapshot();
    assert_eq!((numbers(whole), whole.handled), ([1, 0, 2, 1, 0], 1));
    // The waits between attempts are time that the exchange was held up there.
    let time = counted(&engine, "r", "throw");
    assert_eq!((time.last.as_secs(), time.mean().as_secs()), (2, 2));
    send(&engine, "direct:r", "passed over").await;
    assert_eq!(counted(&engine, "r", "wait").mean().as_millis() / 100, 5);
    assert_eq!(numbers(counted(&engine, "r", "wait")), [1, 0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_cut_off_is_no_longer_under_way_and_has_failed() {
    let engine = started(
        r#"
- route:
    id: r
    from:
      uri: direct:r
      steps:
        - circuitBreaker:
            resilience4jConfiguration: { timeoutEnabled: true, timeoutDuration: 100 }
            steps:
              - delay: { id: wait, constant: "60000" }
            onFallback:
              steps: [ { to: mock:late } ]
"#,
        Limits::default(),
    )
    .await;
    let back = send(&engine, "direct:r", "m").await;
    assert!(!back.is_failed());
    assert_eq!(numbers(counted(&engine, "r", "wait")), [1, 1, 0, 0, 0]);
    assert_eq!(numbers(counted(&engine, "r", "circuitBreaker:7")), [1, 0, 0, 0, 0]);
}

#[tokio::test]
async fn steps_of_a_configuration_in_another_file_are_called_after_their_file() {
    let engine = Engine::new(routes::Setup::default());
    let shared = "- routeConfiguration: { onException: [ { onException: { exception: [java.lang.Exception], handled: { constant: \"true\" }, steps: [ { log: failed } ] } } ] }\n";
    let own = "- route: { id: r, from: { uri: \"direct:r\", steps: [ { log: came } ] } }\n";
    let files = [("shared.yaml".to_owned(), shared.to_owned()), ("own.yaml".to_owned(), own.to_owned())];
    engine.start(engine.load(&files).unwrap()).await.unwrap();
    let route = route(&engine, "r");
    let told: Vec<_> = route.plan.steps.iter().map(|step| (&*step.name, &*step.file)).collect();
    assert_eq!(told.len(), 2);
    assert_eq!(told[0], ("log:1", "own.yaml"));
    assert_eq!((told[1].0.starts_with("log:1:"), told[1].1), (true, "shared.yaml"));
}

const FOLLOWED: &str = r#"
- route:
    id: outer
    from:
      uri: direct:outer
      steps:
        - setHeader: { id: mark, name: Password, constant: geheim }
        - setBody: { id: greet, simple: "hello ${body}" }
        - to: { id: call, uri: direct:inner }
        - wireTap: { id: tap, uri: direct:inner }
        - removeHeader: { id: unmark, name: password }
- route:
    id: inner
    from:
      uri: direct:inner
      steps:
        - log: { id: say, message: "${body}" }
"#;

fn steps(followed: &Followed) -> Vec<&str> {
    followed.steps.iter().map(|step| step.step.as_str()).collect()
}

#[tokio::test]
async fn an_exchange_is_followed_through_its_steps_its_copies_and_other_routes() {
    let engine = started(FOLLOWED, Limits::default()).await;
    send(&engine, "direct:outer", "before").await;
    let mut trace = engine.trace("outer", 1, masking()).unwrap();
    assert!(engine.trace("outer", 1, masking()).unwrap_err().contains("already"));
    let message = Message::new(Value::from("Nga")).with_header(Text::fixed("from"), "a");
    let sent = engine.send("direct:outer", engine.core().exchange(message)).await;
    send(&engine, "direct:outer", "after").await;
    let followed = trace.next().await.unwrap();
    assert_eq!((followed.exchange.as_str(), followed.outcome), (sent.id().as_str(), "done"));
    assert_eq!(followed.headers, [("from".to_owned(), "a".to_owned())]);
    assert_eq!(followed.body.text.as_deref(), Some("Nga"));
    let (mut told, mut copies) = (steps(&followed), steps(&followed));
    told.retain(|step| *step != "say");
    copies.retain(|step| *step == "say");
    assert_eq!((told, copies.len()), (vec!["mark", "greet", "call", "tap", "unmark"], 2));
    let step = |name: &str| followed.steps.iter().find(|step| step.step == name).unwrap();
    let change = &step("mark").headers[0];
    assert_eq!((&*change.name, &change.before, change.after.as_deref()), ("Password", &None, Some("***")));
    let (before, after) = step("greet").body.clone().unwrap();
    assert_eq!((before.text.as_deref(), after.text.as_deref()), (Some("Nga"), Some("hello Nga")));
    assert_eq!(step("unmark").headers[0].after, None);
    assert!(step("call").headers.is_empty() && step("call").body.is_none());
    // The same exchange in the called route, and the copy.
    let says: Vec<_> = followed.steps.iter().filter(|step| step.step == "say").collect();
    assert!(says.iter().all(|step| step.route == "inner" && step.took_us.is_some()));
    assert!(says.iter().any(|step| step.exchange == followed.exchange));
    assert!(says.iter().any(|step| step.exchange != followed.exchange));
    // As many as were asked for, and no more; then somebody else may look.
    assert!(trace.next().await.is_none() && trace.is_full());
    drop(trace);
    engine.trace("outer", 1, masking()).unwrap();
    assert!(engine.trace("nobody", 1, masking()).unwrap_err().contains("no route"));
}

#[tokio::test]
async fn a_failure_and_its_attempts_are_followed() {
    let engine = started(
        r#"
- errorHandler:
    defaultErrorHandler: { redeliveryPolicy: { maximumRedeliveries: 1, redeliveryDelay: 1 } }
- route:
    id: r
    from:
      uri: direct:r
      steps:
        - throwException: { id: throw, exceptionType: java.lang.IllegalStateException, message: "password=geheim" }
"#,
        Limits::default(),
    )
    .await;
    let mut trace = engine.trace("r", 5, masking()).unwrap();
    send(&engine, "direct:r", "m").await;
    let followed = trace.next().await.unwrap();
    assert_eq!((followed.outcome, followed.steps[0].redelivered), ("failed", 1));
    for told in [&followed.exception, &followed.steps[0].exception] {
        let told = told.as_deref().unwrap();
        assert!(told.contains("IllegalStateException") && told.contains("password=***"), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_off_behind_a_route_that_it_called_is_followed_as_cut_off() {
    let engine = started(
        r#"
- route:
    id: outer
    from:
      uri: direct:outer
      steps:
        - doTry:
            steps: [ { to: "direct:inner" } ]
            doCatch:
              - exception: [ java.lang.IllegalStateException ]
                steps: [ { delay: { id: wait, constant: "60000" } } ]
- route:
    id: inner
    from:
      uri: direct:inner
      steps: [ { throwException: { exceptionType: java.lang.IllegalStateException, message: no } } ]
"#,
        Limits::default(),
    )
    .await;
    let mut trace = engine.trace("outer", 1, masking()).unwrap();
    let in_time = tokio::time::timeout(Duration::from_secs(1), send(&engine, "direct:outer", "m")).await;
    assert!(in_time.is_err());
    let followed = trace.next().await.unwrap();
    assert_eq!(steps(&followed).last(), Some(&"wait"));
    assert_eq!((followed.outcome, followed.exception.as_deref()), ("cut-off", None));
    assert!(followed.took_us >= 1_000_000, "{}", followed.took_us);
}

#[tokio::test]
async fn a_trace_ends_with_its_route_and_says_what_became_of_it() {
    let slow = |mark: &str| {
        format!(
            r#"
- route:
    id: r
    from:
      uri: seda:r
      steps:
        - to: {{ id: begin, uri: mock:begun }}
        - delay: {{ constant: "50" }}
        - to: {{ id: {mark}, uri: mock:out }}
"#
        )
    };
    let engine = Arc::new(started(&slow("old"), Limits::default()).await);
    let mut trace = engine.trace("r", 10, masking()).unwrap();
    send(&engine, "seda:r", "m").await;
    eventually("it is under way", || bodies(&engine, "begun").len() == 1).await;
    let under_way = trace.under_way();
    assert_eq!((under_way.len(), under_way[0].outcome, steps(&under_way[0])[0]), (1, "under-way", "begin"));
    let new = engine.load(&[("test.yaml".to_owned(), slow("new"))]).unwrap().routes;
    let swap = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move { engine.swap(new, &[Text::fixed("r")]).await.unwrap() }
    });
    // What is under way is followed to its end on the old route.
    let followed = trace.next().await.unwrap();
    assert_eq!((followed.outcome, steps(&followed).last()), ("done", Some(&"old")));
    assert!(trace.next().await.is_none() && !trace.is_full());
    assert_eq!(engine.fate(&trace).await, "replaced");
    assert!(swap.await.unwrap().is_empty());
    for (action, fate) in [("stop", "stopped"), ("suspend", "suspended"), ("remove", "removed")] {
        let mut trace = engine.trace("r", 10, masking()).unwrap();
        match action {
            "stop" => engine.stop_route("r").await.unwrap(),
            "suspend" => engine.suspend_route("r").await.unwrap(),
            _ => drop(engine.swap(Vec::new(), &[Text::fixed("r")]).await.unwrap()),
        }
        assert!(trace.next().await.is_none());
        assert_eq!(engine.fate(&trace).await, fate);
        if action != "remove" {
            assert!(engine.trace("r", 1, masking()).unwrap_err().contains(fate));
            engine.start_route("r").await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_trace_has_a_limit_whatever_an_exchange_does() {
    let split = r#"- route: { id: r, from: { uri: "direct:r", steps: [ { split: { tokenize: ",", steps: [ { setBody: { constant: "x" } } ] } } ] } }"#;
    let engine = started(split, Limits::default()).await;
    let mut trace = engine.trace("r", 1, masking()).unwrap();
    let parts = 50_000;
    send(&engine, "direct:r", &vec!["p"; parts].join(",")).await;
    let followed = trace.next().await.unwrap();
    assert!(followed.left_out > 0, "{}", followed.steps.len());
    assert_eq!(followed.steps.len() + followed.left_out, parts + 1);
}

#[tokio::test]
async fn what_is_kept_for_later_does_not_hold_a_trace_up() {
    let engine = started(
        r##"
- route:
    id: r
    from:
      uri: direct:r
      steps:
        - split:
            tokenize: ","
            aggregationStrategy: "#class:org.apache.camel.processor.aggregate.GroupedExchangeAggregationStrategy"
            steps: [ { to: mock:part } ]
        - to: mock:out
"##,
        Limits::default(),
    )
    .await;
    let mut trace = engine.trace("r", 1, masking()).unwrap();
    // The answer holds the parts; `mock:` holds what it got.
    let answer = send(&engine, "direct:r", "a,b").await;
    let followed = tokio::time::timeout(Duration::from_secs(30), trace.next()).await.unwrap().unwrap();
    assert_eq!((followed.outcome, answer.is_failed()), ("done", false));
}
