//! `http:` and `https:`: the message becomes a request, and the answer becomes the message.
//!
//! A request may arrive twice; what follows from an event carries the same `Idempotency-Key` both times.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use routes::components::{Component, ComponentSpec, Endpoint, Producer, brought};
use routes::exchange::{Body, Exception, Exchange, Headers, Message, Result, Text, Value, class};
use routes::run::{Core, Cx, Sending, TRACEPARENT};

use crate::http_client::HttpClient;

const TIMEOUT: Duration = Duration::from_secs(30);
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const METHOD: &str = "CamelHttpMethod";
const PATH: &str = "CamelHttpPath";
const QUERY: &str = "CamelHttpQuery";
const URI: &str = "CamelHttpUri";
const RESPONSE_CODE: Text = Text::fixed("CamelHttpResponseCode");

/// `http:` and `https:` for an engine.
pub(crate) fn components() -> [Arc<dyn Component>; 2] {
    [Arc::new(Http(&brought::HTTP)), Arc::new(Http(&brought::HTTPS))]
}

#[derive(Debug)]
struct Http(&'static ComponentSpec);

impl Component for Http {
    fn spec(&self) -> &'static ComponentSpec {
        self.0
    }

    fn producer(&self, endpoint: Endpoint, core: &Core) -> std::result::Result<Arc<dyn Producer>, String> {
        let path = endpoint.text.path.trim_start_matches('/');
        let address = format!("{}://{path}", self.0.name);
        let uri: Uri = address.parse().map_err(|error| format!("`{address}` is no address of a server: {error}"))?;
        let host = uri.host().filter(|host| !host.is_empty());
        host.ok_or_else(|| format!("`{address}` names no server"))?;
        Ok(Arc::new(Client {
            client: HttpClient::new(&uri)?,
            address,
            method: endpoint.word("httpMethod").and_then(|method| method.parse().ok()),
            throws: endpoint.flag("throwExceptionOnFailure").unwrap_or(true),
            timeout: endpoint.duration_ms("responseTimeout").map_or(TIMEOUT, Duration::from_millis),
            bridges: endpoint.flag("bridgeEndpoint").unwrap_or(false),
            sends_headers: !endpoint.flag("skipRequestHeaders").unwrap_or(false),
            takes_headers: !endpoint.flag("skipResponseHeaders").unwrap_or(false),
            body_bytes_max: core.limits.body_bytes_max,
        }))
    }
}

#[derive(Debug)]
struct Client {
    client: HttpClient,
    address: String,
    method: Option<Method>,
    throws: bool,
    timeout: Duration,
    bridges: bool,
    sends_headers: bool,
    takes_headers: bool,
    body_bytes_max: usize,
}

impl Producer for Client {
    fn send<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, cx: &'e Cx<'e>) -> Sending<'e> {
        let request = self.request(exchange, cx.route.id());
        Sending::Later(Box::pin(async move {
            let request = request?;
            let answer = tokio::time::timeout(self.timeout, self.ask(request)).await.map_err(|_| {
                let message = format!("no answer within {} ms", self.timeout.as_millis());
                Exception::new(&class::SOCKET_TIMEOUT, message)
            })?;
            self.answer(answer?, exchange)
        }))
    }
}

