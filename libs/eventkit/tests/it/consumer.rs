//! Handlers: once each, in order per key, retried, given up with a cause, committed only up to what is finished.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use db::params;
use eventkit::relay::{self, RelayConfig};
use eventkit::testing::eventually;
use eventkit::transport::{Record, Transport};
use eventkit::{
    Consumer, Effect, Handle, HandlerError, HandlerResult, Received, RetryPolicy, UnitOfWork, dead_letter, outbox,
    parking, trace_context,
};
use tokio::sync::Semaphore;

use crate::doors::Doors;
use crate::fixture::{ACCOUNTS, AccountOpened, Fixture, opened};

const LETTERS: &str = "accounts.dlq";

/// Counts the effect in the account's row, and does what the owner's name asks for.
struct CountEffect {
    gate: Arc<Semaphore>,
    attempts: Arc<AtomicUsize>,
}

impl CountEffect {
    fn free() -> Self {
        Self { gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)), attempts: Arc::default() }
    }
}

impl Handle<AccountOpened> for CountEffect {
    async fn handle(&self, received: &Received<AccountOpened>, work: &mut UnitOfWork) -> HandlerResult {
        let attempt = self.attempts.fetch_add(1, Ordering::SeqCst);
        match received.event.owner.as_str() {
            "held" => self.gate.acquire().await.map_err(HandlerError::permanent)?.forget(),
            "broken" => return Err(HandlerError::permanent("broken")),
            "flaky" if attempt < 2 => return Err(HandlerError::transient("flaky")),
            "panic" => panic!("planted panic"),
            _ => {}
        }
        let id = received.event.account_id;
        work.execute("update accounts set effects = effects + 1 where account_id = $1", &params![id]).await?;
        work.publish(&AccountOpened { account_id: id + 1_000, ..received.event.clone() }).await?;
        Ok(())
    }
}

fn quick() -> RetryPolicy {
    RetryPolicy {
        attempts_max: 3,
        initial: Duration::from_millis(1),
        max: Duration::from_millis(5),
        ..RetryPolicy::default()
    }
}

fn consumer(handler: CountEffect) -> Consumer {
    Consumer::new("group").on::<AccountOpened>(handler).retry(quick()).dead_letters()
}

async fn send(fixture: &Fixture, account_id: i64, owner: &str) {
    let mut work = fixture.publisher.begin(eventkit::Origin::default());
    let sql = "insert into accounts (account_id, effects) values ($1, 0) on conflict (account_id) do nothing";
    work.execute(sql, &params![account_id]).await.unwrap();
    work.publish(&AccountOpened { owner: owner.to_owned(), ..opened(account_id) }).await.unwrap();
    work.commit().await.unwrap();
}

async fn publish_all(fixture: &Fixture) {
    fixture.start_relay().stop(Duration::from_secs(5)).await;
}

async fn until_effects(fixture: &Fixture, account_id: i64, effects: i64) {
    eventually(&format!("account {account_id} has {effects} effects"), async || {
        (fixture.effects(account_id).await == effects).then_some(())
    })
    .await;
}

#[tokio::test]
async fn redelivered_event_is_applied_once() {
    let fixture = Fixture::new().await;
    fixture.open(1).await;
    publish_all(&fixture).await;
    let again = fixture.transport.records(ACCOUNTS)[0].record.clone();
    fixture.transport.publish(vec![again.clone(), again]).await.unwrap();
    fixture.open(2).await;
    publish_all(&fixture).await;
    let running = consumer(CountEffect::free()).start(fixture.publisher.clone(), fixture.transport.clone());
    until_effects(&fixture, 2, 1).await;
    running.stop().await;
    assert_eq!(fixture.effects(1).await, 1);
    assert_eq!(fixture.count("inbox").await, 2);
}

#[tokio::test]
async fn an_event_published_by_a_handler_has_an_id_that_follows_from_its_cause() {
    let fixture = Fixture::new().await;
    let cause = fixture.open(1).await;
    publish_all(&fixture).await;
    let running = consumer(CountEffect::free()).start(fixture.publisher.clone(), fixture.transport.clone());
    until_effects(&fixture, 1, 1).await;
    running.stop().await;
    let events = outbox::read_after(&fixture.db, 1, i64::MAX, 10).await.unwrap();
    assert_eq!(events.len(), 1);
    let expected = eventkit::envelope::derived_id(&cause, "group", "account.opened", 0).to_string();
    assert_eq!(events[0].event_id, expected);
    assert!(events[0].envelope.contains(&format!("\"causationId\":\"{cause}\"")), "{}", events[0].envelope);
    let of_cause = outbox::read_after(&fixture.db, 0, i64::MAX, 1).await.unwrap().remove(0).traceparent;
    assert!(of_cause.is_some());
    assert_eq!(events[0].traceparent, of_cause, "the trace goes on");
}

