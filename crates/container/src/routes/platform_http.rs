//! `platform-http:`: requests under `/routes` on the container's own port go through a route, whose message is the
//! answer.

use axum::body::Body as HttpBody;
use axum::extract::{FromRequestParts as _, Request};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use chassis::auth::Principal;
use chassis::idempotency::{IDEMPOTENCY_KEY, Key};
use chassis::{ErrorCode, Problem};
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Method, StatusCode};
use routes::components::{Component, ComponentSpec, Consumer, Endpoint, Name, Names, brought};
use routes::exchange::{Body, Exchange, Headers, Message, Pattern, Text, Value};
use routes::run::{BoxFuture, Core, Inlet};

use super::http::{body_of, fill};

/// Where the paths of routes begin.
const PREFIX: &str = "/routes";
const RESPONSE_CODE: &str = "CamelHttpResponseCode";

/// The paths that routes have at the moment; clones are the same table.
#[derive(Debug, Clone, Default)]
pub(crate) struct PlatformHttp(Names<Taken>);

#[derive(Debug, Clone)]
struct Taken {
    inlet: Inlet,
    methods: Vec<Method>,
    access: Access,
    takes_below: bool,
    body_bytes_max: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Operator,
    Employee,
    Anybody,
}

impl PlatformHttp {
    /// What serves the paths.
    pub(crate) fn router(&self) -> axum::Router {
        let table = self.clone();
        let serve = any(move |request: Request| {
            let table = table.clone();
            async move { table.serve(request).await.unwrap_or_else(|problem| problem.into_response()) }
        });
        let paths = ["/routes", "/routes/", "/routes/{*path}"];
        paths.into_iter().fold(axum::Router::new(), |router, path| router.route(path, serve.clone()))
    }

    /// The route for a path: that of the path itself, else the longest one above it that takes what is below.
    fn find(&self, path: &str) -> Option<Taken> {
        let path = path.trim_end_matches('/');
        let above = path.rmatch_indices('/').map(|(end, _)| &path[..end]);
        let taken = |at: &str| self.0.get(at).filter(|taken| at == path || taken.takes_below);
        std::iter::once(path).chain(above).find_map(taken)
    }

    async fn serve(&self, request: Request) -> Result<Response, Problem> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path().strip_prefix(PREFIX).unwrap_or_default().to_owned();
        let taken = self.find(&path).ok_or_else(|| Problem::new(ErrorCode::NotFound))?;
        let principal = match (taken.access, Principal::from_request_parts(&mut parts, &()).await) {
            (Access::Anybody, principal) => principal.ok(),
            (_, Ok(Principal::Operator)) => Some(Principal::Operator),
            (Access::Employee, Ok(employee)) => Some(employee),
            (Access::Operator, Ok(_)) => return Err(Problem::new(ErrorCode::Forbidden)),
            (_, Err(problem)) => return Err(problem),
        };
        if !taken.methods.is_empty() && !taken.methods.contains(&parts.method) {
            let allowed = taken.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
            let allowed = HeaderValue::try_from(allowed).unwrap_or_else(|_| HeaderValue::from_static("GET"));
            return Ok((StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, allowed)]).into_response());
        }
        let read = axum::body::to_bytes(body, taken.body_bytes_max).await;
        let bytes = read.map_err(|_| Problem::new(ErrorCode::PayloadTooLarge))?;
        let key = match parts.headers.contains_key(IDEMPOTENCY_KEY) {
            true => Some(Key::of(principal.as_ref(), &parts, &bytes)?),
            false => None,
        };
        let body = if bytes.is_empty() { Body::NULL } else { Body::new(body_of(bytes)) };
        let message = message(&parts, &path, body);
        let asked = message.headers.clone();
        let mut exchange = taken.inlet.exchange(message);
        exchange.pattern = Pattern::InOut;
        if let Some(key) = key {
            // Whoever sends the same request again means the same; whoever else has the same key does not.
            exchange.follow(format!("{}/{path}/{key}", parts.method));
        }
        Ok(response(taken.inlet.deliver(exchange).await, &asked))
    }
}

