//! An HTTP gateway for text messages and push notices that takes everything and remembers what it took.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use axum::Router;
use axum::extract::{Json, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What was sent, by channel and `Idempotency-Key`, in the order of arrival.
type Taken = Arc<Mutex<Vec<Sent>>>;

/// One request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// `sms` or `push`.
    pub channel: String,
    /// The `Idempotency-Key`: the event's id.
    pub id: String,
    /// The body.
    pub body: Value,
}

/// The gateway, answering until it is dropped.
#[derive(Debug)]
pub struct Gateway {
    url: String,
    taken: Taken,
    serving: JoinHandle<()>,
}

impl Gateway {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// There is none.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for the gateway")?;
        let url = format!("http://{}", listener.local_addr()?);
        let taken = Taken::default();
        let router = Router::new().route("/{channel}", post(take)).with_state(taken.clone());
        let serving = tokio::spawn(async move {
            // It never ends by itself.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, taken, serving })
    }

    /// The settings that send the container's messages here.
    pub fn settings(&self) -> Vec<String> {
        ["sms", "push"].map(|channel| format!("container.{channel}.url={}/{channel}", self.url)).to_vec()
    }

    /// What came, each message once: a repetition under the same key has to be the same message.
    ///
    /// # Errors
    /// A key came with two messages.
    pub fn messages(&self) -> anyhow::Result<Vec<Sent>> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut messages: BTreeMap<String, Sent> = BTreeMap::new();
        for sent in taken {
            let before = messages.insert(sent.id.clone(), sent.clone());
            anyhow::ensure!(before.is_none_or(|before| before == sent), "two messages under one key: {sent:?}");
        }
        Ok(messages.into_values().collect())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(
    State(taken): State<Taken>,
    Path(channel): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> StatusCode {
    let Some(id) = headers.get("idempotency-key").and_then(|id| id.to_str().ok()) else {
        return StatusCode::BAD_REQUEST;
    };
    let sent = Sent { channel, id: id.to_owned(), body };
    taken.lock().unwrap_or_else(PoisonError::into_inner).push(sent);
    StatusCode::ACCEPTED
}
