//! Stored events come again: previewed, selected, for one group alone; projections are rebuilt beside the running ones.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use db::params;
use eventkit::event::decode;
use eventkit::outbox::StoredEvent;
use eventkit::projection::{self, Projecting, Projection};
use eventkit::replay::{self, Preview, Selection, Target};
use eventkit::testing::eventually;
use eventkit::{Consumer, Envelope, Handle, HandlerError, HandlerResult, Origin, Received, UnitOfWork};

use crate::fixture::{ACCOUNTS, AccountOpened, Fixture, opened};

const DRAIN: Duration = Duration::from_secs(5);

/// Counts the events of each account.
struct Count;

impl Handle<AccountOpened> for Count {
    async fn handle(&self, received: &Received<AccountOpened>, work: &mut UnitOfWork) -> HandlerResult {
        let sql = "update accounts set effects = effects + 1 where account_id = $1";
        work.execute(sql, &params![received.event.account_id]).await?;
        Ok(())
    }
}

async fn until_consumed(fixture: &Fixture) {
    eventually("every group is through", async || fixture.transport.is_consumed().then_some(())).await;
}

#[tokio::test]
async fn a_replay_is_previewed_selected_and_reaches_the_group_that_it_is_for() {
    for fixture in Fixture::all().await {
        for account_id in 1..=5 {
            fixture.open(account_id).await;
        }
        fixture.start_relay().stop(DRAIN).await;
        let start = |group: &str| {
            let consumer = Consumer::new(group).on::<AccountOpened>(Count);
            consumer.start(fixture.publisher.clone(), fixture.transport.clone())
        };
        let running = [start("one"), start("other")];
        until_consumed(&fixture).await;
        let selection =
            Selection { after_position: 1, event_type: Some("account.opened".to_owned()), ..Selection::default() };
        let preview = replay::preview(&fixture.db, &selection).await.unwrap();
        let expected = Preview {
            by_type: vec![("account.opened".to_owned(), 4)],
            first_position: Some(2),
            last_position: Some(5),
        };
        assert_eq!(preview, expected);
        let bounded = Selection { to_position: Some(3), ..selection.clone() };
        assert_eq!(replay::preview(&fixture.db, &bounded).await.unwrap().by_type[0].1, 2, "from 2 to 3, both included");
        let target = Target { group: Some("one".to_owned()), ..Target::default() };
        let again = async |selection: &Selection| {
            let mut heard = 0;
            let hear = |replayed: replay::Replayed| heard = replayed.events;
            let transport = &*fixture.transport;
            let replayed = replay::replay(&fixture.publisher, transport, selection, &target, Some(1_000), hear).await;
            assert_eq!(replayed.unwrap().events, heard);
            until_consumed(&fixture).await;
            heard
        };
        assert_eq!(again(&selection).await, 4);
        assert_eq!(fixture.effects(2).await, 2, "once by each group: both knew the event");
        assert_eq!(replay::forget(&fixture.db, "one", "account.opened").await.unwrap(), 5);
        let third = Selection { key: Some("account-3".to_owned()), ..selection };
        assert_eq!(again(&third).await, 1);
        assert_eq!((fixture.effects(2).await, fixture.effects(3).await), (2, 3), "one group, one entity, once more");
        let (from_ms, never) = (Some(i64::MAX), Selection::default());
        assert_eq!(again(&Selection { from_ms, ..never }).await, 0);
        for running in running {
            running.stop().await;
        }
    }
}

#[tokio::test]
async fn a_replay_may_go_to_another_topic_at_a_rate() {
    let fixture = Fixture::new().await;
    for account_id in 1..=30 {
        fixture.open(account_id).await;
    }
    let target = Target { topic: Some("elsewhere".to_owned()), ..Target::default() };
    let started = tokio::time::Instant::now();
    let selection = Selection::default();
    let transport = &*fixture.transport;
    let replayed = replay::replay(&fixture.publisher, transport, &selection, &target, Some(10), |_| ()).await.unwrap();
    assert_eq!((replayed.events, replayed.position), (30, 30));
    assert!(started.elapsed() >= Duration::from_secs(2), "three batches of ten with a second between them");
    let ids: HashSet<_> = fixture.transport.records("elsewhere").iter().filter_map(|r| r.record.key.clone()).collect();
    assert_eq!(ids.len(), 30);
    assert!(fixture.transport.records(ACCOUNTS).is_empty());
}

/// The last owner of each account, in capitals if the code is new.
struct Owners {
    capitals: bool,
    fails_at: Mutex<Option<i64>>,
}

