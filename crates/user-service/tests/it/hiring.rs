//! What other services' events do here.

use chassis::both;
use chassis::part::migrate;
use chassis::testing::{Database, OPERATOR, Prepared};
use contracts::company::DepartmentUpdated;
use contracts::recruitment::{Applicant, ApplicationReviewed, ApplicationStatus};
use db::params;
use eventkit::Clock;
use eventkit::testing::eventually;
use serde_json::json;
use user_service::{MIGRATIONS, NAME};

use crate::fixture::{Fixture, PASSWORD};

both!(
    Fixture:
    a_hired_candidate_becomes_an_employee_exactly_once,
    a_candidate_with_an_odd_telephone_number_becomes_an_employee_without_one,
    somebody_who_left_and_is_hired_again_is_invited_again,
    a_department_is_renamed_and_removed,
    a_department_is_as_the_last_event_tells_whatever_the_clock_of_its_teller_says,
);

fn reviewed(application_id: i64, email: &str, to: ApplicationStatus) -> ApplicationReviewed {
    ApplicationReviewed {
        application_id,
        job_posting_id: 1,
        job_title: "Cook".to_owned(),
        department_id: 3,
        position_id: 7,
        hiring_manager_id: 1,
        candidate: Applicant {
            candidate_id: 5,
            first_name: "Mai".to_owned(),
            last_name: "Pham".to_owned(),
            email: email.to_owned(),
            phone_number: Some("0123456".to_owned()),
        },
        from: ApplicationStatus::Offer,
        to,
        reviewed_by: Some(1),
        expected_start_date: Some("2027-01-04".parse().unwrap()),
    }
}

fn updated(name: &str, is_active: bool) -> DepartmentUpdated {
    DepartmentUpdated {
        department_id: 3,
        company_id: 1,
        headquarter_id: 1,
        name: name.to_owned(),
        code: None,
        leader_id: None,
        is_active,
        changed: Vec::new(),
    }
}

async fn a_hired_candidate_becomes_an_employee_exactly_once(fixture: &Fixture) {
    fixture.deliver(&reviewed(1, "no@example.com", ApplicationStatus::Rejected)).await;
    let record = fixture.deliver(&reviewed(2, "mai@example.com", ApplicationStatus::Hired)).await;
    fixture.redeliver(&record).await;
    // The same fact under another identity, and the same person through another application.
    fixture.deliver(&reviewed(2, "mai@example.com", ApplicationStatus::Hired)).await;
    fixture.deliver(&reviewed(3, "MAI@example.com", ApplicationStatus::Hired)).await;
    eventually("everything is handled", async || (fixture.count("inbox").await == 4).then_some(())).await;
    let told = fixture.told("user.created").await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["departmentId"], &told[0]["positionId"]), (&json!(3), &json!(7)));
    assert_eq!(fixture.told("notification.email").await.len(), 1);
    let path = format!("/api/v1/users/{}", told[0]["employeeId"]);
    let employee = fixture.get(OPERATOR, &path).await.ok();
    assert_eq!((&employee["startDate"], &employee["status"]), (&json!("2027-01-04"), &json!("invited")));
    assert_eq!(fixture.count("hired_applications").await, 2);
    assert_eq!(fixture.told("user.updated").await.len(), 0);

    // Whoever does not work here (yet) gets the new department.
    fixture.call(OPERATOR, "PATCH", &path, json!({"departmentId": null})).await.ok();
    fixture.deliver(&reviewed(4, "mai@example.com", ApplicationStatus::Hired)).await;
    eventually("the department is set", async || {
        let employee = fixture.get(OPERATOR, &path).await.ok();
        (employee["departmentId"] == 3).then_some(())
    })
    .await;
}

async fn a_candidate_with_an_odd_telephone_number_becomes_an_employee_without_one(fixture: &Fixture) {
    for (application_id, number) in [(1, "0901234567"), (2, "ask the porter")] {
        let mut hired = reviewed(application_id, &format!("c{application_id}@example.com"), ApplicationStatus::Hired);
        hired.candidate.phone_number = Some(number.to_owned());
        fixture.hear(&hired).await;
    }
    let told = fixture.told("user.created").await;
    assert_eq!((&told[0]["phoneNumber"], told[1].get("phoneNumber")), (&json!("0901234567"), None));
    for created in told {
        let path = format!("/api/v1/users/{}", created["employeeId"]);
        fixture.call(OPERATOR, "PATCH", &path, json!({"notes": "starts in May"})).await.ok();
    }
}