fn message(parts: &http::request::Parts, path: &str, body: Body) -> Message {
    let mut message = Message::new(body);
    for (name, value) in &parts.headers {
        // Who is asking was looked at, and is nobody else's business.
        let is_secret = *name == http::header::AUTHORIZATION || *name == http::header::COOKIE;
        if let (false, false, Ok(value)) = (is_secret, Headers::is_reserved(name.as_str()), value.to_str()) {
            message.headers.set(Text::from(name.as_str()), Value::from(value));
        }
    }
    let headers = &mut message.headers;
    headers.set(Text::fixed("CamelHttpMethod"), Value::from(parts.method.as_str()));
    headers.set(Text::fixed("CamelHttpPath"), Value::from(path));
    headers.set(Text::fixed("CamelHttpUri"), Value::from(parts.uri.path()));
    if let Some(query) = parts.uri.query() {
        headers.set(Text::fixed("CamelHttpQuery"), Value::from(query));
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !Headers::is_reserved(&name) && headers.get(&name).is_none() {
                headers.set(Text::from(&*name), Value::from(&*value));
            }
        }
    }
    message
}

/// The answer: what a route failed with stays inside.
fn response(mut exchange: Exchange, asked: &Headers) -> Response {
    if exchange.is_failed() {
        return Problem::new(ErrorCode::Internal).into_response();
    }
    // What the request said, in headers or in its query, is no answer, unless the route said it anew.
    exchange.message.headers.retain(|name, value| asked.get(name) != Some(value));
    let message = &exchange.message;
    let code = message.header(RESPONSE_CODE).and_then(Value::to_integer);
    let code = code.and_then(|code| u16::try_from(code).ok()).and_then(|code| StatusCode::from_u16(code).ok());
    let body = message.body.value();
    let status = code.unwrap_or(if body.is_null() { StatusCode::NO_CONTENT } else { StatusCode::OK });
    let mut response = Response::new(HttpBody::from(body.to_bytes()));
    *response.status_mut() = status;
    fill(response.headers_mut(), message);
    let kind =
        if matches!(body, Value::Text(_) | Value::Bytes(_)) { "text/plain; charset=utf-8" } else { "application/json" };
    response.headers_mut().entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
    // What a route answers is what it says it is, and nothing that a browser finds in it.
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

impl Component for PlatformHttp {
    fn spec(&self) -> &'static ComponentSpec {
        &brought::PLATFORM_HTTP
    }

    fn consumer(&self, endpoint: Endpoint, core: &Core) -> Result<Box<dyn Consumer>, String> {
        let methods = endpoint.word("httpMethodRestrict").unwrap_or_default();
        let methods = methods.split(',').map(str::trim).filter(|method| !method.is_empty());
        let methods: Result<Vec<_>, _> = methods.map(|method| method.to_ascii_uppercase().parse()).collect();
        let access = match endpoint.word("access").as_deref() {
            Some("anybody") => Access::Anybody,
            Some("employee") => Access::Employee,
            _ => Access::Operator,
        };
        Ok(Box::new(Source {
            path: self.0.name(match endpoint.text.path.trim_matches('/') {
                "" => String::new(),
                path => format!("/{path}"),
            }),
            methods: methods.map_err(|_| "`httpMethodRestrict` has methods with commas, such as `GET,POST`")?,
            access,
            takes_below: endpoint.flag("matchOnUriPrefix").unwrap_or(false),
            body_bytes_max: core.limits.body_bytes_max,
        }))
    }
}

#[derive(Debug)]
struct Source {
    /// With `/` before it; empty for the root.
    path: Name<Taken>,
    methods: Vec<Method>,
    access: Access,
    takes_below: bool,
    body_bytes_max: usize,
}

impl Consumer for Source {
    fn start(&self, inlet: Inlet) -> BoxFuture<'_, Result<(), String>> {
        let Self { methods, access, takes_below, body_bytes_max, .. } = self;
        let (access, takes_below, body_bytes_max) = (*access, *takes_below, *body_bytes_max);
        let route = inlet.route().id().clone();
        let taken = Taken { inlet, methods: methods.clone(), access, takes_below, body_bytes_max };
        self.path.take(&route, taken);
        Box::pin(async { Ok(()) })
    }

    fn claims(&self) -> Option<String> {
        Some(format!("platform-http:{}", self.path.as_str()))
    }

    fn conflict(&self, replaced: &[Text]) -> Option<String> {
        let path = self.path.as_str();
        self.path.other(replaced).map(|route| format!("`platform-http:{path}` belongs to route `{route}` already"))
    }

    // Another revision takes the path over without a gap.
    fn is_called(&self) -> bool {
        true
    }

    fn stop(&self) {
        self.path.give_back();
    }
}
