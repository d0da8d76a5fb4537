//! Roles: what they let do holds at once, nobody gives away what they lack, and somebody always runs the installation.

use chassis::testing::OPERATOR;
use db::params;
use eventkit::Origin;
use serde_json::{Value, json};
use user_service::Core;

use crate::fixture::{Fixture, every_store, service_config};

every_store!(
    a_change_of_roles_holds_from_the_next_request_on,
    a_role_is_made_changed_and_removed,
    built_in_roles_stay,
    what_an_admin_may_do_comes_with_the_program_though_the_role_was_edited,
    nobody_gives_away_what_they_do_not_hold,
    nobody_invites_again_who_may_do_more,
    the_last_administrator_stays,
);

async fn role_id(fixture: &Fixture, name: &str) -> i64 {
    let page = fixture.get(OPERATOR, &format!("/api/v1/roles?q={name}")).await.ok();
    page["items"][0]["roleId"].as_i64().unwrap()
}

async fn a_change_of_roles_holds_from_the_next_request_on(fixture: &Fixture) {
    let person = fixture.colleague("an@example.com", json!({}), json!([])).await;
    let status = async || fixture.get(&person.token, "/api/v1/users").await.status;
    assert_eq!(status().await, 403);
    fixture.give(person.employee_id, json!([{"role": "hr"}])).await;
    assert_eq!(status().await, 200);
    let hr = format!("/api/v1/roles/{}", role_id(fixture, "hr").await);
    fixture.call(OPERATOR, "PATCH", &hr, json!({"permissions": ["positions:FULL"]})).await.ok();
    assert_eq!(status().await, 403);
    fixture.call(OPERATOR, "PATCH", &hr, json!({"permissions": ["employees:VIEW"]})).await.ok();
    assert_eq!(status().await, 200);
    fixture.give(person.employee_id, json!([])).await;
    assert_eq!(status().await, 403);
}

async fn a_role_is_made_changed_and_removed(fixture: &Fixture) {
    let permissions = fixture.get(OPERATOR, "/api/v1/permissions").await.ok();
    assert_eq!(permissions["items"].as_array().unwrap().len(), 48);
    let body = json!({"name": "Recruiter", "permissions": ["candidates:EDIT", "candidates:read"]});
    let made = fixture.call(OPERATOR, "POST", "/api/v1/roles", body.clone()).await.ok();
    assert_eq!(made["permissions"], json!(["candidates:create", "candidates:read", "candidates:update"]));
    assert_eq!(fixture.call(OPERATOR, "POST", "/api/v1/roles", body).await.fault(), (409, "name"));
    let bad = json!({"name": "X", "permissions": ["planets:read"]});
    assert_eq!(fixture.call(OPERATOR, "POST", "/api/v1/roles", bad).await.fault(), (422, "permissions[0]"));
    let path = format!("/api/v1/roles/{}", made["roleId"]);
    let patch = json!({"description": "Finds people"});
    assert_eq!(fixture.send(OPERATOR, "PATCH", &path, &[("if-match", "\"9\"")], &patch).await.status, 412);
    assert_eq!(fixture.send(OPERATOR, "PATCH", &path, &[("if-match", "\"1\"")], &patch).await.etag(), "\"2\"");
    let id = fixture.employee("an@example.com", json!({})).await;
    fixture.give(id, json!([{"role": "recruiter"}])).await;
    assert_eq!(fixture.delete(OPERATOR, &path).await.status, 409);
    fixture.give(id, json!([])).await;
    assert_eq!(fixture.delete(OPERATOR, &path).await.status, 204);
    assert_eq!(fixture.get(OPERATOR, &path).await.status, 404);
}

async fn built_in_roles_stay(fixture: &Fixture) {
    let admin = format!("/api/v1/roles/{}", role_id(fixture, "admin").await);
    assert_eq!(fixture.delete(OPERATOR, &admin).await.status, 409);
    for patch in [json!({"permissions": []}), json!({"name": "root"})] {
        assert_eq!(fixture.call(OPERATOR, "PATCH", &admin, patch).await.status, 409);
    }
}

