//! What time it is, as a value that tests can hold still: the only file here that asks the system.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// A source of the current time; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    manual: Option<Arc<Mutex<Timestamp>>>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn real() -> Self {
        Self { manual: None }
    }

    /// A clock that stands at `start` until it is moved.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self {
            manual: Some(Arc::new(Mutex::new(start))),
        }
    }

    /// The current time.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(&self) -> Timestamp {
        match &self.manual {
            Some(time) => *time.lock().unwrap_or_else(PoisonError::into_inner),
            None => Timestamp::now(),
        }
    }

    /// Moves a manual clock.
    ///
    /// # Panics
    /// On the system's clock, and beyond the range of [`Timestamp`].
    pub fn advance(&self, by: SignedDuration) {
        let time = self.manual.as_ref().expect("only a manual clock is moved");
        let mut time = time.lock().unwrap_or_else(PoisonError::into_inner);
        *time = time
            .checked_add(by)
            .expect("tests stay within the range of timestamps");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_moves_only_when_told() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let copy = clock.clone();
        clock.advance(SignedDuration::from_secs(60));
        assert_eq!(copy.now().as_second(), 60);
    }

    #[test]
    fn real_clock_is_past_the_day_this_was_written() {
        assert!(Clock::real().now().as_second() > 1_700_000_000);
    }
}
