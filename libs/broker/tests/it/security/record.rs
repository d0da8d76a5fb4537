//! Rows "security" and "bytes from strangers": the record of refusals says who was refused what, and nobody can fill it.

use std::time::Instant;

use kafka_protocol::ResponseError;
use tracing::Level;

use super::encryption::Authority;
use super::{greeted, logged_in, message, owned, with_logins};
use crate::support::Running;
use crate::support::batch::batch;
use crate::support::lines::{Line, Lines};
use crate::support::wire::Wire;

const AUDIT: &str = "broker::audit";

/// A broker with access rules that lets everybody in on `PLAINTEXT`, users on `SASL_PLAINTEXT`, and speaks TLS on `SSL`.
async fn broker(authority: &Authority) -> Running {
    Running::with(|config| {
        with_logins(&mut config.security);
        config.security.listeners.extend(owned(&["SSL://127.0.0.1:0"]));
        config.security.tls_certificate_file = Some(authority.path("broker.pem"));
        config.security.tls_key_file = Some(authority.path("broker.key"));
        config.security.authorize = true;
        config.security.super_users = "User:nobody".to_owned();
    })
    .await
}

async fn refused_login(broker: &Running) {
    let mut wire = greeted(broker, "PLAIN").await;
    assert_ne!(wire.call(1, &message(b"\0mistyped-password\0wrong")).await.error_code, 0);
}

async fn garbage(address: &str) {
    let mut wire = Wire::connect(address).await;
    wire.send_bytes(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    // TLS answers with an alert before it closes.
    while !wire.is_closed().await {}
}

fn only(lines: Vec<Line>) -> Line {
    let lines: Vec<Line> = lines.into_iter().filter(|line| line.target == AUDIT).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.into_iter().next().unwrap()
}

fn assert_says(line: &Line, parts: &[&str]) {
    for part in parts {
        assert!(line.text.contains(&format!(" {part}")), "{part} in {line:?}");
    }
}

#[tokio::test]
async fn each_refusal_is_a_line_that_says_who_was_refused_what() {
    let lines = Lines::listen();
    let authority = Authority::new();
    let broker = broker(&authority).await;
    let mut admin = logged_in(&broker, super::ADMIN).await;
    lines.take();

    let refused = admin.produce("secret", 0, batch(&["a"])).await;
    assert_eq!(refused.error_code, ResponseError::TopicAuthorizationFailed.code());
    let line = only(lines.take());
    let what = ["principal=User:admin", "host=127.0.0.1", "api=produce", "operation=Write", "resource_type=Topic"];
    assert_says(&line, &what);
    assert_says(&line, &["resource=\"secret\"", "message=operation refused by access rules"]);
    assert_eq!(line.level, Level::WARN);

    refused_login(&broker).await;
    let line = only(lines.take());
    assert_says(
        &line,
        &["listener=SASL_PLAINTEXT", "mechanism=PLAIN", "host=127.0.0.1", "message=authentication failed"],
    );
    assert!(!line.text.contains("mistyped-password"), "{line:?}");

    garbage(&broker.address_of("SSL")).await;
    assert_says(&only(lines.take()), &["listener=SSL", "host=127.0.0.1", "message=tls handshake failed"]);
    broker.stop().await;
}

#[tokio::test]
async fn strangers_bring_about_one_line_a_second_above_debug_whatever_they_send() {
    const TIMES: usize = 25;
    let lines = Lines::listen();
    let authority = Authority::new();
    let broker = broker(&authority).await;
    lines.take();
    let started = Instant::now();
    for _ in 0..TIMES {
        garbage(&broker.address_of("PLAINTEXT")).await;
        garbage(&broker.address_of("SSL")).await;
        garbage(&broker.address()).await;
        refused_login(&broker).await;
        let mut anonymous = Wire::connect(&broker.address_of("PLAINTEXT")).await;
        assert_ne!(anonymous.produce("secret", 0, batch(&["a"])).await.error_code, 0);
    }
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap();
    let lines = lines.take();
    let above_debug: Vec<&Line> = lines.iter().filter(|line| line.level < Level::DEBUG).collect();
    assert!((1..=seconds + 1).contains(&above_debug.len()), "in {seconds} s: {above_debug:#?}");
    let recorded = lines.iter().filter(|line| line.target == AUDIT).count();
    assert_eq!(recorded, 3 * TIMES, "what is left out above is there at debug");
    broker.stop().await;
}
