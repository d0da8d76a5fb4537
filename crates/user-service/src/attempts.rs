//! Counts failed attempts to get in, so that nobody can guess for long: in Redis where copies of the service share one,
//! in the memory of this copy otherwise and while Redis is away.

mod memory;
mod shared;

use std::net::IpAddr;
use std::time::Duration;

use chassis::Redis;

use crate::error::Error;
use crate::tokens::hash_of;
use memory::MemoryCounters;
use shared::SharedCounters;

/// How many times as much one address may fail in all, and how much one e-mail may from everywhere.
const SHARED_FACTOR: u32 = 10;

/// What attempts are counted by, and how many are let through. The name tells nobody whose it is.
#[derive(Debug)]
struct Counter {
    name: String,
    max: u32,
}

/// The counters of one attempt.
type Counters = Vec<Counter>;

/// A counter is full.
#[derive(Debug)]
struct Refused {
    wait_ms: i64,
}

/// The counters of all attempts.
#[derive(Debug)]
pub(crate) struct Attempts {
    max: u32,
    window_ms: i64,
    shared: Option<SharedCounters>,
    memory: MemoryCounters,
}

/// An attempt that has been counted as failed until it is forgiven.
#[derive(Debug)]
pub(crate) struct Attempt {
    counters: Counters,
    is_shared: bool,
}

impl Attempts {
    /// `max` failures of one e-mail from one address within `window_ms`.
    pub(crate) fn new(max: u32, window_ms: i64, redis: Option<Redis>) -> Self {
        Self { max, window_ms, shared: redis.map(SharedCounters), memory: MemoryCounters::default() }
    }

    /// Counts an attempt, or refuses it with the time to wait. Not for the inside of a unit of work.
    pub(crate) async fn begin(
        &self,
        address: Option<IpAddr>,
        email: Option<&str>,
        now_ms: i64,
    ) -> Result<Attempt, Error> {
        let counters = self.counters(address, email);
        let shared = match &self.shared {
            Some(shared) => shared.count(&counters, self.window_ms, now_ms).await.ok(),
            None => None,
        };
        let is_shared = shared.is_some();
        let counted = shared.unwrap_or_else(|| self.memory.count(&counters, self.window_ms, now_ms));
        match counted {
            Ok(()) => Ok(Attempt { counters, is_shared }),
            Err(Refused { wait_ms }) => {
                let wait_ms = u64::try_from(wait_ms).unwrap_or_default();
                Err(Error::TooManyAttempts { retry_after: Duration::from_millis(wait_ms) })
            }
        }
    }

    /// Takes an attempt back that did not fail. Not for the inside of a unit of work.
    pub(crate) async fn forgive(&self, Attempt { counters, is_shared }: Attempt) {
        match &self.shared {
            Some(shared) if is_shared => {
                if let Err(error) = shared.take_back(&counters).await {
                    tracing::debug!(error = eventkit::chain(&error), "a good attempt stays counted as failed");
                }
            }
            _ => self.memory.take_back(&counters),
        }
    }

    /// What was found out of an attempt; one that could not be judged, through no fault of whoever made it, is taken back.
    pub(crate) async fn judged<T, E>(&self, attempt: Attempt, found: Result<T, E>) -> Result<(Attempt, T), E> {
        match found {
            Ok(found) => Ok((attempt, found)),
            Err(error) => {
                self.forgive(attempt).await;
                Err(error)
            }
        }
    }

    /// One address, one e-mail from it, and the e-mail from everywhere.
    fn counters(&self, address: Option<IpAddr>, email: Option<&str>) -> Counters {
        let address = address.map(|address| address.to_string()).unwrap_or_default();
        let shared_max = self.max.saturating_mul(SHARED_FACTOR);
        let counter = |name: String, max| Counter { name: hash_of(&name), max };
        let mut counters = vec![counter(format!("address {address}"), shared_max)];
        if let Some(email) = email {
            counters.push(counter(format!("pair {address} {email}"), self.max));
            counters.push(counter(format!("email {email}"), shared_max));
        }
        counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(result: Result<Attempt, Error>) -> u64 {
        let Err(Error::TooManyAttempts { retry_after }) = result else { panic!("let through") };
        retry_after.as_secs()
    }

    /// In memory, and in Redis where one is given.
    fn every(max: u32) -> Vec<Attempts> {
        let redis = chassis::testing::redis().map(|redis| Attempts::new(max, 60_000, Some(redis)));
        [Attempts::new(max, 60_000, None)].into_iter().chain(redis).collect()
    }

    #[tokio::test]
    async fn failures_are_limited_per_address_and_email_until_the_window_ends() {
        for attempts in every(2) {
            let (here, there) = (Some([10, 0, 0, 1].into()), Some([10, 0, 0, 2].into()));
            attempts.begin(here, Some("a@b.c"), 0).await.unwrap();
            attempts.begin(here, Some("a@b.c"), 0).await.unwrap();
            assert_eq!(wait(attempts.begin(here, Some("a@b.c"), 20_000).await), 40);
            attempts.begin(here, Some("b@b.c"), 0).await.unwrap();
            attempts.begin(there, Some("a@b.c"), 0).await.unwrap();
            attempts.begin(here, Some("a@b.c"), 60_000).await.unwrap();
        }
    }

    #[tokio::test]
    async fn one_address_and_one_email_have_limits_of_their_own() {
        for attempts in every(1) {
            let here = Some([10, 0, 0, 1].into());
            for number in 0..SHARED_FACTOR {
                attempts.begin(here, Some(&format!("{number}@b.c")), 0).await.unwrap();
                let there = Some([10, 0, 1, u8::try_from(number).unwrap()].into());
                attempts.begin(there, Some("a@b.c"), 0).await.unwrap();
            }
            wait(attempts.begin(here, Some("new@b.c"), 0).await);
            wait(attempts.begin(None, Some("a@b.c"), 0).await);
        }
    }

    #[tokio::test]
    async fn success_is_not_counted() {
        for attempts in every(1) {
            for _ in 0..5 {
                let attempt = attempts.begin(None, Some("a@b.c"), 0).await.unwrap();
                attempts.forgive(attempt).await;
            }
        }
    }

    #[tokio::test]
    async fn copies_share_what_is_counted_in_redis_and_count_for_themselves_while_it_is_away() {
        let Some(redis) = chassis::testing::redis() else { return };
        let copies = [(); 2].map(|()| Attempts::new(1, 60_000, Some(redis.clone())));
        copies[0].begin(None, Some("a@b.c"), 0).await.unwrap();
        wait(copies[1].begin(None, Some("a@b.c"), 0).await);
        let away = Attempts::new(1, 60_000, Some(chassis::testing::no_redis()));
        away.begin(None, Some("a@b.c"), 0).await.unwrap();
        wait(away.begin(None, Some("a@b.c"), 0).await);
    }
}
