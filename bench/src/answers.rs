//! What librdkafka's producers were answered, for loads that use it without eventkit.

use std::sync::atomic::{AtomicU32, Ordering};

use rdkafka::ClientContext;
use rdkafka::producer::{DeliveryResult, ProducerContext};

/// Counts what the broker has answered.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    acknowledged: AtomicU32,
    refused: AtomicU32,
}

impl Answers {
    /// Records that were acknowledged, and those that were refused.
    pub(crate) fn counted(&self) -> (u32, u32) {
        (self.acknowledged.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }
}

impl ClientContext for Answers {}

impl ProducerContext for Answers {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let count = if result.is_ok() { &self.acknowledged } else { &self.refused };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
