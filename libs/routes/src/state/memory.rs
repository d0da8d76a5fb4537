//! State in memory: it ends with the routes that have it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::future::ready;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::exchange::{Result, Text};
use crate::run::BoxFuture;

use super::{Change, Changed, Changing, Complete, Decide, Found, Groups, Kept, Keys, Place, StateStore, Wanted};

/// Every place that is asked for is a new one.
#[derive(Debug)]
pub(crate) struct Memory;

impl StateStore for Memory {
    fn keys(&self, _: Place, keys_max: usize) -> Box<dyn Keys> {
        Box::new(MemoryKeys { keys_max, seen: Mutex::default() })
    }

    fn groups(&self, _: Place) -> Box<dyn Groups> {
        Box::new(MemoryGroups::default())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now<'a, T: Send + 'a>(answer: T) -> BoxFuture<'a, Result<T>> {
    Box::pin(ready(Ok(answer)))
}

/// Remembers as many keys as fit; the oldest go first.
#[derive(Debug)]
struct MemoryKeys {
    keys_max: usize,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    owners: HashMap<Text, Text>,
    order: VecDeque<Text>,
}

/// Whether the key of `owner` is somebody else's.
fn is_others(owner: &Text, asking: &Text) -> bool {
    owner.is_empty() || owner != asking
}

impl Keys for MemoryKeys {
    fn add<'a>(&'a self, key: &'a Text, owner: &'a Text) -> BoxFuture<'a, Result<bool>> {
        let mut seen = lock(&self.seen);
        if let Some(known) = seen.owners.get(key) {
            return now(!is_others(known, owner));
        }
        seen.owners.insert(key.clone(), owner.clone());
        seen.order.push_back(key.clone());
        while seen.order.len() > self.keys_max {
            if let Some(oldest) = seen.order.pop_front() {
                seen.owners.remove(&oldest);
            }
        }
        now(true)
    }

    fn is_taken<'a>(&'a self, key: &'a Text, owner: &'a Text) -> BoxFuture<'a, Result<bool>> {
        now(lock(&self.seen).owners.get(key).is_some_and(|known| is_others(known, owner)))
    }

    fn remove<'a>(&'a self, key: &'a Text, owner: &'a Text) -> BoxFuture<'a, Result<()>> {
        let mut seen = lock(&self.seen);
        if seen.owners.get(key) == Some(owner) {
            seen.owners.remove(key);
            seen.order.retain(|known| known != key);
        }
        now(())
    }
}

#[derive(Debug, Default)]
struct MemoryGroups(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    groups: HashMap<Text, Kept>,
    /// Which groups are complete when, in order.
    due: BTreeMap<(i64, Text), ()>,
    closed: HashSet<Text>,
    closed_order: VecDeque<Text>,
    marks: i64,
}

impl State {
    fn put(&mut self, key: &Text, size: usize, due_ms: Option<i64>) -> i64 {
        self.take(key);
        self.marks += 1;
        if let Some(due_ms) = due_ms {
            self.due.insert((due_ms, key.clone()), ());
        }
        self.groups.insert(key.clone(), Kept { mark: self.marks, size, due_ms, members: None });
        self.marks
    }

    fn take(&mut self, key: &Text) {
        if let Some(due_ms) = self.groups.remove(key).and_then(|group| group.due_ms) {
            self.due.remove(&(due_ms, key.clone()));
        }
    }

    fn close(&mut self, key: &Text, closed_max: usize) {
        self.closed.insert(key.clone());
        self.closed_order.push_back(key.clone());
        while self.closed_order.len() > closed_max {
            if let Some(oldest) = self.closed_order.pop_front() {
                self.closed.remove(&oldest);
            }
        }
    }

    fn change(&mut self, wanted: &Wanted<'_>, change: Change, size: usize) -> Changed {
        match change {
            Change::Stay => Changed::Stayed,
            Change::Join { due_ms, .. } => Changed::Joined { mark: self.put(wanted.key, size + 1, due_ms) },
            Change::Complete(_) => {
                self.take(wanted.key);
                if let Some(closed_max) = wanted.closed_max {
                    self.close(wanted.key, closed_max);
                }
                Changed::Complete { number: 0 }
            }
            Change::Drop { closes } => {
                self.take(wanted.key);
                if let Some(closed_max) = wanted.closed_max.filter(|_| closes) {
                    self.close(wanted.key, closed_max);
                }
                Changed::Dropped
            }
        }
    }
}

impl Groups for MemoryGroups {
    fn is_durable(&self) -> bool {
        false
    }

    fn change<'a>(&'a self, wanted: Wanted<'a>, decide: Decide<'a>) -> BoxFuture<'a, Result<Changing>> {
        let mut state = lock(&self.0);
        let group = state.groups.get(wanted.key).cloned();
        let size = group.as_ref().map_or(0, |group| group.size);
        let found = Found { group, groups: state.groups.len(), is_closed: state.closed.contains(wanted.key) };
        let changed = decide(found).map(|change| state.change(&wanted, change, size));
        Box::pin(ready(changed.map(|changed| Changing { changed, durable: now(()) })))
    }

    fn due(&self, now_ms: i64, most: usize) -> BoxFuture<'_, Result<Vec<Text>>> {
        let state = lock(&self.0);
        let due = state.due.keys().take_while(|(due_ms, _)| *due_ms <= now_ms).take(most);
        now(due.map(|(_, key)| key.clone()).collect())
    }

    fn all(&self, most: usize) -> BoxFuture<'_, Result<Vec<Text>>> {
        now(lock(&self.0).groups.keys().take(most).cloned().collect())
    }

    fn next_due_ms(&self) -> BoxFuture<'_, Result<Option<i64>>> {
        now(lock(&self.0).due.first_key_value().map(|((due_ms, _), ())| *due_ms))
    }

    // Whoever completes a group here runs its steps, and nobody else knows of it.

    fn left_over(&self, _: i64, _: usize) -> BoxFuture<'_, Result<Vec<Complete>>> {
        now(Vec::new())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { owner: Text::fixed("route"), name: Text::fixed("step") }
    }

    #[tokio::test]
    async fn the_oldest_key_goes_first() {
        let keys = Memory.keys(place(), 2);
        let [a, b, c] = ["a", "b", "c"].map(Text::from);
        for key in [&a, &b, &c] {
            assert!(keys.add(key, &Text::EMPTY).await.unwrap());
        }
        assert!(!keys.is_taken(&a, &Text::EMPTY).await.unwrap());
        assert!(!keys.add(&c, &Text::EMPTY).await.unwrap());
        keys.remove(&c, &Text::EMPTY).await.unwrap();
        assert!(keys.add(&c, &Text::EMPTY).await.unwrap());
    }

    #[tokio::test]
    async fn an_owner_has_its_key_again_and_another_does_not() {
        let keys = Memory.keys(place(), 10);
        let [key, one, other] = ["k", "one", "other"].map(Text::from);
        assert!(keys.add(&key, &one).await.unwrap());
        assert!(keys.add(&key, &one).await.unwrap());
        assert!(!keys.add(&key, &other).await.unwrap());
        assert!(keys.is_taken(&key, &other).await.unwrap() && !keys.is_taken(&key, &one).await.unwrap());
        keys.remove(&key, &other).await.unwrap();
        assert!(!keys.add(&key, &other).await.unwrap());
        keys.remove(&key, &one).await.unwrap();
        assert!(keys.add(&key, &other).await.unwrap());
    }
}
