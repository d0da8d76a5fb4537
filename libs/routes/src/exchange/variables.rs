//! Variables: those of one exchange, and those that all exchanges share.

use std::sync::{Arc, Mutex, PoisonError};

use super::map::Map;
use super::text::Text;
use super::value::Value;

/// Most shared variables; a new one beyond is refused.
pub const SHARED_MAX: usize = 10_000;

/// How much all shared variables may hold together, in bytes as JSON; more is refused.
pub const SHARED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Variables of an exchange. A name that starts with `global:` or `route:ROUTE:` is shared.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    own: Map,
    shared: Shared,
}

/// Variables that all exchanges of an engine see; clones are the same store.
#[derive(Debug, Clone, Default)]
pub struct Shared(Arc<Mutex<Map>>);

impl Variables {
    /// No variables of its own, and these shared ones.
    pub fn new(shared: Shared) -> Self {
        Self { own: Map::new(), shared }
    }

    /// The value of a variable; `exchange:NAME` is the same as `NAME`.
    pub fn get(&self, name: &str) -> Option<Value> {
        match scope(name) {
            Scope::Exchange(name) => self.own.get(name).cloned(),
            Scope::Shared(name) => self.shared.lock(|map| map.get(name).cloned()),
        }
    }

    /// Sets a variable. False means that there are too many shared ones already, or that they hold too much.
    #[must_use]
    pub fn set(&mut self, name: &str, value: Value) -> bool {
        match scope(name) {
            Scope::Exchange(name) => {
                self.own.insert(Text::from(name), value);
                true
            }
            Scope::Shared(name) => self.shared.lock(|map| {
                let old = map.get(name).map(Value::weight);
                let weight = map.weight().saturating_sub(old.unwrap_or(0)).saturating_add(value.weight());
                let fits = (map.len() < SHARED_MAX || old.is_some()) && weight <= SHARED_BYTES_MAX;
                if fits {
                    map.insert(Text::from(name), value);
                }
                fits
            }),
        }
    }

    /// Takes a variable out; `*` takes out all of the exchange.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        match scope(name) {
            Scope::Exchange("*") => {
                self.own = Map::new();
                None
            }
            Scope::Exchange(name) => self.own.remove(name),
            Scope::Shared(name) => self.shared.lock(|map| map.remove(name)),
        }
    }

    /// Sets a variable of the exchange itself, whatever its name begins with.
    pub(super) fn set_own(&mut self, name: Text, value: Value) {
        self.own.insert(name, value);
    }

    /// The variables of the exchange itself.
    pub fn own(&self) -> &Map {
        &self.own
    }
}

impl Shared {
    fn lock<T>(&self, work: impl FnOnce(&mut Map) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

enum Scope<'a> {
    Exchange(&'a str),
    Shared(&'a str),
}

fn scope(name: &str) -> Scope<'_> {
    match name.split_once(':') {
        Some(("exchange", name)) => Scope::Exchange(name),
        Some(("global" | "route", _)) => Scope::Shared(name),
        _ => Scope::Exchange(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn global_variables_are_seen_by_other_exchanges() {
        let shared = Shared::default();
        let (mut one, other) = (Variables::new(shared.clone()), Variables::new(shared));
        assert!(one.set("a", Value::Integer(1)));
        assert!(one.set("global:b", Value::Integer(2)));
        assert_eq!(one.get("exchange:a"), Some(Value::Integer(1)));
        assert_eq!(other.get("a"), None);
        assert_eq!(other.get("global:b"), Some(Value::Integer(2)));
    }
}
