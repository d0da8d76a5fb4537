//! `Idempotency-Key`: a POST that is sent again under the same key is answered as the first one was, and done once.
//!
//! The key is stored with its answer in the unit of work that has the effect: both are committed or neither is. Two
//! requests under one key at the same time both run, and the one that commits second is undone and answered as the
//! first, or 409 if that takes too long, or if it met something of the first that has to be unique. Error answers are
//! not kept: a repeated request is then tried anew. Answers marked `Cache-Control: no-store` (they carry secrets) are
//! not kept either.

use std::fmt;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use contracts::audit::hex;
use db::{Db, Migration, params};
use eventkit::{UnitOfWork, Work};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

use crate::auth::Principal;
use crate::error_code::ErrorCode;
use crate::problem::Problem;

/// The request header.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says on an answer that it is the kept one of an earlier request.
pub const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;
/// The largest answer that is kept.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How long the commit of the request that came first is waited for, and how often it is looked for.
const COMMIT_MAX: Duration = Duration::from_secs(2);
const COMMIT_LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often keys that are too old are removed.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);
/// How many of them one step removes.
const EXPIRY_STEP: i64 = 1_000;

pub(crate) const MIGRATIONS: &[Migration] =
    &[Migration { version: 1, name: "idempotency", sql: include_str!("../migrations/1_idempotency.sql") }];

/// What the middleware needs.
#[derive(Clone, Debug)]
pub(crate) struct Idempotency {
    pub(crate) db: Db,
    pub(crate) body_bytes_max: usize,
}

/// An answer as it is kept.
struct Kept {
    fingerprint: String,
    status: u16,
    location: Option<String>,
    etag: Option<String>,
    body: String,
}

/// Who asked, and under which key. Strangers share one space: they are told apart by the fingerprint of the request.
#[derive(Debug)]
pub struct Key {
    owner: String,
    key: String,
    fingerprint: String,
}

