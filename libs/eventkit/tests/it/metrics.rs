//! What waits is told, under names and labels that dashboards may rely on: here they are texts, not the constants.
//!
//! Each test has a recorder of its own, which sees what its thread does: so they run on one.

use std::time::Duration;

use db::params;
use eventkit::relay::{self, RelayConfig};
use eventkit::testing::eventually;
use eventkit::transport::{GroupStart, Interest, Record, Transport, partition_of};
use eventkit::{Clock, Consumer, Handle, HandlerError, HandlerResult, Origin, Received, RetryPolicy, UnitOfWork};
use jiff::Timestamp;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::doors::{Doors, Refusal};
use crate::fixture::{ACCOUNTS, AccountOpened, Fixture, opened};

const DRAIN: Duration = Duration::from_secs(5);
/// So far off that it does not come while a test runs.
const NEVER: Duration = Duration::from_secs(3_600);
/// The memory transport's partitions of a topic.
const PARTITIONS: i32 = 3;

fn recorder() -> (PrometheusRecorder, Told) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let told = Told(recorder.handle());
    (recorder, told)
}

struct Told(PrometheusHandle);

impl Told {
    /// The value of a metric with exactly these labels, if it is told.
    fn value(&self, metric: &str) -> Option<f64> {
        let text = self.0.render();
        let line = text.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }

    async fn until(&self, metric: &str, value: f64) {
        eventually(&format!("{metric} is {value}"), async || (self.value(metric) == Some(value)).then_some(())).await;
    }
}

#[tokio::test]
async fn what_is_not_published_is_told_with_its_age_and_afterwards_with_its_delay() {
    let (recorder, told) = recorder();
    let _recording = ::metrics::set_default_local_recorder(&recorder);
    let clock = Clock::manual(Timestamp::from_second(1_795_485_927).unwrap());
    let fixture = Fixture::with_clock(clock.clone()).await;
    let doors = Doors::shut(Refusal::ForNow);
    let backoff = RetryPolicy { initial: Duration::from_millis(1), max: Duration::from_millis(5), ..quick() };
    let config = RelayConfig { backoff, ..RelayConfig::new("bank", "copy-1") };
    let relay = relay::start(config, fixture.publisher.clone(), doors.clone());
    fixture.open(1).await;
    clock.advance_ms(7_000);
    told.until("eventkit_oldest_unpublished_seconds{relay=\"bank\"}", 7.0).await;
    assert!(told.value("eventkit_publish_failures_total{relay=\"bank\"}").unwrap() >= 1.0);
    assert_eq!(told.value("eventkit_published_total{relay=\"bank\"}"), None);
    doors.open_all();
    told.until("eventkit_published_total{relay=\"bank\"}", 1.0).await;
    told.until("eventkit_oldest_unpublished_seconds{relay=\"bank\"}", 0.0).await;
    assert_eq!(told.value("eventkit_publish_delay_seconds_sum{relay=\"bank\"}"), Some(7.0));
    relay.stop(DRAIN).await;
}

#[tokio::test]
async fn what_the_broker_refuses_and_what_waits_behind_it_is_told_as_held() {
    let (recorder, told) = recorder();
    let _recording = ::metrics::set_default_local_recorder(&recorder);
    let fixture = Fixture::new().await;
    for owner in ["refused", "next of the same key"] {
        send(&fixture, 1, owner).await;
    }
    let doors = Doors::shut(Refusal::ForGood);
    let config = RelayConfig { held_retry_interval: Duration::from_millis(5), ..RelayConfig::new("bank", "copy-1") };
    let relay = relay::start(config, fixture.publisher.clone(), doors.clone());
    told.until("eventkit_held_events{relay=\"bank\"}", 2.0).await;
    doors.open_all();
    told.until("eventkit_held_events{relay=\"bank\"}", 0.0).await;
    assert_eq!(doors.inner.records(ACCOUNTS).len(), 2);
    relay.stop(DRAIN).await;
}

/// Does what the owner's name asks for.
struct AsAsked;

