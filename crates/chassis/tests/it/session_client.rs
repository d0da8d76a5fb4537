//! Asking the user-service who is there: what it said counts for a second, and without it nobody comes in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chassis::auth::{Refusal, with_authenticator};
use chassis::session_client::{ACCESS_PATH, SessionClient};
use chassis::{Authenticator, Principal};
use contracts::access::Access;
use tokio::net::TcpSocket;

use crate::support::{Server, call, http_config, json_of, serve_router};

/// How long an answer may count.
const COUNTS_FOR: Duration = Duration::from_secs(1);
const TOKEN: &str = "a-token";

/// What stands in for the user-service.
#[derive(Clone, Default)]
struct Sessions {
    asked: Arc<AtomicUsize>,
    /// The status of its answers; 0 for none at all.
    status: Arc<AtomicUsize>,
}

impl Sessions {
    async fn serve(&self) -> Server {
        let router = Router::new().route(ACCESS_PATH, get(access)).with_state(self.clone());
        serve_router(&http_config(), router).await
    }

    fn answer_with(&self, status: StatusCode) {
        self.status.store(usize::from(status.as_u16()), Ordering::SeqCst);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn access(State(sessions): State<Sessions>, headers: HeaderMap) -> Response {
    sessions.asked.fetch_add(1, Ordering::SeqCst);
    assert_eq!(headers["authorization"], format!("Bearer {TOKEN}"));
    let status = u16::try_from(sessions.status.load(Ordering::SeqCst)).unwrap();
    match StatusCode::from_u16(status) {
        Ok(StatusCode::OK) => axum::Json(living()).into_response(),
        Ok(status) => status.into_response(),
        Err(_) => std::future::pending().await,
    }
}

fn living() -> Access {
    Access { employee_id: 7, session_id: "session-7".to_owned(), grants: Vec::new() }
}

fn is_in(answer: &Result<Principal, Refusal>) -> bool {
    matches!(answer, Ok(Principal::Employee(access)) if **access == living())
}

/// The wait is the experiment: after it no older answer may count.
async fn a_second_later() {
    let _ = tokio::time::timeout(COUNTS_FOR, std::future::pending::<()>()).await;
}

#[tokio::test]
async fn a_logout_ends_access_within_a_second() {
    let sessions = Sessions::default();
    sessions.answer_with(StatusCode::OK);
    let server = sessions.serve().await;
    let client = SessionClient::new(&server.url);
    assert!(is_in(&client.authenticate(TOKEN).await));
    sessions.answer_with(StatusCode::UNAUTHORIZED);
    a_second_later().await;
    assert!(matches!(client.authenticate(TOKEN).await, Err(Refusal::Unknown)));
    assert_eq!(sessions.asked(), 2);
}

#[tokio::test]
async fn whoever_asks_at_the_same_time_waits_for_one_answer() {
    let sessions = Sessions::default();
    sessions.answer_with(StatusCode::OK);
    let server = sessions.serve().await;
    let client = SessionClient::new(&server.url);
    let answers = tokio::join!(client.authenticate(TOKEN), client.authenticate(TOKEN), client.authenticate(TOKEN));
    assert!(is_in(&answers.0) && is_in(&answers.1) && is_in(&answers.2));
    assert_eq!(sessions.asked(), 1);
}

#[tokio::test]
async fn whoever_waits_for_the_same_answer_shares_its_failure() {
    let sessions = Sessions::default();
    let server = sessions.serve().await;
    // It takes the connection and never answers.
    let client = SessionClient::new(&server.url);
    let answers = tokio::join!(client.authenticate(TOKEN), client.authenticate(TOKEN), client.authenticate(TOKEN));
    for answer in [answers.0, answers.1, answers.2] {
        assert!(matches!(answer, Err(Refusal::Unavailable(_))), "{answer:?}");
    }
    assert_eq!(sessions.asked(), 1);
}

#[tokio::test]
async fn nobody_comes_in_while_the_user_service_is_away_broken_or_silent() {
    let sessions = Sessions::default();
    let server = sessions.serve().await;
    // It takes the connection and never answers.
    let client = SessionClient::new(&server.url);
    assert!(matches!(client.authenticate(TOKEN).await, Err(Refusal::Unavailable(_))));
    for status in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE, StatusCode::NO_CONTENT] {
        sessions.answer_with(status);
        assert!(matches!(client.authenticate(TOKEN).await, Err(Refusal::Unavailable(_))), "{status}");
    }
    // No failure counts for longer than its own request.
    sessions.answer_with(StatusCode::OK);
    assert!(is_in(&client.authenticate(TOKEN).await));
}

#[tokio::test]
async fn a_request_is_answered_503_while_the_user_service_is_away_and_goes_through_when_it_is_back() {
    // The port is taken, and whoever connects is refused until somebody listens.
    let port = TcpSocket::new_v4().unwrap();
    port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = port.local_addr().unwrap();
    let client: Arc<dyn Authenticator> = Arc::new(SessionClient::new(&format!("http://{address}/")));
    let routes = Router::new().route("/here", get(async |_: Principal| "here"));
    let router = with_authenticator(routes, client);
    let request =
        || Request::get("/here").header("authorization", format!("Bearer {TOKEN}")).body(Body::empty()).unwrap();
    let refused = call(router.clone(), request()).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(json_of(refused).await["code"], "unavailable");
    let sessions = Sessions::default();
    sessions.answer_with(StatusCode::OK);
    let back = Router::new().route(ACCESS_PATH, get(access)).with_state(sessions);
    let listener = port.listen(1).unwrap();
    tokio::spawn(async move { axum::serve(listener, back).await });
    assert_eq!(call(router, request()).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_token_that_nobody_can_have_is_not_asked_about() {
    let sessions = Sessions::default();
    let server = sessions.serve().await;
    let client = SessionClient::new(&server.url);
    assert!(matches!(client.authenticate(&"x".repeat(5_000)).await, Err(Refusal::Unknown)));
    assert_eq!(sessions.asked(), 0);
}

/// A test of this file, run with a proxy in its environment that would not even let it connect.
#[test]
fn a_token_goes_to_the_user_service_and_through_no_proxy() {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "session_client::whoever_asks_at_the_same_time_waits_for_one_answer"]);
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(name, "http://127.0.0.1:1");
    }
    let ran = command.env_remove("no_proxy").env_remove("NO_PROXY").output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}