/// The middleware; it sits inside the layer that opens the unit of work.
pub(crate) async fn handle(State(idempotency): State<Idempotency>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || !request.headers().contains_key(IDEMPOTENCY_KEY) {
        return next.run(request).await;
    }
    match idempotency.answer(request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

impl Idempotency {
    async fn answer(&self, request: Request, next: Next) -> Result<Response, Problem> {
        let (mut parts, body) = request.into_parts();
        let body = to_bytes(body, self.body_bytes_max).await.map_err(|_| Problem::new(ErrorCode::PayloadTooLarge))?;
        let principal = match Principal::from_request_parts(&mut parts, &()).await {
            Ok(principal) => Some(principal),
            // A stranger is turned away by the route itself, or the route is for everybody.
            Err(problem) if problem.code() == ErrorCode::Unauthenticated => None,
            // Under whose key it is cannot be found out now: it must be neither done nor kept under another.
            Err(problem) => return Err(problem),
        };
        let key = Key::of(principal.as_ref(), &parts, &body)?;
        if let Some(kept) = find(&self.db, &key).await? {
            return replay(kept, &key);
        }
        let mut later = Request::new(()).into_parts().0;
        later.extensions = parts.extensions.clone();
        let response = next.run(Request::from_parts(parts, Body::from(body))).await;
        if !response.status().is_success() || is_secret(response.headers()) {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        let body = to_bytes(body, ANSWER_BYTES_MAX).await.map_err(Problem::internal)?;
        let Ok(mut work) = Work::from_request_parts(&mut later, &()).await;
        match keep(&mut work, &key, head.status, &head.headers, &body).await {
            Ok(()) => Ok(Response::from_parts(head, Body::from(body))),
            Err(eventkit::Error::Database(db::Error::UniqueViolation { .. })) => {
                work.undo().await;
                let kept = self.find_committed(&key).await?;
                let kept = kept.ok_or_else(|| Problem::new(ErrorCode::Conflict).detail("the key is in use now"))?;
                replay(kept, &key)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The answer of the request that came first under the key. Where units share a transaction its row is met before it is
    /// committed: that is waited for.
    async fn find_committed(&self, key: &Key) -> Result<Option<Kept>, Problem> {
        let finding = async {
            let mut looks = tokio::time::interval(COMMIT_LOOK_EVERY);
            loop {
                looks.tick().await;
                if let Some(kept) = find(&self.db, key).await? {
                    return Ok(Some(kept));
                }
            }
        };
        tokio::time::timeout(COMMIT_MAX, finding).await.unwrap_or(Ok(None))
    }
}

/// The same for the same request of the same caller under the same key, and for no other.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.owner, self.fingerprint, self.key)
    }
}

impl Key {
    /// The key of a request that has one.
    ///
    /// # Errors
    /// 400 if the header is empty, too long or no visible ASCII.
    pub fn of(principal: Option<&Principal>, parts: &Parts, body: &Bytes) -> Result<Self, Problem> {
        let value = parts.headers.get(IDEMPOTENCY_KEY).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let key = value.trim();
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            let detail = format!("Idempotency-Key must be 1 to {KEY_BYTES_MAX} visible ASCII characters");
            return Err(Problem::new(ErrorCode::InvalidRequest).detail(detail));
        }
        let owner = match principal {
            Some(Principal::Operator) => "operator".to_owned(),
            Some(Principal::Employee(access)) => format!("employee-{}", access.employee_id),
            None => "public".to_owned(),
        };
        let mut hasher = Sha256::new();
        for field in [parts.uri.path().as_bytes(), parts.uri.query().unwrap_or_default().as_bytes(), body] {
            hasher.update(field.len().to_be_bytes());
            hasher.update(field);
        }
        Ok(Self { owner, key: key.to_owned(), fingerprint: hex(&hasher.finalize()) })
    }
}

fn is_secret(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.contains("no-store"))
}

async fn find(db: &Db, key: &Key) -> Result<Option<Kept>, Problem> {
    let row = db
        .query_opt(
            "select fingerprint, status, location, etag, body from idempotency_keys where owner = $1 and key = $2",
            &params![key.owner.as_str(), key.key.as_str()],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let status: i64 = row.get("status")?;
    Ok(Some(Kept {
        fingerprint: row.get("fingerprint")?,
        status: u16::try_from(status).map_err(Problem::internal)?,
        location: row.get("location")?,
        etag: row.get("etag")?,
        body: row.get("body")?,
    }))
}

async fn keep(
    work: &mut UnitOfWork,
    key: &Key,
    status: StatusCode,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<(), eventkit::Error> {
    let now_ms = work.publisher().clock().now_ms();
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    work.execute(
        "insert into idempotency_keys (owner, key, fingerprint, status, location, etag, body, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        &params![
            key.owner.as_str(),
            key.key.as_str(),
            key.fingerprint.as_str(),
            i64::from(status.as_u16()),
            text(header::LOCATION),
            text(header::ETAG),
            String::from_utf8_lossy(body).into_owned(),
            now_ms,
        ],
    )
    .await?;
    Ok(())
}

fn replay(kept: Kept, key: &Key) -> Result<Response, Problem> {
    if kept.fingerprint != key.fingerprint {
        let detail = "the Idempotency-Key was used for another request; use a new key for each request";
        return Err(Problem::new(ErrorCode::Conflict).detail(detail));
    }
    let status = StatusCode::from_u16(kept.status).map_err(Problem::internal)?;
    let mut response = (status, kept.body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    for (name, value) in [(header::LOCATION, kept.location), (header::ETAG, kept.etag)] {
        if let Some(value) = value {
            headers.insert(name, HeaderValue::try_from(value).map_err(Problem::internal)?);
        }
    }
    Ok(response)
}

/// Removes keys older than `keep_for` from time to time, until it is aborted.
pub(crate) fn expire(publisher: eventkit::EventPublisher, keep_for: Duration) -> JoinHandle<()> {
    let keep_ms = i64::try_from(keep_for.as_millis()).unwrap_or(i64::MAX);
    tokio::spawn(async move {
        loop {
            publisher.clock().sleep(EXPIRY_INTERVAL).await;
            let before = publisher.clock().now_ms().saturating_sub(keep_ms);
            while matches!(remove_before(publisher.db(), before).await, Ok(removed) if removed == EXPIRY_STEP.cast_unsigned())
            {
            }
        }
    })
}

async fn remove_before(db: &Db, before_ms: i64) -> db::Result<u64> {
    db.unit(async |tx| {
        tx.execute(
            "delete from idempotency_keys where (owner, key) in
                 (select owner, key from idempotency_keys where created_at < $1 limit $2)",
            &params![before_ms, EXPIRY_STEP],
        )
        .await
    })
    .await
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use async_trait::async_trait;
    use axum::Router;
    use axum::routing::post;
    use eventkit::testing::{Harness, eventually};
    use tower::ServiceExt;

    use super::*;
    use crate::auth::{Authenticator, Refusal};
    use crate::part::with_layers;
    use crate::security_log::SecurityLog;

    /// Knows the operator, but for the first time that it is asked.
    #[derive(Default)]
    struct AwayAtFirst(AtomicBool);

    #[async_trait]
    impl Authenticator for AwayAtFirst {
        async fn authenticate(&self, _token: &str) -> Result<Principal, Refusal> {
            match self.0.swap(true, Ordering::SeqCst) {
                true => Ok(Principal::Operator),
                false => Err(Refusal::Unavailable("away".into())),
            }
        }
    }

    #[tokio::test]
    async fn a_request_is_neither_done_nor_kept_for_strangers_while_nobody_can_tell_who_asks() {
        let harness = Harness::new(MIGRATIONS).await;
        let done = Arc::new(AtomicUsize::new(0));
        let count = done.clone();
        let handler = move |_: Principal| {
            count.fetch_add(1, Ordering::SeqCst);
            std::future::ready((StatusCode::CREATED, "private"))
        };
        let (log, logging) = SecurityLog::start("test", harness.publisher().clone());
        let router = Router::new().route("/things", post(handler));
        let router = with_layers(router, 1024, harness.publisher(), log, Arc::new(AwayAtFirst::default()));
        let ask = async |token: Option<&str>| {
            let request = Request::post("/things").header(IDEMPOTENCY_KEY, "k-1");
            let request = match token {
                Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
                None => request,
            };
            router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status()
        };
        assert_eq!(ask(Some("operator")).await, StatusCode::SERVICE_UNAVAILABLE);
        for _ in 0..2 {
            assert_eq!(ask(Some("operator")).await, StatusCode::CREATED);
        }
        assert_eq!(done.load(Ordering::SeqCst), 1, "the repetition is answered, not done");
        assert_eq!(ask(None).await, StatusCode::UNAUTHORIZED, "a stranger gets no kept answer");
        drop(router);
        logging.abort();
        harness.stop().await;
    }

    #[tokio::test]
    async fn keys_are_forgotten_when_they_are_old_and_no_sooner() {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        const OLD: i64 = EXPIRY_STEP * 2 + 10;
        let harness = Harness::new(MIGRATIONS).await;
        let keep = async |name: &str, keys: i64| {
            let created_at = harness.publisher().clock().now_ms();
            let sql = "insert into idempotency_keys (owner, key, fingerprint, status, body, created_at)
                       values ('operator', $1, '', 201, '{}', $2)";
            let written: db::Result<()> = harness
                .db()
                .unit(async |tx| {
                    for number in 0..keys {
                        tx.execute(sql, &params![format!("{name}-{number}"), created_at]).await?;
                    }
                    Ok(())
                })
                .await;
            written.unwrap();
        };
        let kept = async || {
            let row = harness.db().query_one("select count(*) as n from idempotency_keys", &[]).await.unwrap();
            row.get::<i64>("n").unwrap()
        };
        keep("old", OLD).await;
        let expiry = expire(harness.publisher().clone(), DAY);
        harness.advance(DAY);
        keep("new", 3).await;
        assert_eq!(kept().await, OLD + 3, "a day is not over");
        // A look is a second: its own pause has to pass as well, and more than one step removes.
        let gone = async |left: i64, look: Duration| {
            harness.advance(look);
            (kept().await == left).then_some(())
        };
        eventually("the old ones are gone", async || gone(3, Duration::from_secs(1)).await).await;
        eventually("the others too", async || gone(0, EXPIRY_INTERVAL * 60).await).await;
        expiry.abort();
        harness.stop().await;
    }
}
