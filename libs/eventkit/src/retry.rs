//! How often and how soon something that failed is tried again.

use std::time::Duration;

/// Exponential back-off with jitter, bounded in attempts and in delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often a handler is tried at the most, the first time included.
    pub attempts_max: u32,
    /// The delay after the first failure.
    pub initial: Duration,
    /// The longest delay.
    pub max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts_max: 5, initial: Duration::from_millis(100), max: Duration::from_secs(10) }
    }
}

impl RetryPolicy {
    /// How long to wait after the `failed`th failure in a row (from 1): between half of the exponential delay and all of it.
    pub fn delay(&self, failed: u32) -> Duration {
        let doublings = failed.saturating_sub(1).min(31);
        let full = self.initial.saturating_mul(1_u32 << doublings).min(self.max);
        full.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// Whether a handler that has failed `failed` times may be tried again.
    pub fn allows(&self, failed: u32) -> bool {
        failed < self.attempts_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_and_is_bounded() {
        let policy = RetryPolicy { attempts_max: 9, initial: Duration::from_millis(100), max: Duration::from_secs(1) };
        for (failed, full_ms) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (60, 1000)] {
            let delay = policy.delay(failed);
            let full = Duration::from_millis(full_ms);
            assert!(delay <= full && delay >= full / 2, "{failed}: {delay:?}");
        }
    }
}
