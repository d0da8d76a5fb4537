//! Names that one route has at a time, for sources that others find by name.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::exchange::Text;

/// Which route has which name, and what is found under it; clones are the same table.
#[derive(Debug)]
pub struct Names<T>(Arc<Mutex<HashMap<String, Holder<T>>>>);

/// A name that a source takes whenever it starts.
#[derive(Debug)]
pub struct Name<T> {
    names: Names<T>,
    name: String,
    /// Which start has taken it.
    start: AtomicU64,
}

#[derive(Debug)]
struct Holder<T> {
    start: u64,
    route: Text,
    found: T,
}

/// Tells the starts of routes apart.
static STARTS: AtomicU64 = AtomicU64::new(1);

impl<T> Names<T> {
    /// A name for a source.
    pub fn name(&self, name: String) -> Name<T> {
        Name { names: self.clone(), name, start: AtomicU64::new(0) }
    }

    /// Whether a route has this name.
    pub fn has(&self, name: &str) -> bool {
        self.table().contains_key(name)
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Holder<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Names<T> {
    /// What is found under a name.
    pub fn get(&self, name: &str) -> Option<T> {
        self.table().get(name).map(|holder| holder.found.clone())
    }
}

impl<T> Name<T> {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Takes the name for a route, over from whoever has it.
    pub fn take(&self, route: &Text, found: T) {
        let start = STARTS.fetch_add(1, Ordering::Relaxed);
        self.start.store(start, Ordering::Relaxed);
        self.names.table().insert(self.name.clone(), Holder { start, route: route.clone(), found });
    }

    /// Gives the name back, unless another has taken it over.
    pub fn give_back(&self) {
        let mut table = self.names.table();
        if table.get(&self.name).is_some_and(|holder| holder.start == self.start.load(Ordering::Relaxed)) {
            table.remove(&self.name);
        }
    }

    /// The route that has the name, if it is none of those that are replaced.
    pub fn other(&self, replaced: &[Text]) -> Option<Text> {
        let route = self.names.table().get(&self.name)?.route.clone();
        (!replaced.contains(&route)).then_some(route)
    }
}

impl<T> Clone for Names<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_taken_over_is_not_given_back_by_who_had_it() {
        let names = Names::default();
        let (first, second) = (names.name("n".to_owned()), names.name("n".to_owned()));
        first.take(&Text::fixed("a"), 1);
        assert_eq!((second.other(&[]), second.other(&[Text::fixed("a")])), (Some(Text::fixed("a")), None));
        second.take(&Text::fixed("a"), 2);
        first.give_back();
        assert_eq!(names.get("n"), Some(2));
        second.give_back();
        assert!(!names.has("n") && first.other(&[]).is_none());
    }
}
