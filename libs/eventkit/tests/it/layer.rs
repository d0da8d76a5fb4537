//! One unit of work a request: kept after a success, dropped after a refusal unless the refusal says otherwise.

use std::convert::Infallible;

use axum_core::extract::FromRequestParts;
use db::params;
use eventkit::{CommitAnyway, Error, EventPublisherLayer, Work, trace_context};
use http::{Request, Response, StatusCode};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::fixture::{Fixture, opened};

/// Opens the account that the path names, and answers with the status in the query.
async fn handle(request: Request<()>) -> Result<Response<()>, Infallible> {
    let (mut parts, ()) = request.into_parts();
    let mut work = Work::from_request_parts(&mut parts, &()).await?;
    let account_id: i64 = parts.uri.path().trim_start_matches('/').parse().unwrap();
    work.execute("insert into accounts (account_id, effects) values ($1, 0)", &params![account_id]).await.unwrap();
    work.publish(&opened(account_id)).await.unwrap();
    work.publish(&opened(account_id)).await.unwrap();
    let mut response = Response::new(());
    match parts.uri.query().unwrap() {
        "keep" => {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            response.extensions_mut().insert(CommitAnyway);
        }
        status => *response.status_mut() = status.parse().unwrap(),
    }
    Ok(response)
}

fn failed(_: Error) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

async fn request(fixture: &Fixture, uri: &str) -> StatusCode {
    request_traced(fixture, uri, None).await
}

async fn request_traced(fixture: &Fixture, uri: &str, traceparent: Option<&str>) -> StatusCode {
    let layer = EventPublisherLayer::new(fixture.publisher.clone(), failed);
    let mut service = layer.layer(service_fn(handle));
    let mut request = Request::builder().uri(uri).header("x-request-id", "request-9");
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    let request = request.body(()).unwrap();
    service.ready().await.unwrap().call(request).await.unwrap().status()
}

#[tokio::test]
async fn a_success_is_committed_and_its_event_names_the_request() {
    let fixture = Fixture::new().await;
    assert_eq!(request(&fixture, "/1?201").await, StatusCode::CREATED);
    assert_eq!(fixture.count("accounts").await, 1);
    let event = eventkit::outbox::read_after(&fixture.db, 0, i64::MAX, 1).await.unwrap().remove(0);
    assert!(event.envelope.contains("\"correlationId\":\"request-9\""), "{}", event.envelope);
}

#[tokio::test]
async fn a_refusal_is_rolled_back() {
    let fixture = Fixture::new().await;
    assert_eq!(request(&fixture, "/1?409").await, StatusCode::CONFLICT);
    assert_eq!(fixture.count("accounts").await, 0);
    assert_eq!(fixture.count("event_store").await, 0);
}

#[tokio::test]
async fn a_refusal_may_keep_what_it_recorded() {
    let fixture = Fixture::new().await;
    assert_eq!(request(&fixture, "/1?keep").await, StatusCode::UNAUTHORIZED);
    assert_eq!(fixture.count("event_store").await, 2);
}

#[tokio::test]
async fn events_carry_the_trace_of_their_request_or_one_that_begins_with_it() {
    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let fixture = Fixture::new().await;
    for (uri, traceparent) in [("/1?201", Some(GIVEN)), ("/2?201", None), ("/3?201", Some("what no trace looks like"))]
    {
        assert_eq!(request_traced(&fixture, uri, traceparent).await, StatusCode::CREATED);
    }
    let events = eventkit::outbox::read_after(&fixture.db, 0, i64::MAX, 10).await.unwrap();
    let traces: Vec<String> = events.into_iter().map(|event| event.traceparent.unwrap()).collect();
    assert!(traces.iter().all(|trace| trace_context::read(trace).as_ref() == Some(trace)), "{traces:?}");
    assert_eq!(traces[0], GIVEN);
    for of_request in traces.chunks(2) {
        assert_eq!(of_request[0], of_request[1], "one trace a request");
    }
    assert_ne!(traces[2], traces[4], "each another");
}
