//! An event is stored if and only if its change is committed, with its place in its entity's order.

use db::params;
use eventkit::replay::{self, Selection};
use eventkit::{Envelope, Origin, outbox};
use serde_json::json;

use crate::fixture::{ACCOUNTS, AccountOpened, Fixture, opened};

#[tokio::test]
async fn state_and_event_are_committed_together() {
    let fixture = Fixture::new().await;
    let event_id = fixture.open(1).await;
    assert_eq!(fixture.count("accounts").await, 1);
    let events = outbox::read_after(&fixture.db, 0, i64::MAX, 10).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].event_id.as_str(), events[0].sequence), (event_id.as_str(), 1));
}

#[tokio::test]
async fn a_dropped_unit_leaves_neither_state_nor_event() {
    let fixture = Fixture::new().await;
    let mut work = fixture.publisher.begin(Origin::default());
    work.execute("insert into accounts (account_id, effects) values ($1, 0)", &params![1_i64]).await.unwrap();
    work.publish(&opened(1)).await.unwrap();
    drop(work);
    assert_eq!(fixture.count("accounts").await, 0);
    assert_eq!(fixture.count("event_store").await, 0);
    assert_eq!(fixture.count("event_streams").await, 0);
}

#[tokio::test]
async fn sequences_count_each_entity_without_holes() {
    let fixture = Fixture::new().await;
    let mut lost = fixture.publisher.begin(Origin::default());
    lost.publish(&opened(1)).await.unwrap();
    lost.rollback().await;
    for account_id in [1, 2, 1, 1] {
        let mut work = fixture.publisher.begin(Origin::default());
        work.publish(&opened(account_id)).await.unwrap();
        work.commit().await.unwrap();
    }
    let events = outbox::read_after(&fixture.db, 0, i64::MAX, 10).await.unwrap();
    let places: Vec<_> = events.iter().map(|event| (event.key.as_str(), event.sequence)).collect();
    assert_eq!(places, [("account-1", 1), ("account-2", 1), ("account-1", 2), ("account-1", 3)]);
}

#[tokio::test]
async fn the_record_has_the_seed_s_envelope_and_cloud_events_headers() {
    let fixture = Fixture::new().await;
    let origin = Origin {
        correlation_id: Some("request-1".to_owned()),
        causation_id: Some("request-1".to_owned()),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
    };
    let mut work = fixture.publisher.begin(origin);
    let event_id = work.publish(&opened(7)).await.unwrap();
    work.commit().await.unwrap();
    let stored = outbox::read_after(&fixture.db, 0, i64::MAX, 10).await.unwrap().remove(0);
    let record = stored.into_record();
    assert_eq!((record.topic.as_str(), record.key.as_deref()), (ACCOUNTS, Some(b"account-7".as_slice())));
    let mut value: serde_json::Value = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
    let time = value["timestamp"].take();
    assert_eq!(
        value,
        json!({
            "eventId": event_id, "eventType": "account.opened", "schemaVersion": 1,
            "data": {"accountId": 7, "owner": "owner 7"}, "timestamp": null, "service": "bank",
            "correlationId": "request-1", "causationId": "request-1",
        })
    );
    let header = |name: &str| record.header(name).unwrap().to_owned();
    assert_eq!(header("ce_specversion"), "1.0");
    assert_eq!(header("ce_id"), event_id);
    assert_eq!(header("ce_source"), "/bank");
    assert_eq!(header("ce_type"), "account.opened");
    assert_eq!(json!(header("ce_time")), time);
    assert_eq!(header("ce_subject"), "account-7");
    assert_eq!(header("content-type"), "application/json");
    assert!(header("traceparent").starts_with("00-0af7651916cd43dd"));
}

#[tokio::test]
async fn an_envelope_made_by_hand_is_completed_and_kept() {
    let fixture = Fixture::new().await;
    let value = br#"{"eventType":"notification.email","recipientId":42,"data":{"subject":"Hi"},"service":"nest"}"#;
    let envelope = Envelope::read(value).unwrap();
    let id = fixture.publisher.publish_event("notification-events", "notification-42", envelope).await.unwrap();
    let stored = outbox::read_after(&fixture.db, 0, i64::MAX, 10).await.unwrap().remove(0);
    let envelope = Envelope::read(stored.envelope.as_bytes()).unwrap();
    assert_eq!(envelope.event_id.as_deref(), Some(id.as_str()));
    assert_eq!(envelope.correlation_id.as_deref(), Some(id.as_str()));
    assert_eq!((envelope.service.as_str(), envelope.recipient_id), ("nest", Some(42)));
    assert!(envelope.timestamp.is_some());
}

#[tokio::test]
async fn large_events_are_read_a_few_at_a_time() {
    const MIB: usize = 1024 * 1024;
    for fixture in Fixture::all().await {
        for bytes in [1, 9 * MIB, 5 * MIB, 5 * MIB, 1] {
            let mut work = fixture.publisher.begin(Origin::default());
            work.publish(&AccountOpened { owner: "x".repeat(bytes), ..opened(1) }).await.unwrap();
            work.commit().await.unwrap();
        }
        for is_replay in [false, true] {
            let mut pages = Vec::new();
            let mut position = 0;
            loop {
                let selection = Selection { after_position: position, ..Selection::default() };
                let page = match is_replay {
                    true => replay::read(&fixture.db, &selection, 5, 10).await.unwrap(),
                    false => outbox::read_after(&fixture.db, position, i64::MAX, 10).await.unwrap(),
                };
                let Some(last) = page.last() else { break };
                position = last.position;
                pages.push(page.len());
            }
            assert_eq!(pages, [2, 2, 1]);
        }
        let limited = outbox::read_after(&fixture.db, 2, i64::MAX, 1).await.unwrap();
        assert_eq!(limited.iter().map(|event| event.position).collect::<Vec<_>>(), [3]);
    }
}
