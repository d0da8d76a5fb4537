//! The log: partitions as append-only segment files, with everything that keeps an acknowledged record.

pub(crate) mod batch;
pub(crate) mod checkpoint;
pub(crate) mod clean;
pub(crate) mod codec;
pub(crate) mod compact;
pub(crate) mod control;
pub(crate) mod disk;
pub(crate) mod flush;
pub(crate) mod index;
pub(crate) mod lookup;
pub(crate) mod partition;
pub(crate) mod point;
pub(crate) mod producers;
pub(crate) mod read;
pub(crate) mod records;
pub(crate) mod recover;
pub(crate) mod retention;
pub(crate) mod segment;
pub(crate) mod transactions;
pub(crate) mod waiters;
pub(crate) mod walk;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};

use crate::clock::Clock;
use crate::config::Config;
use crate::log::disk::{Disk, Files};

/// What every partition of a broker shares.
#[derive(Debug)]
pub(crate) struct LogEnv {
    pub(crate) data_dir: PathBuf,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) files: Files,
    pub(crate) runtime: Handle,
    /// Bounds syncs that run at the same time.
    pub(crate) sync_slots: Arc<Semaphore>,
    pub(crate) producers_max: usize,
    /// Told when a partition has something for the checkpoint.
    pub(crate) changed: Notify,
    serial: AtomicU64,
    /// Held for as long as anybody is left who may change a log, in whatever thread.
    pub(crate) lock: File,
}

impl LogEnv {
    pub(crate) fn new(config: &Config, runtime: Handle, lock: File) -> Self {
        Self {
            data_dir: config.data_dir.clone(),
            disk: Arc::clone(&config.disk),
            clock: Arc::clone(&config.clock),
            files: Files::new(config.open_files_max),
            runtime,
            sync_slots: Arc::new(Semaphore::new(config.syncs_max)),
            producers_max: config.producers_per_partition_max,
            changed: Notify::new(),
            serial: AtomicU64::new(0),
            lock,
        }
    }

    /// A number that no other partition of this process has.
    pub(crate) fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }
}

/// What a partition needs to know of its topic's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogConfig {
    pub(crate) message_bytes_max: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) segment_ms: i64,
    /// Negative: for ever.
    pub(crate) retention_ms: i64,
    /// Negative: all.
    pub(crate) retention_bytes: i64,
    /// Whether old segments may go (`cleanup.policy` has `delete`).
    pub(crate) deletes: bool,
    /// Whether only the last record of each key is kept (`cleanup.policy` has `compact`).
    pub(crate) compacts: bool,
    /// How long tombstones are kept after what they delete is gone.
    pub(crate) delete_retention_ms: i64,
    /// Share of uncleaned bytes at which cleaning begins, in parts per million.
    pub(crate) dirty_ppm_min: u64,
    pub(crate) compaction_lag_min_ms: i64,
    pub(crate) compaction_lag_max_ms: i64,
    pub(crate) log_append_time: bool,
    /// How batches are compressed, whatever their producer chose.
    pub(crate) codec: Option<i16>,
    /// Records that may be acknowledged before they are synced; 1: none is.
    pub(crate) flush_messages: i64,
    /// Longest time that such a record waits for its sync.
    pub(crate) flush_ms: i64,
    /// How long files of dropped segments stay under another name.
    pub(crate) file_delete_delay_ms: i64,
    /// How far a record's time may be behind the broker's.
    pub(crate) timestamp_before_max_ms: i64,
    /// How far a record's time may be ahead of the broker's.
    pub(crate) timestamp_after_max_ms: i64,
}
