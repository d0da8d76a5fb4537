//! Web servers that fail, are slow or say too much, and requests that are too large.

use std::future::pending;
use std::net::SocketAddr;

use axum::Router;
use axum::http::{Request, StatusCode};
use axum::routing::any;

use crate::web::{house, text};

/// A server that answers: `/broken` that it cannot, `/slow` never, `/large` one byte more than is read, `/full` as much
/// as is read.
async fn server() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let broken = || async { (StatusCode::INTERNAL_SERVER_ERROR, [("x-why", "spoiled")], "no") };
    let router = Router::new()
        .route("/broken", any(broken))
        .route("/slow", any(|| async { pending::<&'static str>().await }))
        .route("/large", any(|| async { "x".repeat(body_bytes_max() + 1) }))
        .route("/full", any(|| async { "x".repeat(body_bytes_max()) }));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

fn body_bytes_max() -> usize {
    routes::Limits::default().body_bytes_max
}

/// A step that asks an address, whatever the request before was about.
fn to(address: &str) -> String {
    let sign = if address.contains('?') { '&' } else { '?' };
    format!("        - to: \"{address}{sign}bridgeEndpoint=true\"\n")
}

/// Steps that ask an address and say what came, or the message of an exception of this class.
fn asking(address: &str, class: &str) -> String {
    let to = to(address);
    format!(
        r#"        - doTry:
            steps:
      {to}              - setBody: {{ simple: "came ${{header.CamelHttpResponseCode}} ${{body.length()}}" }}
              - removeHeader: CamelHttpResponseCode
            doCatch:
              - exception: [ {class} ]
                steps: [ {{ setBody: {{ simple: "failed ${{exception.message}}" }} }} ]
"#
    )
}

const FAILED: &str = "org.apache.camel.http.base.HttpOperationFailedException";

/// What a route answers that asks an address.
async fn answer(address: &str, class: &str) -> String {
    let house = house(&asking(address, class)).await;
    let response = house.ask("7", Request::post("/routes/web"), "1").await;
    assert_eq!(response.status(), StatusCode::OK, "{address}");
    text(response).await
}

#[tokio::test]
async fn an_answer_that_is_no_success_fails_the_exchange() {
    let address = format!("http://{}/broken", server().await);
    let said = answer(&address, FAILED).await;
    assert_eq!(said, format!("failed HTTP operation failed invoking {address} with statusCode: 500"));
    // What nobody catches fails the request, which is not told why.
    let house = house(&to(&address)).await;
    let response = house.ask("7", Request::post("/routes/web"), "1").await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!text(response).await.contains("/broken"));
}

#[tokio::test]
async fn an_answer_that_is_no_success_is_one_if_the_address_says_so() {
    let address = format!("http://{}/broken?throwExceptionOnFailure=false", server().await);
    assert_eq!(answer(&address, FAILED).await, "came 500 2");
    // Without another word its code, its headers and its body are those of the route.
    let house = house(&to(&address)).await;
    let response = house.ask("7", Request::post("/routes/web"), "1").await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(response.headers()["x-why"], "spoiled");
    assert_eq!(text(response).await, "no");
}

#[tokio::test]
async fn a_server_that_is_too_slow_is_not_waited_for() {
    let address = format!("http://{}/slow?responseTimeout=100", server().await);
    assert_eq!(answer(&address, "java.net.SocketTimeoutException").await, "failed no answer within 100 ms");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let server = server().await;
    let said = answer(&format!("http://{server}/large"), "java.io.IOException").await;
    assert!(said.starts_with("failed the answer could not be read: "), "{said}");
    let said = answer(&format!("http://{server}/full"), "java.io.IOException").await;
    assert_eq!(said, format!("came 200 {}", body_bytes_max()));
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused() {
    let house = house("        - setBody: { simple: \"${body.length()}\" }\n").await;
    let send = async |bytes: usize| {
        let response = house.ask("7", Request::post("/routes/web"), &"x".repeat(bytes)).await;
        (response.status(), text(response).await)
    };
    let (status, said) = send(body_bytes_max() + 1).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{said}");
    assert_eq!(send(body_bytes_max()).await, (StatusCode::OK, body_bytes_max().to_string()));
}
