//! The relay publishes everything once stored, in order, whatever the transport does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eventkit::relay::{self, RelayConfig};
use eventkit::testing::{Fault, Faults, FaultyTransport, eventually};
use eventkit::{Origin, RetryPolicy};
use jiff::Timestamp;

use crate::doors::{Doors, Refusal};
use crate::fixture::{ACCOUNTS, Fixture, opened};

const DRAIN: Duration = Duration::from_secs(5);
const HOUR_MS: i64 = 60 * 60 * 1_000;

#[tokio::test]
async fn a_commit_wakes_the_relay() {
    let fixture = Fixture::new().await;
    let config = RelayConfig { poll_interval: Duration::from_secs(3_600), ..RelayConfig::new("bank", "copy-1") };
    let relay = relay::start(config, fixture.publisher.clone(), fixture.transport.clone());
    for account_id in 1..=3 {
        fixture.open(account_id).await;
        eventually("the event is published", async || {
            (i64::try_from(fixture.transport.records(ACCOUNTS).len()) == Ok(account_id)).then_some(())
        })
        .await;
    }
    relay.stop(DRAIN).await;
}

#[tokio::test]
async fn a_relay_that_starts_again_goes_on_where_it_was() {
    let fixture = Fixture::new().await;
    for account_id in 1..=5 {
        fixture.open(account_id).await;
    }
    fixture.start_relay().stop(DRAIN).await;
    assert_eq!(fixture.transport.records(ACCOUNTS).len(), 5);
    fixture.open(6).await;
    fixture.start_relay().stop(DRAIN).await;
    assert_eq!(fixture.transport.records(ACCOUNTS).len(), 6, "nothing is published twice after a clean stop");
}

#[tokio::test]
async fn a_relay_whose_handle_is_dropped_goes_on_and_does_not_run_wild() {
    let fixture = Fixture::new().await;
    let doors = Doors::shut(Refusal::ForNow);
    let never = Duration::from_secs(3_600);
    let backoff = RetryPolicy { initial: never, max: never, ..RetryPolicy::default() };
    let config = RelayConfig { backoff, ..RelayConfig::new("bank", "copy-1") };
    fixture.open(1).await;
    drop(relay::start(config, fixture.publisher.clone(), doors.clone()));
    eventually("it tries", async || (doors.calls() > 0).then_some(())).await;
    // That takes a while.
    for account_id in 2..=50 {
        fixture.open(account_id).await;
    }
    assert_eq!(doors.calls(), 1, "it waits for its next try");
    doors.open_all();
    drop(relay::start(RelayConfig::new("bank", "copy-1"), fixture.publisher.clone(), doors.clone()));
    eventually("another one publishes", async || (doors.taken().len() == 50).then_some(())).await;
}

#[tokio::test]
async fn another_owner_waits_for_the_lease_to_run_out() {
    let fixture = Fixture::new().await;
    fixture.start_relay().stop(DRAIN).await;
    fixture.open(1).await;
    let short = |owner: &str| RelayConfig {
        lease: Duration::from_millis(200),
        poll_interval: Duration::from_millis(20),
        ..RelayConfig::new("bank", owner)
    };
    // The first owner's lease lasts ten seconds: the second may not publish yet.
    relay::start(short("copy-2"), fixture.publisher.clone(), fixture.transport.clone()).stop(DRAIN).await;
    assert!(fixture.transport.records(ACCOUNTS).is_empty());
    // Its owner takes it back at once, for a shorter time, and then the second gets it.
    relay::start(short("copy-1"), fixture.publisher.clone(), fixture.transport.clone()).stop(DRAIN).await;
    fixture.open(2).await;
    let second = relay::start(short("copy-2"), fixture.publisher.clone(), fixture.transport.clone());
    eventually("the second owner publishes", async || (fixture.transport.records(ACCOUNTS).len() == 2).then_some(()))
        .await;
    second.stop(DRAIN).await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_keep_a_dead_owners_lease_alive() {
    let start = Timestamp::from_second(1_795_485_927).unwrap();
    for (fixture, clock) in Fixture::all_with_clock(start).await {
        let config =
            |owner: &str| RelayConfig { poll_interval: Duration::from_millis(10), ..RelayConfig::new("bank", owner) };
        // It dies with a lease of ten seconds.
        relay::start(config("copy-1"), fixture.publisher.clone(), fixture.transport.clone()).stop(DRAIN).await;
        fixture.open(1).await;
        clock.advance_ms(-9_000);
        relay::start(config("copy-2"), fixture.publisher.clone(), fixture.transport.clone()).stop(DRAIN).await;
        assert!(fixture.transport.records(ACCOUNTS).is_empty(), "clocks may differ by less than a lease");
        clock.advance_ms(-HOUR_MS);
        let second = relay::start(config("copy-2"), fixture.publisher.clone(), fixture.transport.clone());
        eventually("the second owner publishes", async || {
            (fixture.transport.records(ACCOUNTS).len() == 1).then_some(())
        })
        .await;
        // It goes on while the clock jumps, forth and back, and nothing is lost.
        for (account_id, hours) in [(2, 5), (3, -9), (4, 4)] {
            clock.advance_ms(hours * HOUR_MS);
            fixture.open(account_id).await;
        }
        eventually("the others follow", async || (fixture.transport.records(ACCOUNTS).len() == 4).then_some(())).await;
        second.stop(DRAIN).await;
    }
}

#[tokio::test]
async fn first_occurrences_stay_complete_and_in_order_when_publishing_fails_and_lies() {
    let fixture = Fixture::new().await;
    for round in 0..10 {
        for account_id in 0..5 {
            let mut work = fixture.publisher.begin(Origin::default());
            let event = crate::fixture::AccountOpened { owner: round.to_string(), ..opened(account_id) };
            work.publish(&event).await.unwrap();
            work.commit().await.unwrap();
        }
    }
    let faults = Faults::cycle([Some(Fault::Fail), Some(Fault::FailHalfway), Some(Fault::LieAboutFailure), None]);
    let transport = Arc::new(FaultyTransport::new(fixture.transport.clone(), faults));
    let backoff = RetryPolicy { initial: Duration::from_millis(1), ..RetryPolicy::default() };
    let config = RelayConfig { batch_max: 7, backoff, ..RelayConfig::new("bank", "copy-1") };
    let relay = relay::start(config, fixture.publisher.clone(), transport.clone());
    let seen = eventually("every event is on the topic", async || {
        let mut seen: HashMap<Bytes, Vec<String>> = HashMap::new();
        for consumed in fixture.transport.records(ACCOUNTS) {
            let value: serde_json::Value = serde_json::from_slice(&consumed.record.value.unwrap()).unwrap();
            let rounds = seen.entry(consumed.record.key.unwrap()).or_default();
            let round = value["data"]["owner"].as_str().unwrap().to_owned();
            if !rounds.contains(&round) {
                rounds.push(round);
            }
        }
        (seen.len() == 5 && seen.values().all(|rounds| rounds.len() == 10)).then_some(seen)
    })
    .await;
    relay.stop(DRAIN).await;
    for rounds in seen.values() {
        assert_eq!(*rounds, (0..10).map(|round| round.to_string()).collect::<Vec<_>>());
    }
}
