//! The seed's global interceptor as a tower layer: one unit of work a request, committed when the answer is a success.

use std::convert::Infallible;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum_core::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use tower::{Layer, Service};

use crate::error::Error;
use crate::publish::{EventPublisher, Origin, UnitOfWork};
use crate::trace_context::{self, TRACEPARENT};

/// Put into a response's extensions: commit although the answer is an error.
///
/// For what must be kept of a refusal, such as its audit record.
#[derive(Debug, Clone, Copy)]
pub struct CommitAnyway;

/// Opens a [`UnitOfWork`] for every request, and commits it when the response is a success or carries [`CommitAnyway`].
///
/// The unit begins at its first statement, so requests that only read never touch the writer. A handler takes it with
/// the [`Work`] extractor. When the commit fails the answer is what `on_commit_failure` makes of the error.
///
/// ```
/// # use std::convert::Infallible;
/// # use axum_core::extract::FromRequestParts;
/// # use eventkit::testing::Harness;
/// # use eventkit::{Error, Event, EventPublisherLayer, Work};
/// # use http::{Request, Response, StatusCode};
/// # use tower::{Layer, Service, ServiceExt, service_fn};
/// # #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize, Event)]
/// # #[event(type = "user.created", topic = "user-events", key = "user-{id}")]
/// # struct UserCreated { id: i64 }
/// // With axum: `async fn create(mut work: Work) -> StatusCode`, and `Router::layer`.
/// async fn create(request: Request<()>) -> Result<Response<()>, Infallible> {
///     let (mut parts, ()) = request.into_parts();
///     let mut work = Work::from_request_parts(&mut parts, &()).await?;
///     let stored = work.publish(&UserCreated { id: 42 }).await;
///     let is_taken = parts.uri.path() == "/taken" || stored.is_err();
///     let mut response = Response::new(());
///     *response.status_mut() = if is_taken { StatusCode::CONFLICT } else { StatusCode::CREATED };
///     Ok(response)
/// }
///
/// fn unavailable(_: Error) -> Response<()> {
///     let mut response = Response::new(());
///     *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
///     response
/// }
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let harness = Harness::new(&[]).await;
/// let layer = EventPublisherLayer::new(harness.publisher().clone(), unavailable);
/// let mut service = layer.layer(service_fn(create));
/// for path in ["/taken", "/free"] {
///     service.ready().await?.call(Request::builder().uri(path).body(())?).await?;
/// }
/// harness.run_until_idle().await;
/// assert_eq!(harness.published::<UserCreated>(), [UserCreated { id: 42 }], "what was refused is not kept");
/// # harness.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EventPublisherLayer<R> {
    publisher: EventPublisher,
    on_commit_failure: fn(Error) -> R,
}

/// Whatever the response type is: only a function that makes one is held.
impl<R> Clone for EventPublisherLayer<R> {
    fn clone(&self) -> Self {
        Self { publisher: self.publisher.clone(), on_commit_failure: self.on_commit_failure }
    }
}

impl<R> EventPublisherLayer<R> {
    /// A layer over `publisher`'s database.
    pub fn new(publisher: EventPublisher, on_commit_failure: fn(Error) -> R) -> Self {
        Self { publisher, on_commit_failure }
    }
}

impl<S, R> Layer<S> for EventPublisherLayer<R> {
    type Service = EventPublisherService<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        EventPublisherService { inner, layer: self.clone() }
    }
}

/// The service that [`EventPublisherLayer`] makes.
#[derive(Debug)]
pub struct EventPublisherService<S, R> {
    inner: S,
    layer: EventPublisherLayer<R>,
}

impl<S: Clone, R> Clone for EventPublisherService<S, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<S, B, C> Service<Request<B>> for EventPublisherService<S, Response<C>>
where
    S: Service<Request<B>, Response = Response<C>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    C: Send + 'static,
{
    type Response = Response<C>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<C>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The clone takes the place of the instance that was polled ready.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let on_commit_failure = self.layer.on_commit_failure;
        let work = self.layer.publisher.begin(origin_of(request.headers()));
        let slot = Slot::holding(work);
        request.extensions_mut().insert(slot.clone());
        Box::pin(async move {
            let response = inner.call(request).await?;
            let keep = response.status().is_success() || response.extensions().get::<CommitAnyway>().is_some();
            match slot.take() {
                Some(work) if keep && work.is_begun() => match work.commit().await {
                    Ok(()) => Ok(response),
                    Err(error) => Ok(on_commit_failure(error)),
                },
                _ => Ok(response),
            }
        })
    }
}

/// The causes that a request names: its id and its trace.
fn origin_of(headers: &HeaderMap) -> Origin {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Origin {
        correlation_id: text("x-request-id"),
        causation_id: text("x-request-id"),
        traceparent: text(TRACEPARENT).and_then(|given| trace_context::read(&given)),
    }
}

/// Where a request's unit of work lies while no handler holds it.
#[derive(Debug, Clone)]
struct Slot(Arc<Mutex<Option<UnitOfWork>>>);

impl Slot {
    fn holding(work: UnitOfWork) -> Self {
        Self(Arc::new(Mutex::new(Some(work))))
    }

    fn take(&self) -> Option<UnitOfWork> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, work: UnitOfWork) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(work);
    }
}

/// The request's unit of work, as a handler's argument; goes back to the layer when it is dropped.
///
/// # Panics
/// Extracting it without [`EventPublisherLayer`], or twice in one request, is a mistake in the router and panics.
#[derive(Debug)]
pub struct Work {
    work: Option<UnitOfWork>,
    slot: Slot,
}

impl Deref for Work {
    type Target = UnitOfWork;

    fn deref(&self) -> &UnitOfWork {
        self.work.as_ref().expect("held until dropped")
    }
}

impl DerefMut for Work {
    fn deref_mut(&mut self) -> &mut UnitOfWork {
        self.work.as_mut().expect("held until dropped")
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // A handler that panics leaves nothing to commit.
        if let Some(work) = self.work.take().filter(|_| !std::thread::panicking()) {
            self.slot.put(work);
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Work {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let slot = parts.extensions.get::<Slot>().cloned().expect("the router has an EventPublisherLayer");
        let work = slot.take().expect("a request's unit of work is extracted once");
        Ok(Self { work: Some(work), slot })
    }
}
