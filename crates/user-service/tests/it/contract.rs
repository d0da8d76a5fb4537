//! What the description of the API promises, for every operation in it, so that a new one cannot be forgotten.

use chassis::both;
use serde_json::json;

use crate::fixture::Fixture;

both!(Fixture: every_operation_refuses_who_may_not_use_it, bad_input_is_never_a_fault_of_ours);

async fn every_operation_refuses_who_may_not_use_it(fixture: &Fixture) {
    assert_eq!(fixture.operations().await.len(), 22);
    let expected = ["/api/v1/bootstrap", "/api/v1/invitations/accept", "/api/v1/sessions", "/api/v1/sessions/refresh"];
    assert_eq!(fixture.refuses_who_may_not().await, expected);
}

async fn bad_input_is_never_a_fault_of_ours(fixture: &Fixture) {
    fixture.employee("an@example.com", json!({})).await;
    fixture.has_nothing_at_other_ids(|operation| if operation.method == "PUT" { json!([]) } else { json!({}) }).await;
    fixture.stands_bad_queries().await;
    const FIELDS: &[&str] = &[
        "firstName",
        "email",
        "employeeCode",
        "phoneNumber",
        "address",
        "birthDate",
        "gender",
        "startDate",
        "avatarUrl",
        "baseSalary",
        "departmentId",
        "positionId",
        "status",
        "notes",
        "name",
        "permissions",
        "description",
        "token",
        "password",
        "refreshToken",
        "unheardOf",
    ];
    let body = json!({"firstName": "A", "lastName": "B", "email": "a@b.vn"});
    fixture.stands_bad_bodies(FIELDS, &body, &[422]).await;
}
