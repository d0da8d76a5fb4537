//! The id of a request: in its answer, in its log lines and, as correlation id, in its events.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// The header that carries the id both ways.
pub const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// A longer id of a client is not taken over, in characters.
const CHARS_MAX: usize = 128;

tokio::task_local! {
    static CURRENT: RequestId;
}

/// The id of one request: the client's `x-request-id` if that is sane, else a UUIDv7.
///
/// Handlers get it as an argument; it is also an extension of the request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// A new id.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7().to_string().into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the request that the current task works on; `None` outside of a request.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// The client's id, if it sent one that is safe to repeat in headers and logs; else a new one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let sent = headers.get(REQUEST_ID_HEADER).and_then(|value| value.to_str().ok());
        match sent {
            Some(id) if is_sane(id) => Self(id.into()),
            _ => Self::generate(),
        }
    }

    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("only visible ASCII gets into an id")
    }

    /// Runs `work` so that [`RequestId::current`] answers this id in it.
    pub(crate) fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, work)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(Self::generate))
    }
}

fn is_sane(id: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte);
    !id.is_empty() && id.len() <= CHARS_MAX && id.bytes().all(known)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn of(sent: &str) -> RequestId {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID_HEADER, HeaderValue::from_bytes(sent.as_bytes()).unwrap());
        RequestId::of(&headers)
    }

    #[test]
    fn sane_id_of_the_client_is_kept() {
        assert_eq!(of("01JD-abc.7:x").as_str(), "01JD-abc.7:x");
    }

    #[test]
    fn id_that_could_confuse_a_log_is_replaced() {
        for sent in ["", "a b", "a\tb", "\"quoted\"", "ä", &"x".repeat(129)] {
            let id = of(sent);
            assert_ne!(id.as_str(), sent);
            assert_eq!(Uuid::parse_str(id.as_str()).unwrap().get_version_num(), 7);
        }
    }
}
