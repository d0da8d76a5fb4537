//! A connection that is slow: hands bytes on between a client and a server, each piece as late as it is told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

/// Bytes of one piece.
const PIECE_BYTES: usize = 64 * 1024;

/// A proxy, working until it is dropped.
#[derive(Debug)]
pub struct SlowProxy {
    address: SocketAddr,
    delay_ms: Arc<AtomicU64>,
    serving: JoinHandle<()>,
}

impl SlowProxy {
    /// Starts one on a free port in front of `target`; without any delay yet.
    ///
    /// # Errors
    /// There is no port.
    pub async fn start(target: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for a proxy")?;
        let address = listener.local_addr()?;
        let delay_ms = Arc::new(AtomicU64::new(0));
        let delay = delay_ms.clone();
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(hand_on(client, target, delay.clone()));
            }
        });
        Ok(Self { address, delay_ms, serving })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on each piece is so late, in either direction.
    pub fn delay(&self, delay: Duration) {
        self.delay_ms.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

impl Drop for SlowProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Ends, and both connections with it, when either side does.
async fn hand_on(client: TcpStream, target: SocketAddr, delay_ms: Arc<AtomicU64>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, &delay_ms) => {}
        () = pump(from_server, to_client, &delay_ms) => {}
    }
}

async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, delay_ms: &AtomicU64) {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let Ok(bytes @ 1..) = from.read(&mut piece).await else { return };
        let delay_ms = delay_ms.load(Ordering::SeqCst);
        if delay_ms > 0 {
            // The delay is the fault that is planted here; nobody waits for a state by it.
            let late = Instant::now() + Duration::from_millis(delay_ms);
            tokio::time::sleep_until(late).await;
        }
        if to.write_all(&piece[..bytes]).await.is_err() {
            return;
        }
    }
}
