//! An exchange at a step: counted once, and told to whoever follows it, however often the step is tried.

use tokio::time::Instant;

use crate::exchange::Exchange;

use super::Cx;
use super::block::Entry;
use super::stats::StepInfo;
use super::trace::Stay;

/// From when an exchange comes to a step until it is through with it; one that is dropped was cut off, and has failed.
pub(super) struct Visit<'b> {
    step: Option<&'b StepInfo>,
    began: Instant,
    /// There where the exchange is followed.
    stay: Option<Stay>,
}

impl<'b> Visit<'b> {
    pub(super) fn begin(entry: &'b Entry, exchange: &Exchange, cx: &Cx<'_>, now: Instant) -> Self {
        let step = entry.info.as_deref();
        if let Some(step) = step {
            step.stats.begin();
        }
        let journey = exchange.journey.get();
        let stay = journey.zip(step).and_then(|(journey, step)| journey.enter(step, exchange, cx.route.id(), now));
        Self { step, began: now, stay }
    }

    /// Counts another attempt.
    pub(super) fn redeliver(&mut self) {
        if let Some(step) = self.step {
            step.stats.redeliver();
        }
        if let Some(stay) = &self.stay {
            stay.redeliver();
        }
    }

    /// Ends, as the exchange stands now; says what time it is.
    pub(super) fn end(mut self, exchange: &mut Exchange, cx: &Cx<'_>) -> Instant {
        let now = Instant::now();
        if let Some(step) = self.step.take() {
            step.stats.end(exchange.is_failed(), now.saturating_duration_since(self.began));
            if exchange.is_failed() {
                exchange.note_failure(cx.route.id(), &step.name);
            }
        }
        if let Some(stay) = self.stay.take() {
            stay.end(exchange, now);
        }
        now
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if let Some(step) = self.step {
            step.stats.end(true, self.began.elapsed());
        }
    }
}