async fn somebody_who_left_and_is_hired_again_is_invited_again(fixture: &Fixture) {
    let dates = json!({"startDate": "2020-01-01", "confirmationDate": "2020-03-01"});
    let person = fixture.colleague("mai@example.com", dates, json!([{"role": "hr"}])).await;
    let path = format!("/api/v1/users/{}", person.employee_id);
    // The second time for the place that they had before.
    for application_id in [1, 2] {
        fixture.call(OPERATOR, "PATCH", &path, json!({"status": "left"})).await.ok();
        let mails = fixture.told("notification.email").await.len();
        fixture.hear(&reviewed(application_id, "Mai@example.com", ApplicationStatus::Hired)).await;
        let employee = fixture.get(OPERATOR, &path).await.ok();
        let place = (&employee["departmentId"], &employee["positionId"]);
        assert_eq!((&employee["status"], place), (&json!("invited"), (&json!(3), &json!(7))));
        assert_eq!((&employee["startDate"], employee.get("confirmationDate")), (&json!("2027-01-04"), None));
        assert_eq!(fixture.told("user.updated").await.last().unwrap()["status"], "invited");
        assert_eq!(fixture.told("notification.email").await.len(), mails + 1);
        let roles = fixture.get(OPERATOR, &format!("{path}/roles")).await.ok();
        assert_eq!(roles, json!([{"role": "employee", "scope": {"type": "all"}}]));
        let invitation = fixture.invitation(person.employee_id).await;
        assert_eq!(fixture.accept(&invitation, PASSWORD).await.status, 204);
        fixture.logged_in("mai@example.com").await;
    }
    assert_eq!(fixture.told("user.created").await.len(), 1);
}

async fn a_department_is_renamed_and_removed(fixture: &Fixture) {
    fixture.department(3, 1, "Kitchen").await;
    let id = fixture.employee("an@example.com", json!({"departmentId": 3})).await;
    fixture.deliver(&updated("Bakery", false)).await;
    eventually("the name is known", async || {
        let employee = fixture.get(OPERATOR, &format!("/api/v1/users/{id}")).await.ok();
        (employee["departmentName"] == "Bakery").then_some(())
    })
    .await;
    let body = json!({"firstName": "B", "lastName": "C", "email": "b@example.com", "departmentId": 3});
    assert_eq!(fixture.call(OPERATOR, "POST", "/api/v1/users", body).await.fault(), (422, "departmentId"));
    // What was told before and arrives late changes nothing.
    fixture.clock.advance_ms(-60_000);
    fixture.deliver(&updated("Old name", true)).await;
    fixture.department(3, 1, "First name").await;
    eventually("they are handled", async || (fixture.count("inbox").await == 4).then_some(())).await;
    let employee = fixture.get(OPERATOR, &format!("/api/v1/users/{id}")).await.ok();
    assert_eq!(employee["departmentName"], "Bakery");
}

async fn a_department_is_as_the_last_event_tells_whatever_the_clock_of_its_teller_says(fixture: &Fixture) {
    fixture.hear(&updated("Kitchen", true)).await;
    fixture.clock.advance_ms(-60_000);
    fixture.hear(&updated("Bakery", true)).await;
    let id = fixture.employee("an@example.com", json!({"departmentId": 3})).await;
    let name = async || fixture.get(OPERATOR, &format!("/api/v1/users/{id}")).await.ok()["departmentName"].clone();
    assert_eq!(name().await, "Bakery");
    fixture.department(3, 2, "First name").await;
    eventually("it is handled", async || (fixture.count("inbox").await == 3).then_some(())).await;
    assert_eq!(name().await, "Bakery");
}

/// A database as an older release made it.
struct Older(Prepared);

impl Older {
    async fn on(database: Database) -> Self {
        Self(Prepared::on(database, NAME, &MIGRATIONS[..2], Clock::system()).await)
    }

    async fn stop(&self) {
        self.0.publisher.db().close().await;
    }
}

both!(Older: departments_that_an_older_release_knew_stay_known);

async fn departments_that_an_older_release_knew_stay_known(older: &Older) {
    let db = older.0.publisher.db();
    let sql = "insert into departments (department_id, headquarter_id, name, is_active, told_at)
        values (3, 1, 'Kitchen', $1, 5)";
    let stored: db::Result<u64> = db.unit(async |tx| tx.execute(sql, &params![true]).await).await;
    assert_eq!(stored.unwrap(), 1);
    migrate(db, NAME, MIGRATIONS).await.unwrap();
    let row = db.query_one("select * from departments where department_id = 3", &[]).await.unwrap();
    assert_eq!(
        (row.get::<String>("name").unwrap(), row.get::<bool>("is_active").unwrap()),
        ("Kitchen".to_owned(), true)
    );
}
