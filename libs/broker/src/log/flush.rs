//! Topics that chose to acknowledge before the sync (`flush.messages` above 1): a crash of the machine may cost them
//! what was not synced yet. All others are acknowledged after it, whatever `flush.ms` says.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::is_internal;
use crate::log::LogConfig;
use crate::log::partition::{Partition, State};
use crate::num::u64_of;

impl Partition {
    /// Sees to the sync of what was appended, and shows it at once where the topic chose that.
    pub(crate) fn after_append(self: &Arc<Self>, state: &mut State, config: &LogConfig) {
        if self.defers(config) {
            let end = state.end;
            state.visible_size = state.segments.last().map_or(0, |active| active.size);
            self.show(state, end);
        }
        if self.is_due(state, config) {
            self.start_sync(state);
        } else {
            self.plan_sync(state, config);
        }
    }

    /// Whether what is not synced must be, as far as its number says.
    pub(crate) fn is_due(&self, state: &State, config: &LogConfig) -> bool {
        !self.defers(config) || state.end - state.synced >= config.flush_messages
    }

    /// Has what is not synced yet synced when its time is up; nothing is planned where no time is set.
    pub(crate) fn plan_sync(self: &Arc<Self>, state: &mut State, config: &LogConfig) {
        if state.sync_planned || config.flush_ms == i64::MAX {
            return;
        }
        state.sync_planned = true;
        let wait = Duration::from_millis(u64_of(config.flush_ms));
        let partition = Arc::downgrade(self);
        self.env.runtime.spawn(async move {
            tokio::time::sleep(wait).await;
            let Some(partition) = partition.upgrade() else { return };
            let started = tokio::task::spawn_blocking(move || {
                let mut state = partition.state();
                state.sync_planned = false;
                partition.start_sync(&mut state);
            });
            // Nothing waits for it but what comes later.
            let _ = started.await;
        });
    }

    /// The broker's own state is never acknowledged before it is synced.
    fn defers(&self, config: &LogConfig) -> bool {
        config.flush_messages > 1 && !is_internal(&self.topic)
    }
}
