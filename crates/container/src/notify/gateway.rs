//! Text messages and push notices through somebody else's HTTP gateway: one request a message, under a stable key.

use std::fmt;
use std::time::Duration;

use chassis::Secret;
use eventkit::RecipientType;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::TokioExecutor;
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Deserialize;

use super::{Carry, Message, TRACEPARENT, Undelivered};
use crate::error::Error;

/// The header by which a gateway can tell a repetition; its value is the event's id.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest wait that a gateway can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);
/// The name of the body's template in messages.
const BODY: &str = "body";
/// How much work the body's template may do.
const FUEL: u64 = 100_000;

/// The sections `container.sms` and `container.push`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatewayConfig {
    /// Where requests go; empty for nowhere.
    pub(crate) url: String,
    /// Their method.
    pub(crate) method: String,
    /// Their headers, each `Name: value`.
    pub(crate) headers: Vec<String>,
    /// Further headers, which are never shown.
    pub(crate) secret_headers: Vec<Secret>,
    /// The template of their body.
    pub(crate) body: String,
    /// How long a request may take.
    pub(crate) timeout_ms: u64,
}

/// Sends messages through one gateway, or refuses them where there is none.
#[derive(Debug)]
pub(crate) struct Gateway {
    /// The section that configures it, for messages.
    section: &'static str,
    line: Option<Line>,
    put_off: Duration,
}

/// A gateway that is configured.
struct Line {
    url: Uri,
    method: Method,
    headers: HeaderMap,
    body: Environment<'static>,
    timeout: Duration,
    client: HttpClient,
}

/// Certificates are looked for only where a gateway's address asks for TLS.
enum HttpClient {
    Open(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("url", &self.url.host()).finish_non_exhaustive()
    }
}

impl Gateway {
    /// The gateway that `section` configures. `put_off` is how long to wait when the gateway asks for patience without
    /// saying how much.
    pub(crate) fn new(section: &'static str, config: &GatewayConfig, put_off: Duration) -> Result<Self, Error> {
        let line = match config.url.is_empty() {
            true => None,
            false => Some(Line::new(config).map_err(|reason| Error::GatewayUnusable { section, reason })?),
        };
        Ok(Self { section, line, put_off })
    }

    fn outcome(&self, status: StatusCode, headers: &HeaderMap) -> Result<(), Undelivered> {
        if status.is_success() {
            return Ok(());
        }
        let error = Error::GatewayRefused { section: self.section, status: status.as_u16() };
        let asks_for_patience = status == StatusCode::REQUEST_TIMEOUT || status == StatusCode::TOO_MANY_REQUESTS;
        if asks_for_patience || status.is_server_error() {
            let delay = retry_after(headers).unwrap_or(self.put_off);
            return Err(Undelivered::PutOff(error, Some(delay)));
        }
        Err(Undelivered::Refused(error))
    }
}

impl Carry for Gateway {
    async fn carry(&self, message: &Message) -> Result<(), Undelivered> {
        let section = self.section;
        let Some(line) = &self.line else { return Err(Undelivered::Refused(Error::NoGateway { section })) };
        let request = line.request(message).map_err(Undelivered::Refused)?;
        match tokio::time::timeout(line.timeout, line.client.send(request)).await {
            Ok(Ok(response)) => self.outcome(response.status(), response.headers()),
            Ok(Err(source)) if source.is_connect() => Err(Undelivered::Away(Error::GatewayAway { section, source })),
            // The request may have arrived: the key keeps a repetition from being a second message.
            Ok(Err(source)) => Err(Undelivered::PutOff(Error::GatewayAway { section, source }, Some(self.put_off))),
            Err(_) => Err(Undelivered::PutOff(Error::GatewaySlow { section }, Some(self.put_off))),
        }
    }
}

impl Line {
    fn new(config: &GatewayConfig) -> Result<Self, String> {
        let url: Uri = config.url.parse().map_err(|error| format!("url is not one: {error}"))?;
        let method = config.method.parse().map_err(|error| format!("method is not one: {error}"))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for line in &config.headers {
            let (name, value) = header(line).ok_or_else(|| format!("header {line:?} is not written Name: value"))?;
            headers.insert(name, value);
        }
        for line in &config.secret_headers {
            let (name, mut value) = header(line.expose()).ok_or("a secret header is not written Name: value")?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let mut body = Environment::new();
        body.set_undefined_behavior(UndefinedBehavior::Strict);
        body.set_fuel(Some(FUEL));
        body.add_template_owned(BODY, config.body.clone()).map_err(|error| format!("body is no template: {error}"))?;
        let client = HttpClient::new(&url)?;
        Ok(Self { url, method, headers, body, timeout: Duration::from_millis(config.timeout_ms), client })
    }

    fn request(&self, message: &Message) -> Result<Request<Full<Bytes>>, Error> {
        let failed = |source| Error::Template { name: BODY.to_owned(), source };
        let recipient_type = message.recipient.map(|(kind, _)| match kind {
            RecipientType::Employee => "employee",
            RecipientType::Candidate => "candidate",
        });
        let body = self.body.get_template(BODY).map_err(failed)?.render(context! {
            id => message.id.to_string(),
            to => message.to.as_deref(),
            title => message.subject.as_str(),
            text => message.text.trim_end(),
            template => message.template.as_str(),
            recipientType => recipient_type,
            recipientId => message.recipient.map(|(_, id)| id),
        });
        let mut request = Request::new(Full::new(Bytes::from(body.map_err(failed)?)));
        *request.uri_mut() = self.url.clone();
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        let key = HeaderValue::try_from(message.id.to_string()).expect("a UUID's digits are a header value");
        request.headers_mut().insert(IDEMPOTENCY_KEY, key);
        if let Some(Ok(trace)) = message.traceparent.as_deref().map(HeaderValue::from_str) {
            request.headers_mut().insert(TRACEPARENT, trace);
        }
        Ok(request)
    }
}

impl HttpClient {
    fn new(url: &Uri) -> Result<Self, String> {
        let builder = Client::builder(TokioExecutor::new());
        match url.scheme_str() {
            Some("http") => Ok(Self::Open(builder.build_http())),
            Some("https") => {
                let connector = HttpsConnectorBuilder::new().with_native_roots();
                let connector = connector.map_err(|error| format!("there are no certificates to trust: {error}"))?;
                Ok(Self::Tls(builder.build(connector.https_only().enable_http1().build())))
            }
            _ => Err("url must begin with http:// or https://".to_owned()),
        }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<http::Response<Incoming>, ClientError> {
        match self {
            Self::Open(client) => client.request(request).await,
            Self::Tls(client) => client.request(request).await,
        }
    }
}

fn header(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':')?;
    Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
}

/// How many seconds a gateway asks to wait. A date is not read: then the configured wait counts.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}
