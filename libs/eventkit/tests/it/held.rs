//! An event that the broker refuses for good holds up its own key, visibly, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use eventkit::Origin;
use eventkit::relay::{self, RelayConfig, RelayHandle, held};
use eventkit::testing::eventually;

use crate::doors::{Doors, Refusal};
use crate::fixture::{ACCOUNTS, AccountOpened, Fixture, opened};

fn start(fixture: &Fixture, transport: &Arc<Doors>) -> RelayHandle {
    let config = RelayConfig { held_retry_interval: Duration::from_millis(10), ..RelayConfig::new("bank", "copy-1") };
    relay::start(config, fixture.publisher.clone(), transport.clone())
}

async fn store(fixture: &Fixture, account_id: i64, owners: &[&str]) {
    for owner in owners {
        let mut work = fixture.publisher.begin(Origin::default());
        work.publish(&AccountOpened { owner: (*owner).to_owned(), ..opened(account_id) }).await.unwrap();
        work.commit().await.unwrap();
    }
}

/// The owners on the topic for one account, in order, each once: a relay may publish twice.
fn owners(transport: &Doors, account_id: i64) -> Vec<String> {
    let mut owners: Vec<String> = Vec::new();
    for data in transport.data(ACCOUNTS).iter().filter(|data| data["accountId"] == account_id) {
        let owner = data["owner"].as_str().unwrap().to_owned();
        if !owners.contains(&owner) {
            owners.push(owner);
        }
    }
    owners
}

#[tokio::test]
async fn a_refused_event_holds_its_key_alone_through_restarts_and_goes_out_in_order_at_last() {
    for fixture in Fixture::all().await {
        let transport = Doors::closed(&[]);
        store(&fixture, 1, &["a", "huge", "b"]).await;
        store(&fixture, 2, &["x", "y"]).await;
        let relay = start(&fixture, &transport);
        eventually("the other key is published", async || (owners(&transport, 2) == ["x", "y"]).then_some(())).await;
        relay.abort();
        let relay = start(&fixture, &transport);
        store(&fixture, 1, &["c"]).await;
        store(&fixture, 2, &["z"]).await;
        eventually("later events of the other key too", async || {
            (owners(&transport, 2) == ["x", "y", "z"]).then_some(())
        })
        .await;
        let held = eventually("it is tried again and again", async || {
            let held = held::list(&fixture.db, "bank").await.unwrap();
            (held.len() == 3 && held[0].attempts > 2).then_some(held)
        })
        .await;
        assert_eq!(held.iter().map(|event| event.position).collect::<Vec<_>>(), [2, 3, 6]);
        assert!(held[0].error.as_ref().unwrap().contains("too large"));
        assert_eq!((held[1].attempts, held[1].error.as_ref()), (0, None), "it waits behind the refused one");
        assert_eq!(owners(&transport, 1), ["a"]);
        transport.refuse_huge(None);
        eventually("all of the key follow", async || (owners(&transport, 1) == ["a", "huge", "b", "c"]).then_some(()))
            .await;
        store(&fixture, 1, &["d"]).await;
        eventually("the key is free", async || (owners(&transport, 1).len() == 5).then_some(())).await;
        assert!(held::list(&fixture.db, "bank").await.unwrap().is_empty());
        relay.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn a_held_event_that_is_skipped_is_never_published_and_its_successors_follow() {
    for fixture in Fixture::all().await {
        let transport = Doors::closed(&[]);
        store(&fixture, 1, &["a", "huge", "b"]).await;
        let relay = start(&fixture, &transport);
        let held = eventually("two are held", async || {
            let held = held::list(&fixture.db, "bank").await.unwrap();
            (held.len() == 2).then_some(held)
        })
        .await;
        assert!(!held::skip(&fixture.db, "other", held[0].position).await.unwrap(), "another relay's");
        assert!(held::skip(&fixture.db, "bank", held[0].position).await.unwrap());
        eventually("the successor follows", async || (owners(&transport, 1) == ["a", "b"]).then_some(())).await;
        assert!(!held::skip(&fixture.db, "bank", held[0].position).await.unwrap(), "not held any more");
        relay.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn a_held_event_that_cannot_be_tried_now_keeps_no_other_key_waiting() {
    for fixture in Fixture::all().await {
        let transport = Doors::closed(&[]);
        store(&fixture, 1, &["huge", "b"]).await;
        let relay = start(&fixture, &transport);
        relay.condition().wait_for(|condition| condition.held_keys == 1).await.unwrap();
        transport.refuse_huge(Some(Refusal::ForNow));
        for owner in ["x", "y", "z"] {
            store(&fixture, 2, &[owner]).await;
            eventually("the other key goes on", async || {
                owners(&transport, 2).contains(&owner.to_owned()).then_some(())
            })
            .await;
        }
        transport.refuse_huge(None);
        eventually("the held key follows", async || (owners(&transport, 1) == ["huge", "b"]).then_some(())).await;
        relay.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn a_long_held_key_that_is_caught_up_with_lets_new_events_pass() {
    const HELD: usize = 250;
    let fixture = Fixture::new().await;
    let transport = Doors::closed(&[]);
    let names: Vec<String> = (0..HELD).map(|number| number.to_string()).collect();
    store(&fixture, 1, &["huge"]).await;
    store(&fixture, 1, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let relay = start(&fixture, &transport);
    eventually("all are held", async || {
        (held::list(&fixture.db, "bank").await.unwrap().len() == HELD + 1).then_some(())
    })
    .await;
    relay.abort();
    transport.refuse_huge(None);
    store(&fixture, 2, &["new"]).await;
    let relay = start(&fixture, &transport);
    eventually("all are published", async || (owners(&transport, 1).len() == HELD + 1).then_some(())).await;
    let taken = transport.taken();
    let (last_held, new) =
        (taken.iter().rposition(|key| key == "account-1"), taken.iter().position(|key| key == "account-2"));
    assert!(new.is_some() && new < last_held, "{new:?}, {last_held:?}");
    relay.stop(Duration::from_secs(5)).await;
}