#[tokio::test]
async fn what_follows_from_causes_without_a_trace_of_their_own_has_the_trace_of_their_first_cause() {
    let fixture = Fixture::new().await;
    for account_id in 1..=3 {
        fixture.open(account_id).await;
    }
    let foreign = |account_id: i64, correlation: &str, headers| {
        Record {
        topic: ACCOUNTS.to_owned(),
        key: Some(format!("account-{account_id}").into()),
        value: Some(
            format!(
                r#"{{"eventType":"account.opened","data":{{"accountId":{account_id},"owner":"x"}},"correlationId":"{correlation}"}}"#
            )
            .into(),
        ),
        headers,
        timestamp_ms: None,
    }
    };
    let wrong = vec![("traceparent".into(), Bytes::from_static(b"no trace"))];
    let records = vec![foreign(1, "a", Vec::new()), foreign(2, "a", wrong), foreign(3, "b", Vec::new())];
    fixture.transport.publish(records).await.unwrap();
    let running = consumer(CountEffect::free()).start(fixture.publisher.clone(), fixture.transport.clone());
    for account_id in 1..=3 {
        until_effects(&fixture, account_id, 1).await;
    }
    running.stop().await;
    let events = outbox::read_after(&fixture.db, 0, i64::MAX, 10).await.unwrap();
    let trace = |account_id: i64| {
        let event = events.iter().find(|event| event.key == format!("account-{}", account_id + 1_000)).unwrap();
        let traceparent = event.traceparent.clone().unwrap();
        assert_eq!(trace_context::read(&traceparent).as_ref(), Some(&traceparent));
        traceparent
    };
    assert_eq!(trace(1), trace(2));
    assert_ne!(trace(1), trace(3));
}

#[tokio::test]
async fn a_transient_failure_is_tried_again_and_leaves_nothing_behind() {
    let fixture = Fixture::new().await;
    send(&fixture, 1, "flaky").await;
    publish_all(&fixture).await;
    let running = consumer(CountEffect::free()).start(fixture.publisher.clone(), fixture.transport.clone());
    until_effects(&fixture, 1, 1).await;
    running.stop().await;
    assert!(fixture.transport.records(LETTERS).is_empty());
}

#[tokio::test]
async fn what_cannot_be_handled_becomes_a_dead_letter_with_its_cause_and_others_go_on() {
    let fixture = Fixture::new().await;
    send(&fixture, 1, "broken").await;
    send(&fixture, 2, "panic").await;
    send(&fixture, 3, "fine").await;
    publish_all(&fixture).await;
    let garbage = Record {
        topic: ACCOUNTS.to_owned(),
        key: Some(Bytes::from_static(b"account-4")),
        value: Some(Bytes::from_static(b"{not json")),
        headers: vec![("x".into(), Bytes::from_static(b"kept"))],
        timestamp_ms: Some(1),
    };
    fixture.transport.publish(vec![garbage]).await.unwrap();
    let running = consumer(CountEffect::free()).start(fixture.publisher.clone(), fixture.transport.clone());
    let letters = eventually("three dead letters", async || {
        let letters = fixture.transport.records(LETTERS);
        (letters.len() == 3).then_some(letters)
    })
    .await;
    until_effects(&fixture, 3, 1).await;
    running.stop().await;
    let of_key = |key: &'static [u8]| {
        letters.iter().map(|letter| &letter.record).find(|record| record.key.as_deref() == Some(key)).unwrap()
    };
    let broken = of_key(b"account-1");
    assert_eq!(broken.header("dlq-topic"), Some(ACCOUNTS));
    assert_eq!(broken.header("dlq-group"), Some("group"));
    assert_eq!(broken.header("dlq-error-kind"), Some("permanent"));
    assert_eq!(broken.header("dlq-attempts"), Some("1"));
    assert!(broken.header("ce_id").is_some() && broken.header("dlq-failed-at").is_some());
    assert_eq!(of_key(b"account-2").header("dlq-attempts"), Some("3"));
    assert_eq!(of_key(b"account-2").header("dlq-error-kind"), Some("panic"));
    let garbage = of_key(b"account-4");
    assert_eq!((garbage.value.as_deref(), garbage.header("x")), (Some(b"{not json".as_slice()), Some("kept")));
    assert_eq!(garbage.header("dlq-error-kind"), Some("undecodable"));
}

