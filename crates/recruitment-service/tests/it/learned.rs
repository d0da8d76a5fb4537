//! What the service learns from the others: departments and employees, whatever order their events come in.

use chassis::both;
use contracts::company::{DepartmentCreated, DepartmentUpdated};
use contracts::user::{EmployeeStatus, UserDeleted, UserUpdated};
use serde_json::json;

use crate::fixture::Service;
use crate::hiring::{ENGINEERING, MANAGER, posting_fields, with};

both!(
    Service:
    names_follow_the_events_of_the_other_services,
    a_department_that_was_removed_takes_no_new_posting,
    a_hiring_manager_who_left_is_shown_as_such_and_decides_on_nothing_new,
    a_removal_of_somebody_unknown_is_remembered,
);

fn renamed(name: &str, is_active: bool) -> DepartmentUpdated {
    DepartmentUpdated {
        department_id: ENGINEERING,
        company_id: 1,
        headquarter_id: 1,
        name: name.to_owned(),
        code: None,
        leader_id: None,
        is_active,
        changed: Vec::new(),
    }
}

fn employee(status: EmployeeStatus, last_name: &str) -> UserUpdated {
    UserUpdated {
        employee_id: MANAGER,
        email: "mai@techleet.example".to_owned(),
        first_name: "Mai".to_owned(),
        last_name: last_name.to_owned(),
        employee_code: None,
        phone_number: None,
        department_id: None,
        position_id: None,
        status,
        changed: Vec::new(),
    }
}

async fn names_follow_the_events_of_the_other_services(service: &Service) {
    service.with_company().await;
    let id = service.draft(&json!({})).await;
    service.hear(&renamed("Platform", true)).await;
    service.hear(&employee(EmployeeStatus::Active, "Tran")).await;
    let shown = service.posting(id).await.body;
    assert_eq!((&shown["departmentName"], &shown["hiringManagerName"]), (&json!("Platform"), &json!("Mai Tran")));
}

async fn a_department_that_was_removed_takes_no_new_posting(service: &Service) {
    service.with_company().await;
    let draft = service.draft(&json!({})).await;
    service.hear(&renamed("Engineering", false)).await;
    service.post("/api/v1/job-postings").json(&posting_fields()).send().await.expect_field(422, "departmentId");
    service.post(format!("/api/v1/job-postings/{draft}/publish")).send().await.expect_field(422, "departmentId");
    let title = json!({"title": "Still to be edited"});
    service.patch(format!("/api/v1/job-postings/{draft}"), &title).send().await.expect(200);
    service
        .hear(&DepartmentCreated {
            department_id: 30,
            company_id: 1,
            headquarter_id: 1,
            name: "Research".to_owned(),
            code: None,
            leader_id: None,
        })
        .await;
    let moved = json!({"departmentId": 30});
    service.patch(format!("/api/v1/job-postings/{draft}"), &moved).send().await.expect(200);
    service.post(format!("/api/v1/job-postings/{draft}/publish")).send().await.expect(200);
}

async fn a_hiring_manager_who_left_is_shown_as_such_and_decides_on_nothing_new(service: &Service) {
    service.with_company().await;
    let id = service.published(&json!({})).await;
    for gone in ["left", "removed"] {
        match gone {
            "left" => service.hear(&employee(EmployeeStatus::Left, "Le")).await,
            _ => service.hear(&UserDeleted { employee_id: MANAGER, department_id: None }).await,
        }
        let shown = service.posting(id).await.body;
        assert_eq!(shown["hiringManagerHasLeft"], true, "{gone}");
        assert_eq!(shown["hiringManagerName"], "Mai Le", "{gone}");
        let refused = service.post("/api/v1/job-postings").json(&posting_fields()).send().await;
        refused.expect_field(422, "hiringManagerId");
    }
    let path = format!("/api/v1/job-postings/{id}");
    service.patch(&path, &json!({"title": "Same manager"})).send().await.expect(200);
    let other = service.patch(&path, &json!({"hiringManagerId": 51})).send().await.expect(200);
    assert_eq!(
        (&other.body["hiringManagerName"], &other.body["hiringManagerHasLeft"]),
        (&json!("Hoa Pham"), &json!(false))
    );
}

async fn a_removal_of_somebody_unknown_is_remembered(service: &Service) {
    service.hear_of_department(ENGINEERING, 1, "Engineering").await;
    service.hear(&UserDeleted { employee_id: 77, department_id: None }).await;
    let body = with(posting_fields(), &json!({"hiringManagerId": 77}));
    service.post("/api/v1/job-postings").json(&body).send().await.expect_field(422, "hiringManagerId");
}
