//! Grants for a headquarters or a department limit what is seen and what is changed.

use chassis::both;
use chassis::testing::token;
use contracts::access::{Action, Grant, Permission, Resource, Scope};
use serde_json::{Value, json};

use crate::fixture::{Fixture, headquarters};
use crate::head_count::created;

both!(
    Fixture:
    grants_for_a_headquarters_end_at_it,
    grants_for_a_department_end_at_it,
    a_budget_is_shown_to_those_who_may_change_it_and_to_the_leader,
);

fn grants(resources: &[Resource], actions: &[Action], scope: Scope) -> Vec<Grant> {
    let permissions = resources.iter().flat_map(|resource| actions.iter().map(|action| (*resource, *action)));
    permissions.map(|(resource, action)| Grant { permission: Permission::new(resource, action), scope }).collect()
}

async fn ids(fixture: &Fixture, token: &str, path: &str, id: &str) -> Vec<i64> {
    let page = fixture.send(token, "GET", path, &[], &Value::Null).await.ok();
    page["items"].as_array().unwrap().iter().map(|item| item[id].as_i64().unwrap()).collect()
}

async fn grants_for_a_headquarters_end_at_it(fixture: &Fixture) {
    let company_id = fixture.company().await;
    let main = fixture.headquarters(company_id, "Main").await;
    let mine = fixture.headquarters(company_id, "Mine").await;
    let (theirs, ours) = (fixture.department(main, "Theirs").await, fixture.department(mine, "Ours").await);
    let scope = Scope::Headquarters { headquarter_id: mine };
    let resources = [Resource::Headquarters, Resource::Departments, Resource::Companies];
    let me = token(5, grants(&resources, &Action::ALL, scope));
    let status = async |method: &str, path: &str, body: Value| fixture.send(&me, method, path, &[], &body).await.status;
    assert_eq!(ids(fixture, &me, "/api/v1/headquarters", "headquarterId").await, [mine]);
    assert_eq!(ids(fixture, &me, "/api/v1/departments", "departmentId").await, [ours]);
    let (main_path, mine_path) = (format!("/api/v1/headquarters/{main}"), format!("/api/v1/headquarters/{mine}"));
    let (theirs, ours) = (format!("/api/v1/departments/{theirs}"), format!("/api/v1/departments/{ours}"));
    for (path, expected) in [(&main_path, 403), (&mine_path, 200), (&theirs, 403), (&ours, 200)] {
        assert_eq!(status("GET", path, Value::Null).await, expected, "{path}");
        assert_eq!(status("PATCH", path, json!({"notes": "x"})).await, expected, "{path}");
    }
    assert_eq!(status("PATCH", &mine_path, json!({"isMain": true})).await, 403, "it would change the main one");
    assert_eq!(status("PATCH", &ours, json!({"headquarterId": main})).await, 403, "it would go elsewhere");
    assert_eq!(status("POST", "/api/v1/headquarters", headquarters(company_id, "New")).await, 403);
    let new = |headquarter_id: i64| json!({"headquarterId": headquarter_id, "name": "New"});
    assert_eq!(status("POST", "/api/v1/departments", new(main)).await, 403);
    assert_eq!(status("POST", "/api/v1/departments", new(mine)).await, 201);
    assert_eq!(status("DELETE", &theirs, Value::Null).await, 403);
    assert_eq!(status("DELETE", &ours, Value::Null).await, 204);
    let company = format!("/api/v1/companies/{company_id}");
    assert_eq!(status("GET", &company, Value::Null).await, 200);
    assert_eq!(status("PATCH", &company, json!({"notes": "x"})).await, 403);
    assert_eq!(status("GET", "/api/v1/positions", Value::Null).await, 403, "no such grant at all");
}

async fn grants_for_a_department_end_at_it(fixture: &Fixture) {
    let company_id = fixture.company().await;
    let headquarter_id = fixture.headquarters(company_id, "Main").await;
    let (mine, other) = (fixture.department(headquarter_id, "A").await, fixture.department(headquarter_id, "B").await);
    let scope = Scope::Department { department_id: mine };
    let resources = [Resource::Departments, Resource::Headquarters];
    let me = token(6, grants(&resources, &[Action::Read, Action::Update], scope));
    assert_eq!(ids(fixture, &me, "/api/v1/departments", "departmentId").await, [mine]);
    assert!(ids(fixture, &me, "/api/v1/headquarters", "headquarterId").await.is_empty());
    for (id, expected) in [(mine, 200), (other, 403)] {
        let path = format!("/api/v1/departments/{id}");
        assert_eq!(fixture.send(&me, "PATCH", &path, &[], &json!({"notes": "x"})).await.status, expected);
    }
    let path = format!("/api/v1/headquarters/{headquarter_id}");
    assert_eq!(fixture.send(&me, "GET", &path, &[], &Value::Null).await.status, 403);
}

async fn a_budget_is_shown_to_those_who_may_change_it_and_to_the_leader(fixture: &Fixture) {
    let company_id = fixture.company().await;
    let headquarter_id = fixture.headquarters(company_id, "Main").await;
    fixture.deliver(&created(7, 1)).await;
    fixture.until_handled(1).await;
    let body = |name: &str| json!({"headquarterId": headquarter_id, "name": name, "budget": "5000000", "leaderId": 7});
    let made = fixture.post("/api/v1/departments", body("A")).await.ok();
    assert_eq!(made["budget"], "5000000");
    let (led, other) = (made["departmentId"].as_i64().unwrap(), fixture.department(headquarter_id, "B").await);
    fixture.patch(&format!("/api/v1/departments/{other}"), json!({"budget": "6000000"})).await.ok();
    let read = grants(&[Resource::Departments], &[Action::Read, Action::Create], Scope::All);
    let update = |scope| grants(&[Resource::Departments], &[Action::Update], scope);
    let (everywhere, there) = (update(Scope::All), update(Scope::Department { department_id: led }));
    for (who, sees_led, sees_other) in [
        (token(8, read.clone()), false, false),
        (token(7, read.clone()), true, false),
        (token(8, [read.clone(), there].concat()), true, false),
        (token(8, [read.clone(), everywhere].concat()), true, true),
    ] {
        let listed = fixture.send(&who, "GET", "/api/v1/departments", &[], &Value::Null).await.ok();
        for (id, sees) in [(led, sees_led), (other, sees_other)] {
            let path = format!("/api/v1/departments/{id}");
            let shown = fixture.send(&who, "GET", &path, &[], &Value::Null).await.ok();
            let items = listed["items"].as_array().unwrap();
            let item = items.iter().find(|item| item["departmentId"] == id).unwrap();
            assert_eq!((shown.get("budget").is_some(), item.get("budget").is_some()), (sees, sees), "{who} {id}");
        }
    }
    let reader = token(8, read);
    let made = fixture.send(&reader, "POST", "/api/v1/departments", &[], &body("C")).await.ok();
    assert_eq!(made.get("budget"), None);
}
