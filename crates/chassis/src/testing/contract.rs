//! What the description of a service promises, for every operation in it, so that a new one cannot be forgotten.

use contracts::access::{Grant, Permission, Scope};
use serde_json::{Value, json};

use super::{OPERATOR, Service, token};
use crate::problem::PROBLEM_JSON;

/// Numbers that no entity of a test can have.
const NO_IDS: &[&str] =
    &["0", "-1", "9999", "4294967297", "9223372036854775807", "9223372036854775808", "x", "%00", "%ff", "1%27--"];
/// What a parameter of a query may be given by mistake or in bad faith.
const BAD_PARAMETERS: &[&str] =
    &["", "-1", "0", "99999999999999999999", "x", "%00", "%ff", "%27%3B--", "%F0%9F%92%A9", "eyJhIjoxfQ"];

/// An operation of the description of a service.
#[derive(Debug)]
pub struct Operation {
    /// `GET`, `POST` and so on.
    pub method: String,
    /// The path with its parameters.
    pub path: String,
    /// All that is said of it.
    pub spec: Value,
}

impl Operation {
    /// The path with a number in place of its parameter.
    pub fn at(&self, id: &str) -> String {
        match (self.path.find('{'), self.path.find('}')) {
            (Some(from), Some(to)) => format!("{}{id}{}", &self.path[..from], &self.path[to + 1..]),
            _ => self.path.clone(),
        }
    }
}

impl Service {
    /// The service's description.
    async fn description(&self) -> Value {
        self.ask("GET", crate::api::OPENAPI_PATH).by("").send().await.ok()
    }

    /// Everything that the service's description says it does.
    pub async fn operations(&self) -> Vec<Operation> {
        let document = self.description().await;
        let paths = document["paths"].as_object().expect("paths").clone();
        let operations = paths.into_iter().flat_map(|(path, item)| {
            let item = item.as_object().expect("operations").clone();
            let named = move |(method, spec): (String, Value)| (method.to_uppercase(), path.clone(), spec);
            item.into_iter().map(named)
        });
        operations.map(|(method, path, spec)| Operation { method, path, spec }).collect()
    }

    /// Insists that strangers are refused, and whoever has no permission or every one but that which is needed; answers
    /// the paths that everybody may use.
    pub async fn refuses_who_may_not(&self) -> Vec<String> {
        let mut public = Vec::new();
        for operation in self.operations().await {
            let Operation { method, path, spec } = &operation;
            let access = spec["x-access"].as_str().expect("who may use it");
            if access == "public" {
                public.push(path.clone());
                continue;
            }
            let mut asking = vec![(String::new(), 401), ("unknown".to_owned(), 401), ("a.b.c".to_owned(), 401)];
            if let Ok(needed) = access.parse::<Permission>() {
                let others = Permission::all().filter(|permission| *permission != needed);
                let others = others.map(|permission| Grant { permission, scope: Scope::All }).collect();
                asking.extend([(token(900, Vec::new()), 403), (token(900, others), 403)]);
            }
            for (who, status) in asking {
                let answer = self.ask(method, operation.at("1")).by(&who).json(&json!({})).send().await;
                assert_eq!(answer.status, status, "{method} {path}");
                assert_eq!(answer.headers["content-type"], PROBLEM_JSON, "{method} {path}");
            }
        }
        public
    }

    /// Insists that what cannot be the number of an entity is not there; `body` is one that fits an operation.
    pub async fn has_nothing_at_other_ids(&self, body: impl Fn(&Operation) -> Value) {
        for operation in self.operations().await.into_iter().filter(|one| one.path.contains('{')) {
            for id in NO_IDS {
                let answer = self.ask(&operation.method, operation.at(id)).json(&body(&operation)).send().await;
                assert_eq!(answer.status, 404, "{} {}: {}", operation.method, operation.at(id), answer.body);
                assert_eq!(answer.headers["content-type"], PROBLEM_JSON, "{} {}", operation.method, operation.at(id));
            }
        }
    }

