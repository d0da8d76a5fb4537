//! What is to be done when an exchange ends.

use std::fmt;

/// Called with whether the exchange failed.
type Hook = Box<dyn FnOnce(bool) + Send + Sync>;

/// What is to be done when an exchange ends; a copy of the exchange has nothing to do.
///
/// An exchange that is cut off and dropped has failed.
#[derive(Default)]
pub struct Hooks(Vec<Hook>);

impl Hooks {
    /// Adds one.
    pub fn add(&mut self, hook: impl FnOnce(bool) + Send + Sync + 'static) {
        self.0.push(Box::new(hook));
    }

    /// Runs all of them, the last added first.
    pub fn run(&mut self, is_failed: bool) {
        for hook in std::mem::take(&mut self.0).into_iter().rev() {
            hook(is_failed);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes out those that were added after the first `kept`.
    pub fn split_off(&mut self, kept: usize) -> Hooks {
        Hooks(self.0.split_off(kept.min(self.0.len())))
    }

    /// Takes over those of another exchange.
    pub fn append(&mut self, other: &mut Hooks) {
        self.0.append(&mut other.0);
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        self.run(true);
    }
}

impl Clone for Hooks {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hooks").field(&self.0.len()).finish()
    }
}
