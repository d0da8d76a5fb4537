//! Steps that most tests begin with: postings, candidates, applications, interviews as plain as they can be.

use chassis::testing::Answer;
use serde_json::{Value, json};

use crate::fixture::Service;

/// A department, at headquarters 1.
pub(crate) const ENGINEERING: i64 = 3;
/// Another, at headquarters 2.
pub(crate) const SALES: i64 = 4;
/// Who decides.
pub(crate) const MANAGER: i64 = 42;
/// Who talks to candidates.
pub(crate) const INTERVIEWERS: [i64; 2] = [51, 52];

/// Sets fields of a JSON object.
pub(crate) fn with(mut object: Value, fields: &Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        object[name] = value.clone();
    }
    object
}

pub(crate) fn posting_fields() -> Value {
    json!({
        "title": "Rust Engineer",
        "description": "Events that cannot be lost",
        "requirements": "Two years of Rust",
        "salaryMin": "20000000",
        "salaryMax": "40000000",
        "vacancies": 2,
        "applicationDeadline": "2026-12-24T17:00:00Z",
        "location": "Hanoi",
        "employmentType": "full-time",
        "experienceLevel": "senior",
        "skills": ["Rust", "Kafka"],
        "departmentId": ENGINEERING,
        "positionId": 5,
        "hiringManagerId": MANAGER,
    })
}

pub(crate) fn candidate_fields(number: usize) -> Value {
    json!({
        "firstName": "Binh",
        "lastName": format!("Nguyen{number}"),
        "email": format!("binh{number}@example.com"),
        "phoneNumber": "+84 90 123 45 67",
        "birthDate": "1991-02-03",
        "address": "12 Secret Street",
        "skills": ["Rust", "SQL"],
    })
}

pub(crate) fn interview_fields(application_id: i64) -> Value {
    json!({
        "applicationId": application_id,
        "type": "video",
        "scheduledDate": "2026-12-01T09:00:00Z",
        "meetingLink": "https://meet.example.com/abc",
        "interviewers": INTERVIEWERS,
    })
}

impl Service {
    /// The departments and employees that postings name.
    pub(crate) async fn with_company(&self) {
        self.hear_of_department(ENGINEERING, 1, "Engineering").await;
        self.hear_of_department(SALES, 2, "Sales").await;
        self.hear_of_employee(MANAGER, "Mai", "Le").await;
        for (id, name) in INTERVIEWERS.into_iter().zip(["Hoa", "Tuan"]) {
            self.hear_of_employee(id, name, "Pham").await;
        }
    }

    pub(crate) async fn draft(&self, changes: &Value) -> i64 {
        let body = with(posting_fields(), changes);
        self.post("/api/v1/job-postings").json(&body).send().await.expect(201).id("jobPostingId")
    }

    pub(crate) async fn published(&self, changes: &Value) -> i64 {
        let id = self.draft(changes).await;
        self.post(format!("/api/v1/job-postings/{id}/publish")).send().await.expect(200);
        id
    }

    pub(crate) async fn posting(&self, id: i64) -> Answer {
        self.get(format!("/api/v1/job-postings/{id}")).send().await
    }

    pub(crate) async fn candidate(&self, number: usize) -> i64 {
        let body = candidate_fields(number);
        self.post("/api/v1/candidates").json(&body).send().await.expect(201).id("candidateId")
    }

    pub(crate) async fn apply(&self, posting: i64, candidate: i64) -> Answer {
        let body = json!({"jobPostingId": posting, "candidateId": candidate, "coverLetter": "I would like to"});
        self.post("/api/v1/applications").json(&body).send().await
    }

    /// An application of a new candidate.
    pub(crate) async fn application(&self, posting: i64, number: usize) -> i64 {
        let candidate = self.candidate(number).await;
        self.apply(posting, candidate).await.expect(201).id("applicationId")
    }

    pub(crate) async fn review(&self, application: i64, to: &str) -> Answer {
        let body = json!({"to": to});
        self.post(format!("/api/v1/applications/{application}/review")).json(&body).send().await
    }

    /// Takes an application from submitted to a status.
    pub(crate) async fn bring(&self, application: i64, status: &str) {
        let way = ["submitted", "screening", "interviewing", "offer", "hired"];
        let steps = match way.iter().position(|step| *step == status) {
            Some(at) => &way[1..=at],
            None => &[status],
        };
        for to in steps {
            self.review(application, to).await.expect(200);
        }
    }

    pub(crate) async fn interview(&self, application: i64) -> Answer {
        self.post("/api/v1/interviews").json(&interview_fields(application)).send().await.expect(201)
    }
}
