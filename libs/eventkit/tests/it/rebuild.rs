//! Projections of another service's events, which a consumer feeds, are rebuilt from that service's store while the
//! consumer goes on.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use db::params;
use eventkit::projection::{
    self, Ending, Feeder, Finished, Project, Projecting, Projection, Rebuild, STEP_WAIT_MS, Told, read_store,
};
use eventkit::testing::eventually;
use eventkit::transport::{ConsumedRecord, Record, TopicPartition, Transport};
use eventkit::{Consumer, ConsumerHandle, Error, HandlerError, HandlerResult, Origin};
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::fixture::{ACCOUNTS, AccountOpened, Fixture, opened};

const DRAIN: Duration = Duration::from_secs(5);
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
const TYPE: &str = "account.opened";
/// A name that nobody may have.
const NOBODY: &str = "nobody";

/// The last owner of each account, and all of them in order: what is lost, repeated or out of order shows.
struct Books;

impl Project<AccountOpened> for Books {
    async fn project(&self, told: Told<'_, AccountOpened>, tables: &mut Projecting<'_>) -> HandlerResult {
        let AccountOpened { account_id, owner } = told.event;
        if owner == NOBODY {
            return Err(HandlerError::permanent("nobody owns an account"));
        }
        let sql = format!(
            "insert into {} as known (account_id, owner, story) values ($1, $2, $3)
             on conflict (account_id) do update set owner = excluded.owner, story = known.story || excluded.story",
            tables.table("books")
        );
        tables.execute(&sql, &params![*account_id, owner, format!("{owner} ")]).await?;
        Ok(())
    }
}

/// How far a rebuild has read.
#[derive(Default)]
struct Reading {
    position: i64,
    up_to: Option<i64>,
    is_end: bool,
}

/// A bank that tells, and a branch that keeps books of it in a database of its own.
struct World {
    bank: Fixture,
    branch: Fixture,
    books: Projection,
    /// Each account's owners, in order.
    told: Mutex<BTreeMap<i64, String>>,
}

impl World {
    /// One on SQLite, and one on PostgreSQL where there is a server; `name` is that of the projection.
    async fn all(name: &'static str) -> Vec<Self> {
        let pairs = Fixture::all().await.into_iter().zip(Fixture::all().await);
        pairs.map(|(bank, branch)| Self::of(bank, branch, name)).collect()
    }

    fn of(bank: Fixture, branch: Fixture, name: &'static str) -> Self {
        let books = Projection::new(name).table("books", &["account_id"]).made_from::<AccountOpened>("bank", Books);
        Self { bank, branch, books, told: Mutex::default() }
    }

    /// Stores an event that nobody has been told of yet.
    async fn store(&self, account_id: i64, owner: &str) {
        let mut work = self.bank.publisher.begin(Origin::default());
        work.publish(&AccountOpened { owner: owner.to_owned(), ..opened(account_id) }).await.unwrap();
        work.commit().await.unwrap();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.entry(account_id).or_default().push_str(&format!("{owner} "));
    }

    fn consume(&self) -> ConsumerHandle {
        let consumer = Consumer::new("branch").share_units().project(&self.books).dead_letters();
        consumer.start(self.branch.publisher.clone(), self.bank.transport.clone())
    }

    /// Has the consumer handle everything that is stored.
    async fn deliver(&self) {
        self.bank.start_relay().stop(DRAIN).await;
        let consumer = self.consume();
        self.until_handled().await;
        consumer.stop().await;
    }

    async fn until_handled(&self) {
        let transport = &self.bank.transport;
        let is_committed = |record: &ConsumedRecord| {
            let place = TopicPartition { topic: ACCOUNTS.to_owned(), partition: record.partition };
            transport.committed("branch", &place).is_some_and(|committed| committed > record.offset)
        };
        let is_through = async || transport.records(ACCOUNTS).iter().all(is_committed).then_some(());
        eventually("the consumer is through", is_through).await;
    }

    fn now_ms(&self) -> i64 {
        self.branch.publisher.clock().now_ms()
    }

    fn feeder(&self) -> Feeder {
        Feeder { group: "branch".to_owned(), inbox_retention_ms: 120 * DAY_MS }
    }

    async fn begin(&self) -> eventkit::Result<Rebuild> {
        Rebuild::begin(&self.branch.db, &self.books, Some(self.feeder()), self.now_ms()).await
    }

