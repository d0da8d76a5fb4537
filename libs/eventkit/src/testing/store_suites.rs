//! What an outbox and an inbox must do, as tests over small traits: eventkit's own tables keep them on every database,
//! and an implementation that breaks one of them is found.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use db::params;

use crate::envelope::Envelope;
use crate::inbox::{self, Handling};
use crate::outbox::{self, Horizon};
use crate::publish::{EventPublisher, Origin, UnitOfWork};

/// How long a unit may wait for its turn before it is taken to wait for one that is open.
const TURN_MAX: Duration = Duration::from_millis(300);
/// More events than a suite stores.
const READ_MAX: usize = 100;

/// An event as an outbox under test tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its position in the outbox.
    pub position: i64,
    /// Its entity.
    pub key: String,
    /// Its number among its entity's events.
    pub sequence: i64,
    /// Its identity.
    pub event_id: String,
}

/// An outbox under test.
#[async_trait]
pub trait OutboxUnderTest: Send + Sync {
    /// A transaction.
    type Unit: Send;
    /// Begins a transaction.
    async fn begin(&self) -> Self::Unit;
    /// Stores an event in it; answers its identity.
    async fn append(&self, unit: &mut Self::Unit, key: &str) -> String;
    /// Keeps it.
    async fn commit(&self, unit: Self::Unit);
    /// Undoes it.
    async fn roll_back(&self, unit: Self::Unit);
    /// Up to `limit` events after a position that may be read now.
    async fn read_after(&self, position: i64, limit: usize) -> Vec<Told>;
}

/// Runs the contract of an outbox against an empty one.
///
/// # Panics
/// When the outbox breaks the contract, saying how.
pub async fn outbox_suite<O: OutboxUnderTest>(outbox: &O) {
    let mut lost = outbox.begin().await;
    outbox.append(&mut lost, "a").await;
    outbox.roll_back(lost).await;
    assert!(outbox.read_after(0, 10).await.is_empty(), "an event of a transaction that was undone is told");

    let mut open = outbox.begin().await;
    let first = outbox.append(&mut open, "a").await;
    assert!(outbox.read_after(0, 10).await.is_empty(), "an event is told before its transaction is kept");
    outbox.commit(open).await;
    let mut expected = vec![("a".to_owned(), first)];
    for keys in [["a", "b"], ["b", "a"], ["c", "c"]] {
        let mut unit = outbox.begin().await;
        for key in keys {
            expected.push((key.to_owned(), outbox.append(&mut unit, key).await));
        }
        outbox.commit(unit).await;
    }
    let told = super::eventually("all events may be read", async || {
        let told = outbox.read_after(0, 10).await;
        (told.len() >= expected.len()).then_some(told)
    })
    .await;
    let names: Vec<_> = told.iter().map(|told| (told.key.clone(), told.event_id.clone())).collect();
    assert_eq!(names, expected, "events are told once each, in the order in which they were kept");
    assert!(told.is_sorted_by(|one, next| one.position < next.position), "positions grow: {told:?}");
    let mut last: HashMap<&str, i64> = HashMap::new();
    for told in &told {
        let before = last.insert(&told.key, told.sequence).unwrap_or(0);
        assert_eq!(told.sequence, before + 1, "an entity's events are numbered from 1 without holes");
    }
    // Whoever else writes to the same server may hold back for a while what can be read.
    let rest = super::eventually("what comes after a position may be read", async || {
        let rest = outbox.read_after(told[2].position, 2).await;
        (rest.len() >= 2).then_some(rest)
    })
    .await;
    assert!(rest.len() <= 2, "more is told than was asked for: {rest:?}");
    assert_eq!(rest, told[3..5], "reading goes on after the position that is given");
    units_that_are_open_together(outbox).await;
}

/// Whichever of two is kept first: a reader that goes on after what it was told misses none.
async fn units_that_are_open_together<O: OutboxUnderTest>(outbox: &O) {
    let mut open = outbox.begin().await;
    let first = outbox.append(&mut open, "d").await;
    let second = async {
        let mut unit = outbox.begin().await;
        let event_id = outbox.append(&mut unit, "e").await;
        outbox.commit(unit).await;
        event_id
    };
    let mut second = std::pin::pin!(second);
    // Where units take turns the second one waits for the first.
    let kept = tokio::time::timeout(TURN_MAX, second.as_mut()).await.ok();
    let mut seen = outbox.read_after(0, READ_MAX).await;
    assert!(seen.iter().all(|told| told.event_id != first), "an event is told while its transaction is open");
    let second = match kept {
        Some(second) => {
            outbox.commit(open).await;
            second
        }
        None => tokio::join!(outbox.commit(open), second).1,
    };
    let all = super::eventually("events of units that were open together may be read", async || {
        let told = outbox.read_after(0, READ_MAX).await;
        let is_told = |event_id: &String| told.iter().any(|told| told.event_id == *event_id);
        (is_told(&first) && is_told(&second)).then_some(told)
    })
    .await;
    let position = seen.last().map_or(0, |told| told.position);
    let goes_on = "a reader goes on after what it was told and sees every event once, in order";
    let rest = super::eventually(goes_on, async || {
        let rest = outbox.read_after(position, READ_MAX).await;
        (seen.len() + rest.len() >= all.len()).then_some(rest)
    })
    .await;
    seen.extend(rest);
    assert_eq!(seen, all, "{goes_on}");
}