impl Owners {
    fn new(capitals: bool) -> Self {
        Self { capitals, fails_at: Mutex::new(None) }
    }
}

impl Projection for Owners {
    fn name(&self) -> &'static str {
        "owners"
    }

    fn tables(&self) -> BTreeMap<&'static str, &'static str> {
        BTreeMap::from([("owners", "create table {table} (account_id bigint primary key, owner text not null)")])
    }

    async fn apply(&self, event: &StoredEvent, work: &mut Projecting<'_>) -> Result<(), HandlerError> {
        if *self.fails_at.lock().unwrap() == Some(event.position) {
            return Err(HandlerError::permanent("planted"));
        }
        let AccountOpened { account_id, owner } = decode(&Envelope::read(event.envelope.as_bytes())?)?;
        let owner = if self.capitals { owner.to_uppercase() } else { owner };
        let sql = format!(
            "insert into {} (account_id, owner) values ($1, $2)
             on conflict (account_id) do update set owner = excluded.owner",
            work.table("owners")
        );
        work.tx.execute(&sql, &params![account_id, owner]).await?;
        Ok(())
    }
}

async fn tell(fixture: &Fixture, account_id: i64, owner: &str) {
    let mut work = fixture.publisher.begin(Origin::default());
    work.publish(&AccountOpened { owner: owner.to_owned(), ..opened(account_id) }).await.unwrap();
    work.commit().await.unwrap();
}

async fn owners(fixture: &Fixture) -> Vec<String> {
    let rows = fixture.db.query("select owner from owners order by account_id", &[]).await.unwrap();
    rows.iter().map(|row| row.get("owner").unwrap()).collect()
}

/// Applies what is readable until everything is: on PostgreSQL others' transactions may hold the horizon back.
async fn caught_up(fixture: &Fixture, projection: &Owners, position: i64) {
    eventually("the projection is up to date", async || {
        (projection::catch_up(&fixture.db, projection).await.unwrap() == position).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_projection_is_rebuilt_beside_the_running_one_and_swapped_in() {
    for fixture in Fixture::all().await {
        let (old, new) = (Owners::new(false), Owners::new(true));
        assert_eq!(projection::position(&fixture.db, "owners").await.unwrap(), None);
        for owner in ["a", "b"] {
            tell(&fixture, 1, owner).await;
            tell(&fixture, 2, owner).await;
        }
        caught_up(&fixture, &old, 4).await;
        assert_eq!(owners(&fixture).await, ["b", "b"]);
        assert_eq!(projection::position(&fixture.db, "owners").await.unwrap(), Some(4));
        // A rebuild that fails changes nothing that anybody sees, and the running one goes on.
        *new.fails_at.lock().unwrap() = Some(3);
        let failed = projection::rebuild(&fixture.db, &new).await.unwrap_err();
        assert!(matches!(failed, eventkit::Error::Projection { name: "owners", position: 3, .. }), "{failed:?}");
        tell(&fixture, 3, "c").await;
        caught_up(&fixture, &old, 5).await;
        assert_eq!(owners(&fixture).await, ["b", "b", "c"]);
        *new.fails_at.lock().unwrap() = None;
        assert_eq!(projection::rebuild(&fixture.db, &new).await.unwrap(), 5);
        assert_eq!(owners(&fixture).await, ["B", "B", "C"]);
        tell(&fixture, 1, "d").await;
        caught_up(&fixture, &new, 6).await;
        assert_eq!(owners(&fixture).await, ["D", "B", "C"]);
        assert_eq!(projection::rebuild(&fixture.db, &old).await.unwrap(), 6, "a second time");
        assert_eq!(owners(&fixture).await, ["d", "b", "c"]);
    }
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn a_rebuild_that_dies_before_the_swap_leaves_the_running_one_and_can_be_done_again() {
    use eventkit::failpoint::{self, Action};
    let fixture = Fixture::new().await;
    let (old, new) = (Owners::new(false), Owners::new(true));
    tell(&fixture, 1, "a").await;
    caught_up(&fixture, &old, 1).await;
    let armed = failpoint::arm(failpoint::BEFORE_SWAP, "owners", 1, Action::Hang);
    tokio::select! {
        _ = projection::rebuild(&fixture.db, &new) => panic!("it did not stop before the swap"),
        () = armed.reached() => {}
    }
    assert_eq!(owners(&fixture).await, ["a"]);
    projection::rebuild(&fixture.db, &new).await.unwrap();
    assert_eq!(owners(&fixture).await, ["A"]);
}
