//! A server on a real socket: what every answer carries, health, metrics.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use chassis::net::client;
use chassis::{Health, HealthChecks, HttpServer, RequestId, Telemetry};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::{http_config, serve, serve_router, soon};

fn routes() -> Router {
    Router::new()
        .route("/things/{id}", get(async |id: RequestId| id.to_string()))
        .route("/things", post(async || StatusCode::CREATED))
}

#[tokio::test]
async fn request_id_of_the_client_comes_back_and_reaches_the_handler() {
    let server = serve_router(&http_config(), routes()).await;
    let url = format!("{}/things/1", server.url);
    let response = client().get(&url).header("x-request-id", "from-client-1").send().await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "from-client-1");
    assert_eq!(response.text().await.unwrap(), "from-client-1");
    let response = client().get(&url).header("x-request-id", "two words").send().await.unwrap();
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(uuid::Uuid::parse_str(&id).unwrap().get_version_num(), 7);
    assert_eq!(response.text().await.unwrap(), id);
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems() {
    let server = serve_router(&http_config(), routes()).await;
    let response = client().get(format!("{}/nothing", server.url)).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(
        response.json::<Value>().await.unwrap(),
        json!({
            "type": "urn:techleet:error:not_found",
            "title": "Not found",
            "status": 404,
            "code": "not_found",
            "detail": "there is nothing at this path",
            "requestId": id,
        })
    );
    for path in ["/things", "/health/live"] {
        let response = client().delete(format!("{}{path}", server.url)).send().await.unwrap();
        assert_eq!(response.status(), 405);
        assert!(response.headers().contains_key("allow"), "{path}");
        let document = response.json::<Value>().await.unwrap();
        assert_eq!(document["code"], "method_not_allowed", "{path}");
    }
}

#[tokio::test]
async fn router_may_keep_a_fallback_of_its_own() {
    let router = routes().fallback(async || (StatusCode::NOT_FOUND, "a page"));
    let server = serve(HttpServer::new("test", &http_config(), router).own_fallback()).await;
    let response = reqwest::get(format!("{}/nothing", server.url)).await.unwrap();
    assert_eq!(response.text().await.unwrap(), "a page");
}

#[tokio::test]
async fn readiness_is_the_worst_of_the_checks() {
    let checks = HealthChecks::new();
    let server = serve(HttpServer::new("test", &http_config(), routes()).health(&checks)).await;
    let ready = async || {
        let response = reqwest::get(format!("{}/health/ready", server.url)).await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    assert_eq!(ready().await, (200, json!({ "status": "ready", "checks": {} })));
    checks.add("database", || async { Health::Ready });
    checks.add("relay", || async { Health::degraded("oldest event waits for 40 s") });
    let relay = json!({ "status": "degraded", "reason": "oldest event waits for 40 s" });
    assert_eq!(
        ready().await,
        (
            200,
            json!({
                "status": "degraded",
                "checks": { "database": { "status": "ready" }, "relay": relay },
            })
        )
    );
    checks.add("database", || async { Health::down("disk is full") });
    let (status, body) = ready().await;
    assert_eq!((status, &body["status"]), (503, &json!("down")));
    assert_eq!(body["checks"]["database"], json!({ "status": "down", "reason": "disk is full" }));
    let live = reqwest::get(format!("{}/health/live", server.url)).await.unwrap();
    assert_eq!(live.status(), 200, "what is broken elsewhere must not restart us");
}

#[tokio::test]
async fn check_that_hangs_or_panics_is_down() {
    let checks = HealthChecks::new();
    checks.add("hangs", std::future::pending::<Health>);
    checks.add("panics", || async { panic!("a fault of the check") });
    let mut config = http_config();
    config.health_timeout_ms = 20;
    let server = serve(HttpServer::new("test", &config, routes()).health(&checks)).await;
    let response = soon(reqwest::get(format!("{}/health/ready", server.url))).await.unwrap();
    assert_eq!(response.status(), 503);
    let body = response.json::<Value>().await.unwrap();
    assert_eq!(body["checks"]["hangs"]["reason"], "no answer within 20 ms");
    assert_eq!(body["checks"]["panics"]["reason"], "the check itself failed");
}

#[tokio::test]
async fn metrics_count_by_route_and_never_by_path() {
    let telemetry = Telemetry::metrics_only().unwrap();
    let server = HttpServer::new("metrics-test", &http_config(), routes()).metrics(&telemetry);
    let server = serve(server).await;
    for path in ["/things/1", "/things/2", "/private-path"] {
        reqwest::get(format!("{}{path}", server.url)).await.unwrap();
    }
    let method = reqwest::Method::from_bytes(b"BREW").unwrap();
    client().request(method, format!("{}/things", server.url)).send().await.unwrap();
    let text = reqwest::get(format!("{}/metrics", server.url)).await.unwrap().text().await.unwrap();
    let count = |labels: &[&str]| {
        let line = text.lines().find(|line| {
            line.starts_with("http_requests_total{")
                && line.contains("service=\"metrics-test\"")
                && labels.iter().all(|label| line.contains(label))
        });
        line.and_then(|line| line.rsplit_once(' ')).map(|(_, number)| number.to_owned())
    };
    assert_eq!(count(&["route=\"/things/{id}\"", "status=\"200\"", "method=\"GET\""]).unwrap(), "2");
    assert_eq!(count(&["route=\"none\"", "status=\"404\""]).unwrap(), "1");
    assert_eq!(count(&["method=\"other\"", "status=\"405\""]).unwrap(), "1");
    assert!(!text.contains("private-path") && !text.contains("BREW"), "{text}");
    assert!(text.contains("http_request_seconds_bucket"), "{text}");
}

#[tokio::test]
async fn server_without_telemetry_has_no_metrics_route() {
    let server = HttpServer::new("test", &http_config(), routes());
    let router = server.into_router(&CancellationToken::new());
    let server = serve(HttpServer::new("outer", &http_config(), Router::new().nest("/in", router))).await;
    let response = reqwest::get(format!("{}/in/metrics", server.url)).await.unwrap();
    assert_eq!(response.status(), 404);
}

#[tokio::test]
async fn idle_server_stops_at_once() {
    let server = serve_router(&http_config(), routes()).await;
    reqwest::get(format!("{}/things/1", server.url)).await.unwrap();
    server.stop.cancel();
    soon(server.served).await.unwrap();
    assert!(reqwest::get(format!("{}/things/1", server.url)).await.is_err());
}
