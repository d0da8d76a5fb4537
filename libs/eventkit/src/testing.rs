//! For tests: a harness around a service, the contracts of transport, outbox and inbox as suites that every
//! implementation runs, faults to plant, and a checker of promises.

pub mod checker;
pub mod faults;
mod faulty_stores;
mod harness;
pub mod store_suites;
mod transport_suite;

use std::future::Future;
use std::time::Duration;

use crate::consume::Received;
use crate::error::Result;
use crate::event::Event;
use crate::transport::ConsumedRecord;
pub use faults::{Fault, Faults, FaultyTransport};
pub use faulty_stores::{FaultyInbox, FaultyOutbox};
pub use harness::Harness;
pub use store_suites::{inbox_suite, outbox_suite};
pub use transport_suite::{refusal_suite, transport_suite};

/// How long [`eventually`] waits before it gives up.
pub const EVENTUALLY_MAX: Duration = Duration::from_secs(20);

/// Asks `state` again and again until it answers `Some`.
///
/// # Panics
/// After [`EVENTUALLY_MAX`], naming `what` was waited for.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut state: impl FnMut() -> F) -> T {
    let reached = tokio::time::timeout(EVENTUALLY_MAX, async {
        loop {
            if let Some(reached) = state().await {
                return reached;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    reached.await.unwrap_or_else(|_| panic!("not within {EVENTUALLY_MAX:?}: {what}"))
}

/// The event in a record as a handler of `group` gets it, for tests that call a handler themselves.
///
/// # Errors
/// As for a consumer: [`crate::Error::Decode`] for what is no event of this type.
///
/// # Panics
/// When the record has no value.
pub fn received<E: Event>(group: &str, record: &ConsumedRecord) -> Result<Received<E>> {
    crate::consume::received(&group.into(), record)
}