/// An inbox under test: handles events by writing an effect down.
#[async_trait]
pub trait InboxUnderTest: Send + Sync {
    /// Handles an event of `identity` in `group` by `handler` unless that was done; the attempt fails after its effect
    /// was written when `fails` says so.
    async fn handle(&self, group: &str, handler: &'static str, identity: &str, fails: bool);
    /// The effects, as `group/handler/identity`, in order.
    async fn effects(&self) -> Vec<String>;
    /// Forgets what was handled up to now.
    async fn expire(&self, group: &str);
}

/// Runs the contract of an inbox against an empty one.
///
/// # Panics
/// When the inbox breaks the contract, saying how.
pub async fn inbox_suite<I: InboxUnderTest>(inbox: &I) {
    inbox.handle("g", "h", "1", true).await;
    assert!(inbox.effects().await.is_empty(), "an attempt that failed left its effect");
    inbox.handle("g", "h", "1", false).await;
    assert_eq!(inbox.effects().await, ["g/h/1"], "an attempt that failed keeps the next one from its effect");
    inbox.handle("g", "h", "1", false).await;
    assert_eq!(inbox.effects().await, ["g/h/1"], "a redelivery had a second effect");
    inbox.handle("g", "other", "1", false).await;
    inbox.handle("other", "h", "1", false).await;
    inbox.handle("g", "h", "2", false).await;
    let expected = ["g/h/1", "g/other/1", "other/h/1", "g/h/2"];
    assert_eq!(inbox.effects().await, expected, "groups, handlers and events are told apart");
    tokio::join!(inbox.handle("g", "h", "3", false), inbox.handle("g", "h", "3", false));
    let expected = [&expected[..], &["g/h/3"]].concat();
    assert_eq!(inbox.effects().await, expected, "an event that is handled twice at a time has one effect");
    inbox.expire("g").await;
    inbox.handle("other", "h", "1", false).await;
    assert_eq!(inbox.effects().await, expected, "a group forgot what another one handled");
    inbox.handle("g", "h", "1", false).await;
    assert_eq!(inbox.effects().await.len(), expected.len() + 1, "what was expired is forgotten");
}

/// eventkit's own outbox over a database.
#[derive(Debug)]
pub struct DbOutbox(pub EventPublisher);

#[async_trait]
impl OutboxUnderTest for DbOutbox {
    type Unit = UnitOfWork;

    async fn begin(&self) -> UnitOfWork {
        self.0.begin(Origin::default())
    }

    async fn append(&self, unit: &mut UnitOfWork, key: &str) -> String {
        let envelope = Envelope::read(br#"{"eventType":"suite.told"}"#).expect("an envelope");
        unit.publish_event("suite-events", key, envelope).await.expect("stored")
    }

    async fn commit(&self, unit: UnitOfWork) {
        unit.commit().await.expect("committed");
    }

    async fn roll_back(&self, unit: UnitOfWork) {
        unit.rollback().await;
    }

    async fn read_after(&self, position: i64, limit: usize) -> Vec<Told> {
        let horizon = Horizon::default().advance(self.0.db()).await.expect("the horizon");
        let stored = outbox::read_after(self.0.db(), position, horizon, limit).await.expect("read");
        let told = stored.into_iter().map(|event| Told {
            position: event.position,
            key: event.key,
            sequence: event.sequence,
            event_id: event.event_id,
        });
        told.collect()
    }
}

/// eventkit's own inbox over a database with the table `suite_effects` (a position and a text `name`).
#[derive(Debug)]
pub struct DbInbox(pub EventPublisher);

impl DbInbox {
    /// The table that the suite's effects are written to.
    pub const MIGRATION: db::Migration = db::Migration {
        version: 1,
        name: "suite_effects",
        sql: "create table suite_effects (position {{identity}}, name text not null)",
    };
}

#[async_trait]
impl InboxUnderTest for DbInbox {
    async fn handle(&self, group: &str, handler: &'static str, identity: &str, fails: bool) {
        let handling = Handling { group: group.into(), handler, identity: identity.to_owned() };
        let mut work = self.0.begin_handling(Origin::default(), handling);
        let name = format!("{group}/{handler}/{identity}");
        let written = work.execute("insert into suite_effects (name) values ($1)", &params![name]).await;
        match (written, fails) {
            (Err(crate::Error::AlreadyHandled), _) => {}
            (Err(error), _) => panic!("the effect could not be written: {error}"),
            (Ok(_), true) => work.rollback().await,
            (Ok(_), false) => work.commit().await.expect("committed"),
        }
    }

    async fn effects(&self) -> Vec<String> {
        let rows = self.0.db().query("select name from suite_effects order by position", &[]).await.expect("read");
        rows.iter().map(|row| row.get("name").expect("a name")).collect()
    }

    async fn expire(&self, group: &str) {
        inbox::expire(self.0.db(), group, i64::MAX, 1_000).await.expect("expired");
    }
}