    /// Has a rebuild read the next `limit` events.
    async fn page(&self, rebuild: &Rebuild, reading: &mut Reading, limit: u32) {
        let Reading { position, up_to, is_end } = reading;
        let page = read_store(&self.bank.db, *position, *up_to, &[TYPE.to_owned()], limit).await.unwrap();
        rebuild.apply(&self.branch.db, "bank", &page.events, self.now_ms()).await.unwrap();
        *position = page.events.last().map_or(*position, |event| event.position);
        (*up_to, *is_end) = (Some(page.up_to), page.is_end);
    }

    async fn read_to_the_end(&self, rebuild: &Rebuild, mut reading: Reading) {
        while !reading.is_end {
            self.page(rebuild, &mut reading, 3).await;
        }
    }

    async fn finish(&self, rebuild: &Rebuild, ending: Ending) -> Finished {
        loop {
            if let Some(finished) = rebuild.finish(&self.branch.db, ending, self.now_ms()).await.unwrap() {
                return finished;
            }
        }
    }

    async fn rebuild(&self, ending: Ending) -> Finished {
        let rebuild = self.begin().await.unwrap();
        self.read_to_the_end(&rebuild, Reading::default()).await;
        self.finish(&rebuild, ending).await
    }

    /// The books as the branch has them.
    async fn stories(&self) -> BTreeMap<i64, String> {
        let rows = self.branch.db.query("select account_id, story from books", &[]).await.unwrap();
        rows.iter().map(|row| (row.get("account_id").unwrap(), row.get("story").unwrap())).collect()
    }

    fn told(&self) -> BTreeMap<i64, String> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn damage(&self, sql: &str) {
        self.branch.db.unit(async |tx| tx.execute(sql, &[]).await).await.unwrap();
    }

