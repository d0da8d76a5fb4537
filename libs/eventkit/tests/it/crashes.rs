//! A crash at every marked point: whatever was acknowledged is on its topic, in order per key, with its effect once.

use std::collections::HashMap;
use std::time::Duration;

use eventkit::failpoint::{self, Action};
use eventkit::relay::{self, RelayConfig};
use eventkit::testing::checker::{Fact, check};
use eventkit::testing::eventually;
use eventkit::{Clock, Consumer, EventPublisher, Handle, HandlerResult, Origin, Received, UnitOfWork};

use crate::fixture::{ACCOUNTS, AccountOpened, Fixture, opened};

const KEYS: i64 = 3;
const ROUNDS: usize = 4;
const EVENTS: usize = 12;

/// Writes down what it handled.
struct WriteDown;

impl Handle<AccountOpened> for WriteDown {
    async fn handle(&self, received: &Received<AccountOpened>, work: &mut UnitOfWork) -> HandlerResult {
        let sql = "insert into history (account_id, owner) values ($1, $2)";
        work.execute(sql, &db::params![received.event.account_id, received.identity.as_str()]).await?;
        Ok(())
    }
}

/// A service that can be killed and started again.
struct Service<'a> {
    fixture: &'a Fixture,
    /// The service, its relay and its group: the scope of its failpoints.
    name: String,
    share_units: bool,
}

impl Service<'_> {
    /// Stores what is not stored yet and answers what was acknowledged, until it is killed.
    async fn live(&self, rounds: std::ops::Range<usize>, acknowledged: &std::sync::Mutex<Vec<Fact>>) {
        let publisher = EventPublisher::new(self.fixture.db.clone(), &self.name, Clock::system());
        let config = RelayConfig { batch_max: 5, ..RelayConfig::new(&self.name, "copy-1") };
        let relay = relay::start(config, publisher.clone(), self.fixture.transport.clone());
        let consumer = Consumer::new(&self.name).on::<AccountOpened>(WriteDown).batch_max(4);
        let consumer = if self.share_units { consumer.share_units() } else { consumer };
        let consumer = consumer.start(publisher.clone(), self.fixture.transport.clone());
        let _stop = scopeguard(move || {
            relay.abort();
            consumer.abort();
        });
        for round in rounds {
            for account_id in 1..=KEYS {
                let mut work = publisher.begin(Origin::default());
                let event = AccountOpened { owner: round.to_string(), ..opened(account_id) };
                let event_id = work.publish(&event).await.unwrap();
                work.commit().await.unwrap();
                acknowledged.lock().unwrap().push(Fact::new(&format!("account-{account_id}"), &event_id));
            }
        }
        std::future::pending::<()>().await;
    }
}

/// Runs a closure when it is dropped, which is how a killed future ends.
fn scopeguard(end: impl FnOnce()) -> impl Drop {
    struct Guard<F: FnOnce()>(Option<F>);
    impl<F: FnOnce()> Drop for Guard<F> {
        fn drop(&mut self) {
            self.0.take().into_iter().for_each(|end| end());
        }
    }
    Guard(Some(end))
}

async fn effects(fixture: &Fixture) -> Vec<Fact> {
    let sql = "select account_id, owner from history order by position";
    let rows = fixture.db.query(sql, &[]).await.unwrap();
    let fact = |row: &db::Row| {
        let account_id: i64 = row.get("account_id").unwrap();
        Fact::new(&format!("account-{account_id}"), &row.get::<String>("owner").unwrap())
    };
    rows.iter().map(fact).collect()
}

fn topic(fixture: &Fixture) -> Vec<Fact> {
    let records = fixture.transport.records(ACCOUNTS);
    let fact = |record: &eventkit::transport::ConsumedRecord| {
        let key = String::from_utf8(record.record.key.clone().unwrap().to_vec()).unwrap();
        Fact::new(&key, record.record.header("ce_id").unwrap())
    };
    records.iter().map(fact).collect()
}

async fn killed_at(point: &str, nth: u32, share_units: bool) {
    let fixture = Fixture::new().await;
    let service = Service { fixture: &fixture, name: format!("{point}-{nth}-{share_units}"), share_units };
    let acknowledged = std::sync::Mutex::new(Vec::new());
    let armed = failpoint::arm(point, &service.name, nth, Action::Hang);
    let struck = tokio::time::timeout(Duration::from_secs(20), async {
        tokio::select! {
            () = service.live(0..ROUNDS, &acknowledged) => {}
            () = armed.reached() => {}
        }
    });
    struck.await.unwrap_or_else(|_| panic!("{point} was not passed {nth} times"));
    let rounds = ROUNDS..ROUNDS * 2;
    let done = eventually("every event is on the topic and had its effect", async || {
        let topic: HashMap<_, _> = topic(&fixture).into_iter().map(|fact| (fact.event_id.clone(), fact)).collect();
        let stored = usize::try_from(fixture.count("event_store").await).unwrap();
        let all = stored >= EVENTS && topic.len() == stored && effects(&fixture).await.len() >= stored;
        all.then_some(())
    });
    tokio::select! {
        () = service.live(rounds, &acknowledged) => {}
        () = done => {}
    }
    let acknowledged = acknowledged.into_inner().unwrap();
    let verdicts = check(&acknowledged, &topic(&fixture), &effects(&fixture).await);
    assert!(verdicts.is_empty(), "killed at {point} for the {nth}. time: {verdicts:?}");
}

#[tokio::test]
async fn killed_in_the_middle_of_a_unit_and_around_its_commit() {
    for point in [failpoint::AFTER_STATE_WRITE, failpoint::BEFORE_COMMIT, failpoint::AFTER_COMMIT] {
        for nth in [1, 2, 7, 12] {
            killed_at(point, nth, false).await;
        }
    }
}

#[tokio::test]
async fn killed_after_publishing_and_before_that_was_recorded() {
    for nth in 1..=2 {
        killed_at(failpoint::AFTER_PUBLISH, nth, false).await;
    }
}

#[tokio::test]
async fn killed_after_an_effect_and_before_its_offset_was_committed() {
    for nth in [1, 2, 5, 9] {
        killed_at(failpoint::AFTER_EFFECT, nth, false).await;
    }
    killed_at(failpoint::AFTER_EFFECT, 1, true).await;
}
