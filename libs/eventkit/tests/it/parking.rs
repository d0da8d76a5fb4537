//! `park_key`: what follows a dead letter of its key waits in the database, and comes in order once the letter succeeded.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use db::params;
use eventkit::testing::eventually;
use eventkit::transport::{Record, Transport};
use eventkit::{
    Consumer, ConsumerHandle, Handle, HandlerError, HandlerResult, Origin, Received, UnitOfWork, dead_letter, parking,
};

use crate::fixture::{ACCOUNTS, AccountOpened, Fixture, opened};

const LETTERS: &str = "accounts.dlq";

/// Appends the owner's name to the history, unless the name is broken now.
#[derive(Clone, Default)]
struct History(Arc<Mutex<HashSet<String>>>);

impl History {
    fn break_on(&self, owner: &str) {
        self.0.lock().unwrap().insert(owner.to_owned());
    }

    fn mend(&self, owner: &str) {
        self.0.lock().unwrap().remove(owner);
    }
}

impl Handle<AccountOpened> for History {
    async fn handle(&self, received: &Received<AccountOpened>, work: &mut UnitOfWork) -> HandlerResult {
        let AccountOpened { account_id, owner } = &received.event;
        if self.0.lock().unwrap().contains(owner) {
            return Err(HandlerError::permanent("broken"));
        }
        let sql = "insert into history (account_id, owner) values ($1, $2)";
        work.execute(sql, &params![*account_id, owner.as_str()]).await?;
        Ok(())
    }
}

fn start(fixture: &Fixture, history: &History) -> ConsumerHandle {
    let consumer = Consumer::new("group").on::<AccountOpened>(history.clone()).park_keys().parked_max(6);
    consumer.start(fixture.publisher.clone(), fixture.transport.clone())
}

async fn send(fixture: &Fixture, account_id: i64, owners: &[&str]) {
    for owner in owners {
        let mut work = fixture.publisher.begin(Origin::default());
        work.publish(&AccountOpened { owner: (*owner).to_owned(), ..opened(account_id) }).await.unwrap();
        work.commit().await.unwrap();
    }
    fixture.start_relay().stop(Duration::from_secs(5)).await;
}

async fn until_history(fixture: &Fixture, account_id: i64, expected: &[&str]) {
    let what = format!("history of {account_id} is {expected:?}");
    eventually(&what, async || (history(fixture, account_id).await == expected).then_some(())).await;
}

async fn history(fixture: &Fixture, account_id: i64) -> Vec<String> {
    let sql = "select owner from history where account_id = $1 order by position";
    let rows = fixture.db.query(sql, &params![account_id]).await.unwrap();
    rows.iter().map(|row| row.get("owner").unwrap()).collect()
}

async fn until_parked(fixture: &Fixture, events: i64) {
    eventually(&format!("{events} events are parked"), async || {
        let keys = parking::list(&fixture.db).await.unwrap();
        (keys.iter().map(|key| key.events).sum::<i64>() == events).then_some(())
    })
    .await;
}

async fn letters(fixture: &Fixture, count: usize) -> Vec<Record> {
    let letters = eventually(&format!("{count} dead letters"), async || {
        let letters = fixture.transport.records(LETTERS);
        (letters.len() == count).then_some(letters)
    })
    .await;
    letters.into_iter().map(|letter| letter.record).collect()
}

async fn redrive(fixture: &Fixture, letter: &Record) {
    fixture.transport.publish(vec![dead_letter::redriven(letter).unwrap()]).await.unwrap();
}

#[tokio::test]
async fn successors_wait_for_the_letter_and_then_follow_it_in_order() {
    for fixture in Fixture::all().await {
        let handler = History::default();
        handler.break_on("b");
        let running = start(&fixture, &handler);
        send(&fixture, 1, &["a", "b", "c", "d"]).await;
        send(&fixture, 2, &["x", "y"]).await;
        until_parked(&fixture, 2).await;
        until_history(&fixture, 2, &["x", "y"]).await;
        assert_eq!(history(&fixture, 1).await, ["a"]);
        let letter = letters(&fixture, 1).await.remove(0);
        redrive(&fixture, &letter).await;
        letters(&fixture, 2).await;
        assert_eq!(history(&fixture, 1).await, ["a"], "still broken: a letter again, and nothing passes it");
        handler.mend("b");
        redrive(&fixture, &letter).await;
        send(&fixture, 1, &["e"]).await;
        until_history(&fixture, 1, &["a", "b", "c", "d", "e"]).await;
        eventually("the key is free", async || parking::list(&fixture.db).await.unwrap().is_empty().then_some(()))
            .await;
        running.stop().await;
        assert_eq!(fixture.count("parked_events").await, 0);
    }
}

