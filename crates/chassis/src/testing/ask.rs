//! Requests to a service in process, and its answers.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, header};
use serde_json::Value;
use tower::ServiceExt;

use super::{OPERATOR, Service};

/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 10_000_000;

/// A request while it is written.
#[derive(Debug)]
pub struct Ask {
    router: axum::Router,
    token: String,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

impl Ask {
    /// Asked by somebody else than the operator; by a stranger where the token is empty.
    pub fn by(mut self, token: &str) -> Self {
        token.clone_into(&mut self.token);
        self
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body.
    pub fn json(self, body: &Value) -> Self {
        self.text(body.to_string())
    }

    /// With a body that need be no JSON.
    pub fn text(mut self, body: String) -> Self {
        self.body = Some(body);
        self
    }

    /// Sends it.
    pub async fn send(self) -> Answer {
        let mut request = Request::builder().method(self.method.as_str()).uri(&self.path);
        if !self.token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        }
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        if self.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Body::from(self.body.unwrap_or_default())).expect("a request");
        let (head, body) = self.router.oneshot(request).await.expect("an answer").into_parts();
        let body = to_bytes(body, ANSWER_BYTES_MAX).await.expect("a body");
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, null where it is no JSON.
    pub body: Value,
}

impl Answer {
    /// The body of an answer that must be a success.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.body);
        self.body
    }

    /// Insists on a status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// Insists on a problem about one field.
    #[track_caller]
    pub fn expect_field(self, status: u16, field: &str) -> Self {
        assert_eq!(self.fault(), (status, field), "{}", self.body);
        self
    }

    /// The status and the first field that is to blame.
    pub fn fault(&self) -> (u16, &str) {
        (self.status, self.body["errors"][0]["field"].as_str().unwrap_or(""))
    }

    /// A number in the body.
    #[track_caller]
    pub fn id(&self, name: &str) -> i64 {
        self.body[name].as_i64().unwrap_or_else(|| panic!("no {name} in {}", self.body))
    }

    /// The `ETag`.
    #[track_caller]
    pub fn etag(&self) -> String {
        self.headers[header::ETAG].to_str().expect("text").to_owned()
    }
}

impl Service {
    /// A request of the operator.
    pub fn ask(&self, method: &str, path: impl Into<String>) -> Ask {
        Ask {
            router: self.router.clone(),
            token: OPERATOR.to_owned(),
            method: method.to_owned(),
            path: path.into(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// A request with all its parts; no body where it is null.
    pub async fn send(&self, token: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut ask = self.ask(method, path).by(token);
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        if !body.is_null() {
            ask = ask.json(body);
        }
        ask.send().await
    }
}
