//! Accepts connections up to the limit, each in a task of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::metrics as names;
use crate::server::Shared;
use crate::server::connection;

/// Pause after a failed accept (out of file descriptors, usually), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the broker stops.
pub(crate) async fn run(listener: TcpListener, shared: Arc<Shared>, tasks: TaskTracker) {
    let slots = Arc::new(Semaphore::new(shared.config.connections_max));
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            tracing::debug!(%peer, "connection refused, too many are open");
            metrics::counter!(names::REFUSED_CONNECTIONS).increment(1);
            continue;
        };
        let shared = Arc::clone(&shared);
        tasks.spawn(async move {
            let open = metrics::gauge!(names::CONNECTIONS);
            open.increment(1);
            if let Err(error) = connection::run(stream, peer, shared).await {
                tracing::debug!(%peer, error = &error as &dyn std::error::Error, "connection closed");
            }
            open.decrement(1);
            drop(slot);
        });
    }
}
