//! What is cut off leaves nothing behind, and nothing grows without a limit.

use std::time::Duration;

use routes::Limits;

use crate::support::{bodies, eventually, send, started};

const REPOSITORY: &str =
    "- beans: [ { name: seen, type: org.apache.camel.support.processor.idempotent.MemoryIdempotentRepository } ]\n";

#[tokio::test]
async fn a_part_that_is_cut_off_may_come_again() {
    let route = format!(
        r##"{REPOSITORY}
- from:
    uri: direct:start
    steps:
      - split:
          simple: "${{body}}"
          timeout: 50
          steps:
            - idempotentConsumer:
                simple: "${{body}}"
                idempotentRepository: seen
                completionEager: ${{eager}}
                steps:
                  - choice: {{ when: [ {{ simple: "${{exchangeProperty.slow}}", steps: [ {{ delay: {{ constant: "60000" }} }} ] }} ] }}
                  - to: mock:once
- from: {{ uri: "direct:slow", steps: [ {{ setProperty: {{ name: slow, constant: "true" }} }}, {{ to: "direct:start" }} ] }}
"##
    );
    for eager in ["true", "false"] {
        let engine = started(&route.replace("${eager}", eager), Limits::default()).await;
        send(&engine, "direct:slow", "a").await;
        assert!(bodies(&engine, "once").is_empty());
        send(&engine, "direct:start", "a").await;
        assert_eq!(bodies(&engine, "once"), ["a"], "completionEager {eager}");
        send(&engine, "direct:start", "a").await;
        assert_eq!(bodies(&engine, "once"), ["a"], "completionEager {eager}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_cut_off_gives_its_place_back() {
    let route = r##"
- from:
    uri: direct:breaker
    steps:
      - circuitBreaker:
          resilience4jConfiguration:
            minimumNumberOfCalls: 1
            slidingWindowSize: 1
            permittedNumberOfCallsInHalfOpenState: 1
            waitDurationInOpenState: 1
          steps:
            - choice:
                when:
                  - simple: "${body} == 'bad'"
                    steps: [ { throwException: { exceptionType: java.io.IOException, message: "no" } } ]
                  - simple: "${body} == 'slow'"
                    steps: [ { delay: { constant: "60000" } } ]
            - to: mock:through
- from:
    uri: direct:start
    steps: [ { split: { simple: "${body}", timeout: 50, steps: [ { to: "direct:breaker" } ] } } ]
"##;
    let engine = started(route, Limits::default()).await;
    send(&engine, "direct:start", "bad").await;
    tokio::time::advance(Duration::from_secs(2)).await;
    // The one call that may probe is cut off from outside.
    send(&engine, "direct:start", "slow").await;
    send(&engine, "direct:start", "good").await;
    assert_eq!(bodies(&engine, "through"), ["good"]);
}

#[tokio::test]
async fn steps_that_are_cut_off_leave_the_route_where_it_was() {
    let route = r##"
- from: { uri: "direct:deep", steps: [ { delay: { constant: "60000" } } ] }
- route:
    id: outer
    from:
      uri: direct:start
      steps:
        - circuitBreaker:
            resilience4jConfiguration: { timeoutEnabled: true, timeoutDuration: 20, minimumNumberOfCalls: 100 }
            steps: [ { to: "direct:deep" } ]
            onFallback: { steps: [ { setBody: { simple: "${routeId}" } } ] }
        - to: mock:after
"##;
    let engine = started(route, Limits { depth_max: 3, ..Limits::default() }).await;
    for _ in 0..5 {
        assert!(!send(&engine, "direct:start", "m").await.is_failed());
    }
    assert_eq!(bodies(&engine, "after"), ["outer"; 5]);
}

#[tokio::test]
async fn groups_are_watched_again_after_a_stop() {
    let route = r##"
- route:
    id: grouping
    from:
      uri: seda:in
      steps:
        - aggregate:
            correlationExpression: { constant: "all" }
            aggregationStrategy: "#class:org.apache.camel.processor.aggregate.GroupedBodyAggregationStrategy"
            completionTimeout: 50
            steps: [ { setBody: { simple: "${body.size}" } }, { to: "mock:grouped" } ]
"##;
    let engine = started(route, Limits::default()).await;
    send(&engine, "seda:in", "a").await;
    eventually("the first group is complete", || bodies(&engine, "grouped") == ["1"]).await;
    engine.stop_route("grouping").await.unwrap();
    engine.start_route("grouping").await.unwrap();
    send(&engine, "seda:in", "b").await;
    eventually("a group after the stop is complete", || bodies(&engine, "grouped") == ["1", "1"]).await;
}

#[tokio::test]
async fn what_waits_in_a_group_when_the_route_stops_is_complete_after_its_start() {
    let route = r##"
- route:
    id: grouping
    from:
      uri: direct:in
      steps:
        - aggregate:
            correlationExpression: { constant: "all" }
            aggregationStrategy: "#class:org.apache.camel.processor.aggregate.UseLatestAggregationStrategy"
            completionTimeout: 100
            steps: [ { to: "mock:grouped" } ]
"##;
    let engine = started(route, Limits::default()).await;
    send(&engine, "direct:in", "a").await;
    engine.stop_route("grouping").await.unwrap();
    engine.start_route("grouping").await.unwrap();
    eventually("nobody has to send anything", || bodies(&engine, "grouped") == ["a"]).await;
}

#[tokio::test]
async fn keys_groups_and_queues_have_their_limits() {
    let route = r##"
- from:
    uri: direct:throttle
    steps:
      - throttle: { constant: "10", timePeriodMillis: 60000, correlationExpression: { simple: "${body}" } }
      - to: mock:throttled
- from:
    uri: direct:closed
    steps:
      - aggregate:
          correlationExpression: { simple: "${body}" }
          aggregationStrategy: "#class:org.apache.camel.processor.aggregate.UseLatestAggregationStrategy"
          completionSize: 1
          closeCorrelationKeyOnCompletion: 0
          steps: [ { to: "mock:closed" } ]
- from: { uri: "direct:queue", steps: [ { toD: "seda:${body}?discardIfNoConsumers=true" } ] }
"##;
    let limits = Limits { keys_max: 3, endpoints_max: 2, ..Limits::default() };
    let engine = started(route, limits).await;
    let mut refused = 0;
    for n in 0..6 {
        let back = send(&engine, "direct:throttle", &n.to_string()).await;
        refused += usize::from(back.is_failed());
    }
    assert_eq!((bodies(&engine, "throttled").len(), refused), (3, 3));
    for n in 0..6 {
        assert!(!send(&engine, "direct:closed", &n.to_string()).await.is_failed());
    }
    // The oldest closed key is forgotten, the newest is not.
    assert!(send(&engine, "direct:closed", "5").await.is_failed());
    assert!(!send(&engine, "direct:closed", "0").await.is_failed());
    for n in 0..50 {
        assert!(!send(&engine, "direct:queue", &n.to_string()).await.is_failed(), "queues that nobody uses go");
    }
}

#[tokio::test]
async fn a_loop_that_doubles_a_variable_is_stopped() {
    let route = r##"
- from:
    uri: direct:start
    steps:
      - setVariable: { name: v, simple: "${body}" }
      - loop:
          constant: "1000"
          steps: [ { setVariable: { name: v, simple: "${variable.v}${variable.v}" } } ]
"##;
    let engine = started(route, Limits::default()).await;
    let back = send(&engine, "direct:start", "0123456789").await;
    let said = back.exception().unwrap().message().unwrap().to_string();
    assert!(said.contains("does not end") || said.contains("was stopped"), "{said}");
}

#[tokio::test]
async fn functions_of_jq_cost_by_what_they_walk_through() {
    let route = r##"
- from:
    uri: direct:start
    steps: [ { setBody: { jq: '. as $all | [range(100000)] | map($all | length) | add' } } ]
"##;
    let engine = started(route, Limits::default()).await;
    let text = format!("\"{}\"", "x".repeat(1_000_000));
    let began = std::time::Instant::now();
    let back = send(&engine, "direct:start", &text).await;
    let said = back.exception().unwrap().message().unwrap().to_string();
    assert!(said.contains("too many steps"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_is_cut_off_before_a_full_queue_leaves_nothing_behind() {
    let route = r##"
- route: { id: taker, autoStartup: false, from: { uri: "seda:q?size=1", steps: [ { to: "mock:taken" } ] } }
- from:
    uri: direct:start
    steps:
      - split: { simple: "${body}", timeout: 50, steps: [ { to: "seda:q?blockWhenFull=true" } ] }
"##;
    let engine = started(route, Limits::default()).await;
    // The second one waits for a place, and is cut off.
    for body in ["1", "2"] {
        send(&engine, "direct:start", body).await;
    }
    engine.start_route("taker").await.unwrap();
    let began = tokio::time::Instant::now();
    assert!(engine.stop().await.is_empty());
    // Nobody waits for what is not there.
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(bodies(&engine, "taken"), ["1"]);
}
