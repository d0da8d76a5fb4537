//! Departments: who leads them, what refers to what, and what is told.

use chassis::both;
use contracts::user::EmployeeStatus;
use contracts::user::UserDeleted;
use eventkit::testing::eventually;
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::head_count::{created, updated};

both!(
    Fixture:
    an_unknown_leader_is_asked_for_later_and_then_accepted,
    who_leaves_or_is_deleted_leads_no_more_and_that_is_told,
    a_leader_who_leaves_while_being_appointed_does_not_stay,
    changes_are_told_with_the_state_after_them,
);

async fn department(fixture: &Fixture) -> (i64, i64, String) {
    let company_id = fixture.company().await;
    let headquarter_id = fixture.headquarters(company_id, "Main").await;
    let department_id = fixture.department(headquarter_id, "Kitchen").await;
    (headquarter_id, department_id, format!("/api/v1/departments/{department_id}"))
}

async fn an_unknown_leader_is_asked_for_later_and_then_accepted(fixture: &Fixture) {
    let (headquarter_id, _, path) = department(fixture).await;
    let body = json!({"headquarterId": headquarter_id, "name": "Garden", "leaderId": 7});
    let answer = fixture.post("/api/v1/departments", body.clone()).await;
    assert_eq!(answer.fault(), (409, "leaderId"));
    assert_eq!(
        (&answer.body["code"], &answer.headers["retry-after"]),
        (&json!("dependency_not_ready"), &"1".parse().unwrap())
    );
    assert_eq!(fixture.patch(&path, json!({"leaderId": 7})).await.fault(), (409, "leaderId"));
    fixture.deliver(&created(7, 1)).await;
    eventually("the leader is known", async || {
        let answer = fixture.post("/api/v1/departments", body.clone()).await;
        (answer.status == 201).then_some(())
    })
    .await;
    let answer = fixture.patch(&path, json!({"leaderId": 7})).await.ok();
    assert_eq!((&answer["leaderId"], &answer["leaderName"]), (&json!(7), &json!("An Tran")));
    let led = fixture.get("/api/v1/departments?leaderId=7").await.ok();
    assert_eq!(led["items"].as_array().unwrap().len(), 2);
    fixture.deliver(&updated(7, 1, EmployeeStatus::Active)).await;
    fixture.until(&path, "the new name", |department| department["leaderName"] == "Binh Tran").await;
}

async fn who_leaves_or_is_deleted_leads_no_more_and_that_is_told(fixture: &Fixture) {
    let (headquarter_id, department_id, path) = department(fixture).await;
    let other_id = fixture.department(headquarter_id, "Garden").await;
    let other = format!("/api/v1/departments/{other_id}");
    fixture.deliver(&created(7, department_id)).await;
    fixture.deliver(&created(8, department_id)).await;
    fixture.until_handled(2).await;
    for (path, leader) in [(&path, 7), (&other, 7)] {
        fixture.patch(path, json!({"leaderId": leader})).await.ok();
    }
    let before = fixture.told("department.updated").await.len();
    let left = fixture.deliver(&updated(7, department_id, EmployeeStatus::Left)).await;
    for path in [&path, &other] {
        let department = fixture.until(path, "no leader", |department| department["leaderId"].is_null()).await;
        assert_eq!((department.get("leaderName"), &department["version"]), (None, &json!(3)));
    }
    fixture.redeliver(&left).await;
    fixture.deliver(&updated(7, department_id, EmployeeStatus::Left)).await;
    fixture.until_handled(4).await;
    let told = fixture.told("department.updated").await.split_off(before);
    let ids: Vec<&Value> = told.iter().map(|event| &event["departmentId"]).collect();
    assert_eq!(ids, [department_id, other_id], "once for each department");
    for event in &told {
        assert_eq!((&event["changed"], event.get("leaderId")), (&json!(["leaderId"]), None));
    }
    let audit = fixture.told("audit.data").await;
    assert_eq!(audit.last().unwrap()["actor"], json!({"type": "service", "name": "company-service"}));
    assert_eq!(fixture.patch(&path, json!({"leaderId": 7})).await.fault(), (422, "leaderId"));

    fixture.patch(&path, json!({"leaderId": 8})).await.ok();
    fixture.deliver(&UserDeleted { employee_id: 8, department_id: None }).await;
    fixture.until(&path, "no leader", |department| department["leaderId"].is_null()).await;
    assert_eq!(fixture.patch(&path, json!({"leaderId": 8})).await.fault(), (422, "leaderId"));
    let records = eventually("the relay has published", async || {
        let records = fixture.transport.records("company-events");
        (records.len() >= 9).then_some(records)
    })
    .await;
    let key = format!("department-{department_id}");
    assert!(records.iter().any(|record| record.record.key.as_deref() == Some(key.as_bytes())));
}

async fn a_leader_who_leaves_while_being_appointed_does_not_stay(fixture: &Fixture) {
    let (_, department_id, path) = department(fixture).await;
    for employee_id in 1..=15 {
        fixture.deliver(&created(employee_id, department_id)).await;
    }
    fixture.until_handled(15).await;
    for employee_id in 1..=15 {
        let leaves = updated(employee_id, department_id, EmployeeStatus::Left);
        let (appointed, _) =
            tokio::join!(fixture.patch(&path, json!({"leaderId": employee_id})), fixture.deliver(&leaves));
        assert!(appointed.status == 200 || appointed.fault() == (422, "leaderId"), "{}", appointed.body);
        fixture.until_handled(15 + employee_id).await;
        let leader = &fixture.get(&path).await.ok()["leaderId"];
        assert!(leader.is_null(), "employee {employee_id} has left and leads");
    }
}

async fn changes_are_told_with_the_state_after_them(fixture: &Fixture) {
    let (headquarter_id, department_id, path) = department(fixture).await;
    let company_id = fixture.get(&path).await.ok()["companyId"].clone();
    fixture.patch(&path, json!({"code": "K", "budget": "5000000"})).await.ok();
    assert_eq!(fixture.patch(&path, json!({"code": "K"})).await.ok()["version"], 2);
    let other = fixture.headquarters(company_id.as_i64().unwrap(), "Other").await;
    fixture.patch(&path, json!({"headquarterId": other})).await.ok();
    assert_eq!(fixture.patch(&path, json!({"headquarterId": 99})).await.fault(), (422, "headquarterId"));
    assert_eq!(fixture.patch(&path, json!({"departmentTypeId": 99})).await.fault(), (422, "departmentTypeId"));
    assert_eq!(fixture.delete(&path).await.status, 204);
    assert_eq!(fixture.get(&path).await.status, 404);
    let state = json!({"departmentId": department_id, "companyId": company_id, "headquarterId": headquarter_id,
        "name": "Kitchen"});
    assert_eq!(fixture.told("department.created").await, std::slice::from_ref(&state));
    let with = |changes: Value| {
        let mut event = state.clone();
        event.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        event
    };
    assert_eq!(
        fixture.told("department.updated").await,
        [
            with(json!({"code": "K", "isActive": true, "changed": ["budget", "code"]})),
            with(json!({"code": "K", "headquarterId": other, "isActive": true, "changed": ["headquarterId"]})),
            with(json!({"code": "K", "headquarterId": other, "isActive": false, "changed": ["isActive"]})),
        ]
    );
}