    /// An event that no store has.
    async fn send_foreign(&self, account_id: i64, owner: &str) {
        let data = serde_json::json!({"accountId": account_id, "owner": owner});
        let envelope = serde_json::json!({"eventType": TYPE, "data": data, "service": "elsewhere"});
        let record = Record {
            topic: ACCOUNTS.to_owned(),
            key: Some(Bytes::from(format!("account-{account_id}"))),
            value: Some(Bytes::from(envelope.to_string())),
            headers: Vec::new(),
            timestamp_ms: None,
        };
        self.bank.transport.publish(vec![record]).await.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_projection_is_compared_and_put_right_from_the_store_of_another_service() {
    for world in World::all("books").await {
        for round in 0..3 {
            for account_id in 1..=4 {
                world.store(account_id, &format!("o{round}")).await;
            }
        }
        world.deliver().await;
        let before = world.stories().await;
        assert_eq!(before, world.told());
        world.damage("delete from books where account_id = 1").await;
        world.damage("update books set owner = 'x' where account_id = 2").await;
        world.damage("insert into books (account_id, owner, story) values (9, 'nobody', 'nothing')").await;
        let damaged = world.stories().await;
        for ending in [Ending::Compare, Ending::Swap] {
            let Finished { tables, positions, events, journalled, ahead } = world.rebuild(ending).await;
            let [table] = tables.as_slice() else { panic!("{tables:?}") };
            assert_eq!((table.rows, table.missing, table.different, table.surplus), (4, 1, 1, 1), "{ending:?}");
            assert_eq!((positions, events, journalled, ahead), (vec![("bank".to_owned(), 12)], 12, 0, 0));
            let expected = if ending == Ending::Swap { &before } else { &damaged };
            assert_eq!(&world.stories().await, expected, "{ending:?}");
        }
        let status = projection::status(&world.branch.db, &world.books, Some(&world.feeder()), world.now_ms()).await;
        let status = status.unwrap();
        assert_eq!((status.sources[0].position, status.tables[0].rows, status.ahead), (Some(12), 4, 0));
        assert!(status.rebuilt_at_ms.is_some() && status.rebuild.is_none());
        assert_eq!(status.sources[0].recent.len(), 12);
        world.store(1, "later").await;
        world.deliver().await;
        assert_eq!(world.stories().await, world.told(), "it goes on");
        let right = world.rebuild(Ending::Compare).await;
        assert!(right.tables.iter().all(|table| table.missing + table.different + table.surplus == 0), "{right:?}");
    }
}

#[tokio::test]
async fn a_store_that_grows_while_it_is_read_is_read_to_where_it_ended_at_first() {
    for world in World::all("books").await {
        world.store(1, "a").await;
        world.store(1, "b").await;
        let rebuild = world.begin().await.unwrap();
        let mut reading = Reading::default();
        for later in ["c", "d", "e"] {
            world.store(1, later).await;
            world.page(&rebuild, &mut reading, 1).await;
        }
        assert_eq!((reading.position, reading.is_end), (3, true), "the first page was asked for after c");
        world.deliver().await;
        world.finish(&rebuild, Ending::Swap).await;
        assert_eq!(world.stories().await, world.told());
    }
}

#[tokio::test]
async fn a_page_that_is_sent_twice_is_applied_once() {
    for world in World::all("books").await {
        for owner in ["a", "b", "c"] {
            world.store(1, owner).await;
        }
        let rebuild = world.begin().await.unwrap();
        for _ in 0..2 {
            let mut reading = Reading::default();
            world.page(&rebuild, &mut reading, 2).await;
            assert_eq!((reading.position, reading.is_end), (2, false));
        }
        world.read_to_the_end(&rebuild, Reading { position: 1, ..Reading::default() }).await;
        world.finish(&rebuild, Ending::Swap).await;
        assert_eq!(world.stories().await, world.told());
        world.deliver().await;
        assert_eq!(world.stories().await, world.told(), "what came on the topic only then was known");
    }
}

/// Whatever comes between whichever steps: told, delivered, read, ended, begun again. Answers how many events were
/// applied from the journal, and how many were known before they were handled.
async fn live_at_random(world: &World, seed: u64) -> (i64, i64) {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut journalled, mut ahead) = (0, 0);
    let mut running: Option<(Rebuild, Reading)> = None;
    for step in 0..60 {
        match random.random_range(0..8) {
            0..=3 => world.store(random.random_range(1..=3), &format!("s{step}")).await,
            4 => world.deliver().await,
            _ => {
                running = match running.take() {
                    None => Some((world.begin().await.unwrap(), Reading::default())),
                    Some((rebuild, mut reading)) if !reading.is_end => {
                        world.page(&rebuild, &mut reading, random.random_range(1..=5)).await;
                        Some((rebuild, reading))
                    }
                    Some((rebuild, _)) => {
                        let finished = world.finish(&rebuild, Ending::Swap).await;
                        (journalled, ahead) = (journalled + finished.journalled, ahead + finished.ahead);
                        None
                    }
                };
            }
        }
    }
    if let Some((rebuild, reading)) = running {
        world.read_to_the_end(&rebuild, reading).await;
        world.finish(&rebuild, Ending::Swap).await;
    }
    world.deliver().await;
    assert_eq!(world.stories().await, world.told(), "seed {seed}");
    (journalled, ahead)
}

#[tokio::test]
async fn events_that_come_between_the_steps_of_a_rebuild_are_applied_once_and_in_order() {
    const SEEDS: u64 = 6;
    let worlds = join_all((0..SEEDS).map(|_| World::all("books"))).await;
    let lives = worlds.iter().enumerate().flat_map(|(seed, worlds)| worlds.iter().map(move |world| (seed, world)));
    let met = join_all(lives.map(|(seed, world)| live_at_random(world, seed as u64))).await;
    assert!(met.iter().any(|(journalled, _)| *journalled > 0) && met.iter().any(|(_, ahead)| *ahead > 0), "{met:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rebuilds_beside_a_busy_consumer_lose_and_repeat_nothing() {
    const ROUNDS: usize = 5;
    for world in World::all("books").await {
        let relay = world.bank.start_relay();
        let consumer = world.consume();
        let telling = async {
            for number in 0..300 {
                world.store(number % 7, &number.to_string()).await;
            }
        };
        let rebuilding = async {
            for _ in 0..ROUNDS {
                world.rebuild(Ending::Swap).await;
            }
        };
        tokio::join!(telling, rebuilding);
        eventually("all is told", async || (world.stories().await == world.told()).then_some(())).await;
        world.until_handled().await;
        assert_eq!(world.stories().await, world.told(), "nothing was known beforehand and told again");
        consumer.stop().await;
        relay.stop(DRAIN).await;
    }
}

#[tokio::test]
async fn an_event_of_no_store_survives_if_it_comes_while_the_rebuild_runs() {
    for world in World::all("books").await {
        world.store(1, "a").await;
        world.send_foreign(7, "before").await;
        world.deliver().await;
        let rebuild = world.begin().await.unwrap();
        world.read_to_the_end(&rebuild, Reading::default()).await;
        world.send_foreign(1, "meanwhile").await;
        world.deliver().await;
        let finished = world.finish(&rebuild, Ending::Swap).await;
        assert_eq!((finished.journalled, finished.tables[0].surplus), (1, 1), "the one before is in no store");
        assert_eq!(world.stories().await, BTreeMap::from([(1, "a meanwhile ".to_owned())]));
    }
}

#[tokio::test]
async fn a_second_rebuild_is_refused_until_the_first_one_counts_as_given_up() {
    for world in World::all("books").await {
        world.store(1, "a").await;
        world.deliver().await;
        let first = world.begin().await.unwrap();
        let refused = world.begin().await.unwrap_err();
        assert!(matches!(refused, Error::RebuildRuns { .. }), "{refused:?}");
        let later = world.now_ms() + STEP_WAIT_MS + 1_000;
        let second = Rebuild::begin(&world.branch.db, &world.books, Some(world.feeder()), later).await.unwrap();
        let over = first.finish(&world.branch.db, Ending::Swap, later).await.unwrap_err();
        assert!(matches!(over, Error::RebuildOver { .. }), "{over:?}");
        assert!(!first.cancel(&world.branch.db).await.unwrap(), "nor can it take the second with it");
        assert!(second.cancel(&world.branch.db).await.unwrap());
        let third = world.begin().await.unwrap();
        let db = &world.branch.db;
        let fourth = Rebuild::take_over(db, &world.books, Some(world.feeder()), world.now_ms()).await.unwrap();
        let over = third.apply(db, "bank", &[], world.now_ms()).await.unwrap_err();
        assert!(matches!(over, Error::RebuildOver { .. }), "{over:?}");
        world.read_to_the_end(&fourth, Reading::default()).await;
        world.finish(&fourth, Ending::Swap).await;
        assert_eq!(world.stories().await, world.told());
    }
}

#[tokio::test]
async fn a_rebuild_that_counts_as_given_up_cannot_go_on_once_an_event_was_not_journalled() {
    for world in World::all("books").await {
        let long_ago = world.now_ms() - STEP_WAIT_MS - 1_000;
        let rebuild = Rebuild::begin(&world.branch.db, &world.books, Some(world.feeder()), long_ago).await.unwrap();
        world.store(1, "a").await;
        world.deliver().await;
        // By this clock it could: it is told by somebody whose clock is late.
        let over = rebuild.finish(&world.branch.db, Ending::Swap, long_ago + 1).await.unwrap_err();
        assert!(matches!(over, Error::RebuildOver { .. }), "{over:?}");
        assert_eq!(world.stories().await, world.told());
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_applied_stops_the_rebuild_and_is_named() {
    let world = World::all("books").await.remove(0);
    world.store(1, "a").await;
    world.deliver().await;
    world.store(2, NOBODY).await;
    let rebuild = world.begin().await.unwrap();
    let page = read_store(&world.bank.db, 0, None, &[TYPE.to_owned()], 10).await.unwrap();
    let failed = rebuild.apply(&world.branch.db, "bank", &page.events, world.now_ms()).await.unwrap_err();
    assert!(matches!(&failed, Error::Projection { position: Some(2), event, .. } if *event == page.events[1].event_id));
    let stranger = rebuild.apply(&world.branch.db, "post", &page.events, world.now_ms()).await.unwrap_err();
    assert_eq!(
        eventkit::chain(&stranger),
        "invalid configuration: projection books is not made from account.opened of post"
    );
    assert_eq!(world.stories().await, BTreeMap::from([(1, "a ".to_owned())]), "what runs is as it was");
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn a_rebuild_that_dies_around_the_swap_leaves_whole_tables_and_begins_anew() {
    use eventkit::failpoint::{self, Action};
    let points = [
        (failpoint::BEFORE_SWAP, "books-before", false),
        (failpoint::DURING_SWAP, "books-during", false),
        (failpoint::AFTER_SWAP, "books-after", true),
    ];
    for (point, name, is_swapped) in points {
        for world in World::all(name).await {
            world.store(1, "a").await;
            world.deliver().await;
            world.damage("update books set story = 'damaged'").await;
            let rebuild = world.begin().await.unwrap();
            world.read_to_the_end(&rebuild, Reading::default()).await;
            let armed = failpoint::arm(point, name, 1, Action::Hang);
            tokio::select! {
                _ = rebuild.finish(&world.branch.db, Ending::Swap, world.now_ms()) => panic!("{point}: it went on"),
                () = armed.reached() => {}
            }
            let expected = if is_swapped { "a " } else { "damaged" };
            assert_eq!(world.stories().await[&1], expected, "{point}");
            world.store(1, "b").await;
            world.deliver().await;
            assert_eq!(world.stories().await[&1], format!("{expected}b "), "{point}: what runs goes on");
            let later = world.now_ms() + STEP_WAIT_MS + 1_000;
            let again = Rebuild::begin(&world.branch.db, &world.books, Some(world.feeder()), later).await.unwrap();
            world.read_to_the_end(&again, Reading::default()).await;
            world.finish(&again, Ending::Swap).await;
            assert_eq!(world.stories().await, world.told(), "{point}");
        }
    }
}