#[tokio::test]
async fn a_record_that_is_too_large_for_a_dead_letter_becomes_one_without_its_value_and_its_key_goes_on() {
    const LIMIT: usize = 10_000;
    for parks in [false, true] {
        let fixture = Fixture::new().await;
        let doors = Doors::narrow(LIMIT);
        send(&fixture, 1, "fine").await;
        send(&fixture, 2, "fine").await;
        let by_value = Record {
            topic: ACCOUNTS.to_owned(),
            key: Some(Bytes::from_static(b"account-1")),
            value: Some(vec![b'x'; LIMIT - 20].into()),
            headers: Vec::new(),
            timestamp_ms: Some(1),
        };
        let by_headers = Record {
            key: Some(Bytes::from_static(b"account-2")),
            value: Some(Bytes::from_static(b"{not json")),
            headers: vec![("x".into(), vec![b'x'; LIMIT - 50].into())],
            ..by_value.clone()
        };
        doors.publish(vec![by_value, by_headers]).await.unwrap();
        relay::start(RelayConfig::new("bank", "copy-1"), fixture.publisher.clone(), doors.clone())
            .stop(Duration::from_secs(5))
            .await;
        let consumer = consumer(CountEffect::free());
        let consumer = if parks { consumer.park_keys() } else { consumer };
        let running = consumer.start(fixture.publisher.clone(), doors.clone());
        let letters = eventually("two dead letters", async || {
            let letters = doors.inner.records(LETTERS);
            (letters.len() == 2).then_some(letters)
        })
        .await;
        if parks {
            eventually("both successors are parked", async || {
                (fixture.count("parked_events").await == 2).then_some(())
            })
            .await;
        }
        for account_id in [1, 2] {
            let key = format!("account-{account_id}");
            if parks {
                assert!(parking::release(&fixture.db, "group", ACCOUNTS, key.as_bytes()).await.unwrap());
                let nudge = parking::nudge(&fixture.db, "group", ACCOUNTS, key.as_bytes()).await.unwrap();
                doors.publish(vec![nudge.unwrap()]).await.unwrap();
            }
            until_effects(&fixture, account_id, 1).await;
            let letter = letters.iter().find(|letter| letter.record.key.as_deref() == Some(key.as_bytes())).unwrap();
            let letter = &letter.record;
            assert_eq!(letter.value, None);
            let failed = doors.inner.records(ACCOUNTS);
            let failed = failed.iter().find(|record| record.record.key.as_deref() == Some(key.as_bytes())).unwrap();
            assert_eq!(letter.header("dlq-topic"), Some(ACCOUNTS));
            assert_eq!(letter.header("dlq-partition"), Some(failed.partition.to_string().as_str()));
            assert_eq!(letter.header("dlq-offset"), Some(failed.offset.to_string().as_str()));
            assert_eq!(letter.header("dlq-error-kind"), Some("undecodable"));
            let bytes = failed.record.value.as_ref().unwrap().len().to_string();
            assert_eq!(letter.header(dead_letter::LEFT_OUT), Some(bytes.as_str()));
            assert_eq!(letter.header("x"), None);
            assert_eq!(dead_letter::redriven(letter), None, "there is nothing to send back");
        }
        running.stop().await;
    }
}

#[tokio::test]
async fn a_held_key_holds_neither_other_keys_nor_lets_its_own_overtake_and_is_not_committed_past() {
    let fixture = Fixture::new().await;
    send(&fixture, 1, "held").await;
    send(&fixture, 1, "next of the same key").await;
    for account_id in 2..=9 {
        send(&fixture, account_id, "fine").await;
    }
    publish_all(&fixture).await;
    let gate = Arc::new(Semaphore::new(0));
    let handler = CountEffect { gate: gate.clone(), attempts: Arc::default() };
    let running = consumer(handler).start(fixture.publisher.clone(), fixture.transport.clone());
    for account_id in 2..=9 {
        until_effects(&fixture, account_id, 1).await;
    }
    assert_eq!(fixture.effects(1).await, 0, "the second of the key overtook the first");
    let held = fixture.transport.records(ACCOUNTS);
    let held = held.iter().find(|record| record.record.key.as_deref() == Some(b"account-1")).unwrap();
    let committed = fixture.transport.committed("group", &held.topic_partition()).unwrap_or(0);
    assert!(committed <= held.offset, "committed {committed} past the held record at {}", held.offset);
    gate.add_permits(1);
    until_effects(&fixture, 1, 2).await;
    running.stop().await;
    let committed = fixture.transport.committed("group", &held.topic_partition()).unwrap();
    assert!(committed > held.offset, "a stop commits what is finished");
}

