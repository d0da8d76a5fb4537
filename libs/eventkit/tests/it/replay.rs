//! Stored events come again: previewed, selected, for one group alone; projections are rebuilt beside the running ones.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use db::params;
use eventkit::projection::{self, Project, Projecting, Projection, Told};
use eventkit::replay::{self, Preview, Selection, Target};
use eventkit::testing::eventually;
use eventkit::{Clock, Consumer, Handle, HandlerError, HandlerResult, Origin, Received, UnitOfWork};

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
    let topics = &fixture.transport;
    let have_begun = || ["one", "other"].iter().all(|group| topics.has_members(group));
    eventually("every group is through", async || (have_begun() && topics.is_consumed()).then_some(())).await;
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

#[tokio::test]
async fn a_replay_takes_what_happened_from_a_time_on_and_before_another() {
    let start = jiff::Timestamp::from_second(1_795_485_927).unwrap();
    for (fixture, clock) in Fixture::all_with_clock(start).await {
        let mut times = Vec::new();
        for account_id in 1..=3 {
            times.push(clock.now_ms());
            fixture.open(account_id).await;
            clock.advance_ms(60_000);
        }
        let [first, second, third] = times[..] else { panic!("{times:?}") };
        let cases = [
            (None, None, 1..=3),
            (Some(second), None, 2..=3),
            (Some(second + 1), None, 3..=3),
            (None, Some(second), 1..=1),
            (None, Some(second + 1), 1..=2),
            (Some(first), Some(third), 1..=2),
            (Some(second), Some(third), 2..=2),
        ];
        for (number, (from_ms, to_ms, accounts)) in cases.into_iter().enumerate() {
            let what = format!("from {from_ms:?} to {to_ms:?}");
            let selection = Selection { from_ms, to_ms, ..Selection::default() };
            let expected = Preview {
                by_type: vec![("account.opened".to_owned(), accounts.end() - accounts.start() + 1)],
                first_position: Some(*accounts.start()),
                last_position: Some(*accounts.end()),
            };
            // Others' transactions may hold back what can be read.
            eventually(&what, async || {
                (replay::preview(&fixture.db, &selection).await.unwrap() == expected).then_some(())
            })
            .await;
            let target = Target { topic: Some(format!("elsewhere-{number}")), ..Target::default() };
            let transport = &*fixture.transport;
            replay::replay(&fixture.publisher, transport, &selection, &target, None, |_| ()).await.unwrap();
            let records = fixture.transport.records(&format!("elsewhere-{number}"));
            let mut keys: Vec<_> = records.into_iter().filter_map(|record| record.record.key).collect();
            keys.sort();
            assert_eq!(keys, accounts.map(|id| format!("account-{id}")).collect::<Vec<_>>(), "{what}");
        }
        let never = Selection { from_ms: Some(second), to_ms: Some(second), ..Selection::default() };
        assert!(replay::preview(&fixture.db, &never).await.unwrap().by_type.is_empty());
    }
}

/// The last owner of each account, in capitals if the code is new.
#[derive(Clone)]
struct Owners {
    capitals: bool,
    fails_at: Arc<Mutex<Option<(i64, &'static str)>>>,
}

impl Owners {
    fn new(capitals: bool) -> Self {
        Self { capitals, fails_at: Arc::default() }
    }

