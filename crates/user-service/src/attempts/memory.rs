//! Counters in the memory of one copy of the service, bounded.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{Counter, Counters, Refused};

/// Counters at a time. A flood from more places than that makes all of them start anew; what bounds it then is the
/// cost of a password's hash.
const COUNTERS_MAX: usize = 20_000;

#[derive(Debug)]
struct Window {
    ends_at_ms: i64,
    count: u32,
}

/// The counters.
#[derive(Debug, Default)]
pub(super) struct MemoryCounters {
    windows: Mutex<HashMap<String, Window>>,
}

impl MemoryCounters {
    /// Counts once for each counter, unless one of them is full.
    pub(super) fn count(&self, counters: &Counters, window_ms: i64, now_ms: i64) -> Result<(), Refused> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() + counters.len() > COUNTERS_MAX {
            windows.retain(|_, window| window.ends_at_ms > now_ms);
            if windows.len() + counters.len() > COUNTERS_MAX {
                tracing::warn!("failed attempts from too many places, counting starts anew");
                windows.clear();
            }
        }
        for Counter { name, max } in counters {
            let Some(window) = windows.get(name).filter(|window| window.ends_at_ms > now_ms) else { continue };
            if window.count >= *max {
                return Err(Refused { wait_ms: window.ends_at_ms - now_ms });
            }
        }
        for Counter { name, .. } in counters {
            let fresh = || Window { ends_at_ms: now_ms.saturating_add(window_ms), count: 0 };
            let window = windows.entry(name.clone()).or_insert_with(fresh);
            if window.ends_at_ms <= now_ms {
                *window = fresh();
            }
            window.count += 1;
        }
        Ok(())
    }

    /// Takes one off each counter.
    pub(super) fn take_back(&self, counters: &Counters) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        for Counter { name, .. } in counters {
            if let Some(window) = windows.get_mut(name) {
                window.count = window.count.saturating_sub(1);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_bounded() {
        let counters = MemoryCounters::default();
        for number in 0..=COUNTERS_MAX {
            let counter = Counter { name: number.to_string(), max: 1 };
            counters.count(&vec![counter], 60_000, 0).unwrap();
        }
        assert!(counters.len() <= COUNTERS_MAX);
    }
}
