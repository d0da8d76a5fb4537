//! Every operation of every part, found in the parts' own descriptions: refused to strangers and to the wrong role,
//! and never answered with a fault of ours, whatever is sent.

use std::collections::BTreeSet;

use e2e::openapi::{Described, Operation};
use e2e::system::{Layout, PARTS, System};
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

/// What everybody may ask for without a token: the ways to get one.
const PUBLIC: [&str; 4] = [
    "POST /api/v1/bootstrap",
    "POST /api/v1/invitations/accept",
    "POST /api/v1/sessions",
    "POST /api/v1/sessions/refresh",
];
/// Words that only our own code or database would say.
const OURS: [&str; 6] = ["panicked", "select ", "insert into", "sqlite", "stack backtrace", ".rs:"];

struct Walk {
    client: reqwest::Client,
    url: String,
}

impl Walk {
    async fn send(
        &self,
        operation: &Operation,
        path: &str,
        token: Option<&str>,
        body: Option<&str>,
    ) -> (StatusCode, String, String) {
        let method = Method::from_bytes(operation.method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        let answer = request.send().await.unwrap();
        let content_type = answer.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
        (answer.status(), content_type.unwrap_or_default(), answer.text().await.unwrap())
    }

    /// Sends what does not fit; the answer must be a problem that is the client's, and says nothing of our insides.
    async fn refused(&self, operation: &Operation, path: &str, token: &str, body: Option<&str>) -> Value {
        let (status, content_type, text) = self.send(operation, path, Some(token), body).await;
        let what = format!("{} {path} {}: {status} {text}", operation.method, body.unwrap_or_default());
        assert!(status.is_client_error(), "{what}");
        assert_eq!(content_type, "application/problem+json", "{what}");
        let lower = text.to_lowercase();
        assert!(OURS.iter().all(|word| !lower.contains(word)), "{what}");
        let problem: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(problem["status"], status.as_u16(), "{what}");
        problem
    }
}

fn names_field(problem: &Value, field: &str) -> bool {
    let errors = problem["errors"].as_array().into_iter().flatten();
    errors.filter_map(|error| error["field"].as_str()).any(|named| named.starts_with(field))
}

/// Logs in somebody who was taken on, and given no role.
async fn somebody_without_roles(system: &System) -> String {
    let operator = system.operator_token("user-service").unwrap();
    demo::log_in_without_roles(&system.addresses(), &system.broker(), &operator).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_refused_to_strangers_and_to_the_wrong_role() {
    let folder = tempfile::tempdir().unwrap();
    let system = System::start(Layout::Together, folder.path()).await.unwrap();
    let mut public = BTreeSet::new();
    for (part, _) in PARTS {
        let nobody = somebody_without_roles(&system).await;
        let url = system.url(part);
        let described = Described::fetch_all(&url, &system.operator_token(part).unwrap()).await.unwrap();
        let [for_operators, for_users] = described.map(|described| described.operations().unwrap());
        assert!(for_operators.iter().all(|operation| operation.access == "operator"), "{part}: {for_operators:?}");
        for described in [&for_operators, &for_users] {
            assert!(!described.is_empty(), "{part} describes nothing");
        }
        let mut operations = [for_operators, for_users].concat();
        // Whoever logs out comes last.
        operations.sort_by_key(|operation| operation.method == "DELETE" && operation.path.ends_with("/current"));
        let walk = Walk { client: chassis::net::client(), url };
        for operation in operations {
            let name = format!("{} {}", operation.method, operation.path);
            if operation.access == "public" {
                public.insert(name);
                continue;
            }
            let path = operation.path_with("1");
            for token in [None, Some("nobody's token")] {
                let (status, _, text) = walk.send(&operation, &path, token, Some("{}")).await;
                assert_eq!(status, 401, "{part} {name} with {token:?}: {text}");
            }
            let (status, _, text) = walk.send(&operation, &path, Some(&nobody), Some("{}")).await;
            match operation.access.as_str() {
                "logged-in" => assert!(status != 401 && !status.is_server_error(), "{part} {name}: {status} {text}"),
                _ => assert_eq!(status, 403, "{part} {name} without a role: {text}"),
            }
        }
    }
    assert_eq!(public.iter().map(String::as_str).collect::<Vec<_>>(), PUBLIC);
    system.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_sent_is_refused_as_a_problem_that_names_the_field() {
    let folder = tempfile::tempdir().unwrap();
    let system = System::start(Layout::Together, folder.path()).await.unwrap();
    for (part, _) in PARTS {
        let url = system.url(part);
        let token = system.operator_token(part).unwrap();
        let all_described = Described::fetch_all(&url, &token).await.unwrap();
        let walk = Walk { client: chassis::net::client(), url };
        for described in &all_described {
            for operation in described.operations().unwrap() {
                bad_paths(&walk, &operation, &token).await;
                bad_queries(&walk, described, &operation, &token).await;
                bad_bodies(&walk, described, &operation, &token).await;
            }
        }
    }
    system.stop().await.unwrap();
}

async fn bad_paths(walk: &Walk, operation: &Operation, token: &str) {
    if operation.path_parameters.is_empty() {
        return;
    }
    for value in ["0", "-1", "9223372036854775807", "99999999999999999999", "abc", "%00", "%F0%9F%92%A5", "1'--"] {
        walk.refused(operation, &operation.path_with(value), token, Some("{}")).await;
    }
}

async fn bad_queries(walk: &Walk, described: &Described, operation: &Operation, token: &str) {
    let path = operation.path_with("1");
    for (name, schema) in &operation.query_parameters {
        for value in wrong_parameters(described, name, schema) {
            let address = format!("{path}?{name}={value}");
            let problem = walk.refused(operation, &address, token, None).await;
            assert!(names_field(&problem, name), "{} {address}: {problem}", operation.method);
        }
    }
    if operation.method == "GET" && !operation.query_parameters.is_empty() {
        let problem = walk.refused(operation, &format!("{path}?noSuchParameter=1"), token, None).await;
        assert!(names_field(&problem, "noSuchParameter"), "{problem}");
    }
}

/// What a parameter of a query does not take, by its schema, and by its name where that means the same in every list.
fn wrong_parameters(described: &Described, name: &str, schema: &Value) -> Vec<String> {
    let types = described.types(schema);
    let schema = described.resolve(schema);
    let mut wrong = vec!["%00".to_owned()];
    let is_of_kind = !types.contains(&"string".to_owned()) || schema["enum"].is_array() || schema["format"].is_string();
    if is_of_kind || ["cursor", "sort"].contains(&name) {
        wrong.extend(["abc", "", "%F0%9F%92%A5", "1%27--", "99999999999999999999"].map(str::to_owned));
    }
    if let Some(length_max) = schema["maxLength"].as_u64() {
        wrong.push("x".repeat(usize::try_from(length_max).unwrap() + 1));
    }
    wrong
}

async fn bad_bodies(walk: &Walk, described: &Described, operation: &Operation, token: &str) {
    let Some(schema) = &operation.body else { return };
    let path = operation.path_with("999999");
    for body in ["", "{", "[7]", "null", "7", "\"text\"", "{\"noSuchField\":1}"] {
        walk.refused(operation, &path, token, Some(body)).await;
    }
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    walk.refused(operation, &path, token, Some(&deep)).await;
    let is_list = schema["type"] == "array";
    for (name, schema) in described.properties(schema) {
        let field = if is_list { format!("[0].{name}") } else { name.clone() };
        for wrong in wrong_values(&described.types(&schema)) {
            let object = Value::Object(Map::from_iter([(name.clone(), wrong)]));
            let body = if is_list { json!([object]) } else { object }.to_string();
            let problem = walk.refused(operation, &path, token, Some(&body)).await;
            // A patch of something that is not there is told so first.
            assert!(
                names_field(&problem, &field) || problem["status"] == 404 && operation.method == "PATCH",
                "{} {path} {}: {problem}",
                operation.method,
                body.chars().take(200).collect::<String>()
            );
        }
    }
}

/// Values of types that a property does not take.
fn wrong_values(types: &[String]) -> Vec<Value> {
    let takes = |kind: &str| types.iter().any(|takes| takes == kind);
    let mut wrong = Vec::new();
    if types.is_empty() {
        return wrong;
    }
    if !takes("string") {
        wrong.extend([json!("text"), json!("x".repeat(10_000))]);
    }
    if !takes("integer") && !takes("number") && !takes("string") {
        wrong.extend([json!(1), json!(-1)]);
    }
    if takes("integer") {
        wrong.extend([json!(1.5), json!(1e300), json!("7")]);
    }
    if !takes("boolean") {
        wrong.push(json!(true));
    }
    if !takes("object") {
        wrong.push(json!({"a": 1}));
    }
    if !takes("array") {
        wrong.push(json!([1]));
    }
    wrong
}
