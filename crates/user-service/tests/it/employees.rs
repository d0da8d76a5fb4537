//! Employees: taken on, changed, found, removed.

use chassis::both;
use chassis::testing::{OPERATOR, token};
use contracts::access::{Action, Grant, Permission, Resource, Scope};
use serde_json::{Value, json};

use crate::fixture::Fixture;

both!(
    Fixture:
    a_new_employee_is_told_of_without_private_fields,
    a_repeated_create_under_one_key_makes_one_employee,
    an_update_is_a_merge_patch_of_the_version_that_was_read,
    an_unknown_department_is_not_yet_known,
    a_scoped_manager_sees_only_their_department,
    a_list_pages_filters_and_searches,
    a_removed_employee_is_gone_and_the_address_is_free,
);

const PRIVATE: [&str; 3] = ["address", "birthDate", "baseSalary"];

fn private() -> Value {
    json!({"address": "1 Secret Street", "birthDate": "1990-02-03", "baseSalary": "15000000"})
}

fn grant(action: Action, scope: Scope) -> Grant {
    Grant { permission: Permission::new(Resource::Employees, action), scope }
}

async fn a_new_employee_is_told_of_without_private_fields(fixture: &Fixture) {
    let id = fixture.employee("an@example.com", private()).await;
    let told = fixture.told("user.created").await;
    assert_eq!(told[0]["status"], "invited");
    let mail = &fixture.told("notification.email").await[0];
    assert_eq!((&mail["to"], &mail["variables"]["firstName"]), (&json!("an@example.com"), &json!("An")));
    let told = format!("{told:?}{:?}", fixture.told("audit.data").await);
    assert!(!told.contains("Secret") && !told.contains("1990") && !told.contains("15000000"), "{told}");

    let path = format!("/api/v1/users/{id}");
    let reader = token(900, vec![grant(Action::Read, Scope::All)]);
    let updater = token(901, vec![grant(Action::Read, Scope::All), grant(Action::Update, Scope::All)]);
    let own = token(id, Vec::new());
    let seen = fixture.get(&reader, &path).await.ok();
    let listed = fixture.get(&reader, "/api/v1/users").await.ok()["items"][0].clone();
    assert!(PRIVATE.iter().all(|field| seen.get(field).is_none() && listed.get(field).is_none()), "{seen}");
    for token in [updater, own, OPERATOR.to_owned()] {
        let seen = fixture.get(&token, &path).await.ok();
        assert!(PRIVATE.iter().all(|field| seen[field] == private()[field]), "{seen}");
    }
    let stranger = token(902, Vec::new());
    assert_eq!(fixture.get(&stranger, &path).await.status, 403);

    for (email, code, field) in [("AN@Example.com", "E2", "email"), ("b@example.com", "E1", "employeeCode")] {
        fixture.call(OPERATOR, "PATCH", &path, json!({"employeeCode": "E1"})).await.ok();
        let body = json!({"firstName": "B", "lastName": "C", "email": email, "employeeCode": code});
        assert_eq!(fixture.call(OPERATOR, "POST", "/api/v1/users", body).await.fault(), (409, field));
    }
}

async fn a_repeated_create_under_one_key_makes_one_employee(fixture: &Fixture) {
    let body = json!({"firstName": "An", "lastName": "Tran", "email": "an@example.com"});
    let key = [("idempotency-key", "k-1")];
    let first = fixture.send(OPERATOR, "POST", "/api/v1/users", &key, &body).await;
    assert_eq!((first.status, first.etag()), (201, "\"1\"".to_owned()));
    let again = fixture.send(OPERATOR, "POST", "/api/v1/users", &key, &body).await;
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!((again.headers["location"].clone(), again.ok()), (first.headers["location"].clone(), first.body));
    assert_eq!(fixture.told("user.created").await.len(), 1);
}

async fn an_update_is_a_merge_patch_of_the_version_that_was_read(fixture: &Fixture) {
    let id = fixture.employee("an@example.com", json!({"phoneNumber": "0123456"})).await;
    let path = format!("/api/v1/users/{id}");
    let patch = json!({"phoneNumber": null, "lastName": "Le", "gender": "female"});
    let stale = fixture.send(OPERATOR, "PATCH", &path, &[("if-match", "\"7\"")], &patch).await;
    assert_eq!(stale.status, 412);
    let changed = fixture.send(OPERATOR, "PATCH", &path, &[("if-match", "\"1\"")], &patch).await;
    assert_eq!(changed.etag(), "\"2\"");
    let changed = changed.ok();
    assert_eq!((&changed["lastName"], changed.get("phoneNumber")), (&json!("Le"), None));
    assert_eq!(fixture.told("user.updated").await[0]["changed"], json!(["gender", "lastName", "phoneNumber"]));
    // What changes nothing is not told.
    assert_eq!(fixture.call(OPERATOR, "PATCH", &path, json!({"lastName": "Le"})).await.etag(), "\"2\"");
    assert_eq!(fixture.told("user.updated").await.len(), 1);
    let active = fixture.call(OPERATOR, "PATCH", &path, json!({"status": "active"})).await;
    assert_eq!(active.status, 409, "{}", active.body);
    let null = fixture.call(OPERATOR, "PATCH", &path, json!({"firstName": null})).await;
    assert_eq!(null.fault(), (422, "firstName"));
}

