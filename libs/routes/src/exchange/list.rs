//! A list that knows how deep it is nested, and how much it holds.

use std::ops::Deref;

use super::value::{ENTRY_BYTES, Value};

/// Values in order; they never change.
#[derive(Debug, Clone)]
pub struct List {
    values: Vec<Value>,
    depth: usize,
    weight: usize,
}

impl List {
    /// A list of these values.
    pub fn new(values: Vec<Value>) -> Self {
        let depth = values.iter().map(Value::depth).max().unwrap_or(0) + 1;
        let weight =
            values.iter().map(|value| value.weight().saturating_add(ENTRY_BYTES)).fold(0, usize::saturating_add);
        Self { values, depth, weight }
    }

    /// Puts a value behind the others.
    pub(crate) fn push(&mut self, value: Value) {
        self.depth = self.depth.max(value.depth() + 1);
        self.weight = self.weight.saturating_add(value.weight()).saturating_add(ENTRY_BYTES);
        self.values.push(value);
    }

    /// The values.
    pub fn into_values(self) -> Vec<Value> {
        self.values
    }

    /// How deep lists and maps are nested, this one included.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// About how many bytes all values have as JSON.
    pub fn weight(&self) -> usize {
        self.weight
    }
}

impl Deref for List {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.values
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}
