//! Accepts connections of one listener, each in a task of its own, up to the limits over all listeners.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::error::Error;
use crate::lines::Lines;
use crate::metrics as names;
use crate::security::listener::Listener;
use crate::security::tls;
use crate::server::Shared;
use crate::server::connection;

/// Pause after a failed accept (out of file descriptors, usually), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A lack of file descriptors lets every accept fail.
static FAILED_ACCEPTS: Lines = Lines::new(1);

/// A port that is bound, and what is done with its connections.
pub(crate) struct Port {
    pub(crate) tcp: TcpListener,
    pub(crate) listener: Arc<Listener>,
    /// Where it really is.
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<TlsAcceptor>,
}

impl Port {
    /// Each port with its listener, refused where it would be open to everybody.
    pub(crate) fn all(ports: Vec<TcpListener>, config: &Config) -> Result<Vec<Self>, Error> {
        let listeners = config.listeners()?;
        if ports.len() != listeners.len() {
            let reason = format!("{} ports are given for {} listeners", ports.len(), listeners.len());
            return Err(Error::Config { key: "security.listeners", reason });
        }
        let pairs = ports.into_iter().zip(listeners).map(|(tcp, listener)| {
            let asked = listener.address;
            let address = tcp.local_addr().map_err(|source| Error::Listen { address: asked, source })?;
            listener.check_exposure(address)?;
            let tls = if listener.protocol.is_tls() { Some(tls::acceptor(&listener.settings)?) } else { None };
            Ok(Self { tcp, listener: Arc::new(listener), address, tls })
        });
        pairs.collect()
    }
}

/// Accepts until the broker stops.
pub(crate) async fn run(port: Port, shared: Arc<Shared>, tasks: TaskTracker) {
    let Port { tcp, listener, tls, .. } = port;
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = tcp.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if let Some(left_out) = FAILED_ACCEPTS.admit() {
                    tracing::warn!(%error, left_out, "accept failed");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&shared.connections).try_acquire_owned() else {
            tracing::debug!(%peer, "connection refused, too many are open");
            metrics::counter!(names::REFUSED_CONNECTIONS).increment(1);
            continue;
        };
        let Some(place) = shared.addresses.enter(peer.ip()) else {
            tracing::debug!(%peer, "connection refused, too many of its address are open");
            metrics::counter!(names::REFUSED_CONNECTIONS).increment(1);
            continue;
        };
        let (listener, tls, shared) = (Arc::clone(&listener), tls.clone(), Arc::clone(&shared));
        tasks.spawn(async move {
            let open = metrics::gauge!(names::CONNECTIONS);
            open.increment(1);
            if let Err(error) = connection::run(stream, peer, listener, tls, shared).await {
                tracing::debug!(%peer, error = &error as &dyn std::error::Error, "connection closed");
            }
            open.decrement(1);
            drop((slot, place));
        });
    }
}
