//! What connections of other processes tell each other beside the data: on PostgreSQL alone, where there are others.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Hears what [`crate::Db::notify`] says on a channel. Dropped, it stops listening.
#[derive(Debug)]
pub struct Listener {
    heard: Arc<Notify>,
    task: Option<JoinHandle<()>>,
}

impl Listener {
    /// One that never hears anything.
    pub(crate) fn deaf() -> Self {
        Self { heard: Arc::new(Notify::new()), task: None }
    }

    pub(crate) fn over(heard: Arc<Notify>, task: JoinHandle<()>) -> Self {
        Self { heard, task: Some(task) }
    }

    /// Waits until something was said since the last time, or may have been: whatever is said while the connection is
    /// down is lost, so look for yourself from time to time, too.
    pub async fn heard(&self) {
        self.heard.notified().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
