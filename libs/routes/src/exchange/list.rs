//! A list that knows how deep it is nested.

use std::ops::Deref;

use super::value::Value;

/// Values in order; they never change.
#[derive(Debug, Clone)]
pub struct List {
    values: Vec<Value>,
    depth: usize,
}

impl List {
    /// A list of these values.
    pub fn new(values: Vec<Value>) -> Self {
        let depth = values.iter().map(Value::depth).max().unwrap_or(0) + 1;
        Self { values, depth }
    }

    /// The values.
    pub fn into_values(self) -> Vec<Value> {
        self.values
    }

    /// How deep lists and maps are nested, this one included.
    pub fn depth(&self) -> usize {
        self.depth
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
