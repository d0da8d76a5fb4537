//! How often and how soon something that failed is tried again.

use std::time::Duration;

/// What kind of failure it was: the word for it in metrics and dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The handler said that trying again may help.
    Transient,
    /// The handler, its unit of work or one of its statements took too long.
    Timeout,
    /// The handler panicked.
    Panic,
    /// The handler said that trying again cannot help: never tried again.
    Permanent,
    /// The record is no event that this reader knows: never tried again.
    Undecodable,
}

impl FailureKind {
    /// The kind in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Timeout => "timeout",
            Self::Panic => "panic",
            Self::Permanent => "permanent",
            Self::Undecodable => "undecodable",
        }
    }
}

/// Exponential back-off with jitter, bounded in attempts, in delay and in the time that all attempts may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often a handler is tried at the most, the first time included.
    pub attempts_max: u32,
    /// The delay after the first failure.
    pub initial: Duration,
    /// The longest delay.
    pub max: Duration,
    /// For how long after the first failure a handler is tried again.
    pub total_max: Duration,
    /// Whether a delay is a random part of it, between the half and the whole, so that many do not come back at once.
    pub jitter: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 5,
            initial: Duration::from_millis(100),
            max: Duration::from_secs(10),
            total_max: Duration::from_secs(600),
            jitter: true,
        }
    }
}

impl RetryPolicy {
    /// The same delay each time.
    pub fn fixed(attempts_max: u32, delay: Duration) -> Self {
        Self { attempts_max, initial: delay, max: delay, jitter: false, ..Self::default() }
    }

    /// How long to wait after the `failed`th failure in a row (from 1).
    pub fn delay(&self, failed: u32) -> Duration {
        let doublings = failed.saturating_sub(1).min(31);
        let full = self.initial.saturating_mul(1_u32 << doublings).min(self.max);
        if self.jitter { full.mul_f64(rand::random_range(0.5..=1.0)) } else { full }
    }

    /// Whether a handler may be tried again that has failed `failed` times, the first time `since_first` ago.
    pub fn allows(&self, failed: u32, since_first: Duration) -> bool {
        failed < self.attempts_max && since_first < self.total_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_and_is_bounded() {
        let policy = RetryPolicy { max: Duration::from_secs(1), ..RetryPolicy::default() };
        for (failed, full_ms) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (60, 1000)] {
            let full = Duration::from_millis(full_ms);
            let draws: Vec<Duration> = (0..100).map(|_| policy.delay(failed)).collect();
            assert!(draws.iter().all(|delay| (full / 2..=full).contains(delay)), "{failed}: {draws:?}");
            assert!(
                draws.iter().any(|delay| *delay != draws[0]),
                "{failed}: all come back at once, after {:?}",
                draws[0]
            );
            let exact = RetryPolicy { jitter: false, ..policy };
            assert_eq!(exact.delay(failed), full);
        }
    }

    #[test]
    fn a_fixed_delay_stays_the_same() {
        let policy = RetryPolicy::fixed(9, Duration::from_millis(70));
        assert!([1, 2, 8].into_iter().all(|failed| policy.delay(failed) == Duration::from_millis(70)));
    }

    #[test]
    fn attempts_and_time_both_end_the_trying() {
        let policy = RetryPolicy { attempts_max: 3, total_max: Duration::from_secs(2), ..RetryPolicy::default() };
        assert!(policy.allows(2, Duration::from_secs(1)));
        assert!(!policy.allows(3, Duration::from_secs(1)));
        assert!(!policy.allows(1, Duration::from_secs(2)));
    }
}