#[tokio::test]
async fn a_parked_event_that_fails_becomes_the_letter_that_the_others_wait_for() {
    for fixture in Fixture::all().await {
        let handler = History::default();
        handler.break_on("a");
        handler.break_on("c");
        let running = start(&fixture, &handler);
        send(&fixture, 1, &["a", "b", "c", "d"]).await;
        until_parked(&fixture, 3).await;
        handler.mend("a");
        redrive(&fixture, &letters(&fixture, 1).await[0]).await;
        let letters = letters(&fixture, 2).await;
        until_parked(&fixture, 1).await;
        assert_eq!(history(&fixture, 1).await, ["a", "b"]);
        handler.mend("c");
        redrive(&fixture, &letters[1]).await;
        until_history(&fixture, 1, &["a", "b", "c", "d"]).await;
        running.stop().await;
    }
}

#[tokio::test]
async fn a_restart_at_any_point_and_redeliveries_of_everything_lose_and_repeat_nothing() {
    let fixture = Fixture::new().await;
    let handler = History::default();
    handler.break_on("b");
    send(&fixture, 1, &["a", "b", "c", "d", "e"]).await;
    // Killed again and again, before an offset is committed: everything comes anew each time.
    for events in [0, 1, 2, 3] {
        let running = start(&fixture, &handler);
        eventually("as many are parked", async || {
            let keys = parking::list(&fixture.db).await.unwrap();
            (keys.iter().map(|key| key.events).sum::<i64>() >= events).then_some(())
        })
        .await;
        running.abort();
    }
    let running = start(&fixture, &handler);
    until_parked(&fixture, 3).await;
    let letter = eventually("a letter", async || fixture.transport.records(LETTERS).pop()).await.record;
    running.abort();
    handler.mend("b");
    redrive(&fixture, &letter).await;
    redrive(&fixture, &letter).await;
    for round in 1..=4 {
        let running = start(&fixture, &handler);
        eventually("the history grows", async || (history(&fixture, 1).await.len() > round).then_some(())).await;
        running.abort();
    }
    let running = start(&fixture, &handler);
    until_history(&fixture, 1, &["a", "b", "c", "d", "e"]).await;
    let place = fixture.transport.records(ACCOUNTS)[0].topic_partition();
    eventually("all is committed", async || (fixture.transport.committed("group", &place) == Some(7)).then_some(()))
        .await;
    running.stop().await;
    assert_eq!(history(&fixture, 1).await, ["a", "b", "c", "d", "e"]);
    assert!(parking::list(&fixture.db).await.unwrap().is_empty());
}

#[tokio::test]
async fn more_than_may_be_parked_waits_on_the_topic() {
    for fixture in Fixture::all().await {
        let handler = History::default();
        handler.break_on("0");
        let owners: Vec<String> = (0..12).map(|number| number.to_string()).collect();
        let owners: Vec<&str> = owners.iter().map(String::as_str).collect();
        let running = start(&fixture, &handler);
        send(&fixture, 1, &owners).await;
        until_parked(&fixture, 6).await;
        handler.mend("0");
        assert!(!parking::release(&fixture.db, "group", ACCOUNTS, b"account-2").await.unwrap());
        assert!(parking::release(&fixture.db, "group", ACCOUNTS, b"account-1").await.unwrap());
        until_history(&fixture, 1, &owners[1..]).await;
        redrive(&fixture, &letters(&fixture, 1).await[0]).await;
        eventually("the letter comes late", async || (history(&fixture, 1).await.len() == 12).then_some(())).await;
        running.stop().await;
    }
}

#[tokio::test]
async fn a_released_key_goes_on_at_once_when_its_group_is_nudged() {
    for fixture in Fixture::all().await {
        let handler = History::default();
        handler.break_on("b");
        let running = start(&fixture, &handler);
        send(&fixture, 1, &["a", "b", "c", "d"]).await;
        until_parked(&fixture, 2).await;
        let key = b"account-1";
        assert!(parking::release(&fixture.db, "group", ACCOUNTS, key).await.unwrap());
        let nudge = parking::nudge(&fixture.db, "group", ACCOUNTS, key).await.unwrap().unwrap();
        fixture.transport.publish(vec![nudge]).await.unwrap();
        until_history(&fixture, 1, &["a", "c", "d"]).await;
        eventually("the key is free", async || parking::list(&fixture.db).await.unwrap().is_empty().then_some(()))
            .await;
        assert_eq!(parking::nudge(&fixture.db, "group", ACCOUNTS, key).await.unwrap(), None);
        running.stop().await;
        assert_eq!(history(&fixture, 1).await, ["a", "c", "d"], "the nudge itself had no effect");
    }
}

#[tokio::test]
async fn a_skipped_key_loses_what_is_parked_and_goes_on_with_its_next_event() {
    for fixture in Fixture::all().await {
        let handler = History::default();
        handler.break_on("b");
        let running = start(&fixture, &handler);
        send(&fixture, 1, &["a", "b", "c", "d"]).await;
        until_parked(&fixture, 2).await;
        assert_eq!(parking::skip(&fixture.db, "group", ACCOUNTS, b"account-2").await.unwrap(), None);
        assert_eq!(parking::skip(&fixture.db, "group", ACCOUNTS, b"account-1").await.unwrap(), Some(2));
        assert_eq!(fixture.count("parked_events").await, 0);
        send(&fixture, 1, &["e"]).await;
        until_history(&fixture, 1, &["a", "e"]).await;
        running.stop().await;
    }
}
