//! A dead letter that is sent back reaches the group that failed and no other, as the event that it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use db::params;
use eventkit::testing::eventually;
use eventkit::transport::{Record, Transport};
use eventkit::{Consumer, Handle, HandlerError, HandlerResult, Received, UnitOfWork, dead_letter};

use crate::fixture::{ACCOUNTS, AccountOpened, Fixture};

const LETTERS: &str = "accounts.dlq";

/// Counts the effect in the account's row once it was mended.
#[derive(Clone, Default)]
struct Mendable(Arc<AtomicBool>);

impl Handle<AccountOpened> for Mendable {
    async fn handle(&self, received: &Received<AccountOpened>, work: &mut UnitOfWork) -> HandlerResult {
        if !self.0.load(Ordering::SeqCst) {
            return Err(HandlerError::permanent("not mended yet"));
        }
        let sql = "insert into accounts (account_id, effects) values ($1, 1)
                   on conflict (account_id) do update set effects = accounts.effects + 1";
        work.execute(sql, &params![received.event.account_id]).await?;
        Ok(())
    }
}

/// What a service of the seed sends: an envelope without an id.
fn nameless(account_id: i64) -> Record {
    let value = format!(r#"{{"eventType":"account.opened","data":{{"accountId":{account_id},"owner":"A"}}}}"#);
    Record {
        topic: ACCOUNTS.to_owned(),
        key: Some(Bytes::from(format!("account-{account_id}"))),
        value: Some(Bytes::from(value)),
        headers: Vec::new(),
        timestamp_ms: Some(1_795_485_927_123),
    }
}

async fn letters_of(fixture: &Fixture, group: &str, count: usize) -> Vec<Record> {
    eventually("dead letters", async || {
        let letters = fixture.transport.records(LETTERS).into_iter().map(|letter| letter.record);
        let letters: Vec<_> = letters.filter(|letter| letter.header("dlq-group") == Some(group)).collect();
        (letters.len() == count).then_some(letters)
    })
    .await
}

#[tokio::test]
async fn a_redriven_letter_is_handled_once_by_the_group_that_failed_and_passed_over_by_others() {
    let fixture = Fixture::new().await;
    let (failing, other) = (Mendable::default(), Mendable::default());
    let start = |group: &str, handler: &Mendable| {
        let consumer = Consumer::new(group).on::<AccountOpened>(handler.clone()).dead_letters();
        consumer.start(fixture.publisher.clone(), fixture.transport.clone())
    };
    let running = [start("failing", &failing), start("other", &other)];
    fixture.transport.publish(vec![nameless(1)]).await.unwrap();
    let letter = letters_of(&fixture, "failing", 1).await.remove(0);
    letters_of(&fixture, "other", 1).await;
    failing.0.store(true, Ordering::SeqCst);
    other.0.store(true, Ordering::SeqCst);
    let back = dead_letter::redriven(&letter).unwrap();
    fixture.transport.publish(vec![back.clone(), back]).await.unwrap();
    let place = fixture.transport.records(ACCOUNTS)[0].topic_partition();
    for group in ["failing", "other"] {
        eventually("both groups are through", async || {
            (fixture.transport.committed(group, &place) == Some(3)).then_some(())
        })
        .await;
    }
    for running in running {
        running.stop().await;
    }
    assert_eq!(fixture.effects(1).await, 1, "once, though it was redriven twice, and by one group");
    let sql = "select group_name, event_identity from inbox";
    let rows = fixture.db.query(sql, &[]).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].get::<String>("group_name").unwrap(), "failing");
    let first = format!("{place}/0/1795485927123").replacen("accounts-", "accounts/", 1);
    assert_eq!(rows[0].get::<String>("event_identity").unwrap(), first, "the identity of its first place");
}

#[tokio::test]
async fn a_letter_that_fails_again_is_a_letter_again_and_loses_nothing() {
    let fixture = Fixture::new().await;
    let handler = Mendable::default();
    let running = Consumer::new("failing")
        .on::<AccountOpened>(handler.clone())
        .dead_letters()
        .start(fixture.publisher.clone(), fixture.transport.clone());
    fixture.transport.publish(vec![nameless(1)]).await.unwrap();
    let first = letters_of(&fixture, "failing", 1).await.remove(0);
    fixture.transport.publish(vec![dead_letter::redriven(&first).unwrap()]).await.unwrap();
    let second = letters_of(&fixture, "failing", 2).await.remove(1);
    assert_eq!((second.key.as_ref(), second.value.as_ref()), (first.key.as_ref(), first.value.as_ref()));
    assert_eq!(second.header(dead_letter::IDENTITY), first.header(dead_letter::IDENTITY));
    handler.0.store(true, Ordering::SeqCst);
    fixture.transport.publish(vec![dead_letter::redriven(&second).unwrap()]).await.unwrap();
    eventually("the effect", async || (fixture.count("accounts").await == 1).then_some(())).await;
    running.stop().await;
    assert_eq!(fixture.count("inbox").await, 1);
}
