//! What a relay tells of itself to whoever watches over the service.

use std::time::Instant;

use super::Relay;

/// What keeps events from being published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelayCondition {
    /// Topics that take nothing, each with what the broker says and the causes of that.
    pub stopped: Vec<(String, String)>,
    /// How many keys wait behind an event that the broker refuses for good.
    pub held_keys: usize,
    /// Why nothing could be published at the last try.
    pub failing: Option<String>,
    /// Since when events wait behind a transaction that does not end, if that is longer than is usual.
    pub held_back_since: Option<Instant>,
}

impl RelayCondition {
    /// What is wrong, in one line that anybody may read: causes, which may name addresses, stand in the log. Nothing if all
    /// is well, or if another copy publishes.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let stopped = self
            .stopped
            .iter()
            .map(|(topic, _)| format!("events for {topic} wait: it takes none; `techleet events held list` shows why"));
        let held = (self.held_keys > 0).then(|| {
            format!("the broker refuses events of {} keys: `techleet events held list` shows them", self.held_keys)
        });
        let failing = self.failing.as_ref().map(|error| format!("events wait: {error}"));
        let held_back = self.held_back_since.map(|since| {
            let waited = since.elapsed().as_secs();
            format!("events have waited {waited} s behind a transaction that does not end; the log names its session")
        });
        let all: Vec<String> = stopped.chain(held).chain(failing).chain(held_back).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

impl Relay {
    /// Tells how it is, if that has changed.
    pub(super) fn tell(&self, failing: Option<String>) {
        let is_owner = self.leased_until.is_some();
        let condition = RelayCondition {
            stopped: if is_owner { self.stopped.complaints() } else { Vec::new() },
            held_keys: if is_owner { self.held.len() } else { 0 },
            failing,
            held_back_since: self.behind.told(),
        };
        self.condition.send_if_modified(|told| {
            let is_new = *told != condition;
            *told = condition;
            is_new
        });
    }
}
