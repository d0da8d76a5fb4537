//! What goes wrong in one exchange stays there, and everything has a limit.

use std::sync::Arc;

use routes::components::{Component, ComponentSpec, Endpoint, Producer, Side};
use routes::exchange::Exchange;
use routes::run::{Core, Cx, Sending};
use routes::{Engine, Limits, Setup};

use crate::support::{bodies, eventually, send, started};

static PANICS: ComponentSpec =
    ComponentSpec { name: "panics", about: "Panics", path: "when", side: Side::To, options: &[] };

/// Panics at once, or when it is waited for.
#[derive(Debug)]
struct Panics;

#[derive(Debug)]
struct Panic(bool);

impl Component for Panics {
    fn spec(&self) -> &'static ComponentSpec {
        &PANICS
    }

    fn producer(&self, endpoint: Endpoint, _: &Core) -> Result<Arc<dyn Producer>, String> {
        Ok(Arc::new(Panic(endpoint.text.path == "later")))
    }
}

impl Producer for Panic {
    fn send<'s: 'e, 'e>(&'s self, _: &'e mut Exchange, _: &'e Cx<'e>) -> Sending<'e> {
        assert!(self.0, "at once");
        Sending::Later(Box::pin(async { panic!("later") }))
    }
}

#[tokio::test]
async fn a_step_that_panics_fails_its_exchange_only() {
    let route = r#"
- errorHandler: { deadLetterChannel: { deadLetterUri: "mock:dead" } }
- from:
    uri: direct:start
    steps:
      - toD: "panics:${body}"
      - to: mock:after
- from:
    uri: direct:static
    steps: [ { choice: { when: [ { simple: "${body} == 'x'", steps: [ { to: "panics:now" } ] } ] } }, { to: "mock:after" } ]
"#;
    let engine = Engine::new(Setup { components: vec![Arc::new(Panics)], ..Setup::default() });
    engine.core().components.mocks().unwrap().record();
    let compiled = engine.load(&[("test.yaml".to_owned(), route.to_owned())]).unwrap();
    engine.start(compiled).await.unwrap();
    for (to, body) in
        [("direct:start", "now"), ("direct:start", "later"), ("direct:static", "x"), ("direct:static", "y")]
    {
        assert!(!send(&engine, to, body).await.is_failed(), "{to} {body}");
    }
    assert_eq!(bodies(&engine, "dead"), ["now", "later", "x"]);
    assert_eq!(bodies(&engine, "after"), ["y"]);
}

#[tokio::test]
async fn routes_that_call_each_other_without_an_end_fail() {
    let engine = started(
        "- from: { uri: \"direct:a\", steps: [ { to: \"direct:b\" } ] }\n- from: { uri: \"direct:b\", steps: [ { to: \"direct:a\" } ] }\n",
        Limits { depth_max: 20, ..Limits::default() },
    )
    .await;
    let back = send(&engine, "direct:a", "m").await;
    let said = back.exception().unwrap().message().unwrap().to_string();
    assert!(said.contains("more than 20 deep"), "{said}");
}

#[tokio::test]
async fn a_loop_and_a_split_have_their_limits() {
    let engine = started(
        r#"
- from: { uri: "direct:loop", steps: [ { loop: { doWhile: true, simple: "${body} == 'm'", steps: [ { to: "mock:turn" } ] } } ] }
- from: { uri: "direct:split", steps: [ { split: { simple: "${body}", steps: [ { to: "mock:part" } ] } } ] }
"#,
        Limits { turns_max: 10, parts_max: 3, ..Limits::default() },
    )
    .await;
    assert!(send(&engine, "direct:loop", "m").await.is_failed());
    assert_eq!(bodies(&engine, "turn").len(), 10);
    assert!(!send(&engine, "direct:split", "a,b,c").await.is_failed());
    assert!(send(&engine, "direct:split", "a,b,c,d").await.is_failed());
    assert_eq!(bodies(&engine, "part").len(), 3);
}

#[tokio::test]
async fn a_full_queue_fails_or_lets_wait() {
    let engine = started(
        r#"
- route: { id: taker, autoStartup: false, from: { uri: "seda:q?size=2", steps: [ { to: "mock:taken" } ] } }
- from: { uri: "direct:start", steps: [ { to: "seda:q" } ] }
- from: { uri: "direct:drop", steps: [ { to: "seda:q?discardWhenFull=true" } ] }
"#,
        Limits::default(),
    )
    .await;
    assert!(!send(&engine, "direct:start", "1").await.is_failed());
    assert!(!send(&engine, "direct:start", "2").await.is_failed());
    assert!(send(&engine, "direct:start", "3").await.is_failed());
    assert!(!send(&engine, "direct:drop", "4").await.is_failed());
}

