//! Housekeeping in the background: the checkpoint while something changes, retention, closing idle files.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::log::checkpoint::{self, Checkpoint};

/// Runs until the broker stops; without traffic it only wakes for retention.
pub(crate) async fn run(
    catalog: Arc<Catalog>,
    checkpoint_every: Duration,
    retention_every: Duration,
    stop: CancellationToken,
) {
    let mut retention = tokio::time::interval(retention_every.max(Duration::from_millis(10)));
    retention.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut idle_since = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = catalog.env.changed.notified() => {
                // A pause first, so that many changes make one checkpoint.
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(checkpoint_every) => {}
                }
                save_checkpoint(&catalog, false).await;
            }
            _ = retention.tick() => {
                apply_retention(&catalog).await;
                idle_since = catalog.env.files.close_idle(idle_since);
            }
        }
    }
}

/// Notes in the checkpoint what changed; `all` also writes every recovery point, as a clean stop does.
pub(crate) async fn save_checkpoint(catalog: &Arc<Catalog>, all: bool) -> bool {
    let catalog = Arc::clone(catalog);
    let saved = tokio::task::spawn_blocking(move || {
        let _alone = crate::sync::lock(&catalog.checkpointing);
        let mut changed = false;
        let mut checkpoint = Checkpoint::new();
        for partition in catalog.partitions() {
            let known = match partition.checkpoint(all) {
                Some(known) => {
                    changed = true;
                    known
                }
                None => partition.known(),
            };
            checkpoint.insert((partition.topic_id, partition.index), known);
        }
        if !changed {
            return true;
        }
        match checkpoint::save(&catalog.env.data_dir, &checkpoint) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "checkpoint not written, the next recovery scans more");
                // What it would have said is still to be said.
                for partition in catalog.partitions() {
                    partition.state().note_changed();
                }
                false
            }
        }
    });
    saved.await.unwrap_or(false)
}

async fn apply_retention(catalog: &Arc<Catalog>) {
    let catalog = Arc::clone(catalog);
    let done = tokio::task::spawn_blocking(move || {
        for partition in catalog.partitions() {
            if let Err(error) = partition.apply_retention() {
                tracing::warn!(topic = %partition.topic, partition = partition.index, error = &error as &dyn std::error::Error, "retention failed");
            }
        }
    });
    if done.await.is_err() {
        tracing::error!("retention worker was lost");
    }
}
