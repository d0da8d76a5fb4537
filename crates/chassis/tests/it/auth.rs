//! Who gets in, who does not, and what they are told.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use chassis::auth::{
    OperatorToken, Refusal, configured_operator_token, operator_token_of, require_operator, with_authenticator,
};
use chassis::{Authenticator, DataDir, Principal, RequireOperator, Secret, Settings, Sources};

use crate::support::{call, json_of};

const TOKEN: &str = "0123456789abcdef";

fn operator() -> Arc<dyn Authenticator> {
    Arc::new(OperatorToken::new(Secret::new(TOKEN)))
}

fn guarded(authenticator: Arc<dyn Authenticator>) -> Router {
    let routes = Router::new().route("/topics", get(async |_: RequireOperator| "topics"));
    with_authenticator(routes, authenticator)
}

fn request(path: &str, authorization: Option<&str>) -> Request<Body> {
    let mut request = Request::get(path);
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    request.body(Body::empty()).unwrap()
}

struct Away;

#[async_trait::async_trait]
impl Authenticator for Away {
    async fn authenticate(&self, _token: &str) -> Result<Principal, Refusal> {
        Err(Refusal::Unavailable("session store is away".into()))
    }
}

#[tokio::test]
async fn operator_token_opens_the_route() {
    for scheme in ["Bearer", "bearer"] {
        let authorization = format!("{scheme} {TOKEN}");
        let response = call(guarded(operator()), request("/topics", Some(&authorization))).await;
        assert_eq!(response.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn everything_else_is_refused_with_a_challenge() {
    let wrong = [
        None,
        Some("Bearer "),
        Some("Bearer 0123456789abcdee"),
        Some("Bearer 0123456789abcdef0"),
        Some("Basic MDEyMzQ1Njc4OWFiY2RlZg=="),
        Some(TOKEN),
    ];
    for authorization in wrong {
        let response = call(guarded(operator()), request("/topics", authorization)).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{authorization:?}");
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        assert_eq!(json_of(response).await["code"], "unauthenticated");
    }
}

#[tokio::test]
async fn nobody_is_let_in_while_the_authenticator_is_away() {
    let authorization = format!("Bearer {TOKEN}x");
    let response = call(guarded(Arc::new(Away)), request("/topics", Some(&authorization))).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let document = json_of(response).await;
    assert_eq!(document["code"], "unavailable");
    assert!(!document.to_string().contains("session store"));
}

#[tokio::test]
async fn first_authenticator_that_knows_the_token_answers() {
    let several: Vec<Arc<dyn Authenticator>> = vec![Arc::new(Away), operator()];
    let router = guarded(Arc::new(several));
    let known = format!("Bearer {TOKEN}");
    let response = call(router.clone(), request("/topics", Some(&known))).await;
    assert_eq!(response.status(), StatusCode::OK);
    let response = call(router, request("/topics", Some("Bearer unknown"))).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "it may be known to the other");
}

#[tokio::test]
async fn whole_router_can_be_the_operators_without_hiding_unknown_routes() {
    let router = require_operator(Router::new().route("/a", get(async || "a")), operator());
    let response = call(router.clone(), request("/a", None)).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let response = call(router.clone(), request("/nothing", None)).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    let known = format!("Bearer {TOKEN}");
    let response = call(router, request("/a", Some(&known))).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn route_without_an_authenticator_lets_nobody_in() {
    let router = Router::new().route("/topics", get(async |_: RequireOperator| "topics"));
    let known = format!("Bearer {TOKEN}");
    let response = call(router, request("/topics", Some(&known))).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[test]
fn configured_operator_token_comes_before_the_one_of_the_data_directory() {
    let folder = tempfile::tempdir().unwrap();
    let settings = |token: &str| {
        let data_dir = folder.path().display().to_string();
        let variables = [("TECHLEET_DATA_DIR", data_dir.as_str()), ("TECHLEET_AUTH__OPERATOR_TOKEN", token)];
        Settings::load(&Sources { environment: variables.into_iter().collect(), ..Sources::default() }).unwrap()
    };
    let own = DataDir::open(folder.path()).unwrap().operator_token().unwrap();
    assert!(configured_operator_token(&settings("")).unwrap().is_none());
    assert_eq!(operator_token_of(&settings("")).unwrap().expose(), own.expose());
    let shared = "0123456789abcdef0123456789abcdef";
    assert_eq!(operator_token_of(&settings(shared)).unwrap().expose(), shared);
    let refused = operator_token_of(&settings("too short")).unwrap_err();
    assert_eq!(refused.to_string(), "auth.operator_token needs at least 32 characters");
}
