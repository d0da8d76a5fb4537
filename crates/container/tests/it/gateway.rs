//! Text messages and push notices through a gateway that behaves and one that does not.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use eventkit::RecipientType::Employee;
use eventkit::testing::eventually;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::samples::{created, push, sms};
use crate::support::{House, TRACE};

/// A gateway that answers with the statuses in turn, the last one for ever.
#[derive(Debug, Clone, Default)]
struct Gateway {
    statuses: Arc<Mutex<VecDeque<u16>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Debug, Clone)]
struct Asked {
    at: Instant,
    method: Method,
    headers: HeaderMap,
    body: Value,
}

async fn answer(State(gateway): State<Gateway>, method: Method, headers: HeaderMap, body: Bytes) -> Response {
    let body = serde_json::from_slice(&body).unwrap();
    gateway.asked.lock().unwrap().push(Asked { at: Instant::now(), method, headers, body });
    let mut statuses = gateway.statuses.lock().unwrap();
    let status = if statuses.len() > 1 { statuses.pop_front().unwrap() } else { statuses[0] };
    let status = StatusCode::from_u16(status).unwrap();
    // Whoever sends too much is asked to wait a second.
    match status {
        StatusCode::TOO_MANY_REQUESTS => (status, [("retry-after", "1")]).into_response(),
        status => status.into_response(),
    }
}

impl Gateway {
    async fn start(statuses: &[u16]) -> (Self, String) {
        let gateway = Self { statuses: Arc::new(Mutex::new(statuses.iter().copied().collect())), ..Self::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/send", listener.local_addr().unwrap());
        let router = Router::new().route("/send", any(answer)).with_state(gateway.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (gateway, url)
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn house(url: &str) -> House {
    let (sms, push) = (format!("container.sms.url={url}"), format!("container.push.url={url}"));
    House::open(&[&sms, "container.sms.secret_headers=X-Key: k1", "container.sms.method=PUT", &push]).await
}

#[tokio::test]
async fn a_text_message_is_one_request_under_the_events_id() {
    let (gateway, url) = Gateway::start(&[202]).await;
    let house = house(&url).await;
    let id = house.notify(&sms(Some("+8442")), Some((Employee, 42))).await;
    house.logged(id, "sent").await;
    house.notify_as(id, &sms(Some("+8442")), Some((Employee, 42))).await;
    house.through("container-gateways", "notification-events", "notification-42").await;
    let asked = gateway.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].method, "PUT");
    assert_eq!(asked[0].headers["idempotency-key"], id.to_string());
    assert_eq!(asked[0].headers["traceparent"], TRACE);
    assert_eq!(asked[0].headers["content-type"], "application/json");
    assert_eq!(asked[0].headers["x-key"], "k1");
    assert_eq!(asked[0].body, json!({"id": id.to_string(), "to": "+8442", "text": "Hello,\n\nxin chào"}));
}

#[tokio::test]
async fn a_push_goes_by_the_recipients_number_and_a_text_message_to_the_number_in_the_directory() {
    let (gateway, url) = Gateway::start(&[200]).await;
    let house = house(&url).await;
    house.tell(&created(42, None)).await;
    house.tell(&created(43, None)).await;
    house.through("container-directory", "user-events", "user-42").await;
    house.through("container-directory", "user-events", "user-43").await;
    let pushed = house.notify(&push(), Some((Employee, 42))).await;
    house.logged(pushed, "sent").await;
    let body = &gateway.asked()[0].body;
    assert_eq!(body["recipientType"], "employee");
    assert_eq!(body["recipientId"], 42);
    assert_eq!(body["title"], "News");
    let texted = house.notify(&sms(None), Some((Employee, 42))).await;
    house.logged(texted, "sent").await;
    assert_eq!(gateway.asked()[1].body["to"], "+8442");
    // Employee 43 has no telephone.
    let silent = house.notify(&sms(None), Some((Employee, 43))).await;
    assert_eq!(house.dead_letter(silent).await.header("dlq-error-kind"), Some("permanent"));
}

#[tokio::test]
async fn what_may_help_is_tried_again_under_the_same_key() {
    for busy in [408, 500, 503] {
        let (gateway, url) = Gateway::start(&[busy, 200]).await;
        let house = house(&url).await;
        let id = house.notify(&sms(Some("+8442")), Some((Employee, 42))).await;
        house.logged(id, "sent").await;
        let keys: Vec<_> = gateway.asked().iter().map(|asked| asked.headers["idempotency-key"].clone()).collect();
        assert_eq!(keys, [id.to_string(), id.to_string()], "{busy}");
    }
}

#[tokio::test]
async fn a_gateway_that_names_a_wait_is_given_it() {
    let (gateway, url) = Gateway::start(&[429, 200]).await;
    let house = house(&url).await;
    let id = house.notify(&sms(Some("+8442")), Some((Employee, 42))).await;
    house.logged(id, "sent").await;
    let asked = gateway.asked();
    assert!(asked[1].at - asked[0].at >= std::time::Duration::from_secs(1), "{asked:?}");
}

#[tokio::test]
async fn what_cannot_help_is_not_tried_again() {
    for refused in [302, 400, 401, 404, 422] {
        let (gateway, url) = Gateway::start(&[refused]).await;
        let house = house(&url).await;
        let id = house.notify(&sms(Some("+8442")), Some((Employee, 42))).await;
        let letter = house.dead_letter(id).await;
        assert_eq!(letter.header("dlq-error-kind"), Some("permanent"), "{refused}");
        assert!(letter.header("dlq-error").unwrap().contains(&refused.to_string()), "{letter:?}");
        assert_eq!(gateway.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_gateway_that_is_away_is_waited_for_however_long() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let house = house(&url).await;
    let id = house.notify(&sms(Some("+8442")), Some((Employee, 42))).await;
    eventually("many tries", async || {
        let row = house.logged(id, "delayed").await;
        (row.get::<i64>("attempts").unwrap() > 5).then_some(())
    })
    .await;
    assert!(house.transport.records("notification-events.dlq").is_empty());
}

#[tokio::test]
async fn without_a_gateway_the_dead_letter_says_which_key_is_missing() {
    let house = House::open(&[]).await;
    house.tell(&created(42, None)).await;
    house.through("container-directory", "user-events", "user-42").await;
    let texted = house.notify(&sms(Some("+8442")), Some((Employee, 42))).await;
    let letter = house.dead_letter(texted).await;
    assert!(letter.header("dlq-error").unwrap().contains("container.sms.url is not set"), "{letter:?}");
    let pushed = house.notify(&push(), Some((Employee, 42))).await;
    let letter = house.dead_letter(pushed).await;
    assert!(letter.header("dlq-error").unwrap().contains("container.push.url is not set"), "{letter:?}");
    house.logged(pushed, "failed").await;
}