async fn an_unknown_department_is_not_yet_known(fixture: &Fixture) {
    let body = json!({"firstName": "An", "lastName": "Tran", "email": "an@example.com", "departmentId": 3});
    let early = fixture.call(OPERATOR, "POST", "/api/v1/users", body.clone()).await;
    assert_eq!((early.status, early.headers["retry-after"].to_str().unwrap()), (409, "1"));
    fixture.department(3, 1, "Kitchen").await;
    let created = fixture.call(OPERATOR, "POST", "/api/v1/users", body).await.ok();
    assert_eq!(created["departmentName"], "Kitchen");
}

async fn a_scoped_manager_sees_only_their_department(fixture: &Fixture) {
    for (department, headquarters) in [(3, 1), (4, 1), (5, 2)] {
        fixture.department(department, headquarters, "D").await;
        fixture.employee(&format!("d{department}@example.com"), json!({"departmentId": department})).await;
    }
    let outside = fixture.employee("none@example.com", json!({})).await;
    let emails = async |token: &str| {
        let page = fixture.get(token, "/api/v1/users?sort=email").await.ok();
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| item["email"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let manager = json!([{"role": "manager", "scope": {"type": "department", "departmentId": 3}}]);
    let manager = fixture.colleague("m@example.com", json!({"departmentId": 3}), manager).await;
    assert_eq!(emails(&manager.token).await, ["d3@example.com", "m@example.com"]);
    let wide = token(900, vec![grant(Action::Read, Scope::Headquarters { headquarter_id: 1 })]);
    assert_eq!(emails(&wide).await, ["d3@example.com", "d4@example.com", "m@example.com"]);
    assert_eq!(fixture.get(&manager.token, &format!("/api/v1/users/{outside}")).await.status, 403);
    let hire = json!({"firstName": "A", "lastName": "B", "email": "x@example.com", "departmentId": 3});
    assert_eq!(fixture.call(&manager.token, "POST", "/api/v1/users", hire).await.status, 403);
}

async fn a_list_pages_filters_and_searches(fixture: &Fixture) {
    for (name, code) in [("Đặng", "K-1"), ("Lê", "K-2"), ("Võ", "X-3")] {
        fixture.employee(&format!("{code}@example.com"), json!({"lastName": name, "employeeCode": code})).await;
    }
    let first = fixture.get(OPERATOR, "/api/v1/users?limit=2&sort=-name").await.ok();
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = fixture.get(OPERATOR, &format!("/api/v1/users?limit=2&sort=-name&cursor={cursor}")).await.ok();
    assert_eq!((first["items"].as_array().unwrap().len(), second["items"].as_array().unwrap().len()), (2, 1));
    assert_eq!(second.get("nextCursor"), None);
    for (query, expected) in [
        ("q=k-", 2),
        ("q=%C4%91%E1%BA%B6ng", 1),
        ("q=an%20v%C3%B5", 1),
        ("q=x-3@example", 1),
        ("status=active", 0),
        ("status=invited&q=nobody", 0),
        ("departmentId=9", 0),
    ] {
        let page = fixture.get(OPERATOR, &format!("/api/v1/users?{query}")).await.ok();
        assert_eq!(page["items"].as_array().unwrap().len(), expected, "{query}");
    }
}

async fn a_removed_employee_is_gone_and_the_address_is_free(fixture: &Fixture) {
    let person = fixture.colleague("an@example.com", json!({}), json!([])).await;
    let path = format!("/api/v1/users/{}", person.employee_id);
    assert_eq!(fixture.delete(OPERATOR, &path).await.status, 204);
    assert_eq!(fixture.get(OPERATOR, &path).await.status, 404);
    assert_eq!(fixture.get(&person.token, "/api/v1/sessions").await.status, 401);
    assert_eq!(fixture.told("user.deleted").await.len(), 1);
    assert_eq!(fixture.told("user.logout").await[0]["reason"], "revoked");
    assert_ne!(fixture.employee("an@example.com", json!({})).await, person.employee_id);
}
