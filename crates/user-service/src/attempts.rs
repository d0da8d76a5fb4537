//! Counts failed attempts to get in, so that nobody can guess for long: in memory, and bounded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::error::Error;

/// Counters at a time. A flood from more places than that makes all of them start anew; what bounds it then is the
/// cost of a password's hash.
const COUNTERS_MAX: usize = 20_000;
/// How many times as much one address may fail in all, and how much one e-mail may from everywhere.
const SHARED_FACTOR: u32 = 10;

/// What attempts are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Counter {
    /// One e-mail from one address.
    Pair(Option<IpAddr>, String),
    /// Everything from one address.
    Address(Option<IpAddr>),
    /// One e-mail from everywhere.
    Email(String),
}

#[derive(Debug)]
struct Window {
    ends_at_ms: i64,
    count: u32,
}

/// The counters.
#[derive(Debug)]
pub(crate) struct Attempts {
    max: u32,
    window_ms: i64,
    windows: Mutex<HashMap<Counter, Window>>,
}

/// An attempt that has been counted as failed until it is forgiven.
#[derive(Debug)]
pub(crate) struct Attempt(Vec<Counter>);

impl Attempts {
    /// `max` failures of one e-mail from one address within `window_ms`.
    pub(crate) fn new(max: u32, window_ms: i64) -> Self {
        Self { max, window_ms, windows: Mutex::default() }
    }

    /// Counts an attempt, or refuses it with the time to wait.
    pub(crate) fn begin(&self, address: Option<IpAddr>, email: Option<&str>, now_ms: i64) -> Result<Attempt, Error> {
        let mut counters = vec![Counter::Address(address)];
        if let Some(email) = email {
            counters.push(Counter::Pair(address, email.to_owned()));
            counters.push(Counter::Email(email.to_owned()));
        }
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() + counters.len() > COUNTERS_MAX {
            windows.retain(|_, window| window.ends_at_ms > now_ms);
            if windows.len() + counters.len() > COUNTERS_MAX {
                tracing::warn!("failed attempts from too many places, counting starts anew");
                windows.clear();
            }
        }
        for counter in &counters {
            let Some(window) = windows.get(counter).filter(|window| window.ends_at_ms > now_ms) else { continue };
            if window.count >= self.max_of(counter) {
                let wait_ms = u64::try_from(window.ends_at_ms - now_ms).unwrap_or_default();
                return Err(Error::TooManyAttempts { retry_after: Duration::from_millis(wait_ms) });
            }
        }
        for counter in &counters {
            let fresh = || Window { ends_at_ms: now_ms.saturating_add(self.window_ms), count: 0 };
            let window = windows.entry(counter.clone()).or_insert_with(fresh);
            if window.ends_at_ms <= now_ms {
                *window = fresh();
            }
            window.count += 1;
        }
        Ok(Attempt(counters))
    }

    /// Takes an attempt back that did not fail.
    pub(crate) fn forgive(&self, attempt: Attempt) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        for counter in attempt.0 {
            if let Some(window) = windows.get_mut(&counter) {
                window.count = window.count.saturating_sub(1);
            }
        }
    }

    fn max_of(&self, counter: &Counter) -> u32 {
        match counter {
            Counter::Pair(..) => self.max,
            Counter::Address(_) | Counter::Email(_) => self.max.saturating_mul(SHARED_FACTOR),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(result: Result<Attempt, Error>) -> u64 {
        let Err(Error::TooManyAttempts { retry_after }) = result else { panic!("let through") };
        retry_after.as_secs()
    }

    #[test]
    fn failures_are_limited_per_address_and_email_until_the_window_ends() {
        let attempts = Attempts::new(2, 60_000);
        let (here, there) = (Some([10, 0, 0, 1].into()), Some([10, 0, 0, 2].into()));
        attempts.begin(here, Some("a@b.c"), 0).unwrap();
        attempts.begin(here, Some("a@b.c"), 0).unwrap();
        assert_eq!(wait(attempts.begin(here, Some("a@b.c"), 20_000)), 40);
        attempts.begin(here, Some("b@b.c"), 0).unwrap();
        attempts.begin(there, Some("a@b.c"), 0).unwrap();
        attempts.begin(here, Some("a@b.c"), 60_000).unwrap();
    }

    #[test]
    fn one_address_and_one_email_have_limits_of_their_own() {
        let attempts = Attempts::new(1, 60_000);
        let here = Some([10, 0, 0, 1].into());
        for number in 0..SHARED_FACTOR {
            attempts.begin(here, Some(&format!("{number}@b.c")), 0).unwrap();
            attempts.begin(Some([10, 0, 1, u8::try_from(number).unwrap()].into()), Some("a@b.c"), 0).unwrap();
        }
        wait(attempts.begin(here, Some("new@b.c"), 0));
        wait(attempts.begin(None, Some("a@b.c"), 0));
    }

    #[test]
    fn success_is_not_counted_and_the_memory_is_bounded() {
        let attempts = Attempts::new(1, 60_000);
        for _ in 0..5 {
            let attempt = attempts.begin(None, Some("a@b.c"), 0).unwrap();
            attempts.forgive(attempt);
        }
        for number in 0..u32::try_from(COUNTERS_MAX).unwrap() {
            let _ = attempts.begin(Some(number.to_be_bytes().into()), Some("x@y.z"), 0);
        }
        assert!(attempts.windows.lock().unwrap().len() <= COUNTERS_MAX);
    }
}
