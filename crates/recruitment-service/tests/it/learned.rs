//! What the service learns from the others: departments and employees, whatever order their events come in.

use chassis::both;
use chassis::part::migrate;
use chassis::testing::{Database, Prepared};
use contracts::access::Scope;
use contracts::company::{DepartmentCreated, DepartmentUpdated};
use contracts::user::{EmployeeStatus, UserDeleted, UserUpdated};
use db::params;
use eventkit::Clock;
use recruitment_service::{MIGRATIONS, NAME};
use serde_json::json;

use crate::fixture::{NOW, Service, token};
use crate::hiring::{ENGINEERING, MANAGER, SALES, posting_fields, with};

both!(
    Service:
    names_follow_the_events_of_the_other_services,
    a_department_that_was_removed_takes_no_new_posting,
    a_hiring_manager_who_left_is_shown_as_such_and_decides_on_nothing_new,
    a_removal_of_somebody_unknown_is_remembered,
    what_comes_late_brings_back_nothing_that_was_removed,
    a_creation_that_comes_late_changes_nothing_newer,
    somebody_who_has_left_may_come_back,
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

async fn what_comes_late_brings_back_nothing_that_was_removed(service: &Service) {
    service.with_company().await;
    let id = service.published(&json!({})).await;
    service.hear(&UserDeleted { employee_id: MANAGER, department_id: None }).await;
    service.hear(&renamed("Platform", false)).await;
    // As dead letters that are redriven: under identities that nobody has handled.
    service.hear_of_employee(MANAGER, "Mai", "Before").await;
    service.hear(&employee(EmployeeStatus::Active, "Before")).await;
    service.hear_of_department(ENGINEERING, 2, "Before").await;
    service.hear(&renamed("Before", true)).await;
    let shown = service.posting(id).await.body;
    assert_eq!((&shown["departmentName"], &shown["hiringManagerName"]), (&json!("Platform"), &json!("Mai Le")));
    assert_eq!(shown["hiringManagerHasLeft"], true);
    let elsewhere = with(posting_fields(), &json!({"departmentId": SALES}));
    service.post("/api/v1/job-postings").json(&elsewhere).send().await.expect_field(422, "hiringManagerId");
    let other = with(posting_fields(), &json!({"hiringManagerId": 51}));
    service.post("/api/v1/job-postings").json(&other).send().await.expect_field(422, "departmentId");
    // Of whom only the removal was known, the name is learned and nothing else.
    service.hear(&UserDeleted { employee_id: 77, department_id: None }).await;
    service.hear_of_employee(77, "An", "Vu").await;
    let gone = with(elsewhere, &json!({"hiringManagerId": 77}));
    service.post("/api/v1/job-postings").json(&gone).send().await.expect_field(422, "hiringManagerId");
}

async fn a_creation_that_comes_late_changes_nothing_newer(service: &Service) {
    service.hear(&renamed("Platform", true)).await;
    service.hear(&employee(EmployeeStatus::Left, "Tran")).await;
    service.hear_of_department(ENGINEERING, 2, "Engineering").await;
    service.hear_of_employee(MANAGER, "Mai", "Le").await;
    service.post("/api/v1/job-postings").json(&posting_fields()).send().await.expect_field(422, "hiringManagerId");
    service.hear_of_employee(51, "Hoa", "Pham").await;
    let id = service.draft(&json!({"hiringManagerId": 51})).await;
    let office = token(MANAGER, &["job-postings:read"], Scope::Headquarters { headquarter_id: 1 });
    let shown = service.get(format!("/api/v1/job-postings/{id}")).by(&office).send().await.expect(200);
    assert_eq!(shown.body["departmentName"], "Platform");
}

async fn somebody_who_has_left_may_come_back(service: &Service) {
    service.with_company().await;
    for (status, has_left) in [(EmployeeStatus::Left, true), (EmployeeStatus::Invited, false)] {
        service.hear(&employee(status, "Le")).await;
        let answer = service.post("/api/v1/job-postings").json(&posting_fields()).send().await;
        assert_eq!(answer.status, if has_left { 422 } else { 201 }, "{}", answer.body);
    }
}

async fn a_removal_of_somebody_unknown_is_remembered(service: &Service) {
    service.hear_of_department(ENGINEERING, 1, "Engineering").await;
    service.hear(&UserDeleted { employee_id: 77, department_id: None }).await;
    let body = with(posting_fields(), &json!({"hiringManagerId": 77}));
    service.post("/api/v1/job-postings").json(&body).send().await.expect_field(422, "hiringManagerId");
}

/// A database as the first release made it.
struct Older(Prepared);

impl Older {
    async fn on(database: Database) -> Self {
        Self(Prepared::on(database, NAME, &MIGRATIONS[..1], Clock::manual(NOW.parse().unwrap())).await)
    }

    async fn stop(&self) {
        self.0.publisher.db().close().await;
    }
}

both!(Older: employees_whom_an_older_release_knew_stay_known);

async fn employees_whom_an_older_release_knew_stay_known(older: &Older) {
    let db = older.0.publisher.db();
    let sql =
        "insert into employees (employee_id, name, works_here) values (1, 'An', $1), (2, 'Mai', $2), (3, null, $3)";
    let stored: db::Result<u64> = db.unit(async |tx| tx.execute(sql, &params![true, false, false]).await).await;
    assert_eq!(stored.unwrap(), 3);
    migrate(db, NAME, MIGRATIONS).await.unwrap();
    let sql = "select name, works_here, is_removed from employees order by employee_id";
    let rows = db.query(sql, &[]).await.unwrap();
    let known: Vec<(Option<String>, bool, bool)> = rows
        .iter()
        .map(|row| (row.get("name").unwrap(), row.get("works_here").unwrap(), row.get("is_removed").unwrap()))
        .collect();
    let name = |text: &str| Some(text.to_owned());
    assert_eq!(known, [(name("An"), true, false), (name("Mai"), false, false), (None, false, true)]);
}
