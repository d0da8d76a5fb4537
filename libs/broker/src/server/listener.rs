//! Accepts connections of one listener, each in a task of its own, up to the limit over all listeners.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::metrics as names;
use crate::security::listener::Listener;
use crate::server::Shared;
use crate::server::connection;

/// Pause after a failed accept (out of file descriptors, usually), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the broker stops.
pub(crate) async fn run(tcp: TcpListener, listener: Arc<Listener>, shared: Arc<Shared>, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = tcp.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&shared.connections).try_acquire_owned() else {
            tracing::debug!(%peer, "connection refused, too many are open");
            metrics::counter!(names::REFUSED_CONNECTIONS).increment(1);
            continue;
        };
        let (listener, shared) = (Arc::clone(&listener), Arc::clone(&shared));
        tasks.spawn(async move {
            metrics::gauge!(names::CONNECTIONS).increment(1);
            if let Err(error) = connection::run(stream, peer, listener, shared).await {
                tracing::debug!(%peer, error = &error as &dyn std::error::Error, "connection closed");
            }
            metrics::gauge!(names::CONNECTIONS).decrement(1);
            drop(slot);
        });
    }
}
