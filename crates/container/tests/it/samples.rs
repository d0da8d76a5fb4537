//! Events as the services tell them.

use contracts::audit::{AuditSecurity, Incident};
use contracts::company::{DepartmentCreated, DepartmentUpdated};
use contracts::notification::{NotificationEmail, NotificationPush, NotificationSms};
use contracts::recruitment::{Applicant, ApplicationReviewed, ApplicationStatus, ApplicationSubmitted};
use contracts::user::{UserCreated, UserLogin, UserUpdated};
use serde_json::{Map, Value, json};

pub(crate) fn created(id: i64, department_id: Option<i64>) -> UserCreated {
    UserCreated {
        employee_id: id,
        email: format!("e{id}@example.com"),
        first_name: format!("First{id}"),
        last_name: format!("Last{id}"),
        phone_number: (id % 2 == 0).then(|| format!("+84{id}")),
        department_id,
        ..UserCreated::default()
    }
}

pub(crate) fn updated(id: i64, department_id: Option<i64>, changed: &[&str]) -> UserUpdated {
    let created = created(id, department_id);
    UserUpdated {
        employee_id: id,
        email: created.email,
        first_name: created.first_name,
        last_name: created.last_name,
        employee_code: None,
        phone_number: created.phone_number,
        department_id,
        position_id: None,
        status: created.status,
        changed: changed.iter().map(|name| (*name).to_owned()).collect(),
    }
}

pub(crate) fn login(id: i64, new_device: bool) -> UserLogin {
    let ip_address = Some("192.0.2.1".to_owned());
    UserLogin { employee_id: id, session_id: "s".to_owned(), new_device, ip_address, user_agent: None }
}

pub(crate) fn department(id: i64, leader_id: Option<i64>) -> DepartmentCreated {
    let name = format!("Department{id}");
    DepartmentCreated { department_id: id, company_id: 1, headquarter_id: 1, name, code: None, leader_id }
}

pub(crate) fn department_gone(id: i64) -> DepartmentUpdated {
    DepartmentUpdated {
        department_id: id,
        company_id: 1,
        headquarter_id: 1,
        name: "Gone".to_owned(),
        code: None,
        leader_id: Some(1),
        is_active: false,
        changed: vec!["isActive".to_owned()],
    }
}

fn applicant(id: i64) -> Applicant {
    Applicant {
        candidate_id: id,
        first_name: format!("Given{id}"),
        last_name: format!("Family{id}"),
        email: format!("c{id}@example.com"),
        phone_number: Some(format!("+85{id}")),
    }
}

pub(crate) fn submitted(candidate_id: i64, hiring_manager_id: i64) -> ApplicationSubmitted {
    ApplicationSubmitted {
        application_id: candidate_id * 10,
        job_posting_id: 9,
        job_title: "Cook".to_owned(),
        department_id: 3,
        hiring_manager_id,
        candidate: applicant(candidate_id),
        applied_date: "2026-11-24T02:05:27Z".parse().unwrap(),
    }
}

pub(crate) fn reviewed(candidate_id: i64, to: ApplicationStatus) -> ApplicationReviewed {
    ApplicationReviewed {
        application_id: candidate_id * 10,
        job_posting_id: 9,
        job_title: "Cook".to_owned(),
        department_id: 3,
        position_id: 5,
        hiring_manager_id: 1,
        candidate: applicant(candidate_id),
        from: ApplicationStatus::Submitted,
        to,
        reviewed_by: Some(1),
        expected_start_date: None,
    }
}

pub(crate) fn incident(incident: Incident, suppressed: u64) -> AuditSecurity {
    let entity = "part-user-service".to_owned();
    AuditSecurity { incident, entity, actor: None, request: None, ip_address: None, suppressed }
}

fn hi() -> Map<String, Value> {
    json!({"message": "xin chào"}).as_object().unwrap().clone()
}

pub(crate) fn email(to: Option<&str>) -> NotificationEmail {
    let (subject, template) = ("News".to_owned(), "user-notification".to_owned());
    NotificationEmail { to: to.map(str::to_owned), subject, template, variables: hi() }
}

pub(crate) fn sms(to: Option<&str>) -> NotificationSms {
    NotificationSms { to: to.map(str::to_owned), template: "user-notification".to_owned(), variables: hi() }
}

pub(crate) fn push() -> NotificationPush {
    NotificationPush { title: "News".to_owned(), template: "user-notification".to_owned(), variables: hi() }
}