impl Handle<AccountOpened> for AsAsked {
    async fn handle(&self, received: &Received<AccountOpened>, work: &mut UnitOfWork) -> HandlerResult {
        match received.event.owner.as_str() {
            "broken" => return Err(HandlerError::permanent("broken")),
            "flaky" => return Err(HandlerError::transient("flaky")),
            "waits for its row" => {
                let sql = "select effects from accounts where account_id = $1";
                let id = received.event.account_id;
                if work.query_opt(sql, &params![id]).await?.is_none() {
                    return Err(HandlerError::transient("the row is not there yet"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn quick() -> RetryPolicy {
    RetryPolicy {
        attempts_max: 3,
        initial: Duration::from_millis(1),
        max: Duration::from_millis(5),
        ..Default::default()
    }
}

fn consumer() -> Consumer {
    let often = Duration::from_millis(5);
    Consumer::new("group").on::<AccountOpened>(AsAsked).retry(quick()).lag_interval(often).dead_letters()
}

async fn send(fixture: &Fixture, account_id: i64, owner: &str) {
    let mut work = fixture.publisher.begin(Origin::default());
    work.publish(&AccountOpened { owner: owner.to_owned(), ..opened(account_id) }).await.unwrap();
    work.commit().await.unwrap();
}

async fn publish_all(fixture: &Fixture) {
    fixture.start_relay().stop(DRAIN).await;
}

#[tokio::test]
async fn attempts_their_time_failures_by_kind_and_dead_letters_are_told() {
    let (recorder, told) = recorder();
    let _recording = ::metrics::set_default_local_recorder(&recorder);
    let fixture = Fixture::new().await;
    for (account_id, owner) in [(1, "fine"), (2, "broken"), (3, "flaky")] {
        send(&fixture, account_id, owner).await;
    }
    publish_all(&fixture).await;
    let again = fixture.transport.records(ACCOUNTS);
    let again = again.into_iter().map(|consumed| consumed.record);
    let again: Vec<Record> = again.filter(|record| record.key.as_deref() == Some(b"account-1")).collect();
    fixture.transport.publish(again).await.unwrap();
    let running = consumer().start(fixture.publisher.clone(), fixture.transport.clone());
    for (event_type, outcome, events) in
        [("account.opened", "handled", 1.0), ("account.opened", "duplicate", 1.0), ("any", "dead_letter", 2.0)]
    {
        let labels = format!("group=\"group\",event_type=\"{event_type}\",outcome=\"{outcome}\"");
        told.until(&format!("eventkit_consumed_total{{{labels}}}"), events).await;
    }
    let of_type = "group=\"group\",event_type=\"account.opened\"";
    for (kind, attempts) in [("permanent", 1.0), ("transient", 3.0)] {
        let failures = format!("eventkit_handler_failures_total{{{of_type},kind=\"{kind}\"}}");
        assert_eq!(told.value(&failures), Some(attempts), "{kind}");
    }
    // The two that went well, and every attempt of the others.
    assert_eq!(told.value(&format!("eventkit_handler_seconds_count{{{of_type}}}")), Some(6.0));
    assert!(told.value(&format!("eventkit_handler_seconds_sum{{{of_type}}}")).unwrap() > 0.0);
    running.stop().await;
}

fn lag_of(partition: i32) -> String {
    format!("eventkit_consumer_lag_records{{group=\"group\",topic=\"accounts\",partition=\"{partition}\"}}")
}

const STALLED: &str = "eventkit_stalled_partitions{group=\"group\"}";
const UNCOMMITTED: &str = "eventkit_uncommitted_records{group=\"group\"}";

#[tokio::test]
async fn lag_and_a_stalled_partition_are_told_until_the_cause_is_gone() {
    let (recorder, told) = recorder();
    let _recording = ::metrics::set_default_local_recorder(&recorder);
    let fixture = Fixture::new().await;
    let patient = RetryPolicy { attempts_max: u32::MAX, ..quick() };
    let running =
        consumer().retry(patient).uncommitted_window_max(4).start(fixture.publisher.clone(), fixture.transport.clone());
    send(&fixture, 1, "waits for its row").await;
    for _ in 0..10 {
        send(&fixture, 1, "fine").await;
    }
    publish_all(&fixture).await;
    let partition = fixture.transport.records(ACCOUNTS)[0].partition;
    told.until(&lag_of(partition), 11.0).await;
    told.until(STALLED, 1.0).await;
    assert!(told.value(UNCOMMITTED).unwrap() >= 4.0, "what was taken before the partition paused");
    for other in (0..PARTITIONS).filter(|other| *other != partition) {
        assert_eq!(told.value(&lag_of(other)), Some(0.0), "nothing waits in partition {other}");
    }
    let sql = "insert into accounts (account_id, effects) values (1, 0)";
    fixture.db.unit(async |tx| tx.execute(sql, &[]).await.map(drop)).await.unwrap();
    told.until(STALLED, 0.0).await;
    told.until(&lag_of(partition), 0.0).await;
    told.until(UNCOMMITTED, 0.0).await;
    running.stop().await;
}

#[tokio::test]
async fn lag_in_a_partition_that_went_to_another_member_is_told_no_more() {
    let (recorder, told) = recorder();
    let _recording = ::metrics::set_default_local_recorder(&recorder);
    let fixture = Fixture::new().await;
    // Of two members, the second one gets the partition in the middle.
    let is_in_the_middle = |id: &i64| partition_of(format!("account-{id}").as_bytes(), PARTITIONS) == 1;
    let account_id = (1..).find(is_in_the_middle).unwrap();
    send(&fixture, account_id, "flaky").await;
    publish_all(&fixture).await;
    let rests = RetryPolicy { initial: NEVER, max: NEVER, ..quick() };
    let running =
        consumer().retry(rests).uncommitted_window_max(1).start(fixture.publisher.clone(), fixture.transport.clone());
    told.until(&lag_of(1), 1.0).await;
    told.until(STALLED, 1.0).await;
    let interest = Interest {
        group: "group".to_owned(),
        topics: vec![ACCOUNTS.to_owned()],
        instance: None,
        drain_max: Duration::ZERO,
        start: GroupStart::Earliest,
    };
    let second = fixture.transport.subscribe(interest).await.unwrap();
    told.until(&lag_of(1), 0.0).await;
    told.until(STALLED, 0.0).await;
    running.stop().await;
    second.close().await;
}