#[tokio::test]
async fn a_group_beyond_the_limit_is_refused() {
    let engine = started(
        r##"
- from:
    uri: direct:start
    steps:
      - aggregate:
          correlationExpression: { simple: "${body}" }
          completionSize: 2
          aggregationStrategy: "#class:org.apache.camel.processor.aggregate.GroupedBodyAggregationStrategy"
          steps: [ { to: "mock:group" } ]
"##,
        Limits { groups_max: 1, ..Limits::default() },
    )
    .await;
    assert!(!send(&engine, "direct:start", "a").await.is_failed());
    assert!(send(&engine, "direct:start", "b").await.is_failed());
    assert!(!send(&engine, "direct:start", "a").await.is_failed());
    assert_eq!(bodies(&engine, "group").len(), 1);
}

#[tokio::test]
async fn a_policy_without_redelivery_makes_one_attempt() {
    let engine = started(
        r#"
- route:
    errorHandler:
      deadLetterChannel:
        deadLetterUri: mock:dead
        redeliveryPolicy: { maximumRedeliveries: 3, redeliveryDelay: 1, disableRedelivery: "{{off:true}}" }
    from: { uri: "direct:start", steps: [ { to: "direct:fails" } ] }
- route:
    errorHandler:
      deadLetterChannel:
        deadLetterUri: mock:dead
        redeliveryPolicy: { maximumRedeliveries: 3, redeliveryDelay: 1, disableRedelivery: false }
    from: { uri: "direct:again", steps: [ { to: "direct:fails" } ] }
- route:
    errorHandler: { noErrorHandler: {} }
    from:
      uri: direct:fails
      steps: [ { to: "mock:tried" }, { throwException: { exceptionType: java.io.IOException, message: no } } ]
"#,
        Limits::default(),
    )
    .await;
    send(&engine, "direct:start", "once").await;
    send(&engine, "direct:again", "often").await;
    assert_eq!(bodies(&engine, "tried"), ["once", "often", "often", "often", "often"]);
    assert_eq!(bodies(&engine, "dead"), ["once", "often"]);
}

#[tokio::test]
async fn a_group_outlives_a_completion_rule_that_fails() {
    for (discards, expected) in [(false, 3), (true, 1)] {
        let route = format!(
            r##"
- from:
    uri: direct:start
    steps:
      - aggregate:
          correlationExpression: {{ constant: one }}
          eagerCheckCompletion: true
          completionPredicate: {{ jq: 'if . == "bad" then error("bad") else . == "end" end' }}
          discardOnAggregationFailure: {discards}
          aggregationStrategy: "#class:org.apache.camel.processor.aggregate.GroupedBodyAggregationStrategy"
          steps: [ {{ split: {{ simple: "${{body}}", steps: [ {{ to: "mock:part" }} ] }} }} ]
"##
        );
        let engine = started(&route, Limits::default()).await;
        assert!(!send(&engine, "direct:start", "1").await.is_failed());
        assert!(!send(&engine, "direct:start", "2").await.is_failed());
        assert!(send(&engine, "direct:start", "\"bad\"").await.is_failed());
        assert!(!send(&engine, "direct:start", "\"end\"").await.is_failed());
        assert_eq!(bodies(&engine, "part").len(), expected, "{discards}");
    }
}

#[tokio::test]
async fn a_tap_inside_a_tap_does_not_wait_for_its_place() {
    let engine = started(
        r#"
- from: { uri: "direct:start", steps: [ { wireTap: { uri: "direct:tapped" } } ] }
- route:
    errorHandler: { deadLetterChannel: { deadLetterUri: "mock:dead" } }
    from: { uri: "direct:tapped", steps: [ { wireTap: { uri: "mock:inner" } } ] }
"#,
        Limits { background_max: 1, ..Limits::default() },
    )
    .await;
    assert!(!send(&engine, "direct:start", "a").await.is_failed());
    eventually("the inner tap fails", || bodies(&engine, "dead") == ["a"]).await;
    assert!(!send(&engine, "direct:start", "b").await.is_failed());
    eventually("the place is free again", || bodies(&engine, "dead") == ["a", "b"]).await;
    assert!(bodies(&engine, "inner").is_empty());
}
