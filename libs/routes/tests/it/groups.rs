//! Groups over a store that has them as bytes, some of which cannot be read.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use routes::exchange::{Exception, Message, Result, Text, Value, class};
use routes::run::BoxFuture;
use routes::state::{
    Change, Changed, Changing, Complete, Decide, Found, Groups, Kept, Keys, Place, StateStore, Wanted,
};
use routes::{Engine, Setup};

use crate::support::{bodies, eventually};

/// One step's groups; clones are the same.
#[derive(Debug, Clone, Default)]
struct Store(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    groups: BTreeMap<Text, Kept>,
    /// How often it was looked for what is due.
    looks: usize,
    /// Whether groups that were complete before cannot be taken.
    is_left_over_unreadable: bool,
}

impl Store {
    /// Has the time of all groups come, and makes some unreadable.
    fn spoil(&self, prefix: &str) {
        for (key, group) in &mut self.0.lock().unwrap().groups {
            group.due_ms = Some(1);
            if key.starts_with(prefix) {
                group.members = Some(vec![vec![0]]);
            }
        }
    }

    fn names(&self, is_one: impl Fn(&Kept) -> bool, most: usize) -> BoxFuture<'_, Result<Vec<Text>>> {
        let state = self.0.lock().unwrap();
        let names = state.groups.iter().filter(|(_, group)| is_one(group)).map(|(key, _)| key.clone());
        now(names.take(most).collect())
    }
}

fn now<'a, T: Send + 'a>(answer: T) -> BoxFuture<'a, Result<T>> {
    Box::pin(ready(Ok(answer)))
}

impl StateStore for Store {
    fn keys(&self, place: Place, _: usize) -> Box<dyn Keys> {
        panic!("nobody asks for keys: {place:?}");
    }

    fn groups(&self, _: Place) -> Box<dyn Groups> {
        Box::new(self.clone())
    }
}

impl Groups for Store {
    fn is_durable(&self) -> bool {
        true
    }

    fn change<'a>(&'a self, wanted: Wanted<'a>, decide: Decide<'a>) -> BoxFuture<'a, Result<Changing>> {
        let mut state = self.0.lock().unwrap();
        let groups = &mut state.groups;
        let group = groups.get(wanted.key).cloned();
        let mut kept = group.clone().unwrap_or_default();
        let found = Found { group, groups: groups.len(), is_closed: false };
        let changed = decide(found).map(|change| match change {
            Change::Stay => Changed::Stayed,
            Change::Join { member, due_ms } => {
                kept.members.get_or_insert_default().push(member);
                (kept.mark, kept.size, kept.due_ms) = (kept.mark + 1, kept.size + 1, due_ms);
                let mark = kept.mark;
                groups.insert(wanted.key.clone(), kept);
                Changed::Joined { mark }
            }
            Change::Complete(_) => {
                groups.remove(wanted.key);
                Changed::Complete { number: 0 }
            }
            Change::Drop { .. } => {
                groups.remove(wanted.key);
                Changed::Dropped
            }
        });
        Box::pin(ready(changed.map(|changed| Changing { changed, durable: now(()) })))
    }

    fn due(&self, now_ms: i64, most: usize) -> BoxFuture<'_, Result<Vec<Text>>> {
        self.names(|group| group.due_ms.is_some_and(|due_ms| due_ms <= now_ms), most)
    }

    fn all(&self, most: usize) -> BoxFuture<'_, Result<Vec<Text>>> {
        self.names(|_| true, most)
    }

    fn next_due_ms(&self) -> BoxFuture<'_, Result<Option<i64>>> {
        let mut state = self.0.lock().unwrap();
        state.looks += 1;
        let left_over_ms = state.is_left_over_unreadable.then_some(0);
        now(state.groups.values().filter_map(|group| group.due_ms).chain(left_over_ms).min())
    }

    fn left_over(&self, _: i64, _: usize) -> BoxFuture<'_, Result<Vec<Complete>>> {
        let is_unreadable = self.0.lock().unwrap().is_left_over_unreadable;
        match is_unreadable {
            true => Box::pin(ready(Err(Exception::new(&class::ILLEGAL_STATE, "the disk is full")))),
            false => now(Vec::new()),
        }
    }

    fn renew(&self, _: i64, _: i64) -> BoxFuture<'_, Result<()>> {
        now(())
    }

    fn done(&self, _: i64) -> BoxFuture<'_, Result<()>> {
        now(())
    }

    fn failed(&self, _: i64, _: Option<i64>) -> BoxFuture<'_, Result<()>> {
        now(())
    }

    fn started(&self) -> BoxFuture<'_, Result<()>> {
        now(())
    }
}

/// What cannot be completed is looked at again after some seconds, and not without a pause.
async fn assert_looks_with_a_pause(store: &Store) {
    tokio::time::pause();
    let looks = store.0.lock().unwrap().looks;
    for _ in 0..100 {
        tokio::time::advance(Duration::from_millis(20)).await;
    }
    assert!(store.0.lock().unwrap().looks <= looks + 1);
    tokio::time::resume();
}

const ROUTE: &str = r##"
- from:
    uri: direct:start
    steps:
      - aggregate:
          correlationExpression: { simple: "${body}" }
          completionTimeoutExpression: { simple: "${header.timeout}" }
          forceCompletionOnStop: true
          aggregationStrategy: "#class:org.apache.camel.processor.aggregate.GroupedBodyAggregationStrategy"
          steps: [ { to: "mock:complete" } ]
"##;

async fn send(engine: &Engine, body: &str, timeout_ms: i64) {
    let message = Message::new(Value::from(body)).with_header(Text::fixed("timeout"), timeout_ms);
    assert!(!engine.send("direct:start", engine.core().exchange(message)).await.is_failed());
}

#[tokio::test]
async fn groups_that_cannot_be_read_hold_up_no_others() {
    let store = Store::default();
    let engine = Engine::new(Setup { state: Some(Arc::new(store.clone())), ..Setup::default() });
    engine.core().components.mocks().unwrap().record();
    engine.start(engine.load(&[("test.yaml".to_owned(), ROUTE.to_owned())]).unwrap()).await.unwrap();
    // More than are asked for at a time, and those that cannot be read come first.
    for n in 0..150 {
        send(&engine, &format!("bad {n}"), 3_600_000).await;
        send(&engine, &format!("good {n}"), 3_600_000).await;
    }
    store.spoil("bad");
    // One whose time comes soon has it looked at once.
    send(&engine, "soon", 1).await;
    eventually("all that can be read are complete", || bodies(&engine, "complete").len() >= 150).await;
    assert!(!bodies(&engine, "complete").iter().any(|body| body.contains("bad")));
    // The others are looked at again after some seconds.
    assert_looks_with_a_pause(&store).await;
    send(&engine, "at the stop", 3_600_000).await;
    assert!(engine.stop().await.is_empty());
    assert!(bodies(&engine, "complete").iter().any(|body| body.contains("at the stop")));
    assert_eq!(store.0.lock().unwrap().groups.len(), 150);
}

#[tokio::test]
async fn complete_groups_that_cannot_be_taken_are_looked_at_with_a_pause() {
    let store = Store::default();
    store.0.lock().unwrap().is_left_over_unreadable = true;
    let engine = Engine::new(Setup { state: Some(Arc::new(store.clone())), ..Setup::default() });
    engine.start(engine.load(&[("test.yaml".to_owned(), ROUTE.to_owned())]).unwrap()).await.unwrap();
    eventually("they were looked at", || store.0.lock().unwrap().looks > 0).await;
    assert_looks_with_a_pause(&store).await;
    engine.stop().await;
}
