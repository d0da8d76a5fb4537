//! What a database knows of an event: before and after it was published, handled and by whom.

use eventkit::testing::eventually;
use eventkit::trace::{Asked, Known, State, known};
use eventkit::{Consumer, Handle, HandlerResult, Received, UnitOfWork};

use crate::fixture::{ACCOUNTS, AccountOpened, Fixture};

struct Nothing;

impl Handle<AccountOpened> for Nothing {
    async fn handle(&self, _: &Received<AccountOpened>, _: &mut UnitOfWork) -> HandlerResult {
        Ok(())
    }
}

async fn ask(fixture: &Fixture, event_id: &str) -> Known {
    let groups = ["one".to_owned(), "other".to_owned()];
    let asked = Asked { event_id: event_id.to_owned(), event_type: None };
    known(&fixture.db, "bank", &groups, &asked).await.unwrap()
}

#[tokio::test]
async fn an_event_is_known_from_its_commit_to_its_effect() {
    for fixture in Fixture::all().await {
        let before_ms = fixture.publisher.clock().now_ms();
        let (first, second) = (fixture.open(1).await, fixture.open(2).await);
        let stored = ask(&fixture, &first).await.stored.unwrap();
        assert_eq!((stored.state, stored.published_at_ms), (State::Waiting, None));
        assert_eq!((stored.topic.as_str(), stored.key.as_str(), stored.sequence), (ACCOUNTS, "account-1", 1));
        assert!(stored.recorded_at_ms >= before_ms);
        fixture.start_relay().stop(std::time::Duration::from_secs(5)).await;
        let stored = ask(&fixture, &second).await.stored.unwrap();
        assert_eq!(stored.state, State::Published);
        assert!(stored.published_at_ms.unwrap() >= before_ms / 1_000 * 1_000, "{stored:?}");
        let consumer = Consumer::new("one").on::<AccountOpened>(Nothing);
        let running = consumer.start(fixture.publisher.clone(), fixture.transport.clone());
        let handled = eventually("one group has it", async || {
            let handled = ask(&fixture, &second).await.handled;
            (!handled.is_empty()).then_some(handled)
        })
        .await;
        assert_eq!(handled.iter().map(|by| by.group.as_str()).collect::<Vec<_>>(), ["one"]);
        let nothing = ask(&fixture, "no-such-event").await;
        assert_eq!((nothing.stored, nothing.handled, nothing.parked), (None, vec![], vec![]));
        running.stop().await;
    }
}
