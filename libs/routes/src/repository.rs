//! Where idempotent consumers remember what they have seen.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::exchange::Text;
use crate::run::Limits;

/// The class of the repository in memory.
pub const MEMORY: &str = "org.apache.camel.support.processor.idempotent.MemoryIdempotentRepository";

/// Remembers keys.
pub trait Repository: Send + Sync + fmt::Debug {
    /// Adds a key; false if it was there.
    fn add(&self, key: &Text) -> bool;
    /// Whether a key is there.
    fn contains(&self, key: &Text) -> bool;
    /// Takes a key out.
    fn remove(&self, key: &Text);
}

/// The repository of a class.
pub(crate) fn from_class(class: &str, limits: &Limits) -> Option<Arc<dyn Repository>> {
    (class == MEMORY).then(|| Arc::new(Memory { keys_max: limits.keys_max, seen: Mutex::default() }) as Arc<_>)
}

/// Remembers as many keys as fit; the oldest go first.
#[derive(Debug)]
struct Memory {
    keys_max: usize,
    seen: Mutex<(HashSet<Text>, VecDeque<Text>)>,
}

impl Repository for Memory {
    fn add(&self, key: &Text) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (keys, order) = &mut *seen;
        if !keys.insert(key.clone()) {
            return false;
        }
        order.push_back(key.clone());
        while order.len() > self.keys_max {
            if let Some(oldest) = order.pop_front() {
                keys.remove(&oldest);
            }
        }
        true
    }

    fn contains(&self, key: &Text) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).0.contains(key)
    }

    fn remove(&self, key: &Text) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.0.remove(key) {
            seen.1.retain(|known| known != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_key_goes_first() {
        let limits = Limits { keys_max: 2, ..Limits::default() };
        let repository = from_class(MEMORY, &limits).unwrap();
        let keys: Vec<_> = ["a", "b", "c"].map(Text::from).into();
        for key in &keys {
            assert!(repository.add(key));
        }
        assert!(!repository.contains(&keys[0]));
        assert!(!repository.add(&keys[2]));
        repository.remove(&keys[2]);
        assert!(repository.add(&keys[2]));
    }
}