    /// Insists that no query is a fault of ours, and that a refusal names the parameter.
    pub async fn stands_bad_queries(&self) {
        for operation in self.operations().await {
            let parameters = operation.spec["parameters"].as_array().into_iter().flatten();
            for name in parameters.filter(|one| one["in"] == "query").filter_map(|one| one["name"].as_str()) {
                for value in BAD_PARAMETERS {
                    let address = format!("{}?{name}={value}", operation.at("1"));
                    let answer = self.send(OPERATOR, &operation.method, &address, &[], &Value::Null).await;
                    assert!(answer.status < 500, "{} {address}: {}", operation.method, answer.body);
                    if [400, 422].contains(&answer.status) {
                        assert_eq!(answer.headers["content-type"], PROBLEM_JSON, "{} {address}", operation.method);
                        assert!(names(&answer.body, name), "{} {address}: {}", operation.method, answer.body);
                    }
                }
            }
        }
    }

    /// Insists that no body is a fault of ours, that one of another shape is refused, and that a refusal with a status
    /// of `explained` names the field. The fields are set one by one in what an operation knows of `body`, or alone
    /// where fields are changed.
    pub async fn stands_bad_bodies(&self, fields: &[&str], body: &Value, explained: &[u16]) {
        let document = self.description().await;
        for operation in self.operations().await.into_iter().filter(|one| one.spec.get("requestBody").is_some()) {
            let (method, path) = (operation.method.as_str(), operation.at("1"));
            let known = known_fields(&document, &operation);
            let mut fitting = if method == "PATCH" { json!({}) } else { body.clone() };
            if let (Some(known), Some(fields)) = (&known, fitting.as_object_mut()) {
                fields.retain(|name, _| known.contains(name));
            }
            for field in fields {
                for value in bad_values() {
                    let mut body = fitting.clone();
                    body[*field] = value.clone();
                    let answer = self.send(OPERATOR, method, &path, &[], &body).await;
                    let what = format!("{method} {path} {field}={value}: {} {}", answer.status, answer.body);
                    assert!(answer.status < 500, "{what}");
                    if explained.contains(&answer.status) {
                        assert_eq!(answer.headers["content-type"], PROBLEM_JSON, "{what}");
                        // The body before it may have made what another field of this one would make again.
                        let is_second = answer.status == 409 && named(&answer.body).any(|named| !body[named].is_null());
                        let is_named = names(&answer.body, field) || lacks(&answer.body, &body) || is_second;
                        // A list has no fields to name.
                        assert!(is_named || known.is_none() && !answer.body["errors"].is_null(), "{what}");
                    }
                }
            }
            for body in [json!([{}]), json!("x"), json!(7), json!(null)] {
                let answer = self.send(OPERATOR, method, &path, &[], &body).await;
                assert!((400..500).contains(&answer.status), "{method} {path} {body}: {}", answer.status);
            }
        }
    }
}

/// Whether a problem names a field or parameter, or something in it.
fn names(problem: &Value, field: &str) -> bool {
    named(problem).any(|named| named.starts_with(field))
}

/// Whether a problem is that the body lacks something.
fn lacks(problem: &Value, body: &Value) -> bool {
    named(problem).any(|named| !named.is_empty() && body.get(named).is_none())
}

fn named(problem: &Value) -> impl Iterator<Item = &str> {
    problem["errors"].as_array().into_iter().flatten().filter_map(|error| error["field"].as_str())
}

/// The fields of a body that an operation knows; nothing where its body is no object.
fn known_fields(document: &Value, operation: &Operation) -> Option<Vec<String>> {
    let content = operation.spec["requestBody"]["content"].as_object()?;
    let mut schema = &content.values().next()?["schema"];
    while let Some(pointer) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        schema = document.pointer(pointer).expect("what is referred to is there");
    }
    Some(schema["properties"].as_object()?.keys().cloned().collect())
}

/// What a field of a body may be given by mistake or in bad faith.
fn bad_values() -> [Value; 15] {
    [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(u64::MAX),
        json!(i64::MAX),
        json!(""),
        json!("\u{0}"),
        json!("x".repeat(5_000)),
        json!([]),
        json!({}),
        json!("1e9"),
        json!("9999-12-31"),
        json!("💥'; drop table x; --"),
    ]
}