async fn what_an_admin_may_do_comes_with_the_program_though_the_role_was_edited(fixture: &Fixture) {
    let role = async |name: &str| format!("/api/v1/roles/{}", role_id(fixture, name).await);
    let (admin, hr) = (role("admin").await, role("hr").await);
    let whole = fixture.get(OPERATOR, &admin).await.ok()["permissions"].clone();
    fixture.call(OPERATOR, "PATCH", &admin, json!({"description": "The two of us"})).await.ok();
    fixture.call(OPERATOR, "PATCH", &hr, json!({"permissions": ["positions:read"]})).await.ok();
    // As if they came from a program that knew less.
    let mut work = fixture.publisher.begin(Origin::default());
    let older = "update roles set permissions = $1 where name_folded = $2";
    work.execute(older, &params![r#"["employees:read"]"#, "admin"]).await.unwrap();
    work.commit().await.unwrap();
    for _ in 0..2 {
        Core::prepare(&service_config(), None, &fixture.publisher, fixture.folder()).await.unwrap();
        let now = fixture.get(OPERATOR, &admin).await.ok();
        assert_eq!((&now["permissions"], &now["description"]), (&whole, &json!("The two of us")));
        assert_eq!(now["version"], 3);
        assert_eq!(fixture.get(OPERATOR, &hr).await.ok()["permissions"], json!(["positions:read"]));
    }
}

async fn nobody_gives_away_what_they_do_not_hold(fixture: &Fixture) {
    fixture.department(3, 1, "Kitchen").await;
    let body = json!({"name": "Deputy", "permissions": ["roles:FULL", "employees:read"]});
    fixture.call(OPERATOR, "POST", "/api/v1/roles", body).await.ok();
    let scope = json!({"type": "department", "departmentId": 3});
    let deputy = json!([{"role": "Deputy", "scope": scope}]);
    let deputy = fixture.colleague("deputy@example.com", json!({"departmentId": 3}), deputy).await;
    let inside = fixture.employee("in@example.com", json!({"departmentId": 3})).await;
    let outside = fixture.employee("out@example.com", json!({})).await;
    let put = async |id: i64, roles: Value| {
        fixture.call(&deputy.token, "PUT", &format!("/api/v1/users/{id}/roles"), roles).await.status
    };
    let kept = json!({"role": "employee"});
    assert_eq!(put(inside, json!([kept, {"role": "Deputy", "scope": scope}])).await, 200);
    assert_eq!(put(inside, json!([kept, {"role": "Deputy"}])).await, 403);
    assert_eq!(put(inside, json!([kept, {"role": "admin", "scope": scope}])).await, 403);
    assert_eq!(put(outside, json!([kept])).await, 403);
    let hr = fixture.colleague("hr@example.com", json!({}), json!([{"role": "hr"}, {"role": "employee"}])).await;
    let admin = fixture.colleague("admin@example.com", json!({}), json!([{"role": "admin"}])).await;
    // Who gets the mail of an account can take it over.
    let path = format!("/api/v1/users/{}", admin.employee_id);
    assert_eq!(fixture.call(&hr.token, "PATCH", &path, json!({"email": "hr2@example.com"})).await.status, 403);
    assert_eq!(fixture.send(&hr.token, "POST", &format!("{path}/invitation"), &[], &json!(null)).await.status, 403);
    let unknown = json!([{"role": "wizard"}]);
    let answer = fixture.call(OPERATOR, "PUT", &format!("{path}/roles"), unknown).await;
    assert_eq!(answer.fault(), (422, "[0].role"));
}

async fn nobody_invites_again_who_may_do_more(fixture: &Fixture) {
    let admin = json!([{"role": "admin"}]);
    fixture.colleague("a@example.com", json!({}), admin.clone()).await;
    let gone = fixture.colleague("b@example.com", json!({}), admin).await;
    let hr = fixture.colleague("hr@example.com", json!({}), json!([{"role": "hr"}])).await;
    let path = format!("/api/v1/users/{}", gone.employee_id);
    let patch =
        async |token: &str, status: &str| fixture.call(token, "PATCH", &path, json!({"status": status})).await.status;
    assert_eq!(patch(&hr.token, "left").await, 200);
    assert_eq!(patch(&hr.token, "invited").await, 403);
    assert_eq!(patch(OPERATOR, "invited").await, 200);
}

async fn the_last_administrator_stays(fixture: &Fixture) {
    let first = fixture.colleague("a@example.com", json!({}), json!([{"role": "admin"}])).await;
    let path = format!("/api/v1/users/{}", first.employee_id);
    let attempts = async |expected: u16| {
        let roles = fixture.call(OPERATOR, "PUT", &format!("{path}/roles"), json!([])).await;
        assert_eq!(roles.status, expected, "{}", roles.body);
    };
    attempts(409).await;
    // However the request spells the role, it is kept.
    let tag = fixture.get(OPERATOR, &format!("{path}/roles")).await.etag();
    for spelled in [json!([{"role": "Admin"}]), json!([{"role": "ADMIN"}, {"role": "admin"}])] {
        let kept = fixture.call(OPERATOR, "PUT", &format!("{path}/roles"), spelled).await;
        assert_eq!(kept.etag(), tag, "{}", kept.body);
        assert_eq!(kept.ok(), json!([{"role": "admin", "scope": {"type": "all"}}]));
    }
    assert_eq!(fixture.call(&first.token, "PATCH", &path, json!({"status": "left"})).await.status, 409);
    assert_eq!(fixture.delete(&first.token, &path).await.status, 409);
    fixture.colleague("b@example.com", json!({}), json!([{"role": "admin"}])).await;
    attempts(200).await;
    assert_eq!(fixture.delete(OPERATOR, &path).await.status, 204);
}