    fn projection(&self, name: &'static str) -> Projection {
        let owners = Projection::new(name).table("owners", &["account_id"]);
        owners.made_from::<AccountOpened>("bank", self.clone())
    }
}

impl Project<AccountOpened> for Owners {
    async fn project(&self, told: Told<'_, AccountOpened>, tables: &mut Projecting<'_>) -> HandlerResult {
        let AccountOpened { account_id, owner } = told.event;
        if *self.fails_at.lock().unwrap() == Some((*account_id, owner)) {
            return Err(HandlerError::permanent("planted"));
        }
        let owner = if self.capitals { owner.to_uppercase() } else { owner.clone() };
        let sql = format!(
            "insert into {} (account_id, owner) values ($1, $2)
             on conflict (account_id) do update set owner = excluded.owner",
            tables.table("owners")
        );
        tables.execute(&sql, &params![*account_id, owner]).await?;
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

async fn position(fixture: &Fixture) -> Option<i64> {
    projection::positions(&fixture.db, "owners").await.unwrap().remove("bank")
}

/// Rebuilds and swaps in; answers the position.
async fn rebuilt(fixture: &Fixture, projection: &Projection) -> i64 {
    let finished = projection::rebuild(&fixture.publisher, projection).await.unwrap();
    let [(_, position)] = finished.positions.as_slice() else { panic!("{finished:?}") };
    *position
}

/// Applies what is readable until everything is: on PostgreSQL others' transactions may hold the horizon back.
async fn caught_up(fixture: &Fixture, projection: &Projection, position: i64) {
    eventually("the projection is up to date", async || {
        (projection::catch_up(&fixture.publisher, projection).await.unwrap() == position).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_projection_is_rebuilt_beside_the_running_one_and_swapped_in() {
    for fixture in Fixture::all().await {
        let failing = Owners::new(true);
        let (old, new) = (Owners::new(false).projection("owners"), failing.projection("owners"));
        assert_eq!(position(&fixture).await, None);
        for owner in ["a", "b"] {
            tell(&fixture, 1, owner).await;
            tell(&fixture, 2, owner).await;
        }
        caught_up(&fixture, &old, 4).await;
        assert_eq!(owners(&fixture).await, ["b", "b"]);
        assert_eq!(position(&fixture).await, Some(4));
        // A rebuild that fails changes nothing that anybody sees, and the running one goes on.
        *failing.fails_at.lock().unwrap() = Some((1, "b"));
        let failed = projection::rebuild(&fixture.publisher, &new).await.unwrap_err();
        assert!(matches!(failed, eventkit::Error::Projection { name: "owners", position: Some(3), .. }), "{failed:?}");
        tell(&fixture, 3, "c").await;
        caught_up(&fixture, &old, 5).await;
        assert_eq!(owners(&fixture).await, ["b", "b", "c"]);
        *failing.fails_at.lock().unwrap() = None;
        assert_eq!(rebuilt(&fixture, &new).await, 5);
        assert_eq!(owners(&fixture).await, ["B", "B", "C"]);
        tell(&fixture, 1, "d").await;
        caught_up(&fixture, &new, 6).await;
        assert_eq!(owners(&fixture).await, ["D", "B", "C"]);
        assert_eq!(rebuilt(&fixture, &old).await, 6, "a second time");
        assert_eq!(owners(&fixture).await, ["d", "b", "c"]);
    }
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn a_rebuild_that_dies_before_the_swap_leaves_the_running_one_and_can_be_done_again() {
    use eventkit::failpoint::{self, Action};
    let clock = Clock::manual(jiff::Timestamp::UNIX_EPOCH);
    let fixture = Fixture::with_clock(clock.clone()).await;
    let (old, new) = (Owners::new(false).projection("owners-dying"), Owners::new(true).projection("owners-dying"));
    tell(&fixture, 1, "a").await;
    caught_up(&fixture, &old, 1).await;
    let armed = failpoint::arm(failpoint::BEFORE_SWAP, "owners-dying", 1, Action::Hang);
    tokio::select! {
        _ = projection::rebuild(&fixture.publisher, &new) => panic!("it did not stop before the swap"),
        () = armed.reached() => {}
    }
    assert_eq!(owners(&fixture).await, ["a"]);
    // What came meanwhile is not lost either.
    tell(&fixture, 2, "b").await;
    caught_up(&fixture, &old, 2).await;
    clock.advance_ms(projection::STEP_WAIT_MS + 1);
    assert_eq!(rebuilt(&fixture, &new).await, 2);
    assert_eq!(owners(&fixture).await, ["A", "B"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_followed_projection_is_rebuilt_while_it_is_followed() {
    for fixture in Fixture::all().await {
        let owners_of = Owners::new(false).projection("owners-followed");
        let telling = async {
            for number in 0..100 {
                tell(&fixture, number % 5, &number.to_string()).await;
                projection::catch_up(&fixture.publisher, &owners_of).await.unwrap();
            }
        };
        let rebuilding = async {
            for _ in 0..5 {
                projection::rebuild(&fixture.publisher, &owners_of).await.unwrap();
            }
        };
        tokio::join!(telling, rebuilding);
        caught_up(&fixture, &owners_of, 100).await;
        assert_eq!(owners(&fixture).await, ["95", "96", "97", "98", "99"]);
    }
}
