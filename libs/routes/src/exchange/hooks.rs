//! What is to be done when an exchange ends.

use std::fmt;

/// Called with whether the exchange failed.
type Hook = Box<dyn FnOnce(bool) + Send + Sync>;

/// What is to be done when an exchange ends; a copy of the exchange has nothing to do.
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

    /// Takes over those of another exchange.
    pub fn append(&mut self, other: &mut Hooks) {
        self.0.append(&mut other.0);
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
