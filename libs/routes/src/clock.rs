//! The one place that asks what time it is, so that tests can decide.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// Tells the time: the system's, or one that a test moves by hand.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands at `start` until it is moved; clones move together.
    pub fn manual(start: Timestamp) -> Self {
        Self(Some(Arc::new(AtomicI64::new(start.as_millisecond()))))
    }

    /// The time now in milliseconds since 1970.
    #[expect(clippy::disallowed_methods, reason = "the one place that may ask")]
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            None => Timestamp::now().as_millisecond(),
            Some(now_ms) => now_ms.load(Ordering::SeqCst),
        }
    }

    /// Moves a manual clock; a system clock stays as it is.
    pub fn advance_ms(&self, by_ms: i64) {
        if let Some(now_ms) = &self.0 {
            now_ms.fetch_add(by_ms, Ordering::SeqCst);
        }
    }
}
