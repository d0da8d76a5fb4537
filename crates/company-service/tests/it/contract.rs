//! What the description of the API promises, for every operation in it, so that a new one cannot be forgotten.

use chassis::both;
use serde_json::json;

use crate::fixture::Fixture;

both!(Fixture: every_operation_refuses_who_may_not_use_it, bad_input_is_never_a_fault_of_ours);

async fn every_operation_refuses_who_may_not_use_it(fixture: &Fixture) {
    assert_eq!(fixture.operations().await.len(), 30);
    assert!(fixture.refuses_who_may_not().await.is_empty(), "nothing is public");
    for operation in fixture.operations().await {
        assert!(operation.spec["x-access"].as_str().unwrap().contains(':'), "{operation:?}");
    }
}

async fn bad_input_is_never_a_fault_of_ours(fixture: &Fixture) {
    let company_id = fixture.company().await;
    let headquarter_id = fixture.headquarters(company_id, "Main").await;
    fixture.department(headquarter_id, "Kitchen").await;
    for (list, body) in [
        ("positions", json!({"name": "Cook", "level": 1})),
        ("position-types", json!({"name": "A"})),
        ("department-types", json!({"name": "A"})),
    ] {
        fixture.post(&format!("/api/v1/{list}"), body).await.ok();
    }
    const FIELDS: &[&str] = &[
        "name",
        "code",
        "level",
        "companyId",
        "headquarterId",
        "departmentTypeId",
        "positionTypeId",
        "leaderId",
        "budget",
        "minSalary",
        "sortOrder",
        "email",
        "isMain",
        "notes",
        "website",
        "unheardOf",
    ];
    let body = json!({
        "companyId": 1, "headquarterId": 1, "name": "N", "level": 1, "address": "A", "phone": "0123",
        "email": "a@b.vn", "city": "Hue"
    });
    fixture.stands_bad_bodies(FIELDS, &body, &[409, 422]).await;
    fixture.has_nothing_at_other_ids(|_| json!({})).await;
    fixture.stands_bad_queries().await;
    // Last, since it removes what there is.
    for operation in fixture.operations().await {
        let path = format!("{}?unheardOf=1", operation.at("1"));
        let unknown = fixture.ask(&operation.method, &path).send().await;
        let is_list = operation.method == "GET" && !operation.path.contains('{');
        assert!(unknown.status < 500 && (!is_list || unknown.status == 400), "{path}: {}", unknown.status);
    }
}
