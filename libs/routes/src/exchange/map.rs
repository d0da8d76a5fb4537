//! A map in the order of its first insertions, as JSON objects and Java's linked maps are.

use std::collections::HashMap;

use super::text::Text;
use super::value::{ENTRY_BYTES, Value};

/// Above this many entries a name is looked up by its hash.
const SCANNED_MAX: usize = 16;

/// Names and values, in the order in which the names came first.
#[derive(Debug, Clone, Default)]
pub struct Map {
    entries: Vec<(Text, Value)>,
    /// Where each name stands, once there are more than [`SCANNED_MAX`].
    index: Option<HashMap<Text, usize>>,
    /// How deep the deepest value is nested.
    inner_depth: usize,
    /// About how many bytes names and values have as JSON.
    weight: usize,
}

impl Map {
    /// A map without entries.
    pub const fn new() -> Self {
        Self { entries: Vec::new(), index: None, inner_depth: 0, weight: 0 }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.place(name).map(|at| &self.entries[at].1)
    }

    /// Sets `name`; a new name goes to the end, a known one keeps its place.
    pub fn insert(&mut self, name: Text, value: Value) -> Option<Value> {
        self.inner_depth = self.inner_depth.max(value.depth());
        self.weight = self.weight.saturating_add(value.weight());
        if let Some(at) = self.place(&name) {
            let old = std::mem::replace(&mut self.entries[at].1, value);
            self.weight = self.weight.saturating_sub(old.weight());
            self.measure_without(&old);
            return Some(old);
        }
        self.weight = self.weight.saturating_add(name.len() + ENTRY_BYTES);
        if let Some(index) = &mut self.index {
            index.insert(name.clone(), self.entries.len());
        }
        self.entries.push((name, value));
        if self.index.is_none() && self.entries.len() > SCANNED_MAX {
            self.index_anew();
        }
        None
    }

    /// Takes `name` out; the others keep their order.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.place(name)?;
        let (name, value) = self.entries.remove(at);
        self.weight = self.weight.saturating_sub(value.weight().saturating_add(name.len() + ENTRY_BYTES));
        if self.index.is_some() {
            self.index_anew();
        }
        self.measure_without(&value);
        Some(value)
    }

    /// Keeps the entries for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &Value) -> bool) {
        self.entries.retain(|(name, value)| keep(name, value));
        let weights = self.entries.iter().map(|(name, value)| value.weight().saturating_add(name.len() + ENTRY_BYTES));
        self.weight = weights.fold(0, usize::saturating_add);
        if self.index.is_some() {
            self.index_anew();
        }
        self.measure();
    }

    /// How deep lists and maps are nested, this one included.
    pub fn depth(&self) -> usize {
        self.inner_depth + 1
    }

    /// About how many bytes names and values have as JSON.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Text, &Value)> + ExactSizeIterator {
        self.entries.iter().map(|(name, value)| (name, value))
    }

    fn place(&self, name: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(name).copied(),
            None => self.entries.iter().position(|(known, _)| known.as_str() == name),
        }
    }

    /// Finds the depth anew if a value that is gone may have been the deepest.
    fn measure_without(&mut self, gone: &Value) {
        if self.inner_depth > 0 && gone.depth() == self.inner_depth {
            self.measure();
        }
    }

    fn measure(&mut self) {
        self.inner_depth = self.entries.iter().map(|(_, value)| value.depth()).max().unwrap_or(0);
    }

    fn index_anew(&mut self) {
        self.index = Some(self.entries.iter().enumerate().map(|(at, (name, _))| (name.clone(), at)).collect());
    }
}

impl FromIterator<(Text, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (Text, Value)>>(entries: I) -> Self {
        let mut map = Self::new();
        for (name, value) in entries {
            map.insert(name, value);
        }
        map
    }
}

impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_lookups_hold_below_and_above_the_index() {
        let mut map = Map::new();
        for n in 0..40 {
            map.insert(Text::from(format!("k{n}")), Value::Integer(n));
        }
        map.insert(Text::from("k3"), Value::Integer(-3));
        assert_eq!(map.remove("k0"), Some(Value::Integer(0)));
        assert_eq!(map.len(), 39);
        assert_eq!(map.get("k3"), Some(&Value::Integer(-3)));
        assert_eq!(map.get("k39"), Some(&Value::Integer(39)));
        assert_eq!(map.iter().next().map(|(name, _)| name.as_str()), Some("k1"));
        map.retain(|name, _| name == "k7");
        assert_eq!(map.get("k7"), Some(&Value::Integer(7)));
        assert_eq!(map.get("k8"), None);
    }

    #[test]
    fn depth_is_that_of_the_deepest_value_that_is_there() {
        let mut map = Map::new();
        assert_eq!(map.depth(), 1);
        map.insert(Text::from("a"), Value::list(vec![Value::list(Vec::new())]));
        map.insert(Text::from("b"), Value::list(Vec::new()));
        assert_eq!(map.depth(), 3);
        map.insert(Text::from("a"), Value::Null);
        assert_eq!(map.depth(), 2);
        map.remove("b");
        assert_eq!(map.depth(), 1);
    }

    #[test]
    fn weight_is_that_of_what_is_there() {
        let mut map = Map::new();
        let text = |length: usize| Value::from("x".repeat(length));
        map.insert(Text::from("a"), text(100));
        map.insert(Text::from("a"), Value::list(vec![text(10), text(20)]));
        map.insert(Text::from("b"), text(5));
        let whole = map.weight();
        assert_eq!(whole, (1 + 4 + 10 + 4 + 20 + 4) + (1 + 4 + 5));
        map.remove("a");
        assert_eq!(map.weight(), 10);
        map.retain(|_, _| false);
        assert_eq!(map.weight(), 0);
    }
}
