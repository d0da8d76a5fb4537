//! A server and everything that goes wrong around it: panics, slowness, greed, stops.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use chassis::net::client;
use chassis::{HttpConfig, ValidJson};
use futures::StreamExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};

use crate::support::{Server, http_config, serve_router, soon};

/// A route `/held` that tells when a request is in it, and answers when it is let go.
#[derive(Clone, Default)]
struct Held {
    entered: Arc<Notify>,
    release: Arc<Notify>,
}

impl Held {
    async fn server(&self, config: &HttpConfig) -> Server {
        let held = self.clone();
        let hold = move || async move {
            held.entered.notify_one();
            held.release.notified().await;
            "done"
        };
        let router = Router::new().route("/held", get(hold)).route("/free", get(async || "free"));
        serve_router(config, router).await
    }
}

async fn code_at(url: String) -> (u16, String) {
    let response = soon(reqwest::get(url)).await.unwrap();
    let status = response.status().as_u16();
    let document = response.json::<Value>().await.unwrap();
    (status, document["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn panic_is_a_problem_and_the_server_goes_on() {
    let panics = async || -> String { panic!("secret detail of a fault") };
    let router = Router::new().route("/panics", get(panics)).route("/free", get(async || "free"));
    let server = serve_router(&http_config(), router).await;
    let response = reqwest::get(format!("{}/panics", server.url)).await.unwrap();
    assert_eq!(response.status(), 500);
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let document = response.json::<Value>().await.unwrap();
    assert_eq!((&document["code"], &document["requestId"]), (&"internal".into(), &id.into()));
    assert!(!document.to_string().contains("secret detail"));
    let response = reqwest::get(format!("{}/free", server.url)).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn request_without_an_answer_is_timed_out_and_its_work_dropped() {
    let (alive, gone) = oneshot::channel::<()>();
    let alive = Arc::new(std::sync::Mutex::new(Some(alive)));
    let hang = move || async move {
        let _alive = alive.lock().unwrap().take();
        std::future::pending::<()>().await;
    };
    let mut config = http_config();
    config.request_timeout_ms = 50;
    let server = serve_router(&config, Router::new().route("/", get(hang))).await;
    assert_eq!(code_at(server.url.clone()).await, (503, "timeout".to_owned()));
    soon(gone).await.unwrap_err();
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused_at_once_but_health_is_answered() {
    let held = Held::default();
    let mut config = http_config();
    config.requests_in_flight_max = 1;
    let server = held.server(&config).await;
    let first = tokio::spawn(reqwest::get(format!("{}/held", server.url)));
    soon(held.entered.notified()).await;
    let refused = reqwest::get(format!("{}/free", server.url)).await.unwrap();
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "overloaded");
    let live = reqwest::get(format!("{}/health/live", server.url)).await.unwrap();
    assert_eq!(live.status(), 200);
    held.release.notify_one();
    assert_eq!(soon(first).await.unwrap().unwrap().status(), 200);
    let free = reqwest::get(format!("{}/free", server.url)).await.unwrap();
    assert_eq!(free.status(), 200);
}

#[tokio::test]
async fn body_beyond_the_limit_is_a_problem() {
    let router = Router::new().route("/", post(async |_: ValidJson<Value>| "read"));
    let server = serve_router(&http_config(), router).await;
    let request = client().post(&server.url).header("content-type", "application/json");
    let response = soon(request.body(vec![b' '; 4096]).send()).await.unwrap();
    assert_eq!(response.status(), 413);
    let document = response.json::<Value>().await.unwrap();
    assert_eq!(document["code"], "payload_too_large");
}

#[tokio::test]
async fn stop_finishes_the_request_in_flight_and_takes_no_more() {
    let held = Held::default();
    let server = held.server(&http_config()).await;
    let first = tokio::spawn(reqwest::get(format!("{}/held", server.url)));
    soon(held.entered.notified()).await;
    server.stop.cancel();
    soon(async { while TcpStream::connect(server.address).await.is_ok() {} }).await;
    assert!(!server.served.is_finished());
    held.release.notify_one();
    let response = soon(first).await.unwrap().unwrap();
    assert_eq!(response.headers()["connection"], "close");
    assert_eq!(response.text().await.unwrap(), "done");
    soon(server.served).await.unwrap();
}

#[tokio::test]
async fn connection_that_never_asked_anything_does_not_delay_the_stop() {
    let mut config = http_config();
    config.drain_timeout_ms = 3_600_000;
    let server = Held::default().server(&config).await;
    let silent = TcpStream::connect(server.address).await.unwrap();
    // Accepted in order: once this one is answered, the silent one is being served.
    reqwest::get(format!("{}/free", server.url)).await.unwrap();
    server.stop.cancel();
    soon(server.served).await.unwrap();
    drop(silent);
}

#[tokio::test]
async fn request_that_outlasts_the_drain_is_cut() {
    let held = Held::default();
    let mut config = http_config();
    config.drain_timeout_ms = 50;
    let server = held.server(&config).await;
    let first = tokio::spawn(reqwest::get(format!("{}/held", server.url)));
    soon(held.entered.notified()).await;
    server.stop.cancel();
    soon(server.served).await.unwrap();
    assert!(soon(first).await.unwrap().is_err());
}

#[tokio::test]
async fn readiness_goes_before_the_port_does() {
    let held = Held::default();
    let mut config = http_config();
    config.drain_delay_ms = 3_600_000;
    let server = held.server(&config).await;
    let ready = async || reqwest::get(format!("{}/health/ready", server.url)).await.unwrap();
    assert_eq!(ready().await.status(), 200);
    server.stop.cancel();
    soon(async { while ready().await.status() != 503 {} }).await;
    let free = reqwest::get(format!("{}/free", server.url)).await.unwrap();
    assert_eq!(free.status(), 200, "requests are still answered meanwhile");
    server.served.abort();
}

#[tokio::test]
async fn client_that_sends_its_request_slowly_is_cut() {
    let mut config = http_config();
    config.header_read_timeout_ms = 50;
    let server = Held::default().server(&config).await;
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(b"GET /free HTTP/1.1\r\nhost: a\r\n").await.unwrap();
    let mut answer = Vec::new();
    // The connection ends, cleanly or not, without our closing it.
    let _ = soon(slow.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    let free = reqwest::get(format!("{}/free", server.url)).await.unwrap();
    assert_eq!(free.status(), 200);
}

#[tokio::test]
async fn client_that_takes_nothing_of_its_answer_is_cut() {
    let (alive, gone) = oneshot::channel::<()>();
    let alive = Arc::new(std::sync::Mutex::new(Some(alive)));
    let endless = move || async move {
        let alive = alive.lock().unwrap().take();
        let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
        Body::from_stream(futures::stream::repeat(chunk).map(move |chunk| {
            let _in_use = &alive;
            Ok::<_, Infallible>(chunk)
        }))
    };
    let mut config = http_config();
    config.write_stall_timeout_ms = 50;
    let server = serve_router(&config, Router::new().route("/", get(endless))).await;
    let mut deaf = TcpStream::connect(server.address).await.unwrap();
    deaf.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    soon(gone).await.unwrap_err();
    drop(deaf);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let mut config = http_config();
    config.connections_max = 1;
    let server = Held::default().server(&config).await;
    let silent = TcpStream::connect(server.address).await.unwrap();
    let mut free = tokio::spawn(reqwest::get(format!("{}/free", server.url)));
    let early = tokio::time::timeout(Duration::from_millis(100), &mut free).await;
    assert!(early.is_err(), "answered although the only place is taken");
    drop(silent);
    assert_eq!(soon(free).await.unwrap().unwrap().status(), 200);
}
