//! The container over HTTP: preferences and what follows from them, the notifications log, the audit trail.

use axum::http::StatusCode;
use contracts::audit::{Action, Actor, AuditData, Incident};
use eventkit::RecipientType::Employee;
use eventkit::outbox::StoredEvent;
use serde_json::json;

use crate::samples::{created, department, email, incident};
use crate::support::House;

const OF_42: &str = "/api/v1/preferences/employee/42";

async fn house() -> House {
    let house = House::open(&[]).await;
    house.tell(&department(3, None)).await;
    house.tell(&created(42, Some(3))).await;
    house.through("container-directory", "company-events", "department-3").await;
    house.through("container-directory", "user-events", "user-42").await;
    house
}

#[tokio::test]
async fn what_somebody_does_not_want_is_skipped_and_that_is_seen() {
    let house = house().await;
    let wish = json!({"templates": {"user-notification": {"email": false}}});
    let (status, body) = house.call("42", "PUT", OF_42, Some(wish)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["channels"], json!({"email": true, "sms": true, "push": true}));
    let unwanted = house.notify(&email(Some("a@example.com")), Some((Employee, 42))).await;
    house.logged(unwanted, "skipped").await;
    let wanted = house.notify(&email(Some("b@example.com")), Some((Employee, 44))).await;
    house.logged(wanted, "sent").await;
    assert_eq!(std::fs::read_dir(house.mailbox()).unwrap().count(), 1);

    let (status, body) = house.call("operator", "GET", "/api/v1/notifications?recipientId=42", None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["items"].as_array().unwrap().len(), 1, "{body}");
    assert_eq!(body["items"][0]["outcome"], "skipped");
    assert_eq!(body["items"][0]["eventId"], unwanted.to_string());
    assert_eq!(body["items"][0]["recipientType"], "employee");
    assert!(!body.to_string().contains('@'), "{body}");
    for (query, found) in [
        ("outcome=sent", 1),
        ("outcome=failed", 0),
        ("channel=email&template=user-notification", 2),
        ("to=2020-01-01T00:00:00Z", 0),
        ("from=2020-01-01T00:00:00Z", 2),
    ] {
        let (_, body) = house.call("operator", "GET", &format!("/api/v1/notifications?{query}"), None).await;
        assert_eq!(body["items"].as_array().unwrap().len(), found, "{query}: {body}");
    }
    let (_, first) = house.call("operator", "GET", "/api/v1/notifications?limit=1", None).await;
    assert_eq!(first["items"][0]["outcome"], "sent", "the newest first: {first}");
    let next = first["nextCursor"].as_str().unwrap();
    let (_, second) = house.call("operator", "GET", &format!("/api/v1/notifications?cursor={next}"), None).await;
    assert_eq!(second["items"][0]["outcome"], "skipped", "{second}");
}

#[tokio::test]
async fn preferences_are_for_their_owner_and_for_who_may() {
    let house = house().await;
    let get = async |token: &str, path: &str| house.call(token, "GET", path, None).await.0.as_u16();
    for (token, path, status) in [
        ("42", OF_42, 200),
        ("43", OF_42, 403),
        ("hr", OF_42, 200),
        ("leader-3", OF_42, 200),
        ("operator", OF_42, 200),
        ("nobody", OF_42, 401),
        ("auditor", OF_42, 403),
        ("43", "/api/v1/preferences/employee/43", 200),
        ("42", "/api/v1/preferences/candidate/42", 403),
        ("leader-3", "/api/v1/preferences/employee/99", 404),
        ("hr", "/api/v1/preferences/employee/0", 404),
        ("hr", "/api/v1/preferences/employee/-1", 404),
        ("hr", "/api/v1/preferences/company/1", 400),
    ] {
        assert_eq!(get(token, path).await, status, "{token} {path}");
    }
}

