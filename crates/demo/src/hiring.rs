//! Jobs and applications: posted, answered, reviewed to their ends.

use std::time::Duration;

use contracts::audit::{Action, Actor};
use contracts::recruitment::ApplicationStatus;
use contracts::services::USER_SERVICE;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::door::employee;
use crate::error::Error;
use crate::ledger::Person;
use crate::people;
use crate::story::{Company, Stage};

/// How long candidates may apply for.
const OPEN_FOR: SignedDuration = SignedDuration::from_hours(24 * 30);
/// When interviews are.
const INTERVIEW_IN: SignedDuration = SignedDuration::from_hours(24 * 3);
/// How long it may take until somebody who was hired is an employee.
const EMPLOYED_MAX: Duration = Duration::from_secs(90);
const EMPLOYED_POLL: Duration = Duration::from_millis(50);
/// The ends that applications come to, in turn.
const ENDS: [ApplicationStatus; 3] =
    [ApplicationStatus::Hired, ApplicationStatus::Rejected, ApplicationStatus::Withdrawn];

/// A posting of the story.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    job_posting_id: i64,
    company: usize,
    department_id: i64,
    manager_id: i64,
}

/// An application of the story.
#[derive(Debug, Clone)]
pub struct Application {
    /// Its number.
    pub application_id: i64,
    /// The candidate's number.
    pub candidate_id: i64,
    /// The posting that it answers.
    pub job_posting_id: i64,
    /// Who decides on it.
    pub manager_id: i64,
    /// The candidate.
    pub person: Person,
    /// How it ended.
    pub end: ApplicationStatus,
    job: usize,
}

/// How many of a job's applications end with a hire.
fn hires(jobs: usize, applications: usize, job: usize) -> usize {
    (0..applications).filter(|number| number % jobs == job && end(jobs, *number) == ApplicationStatus::Hired).count()
}

/// The first application of every job is hired, the second rejected, the third withdrawn, and so on.
fn end(jobs: usize, number: usize) -> ApplicationStatus {
    ENDS[(number / jobs) % ENDS.len()]
}

pub(crate) async fn post_job(
    stage: &Stage,
    number: usize,
    companies: &[Company],
    managers: &[Client],
) -> Result<Job, Error> {
    let index = number % companies.len();
    let (company, manager) = (&companies[index], &managers[index]);
    let department_id = company.department_ids[0];
    let plan = &stage.story.plan;
    let body = json!({
        "title": people::job_title(number), "description": "Builds what the company lives on.",
        "requirements": "Three years of it.", "benefits": "Lunch.", "salaryMin": "18000000", "salaryMax": "40000000",
        "vacancies": hires(plan.jobs, plan.applications, number), "applicationDeadline": after(stage, OPEN_FOR),
        "location": people::city(number), "employmentType": "full-time", "experienceLevel": "senior",
        "skills": people::skills(number), "departmentId": department_id, "positionId": company.position_id,
        "hiringManagerId": company.manager_id,
    });
    let key = format!("job-{number}");
    let job_posting_id = manager.post_as(&key, &stage.recruitment("job-postings"), body).await?.id("jobPostingId")?;
    let by = employee(company.manager_id);
    let changed = |action| stage.ledger.changed(format!("job-{job_posting_id}"), action, &by);
    changed(Action::Create);
    let publish = stage.recruitment(&format!("job-postings/{job_posting_id}/publish"));
    manager.post_as(&format!("publish-{number}"), &publish, json!({})).await?;
    stage.ledger.job(job_posting_id, "job.posted");
    changed(Action::Update);
    let posting = stage.recruitment(&format!("job-postings/{job_posting_id}"));
    manager.patch(&posting, json!({"benefits": "Lunch and a bicycle."})).await?;
    stage.ledger.job(job_posting_id, "job.updated");
    changed(Action::Update);
    stage.one_done();
    Ok(Job { job_posting_id, company: index, department_id, manager_id: company.manager_id })
}

pub(crate) async fn apply(stage: &Stage, number: usize, jobs: &[Job]) -> Result<Application, Error> {
    let index = number % jobs.len();
    let job = &jobs[index];
    let (first_name, last_name) = people::name(number * 3 + 1);
    let email = format!("candidate-{number}-{}@demo.example.com", stage.run);
    let body = json!({
        "firstName": first_name, "lastName": last_name, "email": email, "phoneNumber": people::phone_number(number),
        "birthDate": "1995-05-06", "skills": people::skills(number), "source": "demo",
    });
    let candidate = stage.admin.post_as(&format!("candidate-{number}"), &stage.recruitment("candidates"), body).await?;
    let candidate_id = candidate.id("candidateId")?;
    stage.by_admin(format!("candidate-{candidate_id}"), Action::Create);
    let body = json!({
        "jobPostingId": job.job_posting_id, "candidateId": candidate_id, "coverLetter": "I would like to.",
    });
    let key = format!("application-{number}");
    let application_id =
        stage.admin.post_as(&key, &stage.recruitment("applications"), body).await?.id("applicationId")?;
    stage.ledger.application(application_id, "application.submitted");
    stage.by_admin(format!("application-{application_id}"), Action::Create);
    // The candidate is in process from now on.
    stage.by_admin(format!("candidate-{candidate_id}"), Action::Update);
    stage.one_done();
    let end = end(jobs.len(), number);
    let (first_name, last_name) = (first_name.to_owned(), last_name.to_owned());
    let person = Person { first_name, last_name, email };
    let Job { job_posting_id, manager_id, .. } = *job;
    Ok(Application { application_id, candidate_id, job_posting_id, manager_id, person, end, job: index })
}