struct Answer {
    status: http::StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Client {
    fn request(&self, exchange: &mut Exchange, route: &str) -> Result<Request<Full<Bytes>>> {
        let id = exchange.next_id(route);
        let message = &exchange.message;
        let text = |name: &str| message.header(name).and_then(Value::to_text);
        let body = message.body.value();
        let method = match (&self.method, text(METHOD)) {
            (Some(method), _) => method.clone(),
            (None, Some(method)) => method.parse().map_err(|_| refused(format!("`{method}` is no method")))?,
            (None, None) if body.is_null() => Method::GET,
            (None, None) => Method::POST,
        };
        let has_body = ![Method::GET, Method::HEAD, Method::DELETE].contains(&method);
        let bytes = if has_body { body.to_bytes() } else { Bytes::new() };
        let uri = self.uri(text(URI), text(PATH), text(QUERY))?;
        let mut request = Request::new(Full::new(bytes));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        if self.sends_headers {
            fill(request.headers_mut(), message);
        } else if let Some(kind) = text("Content-Type").and_then(|kind| HeaderValue::try_from(&*kind).ok()) {
            request.headers_mut().insert(CONTENT_TYPE, kind);
        }
        if let Some(trace) = exchange.traceparent().and_then(|trace| HeaderValue::try_from(trace.as_str()).ok()) {
            request.headers_mut().entry(TRACEPARENT).or_insert(trace);
        }
        if let Some(id) = id.and_then(|id| HeaderValue::try_from(id.to_string()).ok()) {
            request.headers_mut().entry(IDEMPOTENCY_KEY).or_insert(id);
        }
        Ok(request)
    }

    fn uri(&self, uri: Option<Text>, path: Option<Text>, query: Option<Text>) -> Result<Uri> {
        let mut address = self.address.clone();
        if !self.bridges {
            // Only what lies under the address of the file: a message does not choose the server.
            if let Some(uri) = uri {
                let is_under = uri
                    .strip_prefix(self.address.as_str())
                    .is_some_and(|rest| self.address.ends_with('/') || rest.is_empty() || rest.starts_with(['/', '?']));
                if !is_under {
                    return Err(refused(format!("CamelHttpUri has to begin with {}", self.address)));
                }
                address = uri.to_string();
            }
            if let Some(path) = path {
                let (base, rest) = (address.trim_end_matches('/').to_owned(), path.trim_start_matches('/'));
                address = format!("{base}/{rest}");
            }
        }
        if let Some(query) = query {
            let sign = if address.contains('?') { '&' } else { '?' };
            address = format!("{address}{sign}{}", query.trim_start_matches('?'));
        }
        let uri: Uri = address.parse().map_err(|error| refused(format!("the address cannot be used: {error}")))?;
        if !self.bridges && leads_upwards(uri.path()) {
            return Err(refused(format!("`{}` leads upwards", uri.path())));
        }
        Ok(uri)
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Answer> {
        let response = self.client.send(request).await.map_err(|error| {
            let class = if error.is_connect() { &class::CONNECT } else { &class::SOCKET };
            Exception::new(class, eventkit::chain(&error))
        })?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, self.body_bytes_max)
            .collect()
            .await
            .map_err(|error| Exception::new(&class::IO, format!("the answer could not be read: {error}")))?;
        Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
    }

    fn answer(&self, answer: Answer, exchange: &mut Exchange) -> Result<()> {
        let status = answer.status;
        if self.throws && !status.is_success() {
            let message =
                format!("HTTP operation failed invoking {} with statusCode: {}", self.address, status.as_u16());
            return Err(Exception::new(&class::HTTP_OPERATION_FAILED, message));
        }
        let message = &mut exchange.message;
        for name in [METHOD, PATH, QUERY, URI] {
            message.headers.remove(name);
        }
        if self.takes_headers {
            for (name, value) in &answer.headers {
                // The trace goes on, whatever the other side calls it.
                let is_taken = is_passed(name) && name != TRACEPARENT && !Headers::is_reserved(name.as_str());
                if let (true, Ok(value)) = (is_taken, value.to_str()) {
                    message.headers.set(Text::from(name.as_str()), Value::from(value));
                }
            }
        }
        message.headers.set(RESPONSE_CODE, Value::Integer(i64::from(status.as_u16())));
        message.body = if answer.body.is_empty() { Body::NULL } else { Body::new(body_of(answer.body)) };
        Ok(())
    }
}

/// Whether some server would look for a path outside of where it begins: with `..` in any spelling.
fn leads_upwards(path: &str) -> bool {
    let path =
        path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\").replace("%3b", ";");
    // Some cut parameters off before they look.
    path.split(['/', '\\']).any(|part| part.split(';').next() == Some(".."))
}

/// Text where it is text, so that expressions can look at it.
pub(super) fn body_of(bytes: Bytes) -> Value {
    match std::str::from_utf8(&bytes) {
        Ok(text) => Value::from(text),
        Err(_) => Value::Bytes(bytes),
    }
}

/// Whether a header is about the message, and not about the connection.
pub(super) fn is_passed(name: &HeaderName) -> bool {
    const CONNECTION: &[&str] = &["connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"];
    name != CONTENT_LENGTH && name != TRANSFER_ENCODING && name != HOST && !CONNECTION.contains(&name.as_str())
}

/// Headers of the message, without those of the engine and of other components.
pub(super) fn fill(headers: &mut HeaderMap, message: &Message) {
    for (name, value) in message.headers.iter() {
        if Headers::is_reserved(name) {
            continue;
        }
        let value = value.to_text().and_then(|text| HeaderValue::try_from(&*text).ok());
        if let (Ok(name), Some(value)) = (HeaderName::try_from(name.as_str()), value)
            && is_passed(&name)
        {
            headers.insert(name, value);
        }
    }
}

fn refused(message: String) -> Exception {
    Exception::new(&class::ILLEGAL_ARGUMENT, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_chooses_only_what_lies_under_the_address() {
        let address = "http://h/base";
        let client = Client {
            client: HttpClient::new(&Uri::from_static(address)).unwrap(),
            address: address.to_owned(),
            method: None,
            throws: true,
            timeout: TIMEOUT,
            bridges: false,
            sends_headers: true,
            takes_headers: true,
            body_bytes_max: 1,
        };
        let uri = |uri: &str| client.uri(Some(Text::from(uri)), None, None).map(|uri| uri.to_string());
        let path = |path: &str| client.uri(None, Some(Text::from(path)), None).map(|uri| uri.to_string());
        for up in ["..", "x/..", "../admin", "%2e%2e/admin", ".%2E/admin", "..%2fadmin", "..\\admin", "..%5Cadmin"] {
            assert!(uri(&format!("{address}/{up}")).is_err(), "{up}");
            assert!(path(up).is_err(), "{up}");
        }
        assert!(path("..;x/admin").is_err() && path("..%3bx/admin").is_err());
        assert!(uri("http://h/basement").is_err() && uri("http://other/base/x").is_err());
        assert_eq!(uri("http://h/base/a..b/...").unwrap(), "http://h/base/a..b/...");
        assert_eq!(path("a/b.c").unwrap(), "http://h/base/a/b.c");
        assert_eq!(client.uri(None, None, Some(Text::from("up=../x"))).unwrap().to_string(), "http://h/base?up=../x");
    }
}
