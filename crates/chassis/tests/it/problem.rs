//! The shape of problem documents, and where their causes go.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::IntoResponse;
use axum::routing::get;
use chassis::{ErrorCode, Problem};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{call, json_of};

#[tokio::test]
async fn document_has_every_member_that_applies() {
    let problem = Problem::validation(Vec::new())
        .detail("two fields are not acceptable")
        .field("email", "is no address")
        .field("addresses[0].city", "is required")
        .retry_after(Duration::from_millis(1500));
    let response = problem.into_response();
    assert_eq!(response.status(), 422);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers()["retry-after"], "2");
    assert_eq!(
        json_of(response).await,
        json!({
            "type": "urn:techleet:error:validation_failed",
            "title": "Validation failed",
            "status": 422,
            "code": "validation_failed",
            "detail": "two fields are not acceptable",
            "errors": [
                { "field": "email", "message": "is no address" },
                { "field": "addresses[0].city", "message": "is required" },
            ],
        })
    );
}

#[tokio::test]
async fn every_code_is_answered_with_its_status() {
    let mut listing = String::new();
    for code in ErrorCode::ALL {
        let response = Problem::new(code).into_response();
        assert_eq!(response.status(), code.status());
        let challenge = response.headers().contains_key("www-authenticate");
        assert_eq!(challenge, code == ErrorCode::Unauthenticated);
        let status = response.status().as_u16();
        let document = json_of(response).await;
        assert_eq!(document["code"], code.as_str());
        listing.push_str(&format!("{status} {code}: {}\n", code.title()));
    }
    insta::assert_snapshot!(listing);
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn cause_is_logged_once_with_the_request_id_and_never_sent() {
    let lines = Lines::default();
    // Where there is one subscriber alone, the first thread that comes to a line says for all whether it is wanted.
    let _other = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let subscriber = tracing_subscriber::fmt().json().with_writer(lines.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let router = Router::new().route(
        "/",
        get(async || {
            let disk = std::io::Error::other("disk sda1 is full");
            Problem::internal(chassis::Error::Signals(disk))
        }),
    );
    let request = Request::get("/").header("x-request-id", "req-7").body(Body::empty()).unwrap();
    let response = call(router, request).await;
    drop(guard);
    assert_eq!(
        json_of(response).await,
        json!({
            "type": "urn:techleet:error:internal",
            "title": "Internal error",
            "status": 500,
            "code": "internal",
            "requestId": "req-7",
        })
    );
    let logged = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let about: Vec<&str> = logged.lines().filter(|line| line.contains("sda1")).collect();
    assert_eq!(about.len(), 1, "{logged}");
    let line: serde_json::Value = serde_json::from_str(about[0]).unwrap();
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["fields"]["request_id"], "req-7");
    assert_eq!(line["fields"]["cause"], "signal handlers cannot be set: disk sda1 is full");
}
