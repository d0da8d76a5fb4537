//! A topic that takes nothing holds up its own events, visibly, and nothing else; what the others take is not sent again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use db::{Db, params};
use eventkit::relay::{self, RelayConfig, RelayHandle, held};
use eventkit::testing::eventually;
use eventkit::transport::{Interest, Record, Subscription, Transport};
use eventkit::{Envelope, Error, Result, RetryPolicy};
use serde_json::json;

use crate::doors::{Doors, Refusal};
use crate::fixture::Fixture;

const OPEN: &str = "open";
const CLOSED: &str = "closed";
const ALSO_CLOSED: &str = "also-closed";

/// The numbers of the events on a topic, as often as they are there.
fn numbers(doors: &Doors, topic: &str) -> Vec<i64> {
    doors.data(topic).iter().map(|data| data["number"].as_i64().unwrap()).collect()
}

fn start<T: Transport>(fixture: &Fixture, transport: &Arc<T>) -> RelayHandle {
    let backoff =
        RetryPolicy { initial: Duration::from_millis(5), max: Duration::from_millis(20), ..RetryPolicy::default() };
    let config = RelayConfig {
        backoff,
        batch_max: 10,
        held_retry_interval: Duration::from_millis(10),
        ..RelayConfig::new("bank", "copy-1")
    };
    relay::start(config, fixture.publisher.clone(), transport.clone())
}

/// Stores one event, of one key a topic, so that its topic has one order.
async fn store(fixture: &Fixture, topic: &str, number: i64) {
    store_with(fixture, topic, "key", number, "small").await;
}

async fn store_with(fixture: &Fixture, topic: &str, key: &str, number: i64, size: &str) {
    let data = json!({"number": number, "size": size});
    let envelope = json!({"eventType": "number.told", "data": data, "service": "bank"});
    let envelope = Envelope::read(envelope.to_string().as_bytes()).unwrap();
    fixture.publisher.publish_event(topic, &format!("{topic}-{key}"), envelope).await.unwrap();
}