#[tokio::test]
async fn a_partition_pauses_when_too_many_records_follow_an_unfinished_one() {
    let fixture = Fixture::new().await;
    send(&fixture, 1, "held").await;
    publish_all(&fixture).await;
    let place = fixture.transport.records(ACCOUNTS)[0].topic_partition();
    let gate = Arc::new(Semaphore::new(0));
    let handler = CountEffect { gate: gate.clone(), attempts: Arc::default() };
    let running =
        consumer(handler).uncommitted_window_max(4).start(fixture.publisher.clone(), fixture.transport.clone());
    for _ in 0..10 {
        send(&fixture, 1, "waits").await;
    }
    publish_all(&fixture).await;
    eventually("the partition is paused", async || (running.stalled() == [place.to_string()]).then_some(())).await;
    gate.add_permits(1);
    until_effects(&fixture, 1, 11).await;
    eventually("the partition goes on", async || running.stalled().is_empty().then_some(())).await;
    running.stop().await;
}

#[tokio::test]
async fn a_handler_past_its_deadline_is_given_up() {
    let fixture = Fixture::new().await;
    send(&fixture, 1, "held").await;
    publish_all(&fixture).await;
    let handler = CountEffect { gate: Arc::new(Semaphore::new(0)), attempts: Arc::default() };
    let running = consumer(handler)
        .handler_timeout(Duration::from_millis(20))
        .start(fixture.publisher.clone(), fixture.transport.clone());
    let letter = eventually("a dead letter", async || fixture.transport.records(LETTERS).pop()).await;
    running.stop().await;
    assert_eq!(letter.record.header("dlq-error-kind"), Some("timeout"));
}

#[tokio::test]
async fn a_restarted_consumer_goes_on_without_doing_anything_twice() {
    let fixture = Fixture::new().await;
    for account_id in 1..=20 {
        fixture.open(account_id).await;
    }
    publish_all(&fixture).await;
    for _ in 0..3 {
        let running = consumer(CountEffect::free()).start(fixture.publisher.clone(), fixture.transport.clone());
        until_effects(&fixture, 20, 1).await;
        running.stop().await;
    }
    for account_id in 1..=20 {
        until_effects(&fixture, account_id, 1).await;
    }
}

/// Counts what it does outside the database; fails the first time, after having done it.
struct Outside(Arc<AtomicUsize>);

impl Effect<AccountOpened> for Outside {
    async fn perform(&self, _received: &Received<AccountOpened>) -> HandlerResult {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 => Err(HandlerError::transient("the answer was lost")),
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn an_effect_outside_is_repeated_until_it_is_recorded_and_not_after() {
    let fixture = Fixture::new().await;
    fixture.open(1).await;
    publish_all(&fixture).await;
    let again = fixture.transport.records(ACCOUNTS)[0].record.clone();
    let done = Arc::new(AtomicUsize::new(0));
    let start = || {
        Consumer::new("outside")
            .effect::<AccountOpened>(Outside(done.clone()))
            .retry(quick())
            .start(fixture.publisher.clone(), fixture.transport.clone())
    };
    let running = start();
    eventually("the effect is recorded", async || (fixture.count("inbox").await == 1).then_some(())).await;
    fixture.transport.publish(vec![again]).await.unwrap();
    running.stop().await;
    let running = start();
    let place = fixture.transport.records(ACCOUNTS)[0].topic_partition();
    eventually("the redelivery is committed", async || {
        (fixture.transport.committed("outside", &place) == Some(2)).then_some(())
    })
    .await;
    running.stop().await;
    assert_eq!(done.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_consumer_whose_handle_is_dropped_goes_on_in_its_group() {
    let fixture = Fixture::new().await;
    let doors = Doors::closed(&[]);
    drop(consumer(CountEffect::free()).start(fixture.publisher.clone(), doors.clone()));
    let relay = relay::start(RelayConfig::new("bank", "copy-1"), fixture.publisher.clone(), doors.clone());
    for account_id in 1..=10 {
        fixture.open(account_id).await;
        until_effects(&fixture, account_id, 1).await;
    }
    assert_eq!(doors.subscriptions(), 1);
    relay.abort();
}