#[tokio::test]
async fn a_change_of_preferences_is_checked_versioned_and_audited() {
    let house = house().await;
    for (wrong, field) in [
        (json!({"channel": {}}), "channel"),
        (json!({"channels": {"fax": true}}), "channels.fax"),
        (json!({"templates": {"no-such": {"email": false}}}), "templates"),
    ] {
        let (status, body) = house.call("42", "PUT", OF_42, Some(wrong.clone())).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}: {body}");
        assert_eq!(body["errors"][0]["field"], field, "{wrong}: {body}");
    }
    let off = json!({"channels": {"email": false}});
    for _ in 0..2 {
        assert_eq!(house.call("hr", "PUT", OF_42, Some(off.clone())).await.0, StatusCode::OK);
    }
    house.call("hr", "PUT", OF_42, Some(json!({}))).await;
    let stored = eventkit::outbox::read_after(house.publisher.db(), 0, i64::MAX, 100).await.unwrap();
    // Route files that were deployed at the start are on the trail too.
    let is_ours = |event: &StoredEvent| event.event_type == "audit.data" && !event.key.starts_with("route-file-");
    let audited: Vec<_> = stored.into_iter().filter(is_ours).collect();
    // The second time changed nothing.
    assert_eq!(audited.len(), 2);
    assert!(audited.iter().all(|event| event.key == "preferences-employee-42"));
    assert!(audited[0].envelope.contains(r#""actor":{"type":"employee","employeeId":1000},"action":"create""#));
}

#[tokio::test]
async fn the_audit_trail_is_listed_by_filters_to_who_may_read_it() {
    let house = House::open(&[]).await;
    let actor = Actor::Employee { employee_id: 42 };
    let entity = "user-1".to_owned();
    house.tell(&AuditData { actor, action: Action::Create, entity, before: None, after: None }).await;
    house.tell(&incident(Incident::Forbidden, 0)).await;
    house.through("container-audit", "audit-events", "user-1").await;
    house.through("container-audit", "audit-events", "part-user-service").await;
    for (query, found) in [
        ("", 2),
        ("?entity=user-1", 1),
        ("?actor=employee-42", 1),
        ("?type=audit.security", 1),
        ("?from=2026-11-25T00:00:00Z", 0),
        ("?to=2026-11-25T00:00:00Z&limit=1", 1),
        ("?after=2", 0),
    ] {
        let (status, body) = house.call("auditor", "GET", &format!("/api/v1/audit{query}"), None).await;
        assert_eq!(status, StatusCode::OK, "{query}: {body}");
        assert_eq!(body.as_array().unwrap().len(), found, "{query}: {body}");
    }
    for query in ["?limit=0", "?limit=1001", "?from=yesterday", "?order=1"] {
        let (status, _) = house.call("auditor", "GET", &format!("/api/v1/audit{query}"), None).await;
        assert!(status.is_client_error(), "{query}: {status}");
    }
    let (status, body) = house.call("auditor", "GET", "/api/v1/audit/verify", None).await;
    assert_eq!((status, &body["records"], &body["faults"]), (StatusCode::OK, &json!(2), &json!([])));
    assert_eq!((&body["end"], &body["next"]), (&json!(2), &json!(null)));
    let (_, first) = house.call("auditor", "GET", "/api/v1/audit/verify?limit=1", None).await;
    assert_eq!((&first["records"], &first["faults"], &first["next"]["after"]), (&json!(1), &json!([]), &json!(1)));
    let hash = first["next"]["previousHash"].as_str().unwrap();
    let rest = format!("/api/v1/audit/verify?after=1&previousHash={hash}");
    let (_, rest) = house.call("auditor", "GET", &rest, None).await;
    assert_eq!((&rest["records"], &rest["faults"], &rest["next"]), (&json!(1), &json!([]), &json!(null)));
    let (_, wrong) = house.call("auditor", "GET", "/api/v1/audit/verify?after=1&previousHash=x", None).await;
    assert_eq!(wrong["faults"], json!([{"sequence": 2, "kind": "unchained"}]));
    for query in ["?after=1", "?limit=0", "?limit=10001", "?from=1"] {
        let (status, _) = house.call("auditor", "GET", &format!("/api/v1/audit/verify{query}"), None).await;
        assert!(status.is_client_error(), "{query}: {status}");
    }
    for (token, path, status) in [
        ("42", "/api/v1/audit", StatusCode::FORBIDDEN),
        ("42", "/api/v1/audit/verify", StatusCode::FORBIDDEN),
        ("auditor", "/api/v1/notifications", StatusCode::FORBIDDEN),
        ("nobody", "/api/v1/audit", StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(house.call(token, "GET", path, None).await.0, status, "{token} {path}");
    }
}

#[tokio::test]
async fn every_route_is_described_with_who_may_use_it() {
    let house = House::open(&[]).await;
    let (_, document) = house.call("42", "GET", "/openapi.json", None).await;
    let access = |path: &str, method: &str| document["paths"][path][method]["x-access"].clone();
    assert_eq!(access("/api/v1/audit", "get"), "audit:read");
    assert_eq!(access("/api/v1/audit/verify", "get"), "audit:read");
    assert_eq!(access("/api/v1/notifications", "get"), "operator");
    assert_eq!(access("/api/v1/preferences/{recipientType}/{recipientId}", "put"), "logged-in");
    assert_eq!(document["paths"].as_object().unwrap().len(), 4);
}
