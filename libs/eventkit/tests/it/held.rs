//! An event that the broker refuses for good holds up its own key, visibly, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use eventkit::relay::held;
use eventkit::relay::{self, RelayConfig, RelayHandle};
use eventkit::testing::eventually;
use eventkit::transport::memory::MemoryTransport;
use eventkit::transport::{Interest, Record, Subscription, Transport};
use eventkit::{Error, Origin, Result};

use crate::fixture::{ACCOUNTS, AccountOpened, Fixture, opened};

/// Refuses for good what is "huge" while it is strict; what stands before that in a call is taken.
#[derive(Debug)]
struct Strict {
    inner: MemoryTransport,
    strict: AtomicBool,
}

#[async_trait]
impl Transport for Strict {
    async fn publish(&self, records: Vec<Record>) -> Result<()> {
        for record in records {
            let huge = record.value.as_ref().is_some_and(|value| value.windows(4).any(|part| part == b"huge"));
            if huge && self.strict.load(Ordering::SeqCst) {
                let operation = "publish".to_owned();
                return Err(Error::Transport { operation, transient: false, source: "too large".into() });
            }
            self.inner.publish(vec![record]).await?;
        }
        Ok(())
    }

    async fn subscribe(&self, interest: Interest) -> Result<Box<dyn Subscription>> {
        self.inner.subscribe(interest).await
    }
}

fn start(fixture: &Fixture, transport: &Arc<Strict>) -> RelayHandle {
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
fn owners(transport: &Strict, account_id: i64) -> Vec<String> {
    let key = format!("account-{account_id}");
    let mut owners: Vec<String> = Vec::new();
    for consumed in transport.inner.records(ACCOUNTS) {
        if consumed.record.key.as_deref() == Some(key.as_bytes()) {
            let value: serde_json::Value = serde_json::from_slice(&consumed.record.value.unwrap()).unwrap();
            let owner = value["data"]["owner"].as_str().unwrap().to_owned();
            if !owners.contains(&owner) {
                owners.push(owner);
            }
        }
    }
    owners
}

#[tokio::test]
async fn a_refused_event_holds_its_key_alone_through_restarts_and_goes_out_in_order_at_last() {
    for fixture in Fixture::all().await {
        let transport = Arc::new(Strict { inner: MemoryTransport::new(), strict: AtomicBool::new(true) });
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
        transport.strict.store(false, Ordering::SeqCst);
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
        let transport = Arc::new(Strict { inner: MemoryTransport::new(), strict: AtomicBool::new(true) });
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
