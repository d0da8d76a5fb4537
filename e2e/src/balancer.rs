//! Gives requests to the copies of a service in turn, as a load balancer in front of them does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{HOST, TRANSFER_ENCODING};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The largest body that is passed on.
const BODY_BYTES_MAX: usize = 1 << 20;

/// A balancer, answering until it is dropped.
#[derive(Debug)]
pub struct Balancer {
    address: SocketAddr,
    copies: Arc<Copies>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Copies {
    client: reqwest::Client,
    addresses: Vec<SocketAddr>,
    answered: Vec<AtomicUsize>,
    turn: AtomicUsize,
}

impl Balancer {
    /// Starts one on a free port in front of `copies`.
    ///
    /// # Errors
    /// There is no port.
    pub async fn start(copies: &[SocketAddr]) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for a balancer")?;
        let address = listener.local_addr()?;
        let copies = Arc::new(Copies {
            client: chassis::net::client(),
            addresses: copies.to_vec(),
            answered: copies.iter().map(|_| AtomicUsize::new(0)).collect(),
            turn: AtomicUsize::new(0),
        });
        let router = Router::new().fallback(pass_on).with_state(copies.clone());
        let serving = tokio::spawn(async move {
            // It never ends by itself.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, copies, serving })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests each copy answered.
    pub fn answered(&self) -> Vec<usize> {
        self.copies.answered.iter().map(|count| count.load(Ordering::SeqCst)).collect()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Asks the copy whose turn it is, and the next one where nobody listens. A copy that dies over a request is not
/// replaced by another: the client alone knows whether it may ask again.
async fn pass_on(State(copies): State<Arc<Copies>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else { return StatusCode::BAD_REQUEST.into_response() };
    let first = copies.turn.fetch_add(1, Ordering::SeqCst);
    for index in (0..copies.addresses.len()).map(|step| (first + step) % copies.addresses.len()) {
        match ask(&copies, index, &head, &body).await {
            Ok(answer) => {
                copies.answered[index].fetch_add(1, Ordering::SeqCst);
                return answer;
            }
            Err(error) if error.is_connect() => {}
            Err(_) => break,
        }
    }
    StatusCode::BAD_GATEWAY.into_response()
}

async fn ask(copies: &Copies, index: usize, head: &Parts, body: &Bytes) -> reqwest::Result<Response> {
    let url = format!("http://{}{}", copies.addresses[index], head.uri);
    let request = copies.client.request(head.method.clone(), url).headers(end_to_end(&head.headers));
    let answer = request.body(body.clone()).send().await?;
    let (status, headers) = (answer.status(), end_to_end(answer.headers()));
    Ok((status, headers, Body::from(answer.bytes().await?)).into_response())
}

/// The headers without those of one connection.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    headers.remove(HOST);
    headers.remove(TRANSFER_ENCODING);
    headers
}