/// Reviews an application to its end, as its manager does.
pub(crate) async fn review(
    stage: &Stage,
    application: Application,
    jobs: &[Job],
    managers: &[Client],
) -> Result<Application, Error> {
    let job = &jobs[application.job];
    let (manager, by) = (&managers[job.company], employee(job.manager_id));
    let steps: &[&str] = match application.end {
        ApplicationStatus::Hired => &["screening", "interviewing", "offer", "hired"],
        ApplicationStatus::Rejected => &["screening", "rejected"],
        _ => &["withdrawn"],
    };
    let id = application.application_id;
    let mut interviews = Vec::new();
    for step in steps {
        let url = stage.recruitment(&format!("applications/{id}/review"));
        manager.post_as(&format!("review-{id}-{step}"), &url, decision(step)).await?;
        stage.ledger.application(id, "application.reviewed");
        stage.ledger.changed(format!("application-{id}"), Action::Update, &by);
        match *step {
            "interviewing" => interviews.push(interview(stage, manager, &application, job).await?),
            "hired" => {
                stage.ledger.job(application.job_posting_id, "job.updated");
                stage.ledger.changed(format!("job-{}", application.job_posting_id), Action::Update, &by);
            }
            _ => {}
        }
    }
    for interview_id in interviews {
        stage.ledger.changed(format!("interview-{interview_id}"), Action::Create, &by);
        // It lay ahead when the candidate was hired, and was cancelled.
        stage.ledger.changed(format!("interview-{interview_id}"), Action::Update, &by);
    }
    // The candidate is at the end too.
    stage.ledger.changed(format!("candidate-{}", application.candidate_id), Action::Update, &by);
    stage.one_done();
    Ok(application)
}

fn decision(step: &str) -> Value {
    match step {
        "offer" => json!({"to": step, "offeredSalary": "30000000", "expectedStartDate": "2027-01-04"}),
        "rejected" => json!({"to": step, "reason": "Somebody else was a better fit."}),
        _ => json!({"to": step}),
    }
}

/// Sets an interview up; answers its number.
async fn interview(stage: &Stage, manager: &Client, application: &Application, job: &Job) -> Result<i64, Error> {
    let posting = manager.get(&stage.recruitment(&format!("job-postings/{}", application.job_posting_id))).await?;
    debug_assert_eq!(posting.body["departmentId"], job.department_id);
    let body = json!({
        "applicationId": application.application_id, "type": "technical", "scheduledDate": after(stage, INTERVIEW_IN),
        "location": "Main office", "interviewers": [posting.id("hiringManagerId")?],
    });
    let key = format!("interview-{}", application.application_id);
    manager.post_as(&key, &stage.recruitment("interviews"), body).await?.id("interviewId")
}

/// Waits until everybody who was hired is an employee; answers who, and in which department.
pub(crate) async fn wait_for_the_hired(stage: &Stage, applications: &[Application]) -> Result<Vec<(i64, i64)>, Error> {
    let mut employed = Vec::new();
    for application in applications.iter().filter(|application| application.end == ApplicationStatus::Hired) {
        let url = stage.users(&format!("users?q={}", application.person.email));
        let give_up_at = Instant::now() + EMPLOYED_MAX;
        let (id, department_id) = loop {
            let found = stage.admin.get(&url).await?;
            let employee = &found.body["items"][0];
            if let (Some(id), Some(department)) = (employee["employeeId"].as_i64(), employee["departmentId"].as_i64()) {
                break (id, department);
            }
            if Instant::now() >= give_up_at {
                let last = "the hired candidate is no employee yet".to_owned();
                return Err(Error::GaveUp { request: format!("GET {url}"), seconds: EMPLOYED_MAX.as_secs(), last });
            }
            sleep(EMPLOYED_POLL).await;
        };
        stage.ledger.employed(id, application.person.clone());
        stage.ledger.user(id, "user.created");
        let hirer = Actor::Service { name: USER_SERVICE.to_owned() };
        stage.ledger.changed(format!("user-{id}"), Action::Create, &hirer);
        employed.push((id, department_id));
    }
    Ok(employed)
}

fn after(stage: &Stage, time: SignedDuration) -> String {
    let now = Timestamp::from_millisecond(stage.story.now_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    (now + time).to_string()
}
