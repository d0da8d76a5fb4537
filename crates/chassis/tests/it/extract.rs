//! Faults in request data become problems that name the field.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::{get, post};
use chassis::{PathId, ValidJson, ValidPath, ValidQuery};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{call, json_of};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewEmployee {
    email: String,
    addresses: Vec<Address>,
}

#[derive(Deserialize)]
struct Address {
    city: String,
    number: u16,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    page: u32,
    sort: Option<String>,
}

fn router() -> Router {
    Router::new()
        .route(
            "/employees",
            post(async |ValidJson(new): ValidJson<NewEmployee>| {
                let first = &new.addresses[0];
                format!("{} {} {}", new.email, first.city, first.number)
            })
            .get(async |ValidQuery(page): ValidQuery<Page>| format!("{} {}", page.page, page.sort.unwrap_or_default())),
        )
        .route("/employees/{id}", get(async |ValidPath(id): ValidPath<u64>| id.to_string()))
        .route(
            "/teams/{team}/{id}",
            get(async |ValidPath((team, id)): ValidPath<(String, u64)>| format!("{team} {id}")),
        )
}

async fn post_json(content_type: Option<&str>, body: impl Into<Body>) -> (u16, Value) {
    let mut request = Request::post("/employees");
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    let response = call(router(), request.body(body.into()).unwrap()).await;
    (response.status().as_u16(), json_of(response).await)
}

async fn get_text(path: &str) -> (u16, String) {
    let response = call(router(), Request::get(path).body(Body::empty()).unwrap()).await;
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn get_problem(path: &str) -> (u16, Value) {
    let (status, text) = get_text(path).await;
    (status, serde_json::from_str(&text).unwrap())
}

#[tokio::test]
async fn good_data_reaches_the_handler() {
    let body = r#"{"email":"a@b.c","addresses":[{"city":"Hue","number":7}]}"#;
    for content_type in ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"] {
        let request = Request::post("/employees").header("content-type", content_type);
        let response = call(router(), request.body(Body::from(body)).unwrap()).await;
        assert_eq!(response.status(), 200, "{content_type}");
    }
    assert_eq!(get_text("/employees?page=3&sort=-email").await, (200, "3 -email".to_owned()));
    assert_eq!(get_text("/employees").await, (200, "0 ".to_owned()));
    assert_eq!(get_text("/employees/42").await, (200, "42".to_owned()));
    assert_eq!(get_text("/teams/core/42").await, (200, "core 42".to_owned()));
}

#[tokio::test]
async fn field_that_does_not_fit_is_named_by_its_path() {
    let cases = [
        (
            r#"{"email":"a","addresses":[{"city":"Hue","number":7},{"city":"Hue","number":"x"}]}"#,
            "addresses[1].number",
            "invalid type: string \"x\", expected u16",
        ),
        (r#"{"email":"a","addresses":[{"number":7}]}"#, "addresses[0].city", "is required"),
        (r#"{"addresses":[]}"#, "email", "is required"),
        (
            r#"{"email":"a","addresses":[],"salary":1}"#,
            "salary",
            "unknown field `salary`, expected `email` or `addresses`",
        ),
        ("[]", "", "invalid type: sequence, expected struct NewEmployee"),
    ];
    for (body, field, message) in cases {
        let (status, document) = post_json(Some("application/json"), body).await;
        assert_eq!((status, &document["code"]), (422, &json!("validation_failed")), "{body}");
        assert_eq!(document["errors"], json!([{ "field": field, "message": message }]), "{body}");
    }
}

#[tokio::test]
async fn what_is_not_json_is_told_with_its_place_but_not_repeated() {
    for body in ["", "{\"email\": hunter2}", "{} trailing", "{\"email\":\"a\",\"addresses\":[]} x"] {
        let (status, document) = post_json(Some("application/json"), body).await;
        let text = document.to_string();
        if body == "{} trailing" {
            // The structure is judged before the end is looked for.
            assert_eq!((status, &document["code"]), (422, &json!("validation_failed")));
            continue;
        }
        assert_eq!((status, &document["code"]), (400, &json!("invalid_request")), "{body}");
        assert!(text.contains("line 1, column"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn body_of_another_type_is_refused_unread() {
    for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        let (status, document) = post_json(content_type, "{}").await;
        assert_eq!((status, &document["code"]), (415, &json!("unsupported_media_type")));
    }
}

#[tokio::test]
async fn body_beyond_the_limit_is_refused() {
    let (status, document) = post_json(Some("application/json"), vec![b' '; 1025]).await;
    assert_eq!((status, &document["code"]), (413, &json!("payload_too_large")));
    let (status, _) = post_json(Some("application/json"), vec![b' '; 1024]).await;
    assert_eq!(status, 400, "a body at the limit is read");
}

#[tokio::test]
async fn parameters_that_do_not_fit_are_named() {
    let (status, document) = get_problem("/employees?page=many").await;
    assert_eq!((status, &document["code"]), (400, &json!("invalid_request")));
    assert_eq!(document["errors"][0]["field"], "page");
    let (status, document) = get_problem("/employees/abc").await;
    assert_eq!((status, &document["code"]), (400, &json!("invalid_request")));
    assert_eq!(document["detail"], "the parameter of the path must be of type u64");
    let (status, document) = get_problem("/teams/core/abc").await;
    assert_eq!(status, 400);
    assert_eq!(document["errors"][0]["message"], "must be of type u64");
}

#[tokio::test]
async fn the_character_that_databases_do_not_take_is_refused_by_name() {
    let body = r#"{"email": "a@b.c", "addresses": [{"city": "H\u0000", "number": 1}]}"#;
    let (status, document) = post_json(Some("application/json"), body).await;
    assert_eq!((status, &document["errors"][0]["field"]), (422, &json!("addresses[0].city")));
    // An escaped backslash before it makes it harmless text.
    let body = r#"{"email": "a\\u0000", "addresses": [{"city": "Hue", "number": 1}]}"#;
    let request = Request::post("/employees").header("content-type", "application/json");
    assert_eq!(call(router(), request.body(Body::from(body)).unwrap()).await.status(), 200);
    let request = Request::get("/employees?sort=%00").body(Body::empty()).unwrap();
    assert_eq!(call(router(), request).await.status(), 400);
}

#[tokio::test]
async fn a_path_that_no_entity_can_have_is_not_there() {
    let router = Router::new().route("/jobs/{id}", get(async |PathId(id): PathId| id.to_string()));
    for (id, status) in [("7", 200), ("0", 404), ("-1", 404), ("x", 404), ("9223372036854775808", 404), ("%ff", 404)] {
        let request = Request::get(format!("/jobs/{id}")).body(Body::empty()).unwrap();
        assert_eq!(call(router.clone(), request).await.status(), status, "{id}");
    }
}

#[tokio::test]
async fn a_list_of_values_is_no_structure() {
    let (status, problem) = post_json(Some("application/json"), r#"["a@b.vn", [{"city": "Hue", "number": 1}]]"#).await;
    assert_eq!((status, &problem["code"]), (422, &json!("validation_failed")), "{problem}");
}

#[tokio::test]
async fn a_parameter_with_the_character_nul_is_named() {
    let (status, text) = get_text("/employees?sort=a&page=%00").await;
    let problem: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &problem["errors"][0]["field"]), (400, &json!("page")), "{problem}");
}