async fn until_told(transport: &Doors, topic: &'static str, numbers: &[i64]) {
    eventually(&format!("{topic} has {numbers:?}"), async || {
        (self::numbers(transport, topic) == numbers).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_closed_topic_waits_alone_through_restarts_and_follows_in_order_when_it_is_opened() {
    for fixture in Fixture::all().await {
        let transport = Doors::closed(&[CLOSED, ALSO_CLOSED]);
        for number in 1..=4 {
            store(&fixture, OPEN, number).await;
            store(&fixture, CLOSED, number).await;
            store(&fixture, ALSO_CLOSED, number).await;
        }
        let relay = start(&fixture, &transport);
        let mut condition = relay.condition();
        let told = condition.wait_for(|condition| condition.stopped.len() == 2).await.unwrap().clone();
        assert!(told.stopped.iter().all(|(_, why)| why.contains("not authorized")), "{told:?}");
        let complaint = told.complaint().unwrap();
        assert!(complaint.contains(CLOSED) && complaint.contains(ALSO_CLOSED), "{complaint}");
        assert!(!complaint.contains("not authorized"), "causes are not for everybody: {complaint}");
        eventually("the open topic has all", async || {
            (1..=4).all(|number| numbers(&transport, OPEN).contains(&number)).then_some(())
        })
        .await;
        // The first batch came up to three times, since two topics were found out; from now on nothing is repeated.
        let before = numbers(&transport, OPEN).len();
        relay.abort();
        let relay = start(&fixture, &transport);
        for number in 5..=30 {
            store(&fixture, OPEN, number).await;
            store(&fixture, CLOSED, number).await;
        }
        eventually("later events of the open topic are there", async || {
            numbers(&transport, OPEN).contains(&30).then_some(())
        })
        .await;
        let tried = eventually("the closed one is tried again and again", async || {
            let held = held::list(&fixture.db, "bank").await.unwrap();
            (held.len() == 34 && held[0].attempts > 3).then_some(held)
        })
        .await;
        assert!(tried.iter().all(|event| event.error.as_deref().unwrap().contains("not authorized")));
        assert_eq!(numbers(&transport, OPEN).len(), before + 26, "what was taken is not sent again at each try");
        assert!(numbers(&transport, CLOSED).is_empty());
        transport.open(CLOSED);
        until_told(&transport, CLOSED, &(1..=30).collect::<Vec<_>>()).await;
        store(&fixture, CLOSED, 31).await;
        until_told(&transport, CLOSED, &(1..=31).collect::<Vec<_>>()).await;
        transport.open(ALSO_CLOSED);
        until_told(&transport, ALSO_CLOSED, &[1, 2, 3, 4]).await;
        let mut condition = relay.condition();
        condition.wait_for(|condition| condition.complaint().is_none()).await.unwrap();
        assert!(held::list(&fixture.db, "bank").await.unwrap().is_empty());
        relay.stop(Duration::from_secs(5)).await;
    }
}

/// The next event is further on than is looked through at a time, as after many units that came to nothing.
async fn give_far_positions(fixture: &Fixture) {
    let tell =
        async |sql: &'static str| fixture.db.unit(async |tx| tx.execute(sql, &[]).await.map_err(Error::from)).await;
    // Each database refuses the words of the other.
    let of_postgres = "select setval(pg_get_serial_sequence('event_store', 'position'), 70000)";
    if tell(of_postgres).await.is_err() {
        tell("update sqlite_sequence set seq = 70000 where name = 'event_store'").await.unwrap();
    }
}

#[tokio::test]
async fn a_long_stretch_without_events_of_a_topic_is_passed_in_steps() {
    for fixture in Fixture::all().await {
        let transport = Doors::closed(&[CLOSED]);
        store(&fixture, CLOSED, 1).await;
        store(&fixture, OPEN, 1).await;
        give_far_positions(&fixture).await;
        store(&fixture, CLOSED, 2).await;
        store(&fixture, OPEN, 2).await;
        let relay = start(&fixture, &transport);
        let mut condition = relay.condition();
        condition.wait_for(|condition| condition.stopped.len() == 1).await.unwrap();
        eventually("the open topic has both", async || numbers(&transport, OPEN).contains(&2).then_some(())).await;
        transport.open(CLOSED);
        until_told(&transport, CLOSED, &[1, 2]).await;
        condition.wait_for(|condition| condition.stopped.is_empty()).await.unwrap();
        relay.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn a_topic_that_closes_again_while_it_catches_up_goes_on_where_it_was() {
    for fixture in Fixture::all().await {
        let transport = Doors::closed(&[CLOSED]);
        let relay = start(&fixture, &transport);
        for number in 1..=25 {
            store(&fixture, CLOSED, number).await;
        }
        relay.condition().wait_for(|condition| condition.stopped.len() == 1).await.unwrap();
        transport.open(CLOSED);
        eventually("it catches up", async || (!numbers(&transport, CLOSED).is_empty()).then_some(())).await;
        transport.close(CLOSED);
        for number in 26..=30 {
            store(&fixture, CLOSED, number).await;
        }
        relay.abort();
        let relay = start(&fixture, &transport);
        relay.condition().wait_for(|condition| condition.stopped.len() == 1).await.unwrap();
        transport.open(CLOSED);
        eventually("everything is there, first occurrences in order", async || {
            let mut seen = BTreeSet::new();
            let firsts: Vec<i64> =
                numbers(&transport, CLOSED).into_iter().filter(|number| seen.insert(*number)).collect();
            (firsts == (1..=30).collect::<Vec<_>>()).then_some(())
        })
        .await;
        relay.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn an_event_that_is_refused_itself_holds_its_key_when_its_topic_opens() {
    for fixture in Fixture::all().await {
        let transport = Doors::closed(&[CLOSED]);
        let relay = start(&fixture, &transport);
        store_with(&fixture, CLOSED, "a", 1, "small").await;
        store_with(&fixture, CLOSED, "a", 2, "huge").await;
        store_with(&fixture, CLOSED, "a", 3, "small").await;
        store_with(&fixture, CLOSED, "b", 4, "small").await;
        relay.condition().wait_for(|condition| condition.stopped.len() == 1).await.unwrap();
        eventually("all four wait", async || (held::list(&fixture.db, "bank").await.unwrap().len() == 4).then_some(()))
            .await;
        transport.open(CLOSED);
        let held = eventually("two are held and the other key is published", async || {
            let held = held::list(&fixture.db, "bank").await.unwrap();
            let has_other = numbers(&transport, CLOSED).contains(&4);
            (has_other && held.len() == 2).then_some(held)
        })
        .await;
        assert!(held[0].error.as_deref().unwrap().contains("too large"), "{held:?}");
        let complaint = relay.condition().wait_for(|now| now.held_keys == 1).await.unwrap().complaint().unwrap();
        assert!(complaint.contains("held list"), "{complaint}");
        assert!(!numbers(&transport, CLOSED).contains(&3), "what stands behind it waits");
        assert!(held::skip(&fixture.db, "bank", held[0].position).await.unwrap());
        eventually("the successor follows", async || numbers(&transport, CLOSED).contains(&3).then_some(())).await;
        relay.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn a_topic_that_cannot_be_reached_waits_alone_once_the_others_are_known_to_be_there() {
    for fixture in Fixture::all().await {
        let transport = Doors::closed(&[]);
        transport.lose(CLOSED);
        for number in 1..=4 {
            store(&fixture, OPEN, number).await;
            store(&fixture, CLOSED, number).await;
        }
        let relay = start(&fixture, &transport);
        let mut condition = relay.condition();
        let told = condition.wait_for(|condition| condition.stopped.len() == 1).await.unwrap().complaint().unwrap();
        assert!(told.contains(CLOSED), "{told}");
        eventually("the open topic has all", async || {
            (1..=4).all(|number| numbers(&transport, OPEN).contains(&number)).then_some(())
        })
        .await;
        let before = numbers(&transport, OPEN).len();
        for number in 5..=30 {
            store(&fixture, OPEN, number).await;
            store(&fixture, CLOSED, number).await;
        }
        eventually("later events too", async || numbers(&transport, OPEN).contains(&30).then_some(())).await;
        assert_eq!(numbers(&transport, OPEN).len(), before + 26, "what was taken is not sent again");
        assert!(numbers(&transport, CLOSED).is_empty());
        transport.open(CLOSED);
        until_told(&transport, CLOSED, &(1..=30).collect::<Vec<_>>()).await;
        condition.wait_for(|condition| condition.complaint().is_none()).await.unwrap();
        relay.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn no_topic_is_stopped_while_none_can_be_reached() {
    let fixture = Fixture::new().await;
    let transport = Doors::shut(Refusal::ForNow);
    for topic in [OPEN, CLOSED] {
        store(&fixture, topic, 1).await;
    }
    let relay = start(&fixture, &transport);
    eventually("it is tried many times", async || (transport.calls() > 10).then_some(())).await;
    let told = relay.condition().borrow().clone();
    assert!(told.failing.is_some() && told.stopped.is_empty(), "{told:?}");
    transport.open_all();
    until_told(&transport, OPEN, &[1]).await;
    until_told(&transport, CLOSED, &[1]).await;
    relay.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn nobody_waits_for_what_becomes_of_a_topic_that_is_tried_again() {
    let fixture = Fixture::new().await;
    let transport = Doors::closed(&[CLOSED]);
    store(&fixture, CLOSED, 1).await;
    let relay = start(&fixture, &transport);
    let mut condition = relay.condition();
    condition.wait_for(|condition| condition.stopped.len() == 1).await.unwrap();
    transport.stall(Some(CLOSED));
    let calls = transport.calls();
    eventually("the topic is tried again", async || (transport.calls() > calls).then_some(())).await;
    for number in 1..=3 {
        store(&fixture, OPEN, number).await;
        store(&fixture, CLOSED, number + 1).await;
        eventually("the other goes on", async || numbers(&transport, OPEN).contains(&number).then_some(())).await;
    }
    transport.open(CLOSED);
    transport.stall(None);
    until_told(&transport, CLOSED, &[1, 2, 3, 4]).await;
    condition.wait_for(|condition| condition.complaint().is_none()).await.unwrap();
    relay.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_topic_with_large_events_is_caught_up_with_a_few_at_a_time() {
    const MIB: usize = 1024 * 1024;
    for fixture in Fixture::all().await {
        let transport = Doors::closed(&[CLOSED]);
        let size = "x".repeat(5 * MIB);
        for number in 1..=5 {
            store_with(&fixture, CLOSED, "key", number, &size).await;
        }
        let relay = start(&fixture, &transport);
        let mut condition = relay.condition();
        condition.wait_for(|condition| condition.stopped.len() == 1).await.unwrap();
        eventually("all wait", async || (held::list(&fixture.db, "bank").await.unwrap().len() == 5).then_some(()))
            .await;
        transport.open(CLOSED);
        until_told(&transport, CLOSED, &[1, 2, 3, 4, 5]).await;
        assert!(transport.largest() < 11 * MIB, "{} bytes in one call", transport.largest());
        relay.stop(Duration::from_secs(5)).await;
    }
}

/// Has another copy take over, which notes that the topic is stopped further on, in the moment in which it takes an event.
#[derive(Debug)]
struct Usurped {
    doors: Arc<Doors>,
    db: Db,
}

const NOTED: i64 = 7;

#[async_trait]
impl Transport for Usurped {
    async fn publish(&self, records: Vec<Record>) -> Result<()> {
        if !self.doors.is_closed(CLOSED) {
            let taken_over = self.db.unit(async |tx| {
                tx.execute("update relay_cursors set owner = 'copy-2'", &[]).await?;
                tx.execute("update stopped_topics set position = $1", &params![NOTED]).await?;
                Ok::<(), Error>(())
            });
            taken_over.await.unwrap();
        }
        self.doors.publish(records).await
    }

    async fn subscribe(&self, interest: Interest) -> Result<Box<dyn Subscription>> {
        self.doors.subscribe(interest).await
    }
}

#[tokio::test]
async fn a_copy_that_has_lost_its_lease_leaves_a_stopped_topic_to_the_other() {
    for fixture in Fixture::all().await {
        let doors = Doors::closed(&[CLOSED]);
        store(&fixture, CLOSED, 1).await;
        let relay = start(&fixture, &Arc::new(Usurped { doors: doors.clone(), db: fixture.db.clone() }));
        let mut condition = relay.condition();
        condition.wait_for(|condition| condition.stopped.len() == 1).await.unwrap();
        doors.open(CLOSED);
        condition.wait_for(|condition| condition.stopped.is_empty()).await.unwrap();
        let noted = fixture.db.query_one("select position from stopped_topics", &[]).await.unwrap();
        assert_eq!(noted.get::<i64>("position").unwrap(), NOTED);
        relay.abort();
    }
}
