//! The one place that asks what time it is and that waits for a time, so that tests can decide.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Notify;

/// Tells the time: the system's, or one that a test moves by hand.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<Hands>>);

#[derive(Debug)]
struct Hands {
    now_ms: AtomicI64,
    waits: Option<Waits>,
}

/// Those who wait for a time to come.
#[derive(Debug, Default)]
struct Waits {
    moved: Notify,
    /// How many wait for each.
    until_ms: Mutex<BTreeMap<i64, usize>>,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands at `start` until it is moved; clones move together. Waits take the time that they take.
    pub fn manual(start: Timestamp) -> Self {
        Self::by_hand(start, None)
    }

    /// A manual clock that waits hang on as well: a consumer's pause before it tries a failed event again, and between two
    /// times of forgetting what is old, end when the clock is moved so far and no sooner.
    pub fn stepped(start: Timestamp) -> Self {
        Self::by_hand(start, Some(Waits::default()))
    }

    fn by_hand(start: Timestamp, waits: Option<Waits>) -> Self {
        Self(Some(Arc::new(Hands { now_ms: AtomicI64::new(start.as_millisecond()), waits })))
    }

    /// The time now, in whole milliseconds.
    #[expect(clippy::disallowed_methods, reason = "the one place that may ask")]
    pub fn now(&self) -> Timestamp {
        let now_ms = match &self.0 {
            None => Timestamp::now().as_millisecond(),
            Some(hands) => hands.now_ms.load(Ordering::SeqCst),
        };
        Timestamp::from_millisecond(now_ms).expect("milliseconds of a timestamp are in its range")
    }

    /// The time now in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        self.now().as_millisecond()
    }

    /// Moves a manual clock; a system clock stays as it is.
    pub fn advance_ms(&self, by_ms: i64) {
        if let Some(hands) = &self.0 {
            hands.now_ms.fetch_add(by_ms, Ordering::SeqCst);
            if let Some(waits) = &hands.waits {
                waits.moved.notify_waiters();
            }
        }
    }

    /// Waits: for as long as it takes, or until a stepped clock is moved so far.
    pub async fn sleep(&self, wait: Duration) {
        let Some((hands, waits)) = self.waits() else { return tokio::time::sleep(wait).await };
        let until_ms = self.now_ms().saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        let _waiting = Waiting::begin(waits, until_ms);
        loop {
            let mut moved = std::pin::pin!(waits.moved.notified());
            moved.as_mut().enable();
            if hands.now_ms.load(Ordering::SeqCst) >= until_ms {
                return;
            }
            moved.await;
        }
    }

    /// How long it has been since a moment that was noted in both ways: wall clocks are set forth and back, but a stepped
    /// one is the only time there is.
    pub(crate) fn since(&self, moment: Instant, moment_ms: i64) -> Duration {
        match self.waits() {
            None => moment.elapsed(),
            Some(_) => Duration::from_millis(u64::try_from(self.now_ms() - moment_ms).unwrap_or(0)),
        }
    }

    /// How far a stepped clock must be moved for the next wait to end.
    pub(crate) fn next_wait_ms(&self) -> Option<i64> {
        let (_, waits) = self.waits()?;
        let until_ms = waits.until_ms.lock().unwrap_or_else(PoisonError::into_inner);
        until_ms.keys().next().map(|until_ms| until_ms - self.now_ms())
    }

    fn waits(&self) -> Option<(&Hands, &Waits)> {
        let hands = self.0.as_deref()?;
        Some((hands, hands.waits.as_ref()?))
    }
}

/// A wait that is told of while it lasts.
struct Waiting<'a> {
    waits: &'a Waits,
    until_ms: i64,
}

impl<'a> Waiting<'a> {
    fn begin(waits: &'a Waits, until_ms: i64) -> Self {
        *waits.until_ms.lock().unwrap_or_else(PoisonError::into_inner).entry(until_ms).or_default() += 1;
        Self { waits, until_ms }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut all = self.waits.until_ms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = all.get_mut(&self.until_ms) {
            *waiting -= 1;
            if *waiting == 0 {
                all.remove(&self.until_ms);
            }
        }
    }
}
