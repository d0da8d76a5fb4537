//! The story: a company comes into being, takes people on, posts a job, hires one of three who apply.

use std::sync::Arc;

use contracts::{COMPANY_EVENTS, RECRUITMENT_EVENTS, USER_EVENTS};
use demo::ledger::Ledger;
use demo::{Addresses, Client, Invitations, random_password};
use eventkit::transport::kafka::KafkaConfig;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::say;
use crate::watch::Watch;

/// How long candidates may apply, and when they are met.
const OPEN_FOR: SignedDuration = SignedDuration::from_hours(24 * 30);
const MET_IN: SignedDuration = SignedDuration::from_hours(24 * 3);

/// What every step needs.
struct Stage {
    at: Addresses,
    watch: Watch,
    invitations: Invitations,
    ledger: Ledger,
    /// Makes addresses that no other telling of the story has used.
    run: String,
    /// Everybody's; nobody can log in with it afterwards.
    password: String,
    began: Timestamp,
}

/// What the steps before have made.
struct Company {
    engineering: i64,
    sales: i64,
    position: i64,
}

/// Tells the story; answers which events have to be on the topics.
pub(crate) async fn tell(at: Addresses, kafka: &KafkaConfig, token: &str, began_ms: i64) -> anyhow::Result<Ledger> {
    let stage = Stage {
        at,
        watch: Watch::open(kafka, began_ms),
        invitations: Invitations::open(kafka, began_ms),
        ledger: Ledger::default(),
        run: Uuid::now_v7().simple().to_string(),
        password: random_password(),
        began: Timestamp::from_millisecond(began_ms)?,
    };
    let operator = Client::with_token(&stage.run, "operator", token.to_owned(), Arc::default());

    let admin = take_an_administrator_on(&stage, &operator).await?;
    let company = found_the_company(&stage, &admin).await?;
    let [manager, mover, leaver] = take_three_people_on(&stage, &admin, &company).await?;
    move_one_to_sales(&stage, &admin, mover, &company).await?;
    let manager_client = appoint_the_manager(&stage, &admin, manager, &company).await?;
    let job = post_the_job(&stage, &manager_client, manager, &company).await?;
    let [hired, rejected, withdrawn] = let_three_apply(&stage, &admin, job).await?;
    hire(&stage, &manager_client, hired, manager, job).await?;
    review(&stage, &manager_client, rejected, json!({"to": "screening"})).await?;
    review(&stage, &manager_client, rejected, json!({"to": "rejected", "reason": "Another was a better fit."})).await?;
    review(&stage, &manager_client, withdrawn, json!({"to": "withdrawn"})).await?;
    meet_the_new_employee(&stage, &admin).await?;
    log_out_and_leave(&stage, &admin, &manager_client, manager, leaver).await?;

    let Stage { watch, invitations, ledger, .. } = stage;
    invitations.close().await?;
    watch.close().await?;
    Ok(ledger)
}

/// The operator's token is for the first moments. People have accounts: they are invited, choose a password, log in.
async fn take_an_administrator_on(stage: &Stage, operator: &Client) -> anyhow::Result<Client> {
    say("An administrator is taken on, accepts the invitation and logs in.");
    let email = stage.email("admin");
    let body = json!({"firstName": "Lan", "lastName": "Pham", "email": email});
    let id = operator.post(&stage.users("users"), body).await?.id("employeeId")?;
    stage.see(USER_EVENTS, format!("user-{id}"), "user.created").await?;
    let roles = json!([{"role": "admin", "scope": {"type": "all"}}]);
    operator.put(&stage.users(&format!("users/{id}/roles")), roles).await?;
    stage.accept_and_log_in(operator, id, &email).await
}

/// Companies have headquarters, headquarters have departments; a position says what a job is paid.
async fn found_the_company(stage: &Stage, admin: &Client) -> anyhow::Result<Company> {
    say("A company comes into being, with two departments and a position.");
    let name = format!("Hoa Sen {}", &stage.run[20..]);
    let company = admin.post(&stage.companies("companies"), json!({"name": name, "industry": "software"})).await?;
    let company_id = company.id("companyId")?;
    stage.see(COMPANY_EVENTS, format!("company-{company_id}"), "company.created").await?;
    let body = json!({
        "companyId": company_id, "name": "Main office", "address": "1 Dinh Tien Hoang", "city": "Hanoi",
        "phone": "+84900000000", "email": stage.email("office"),
    });
    let headquarter_id = admin.post(&stage.companies("headquarters"), body).await?.id("headquarterId")?;
    let mut departments = Vec::new();
    for name in ["Engineering", "Sales"] {
        let body = json!({"headquarterId": headquarter_id, "name": name});
        let id = admin.post(&stage.companies("departments"), body).await?.id("departmentId")?;
        stage.see(COMPANY_EVENTS, format!("department-{id}"), "department.created").await?;
        departments.push(id);
    }
    let body = json!({"name": "Backend Engineer", "level": 3, "minSalary": "15000000", "maxSalary": "45000000"});
    let position = admin.post(&stage.companies("positions"), body).await?.id("positionId")?;
    Ok(Company { engineering: departments[0], sales: departments[1], position })
}

/// The user-service knows departments from the company-service's events; until they have come it answers 409 and the
/// client asks again. Salary and address stay in its state: no event tells them.
async fn take_three_people_on(stage: &Stage, admin: &Client, company: &Company) -> anyhow::Result<[i64; 3]> {
    say("Three people are taken on in Engineering.");
    let mut ids = [0; 3];
    for (id, (first_name, last_name)) in ids.iter_mut().zip([("An", "Tran"), ("Binh", "Le"), ("Chi", "Vo")]) {
        let body = json!({
            "firstName": first_name, "lastName": last_name, "email": stage.email(&first_name.to_lowercase()),
            "departmentId": company.engineering, "positionId": company.position,
            "baseSalary": "20000000", "address": "36 Hang Bac",
        });
        *id = admin.post(&stage.users("users"), body).await?.id("employeeId")?;
        stage.see(USER_EVENTS, format!("user-{id}"), "user.created").await?;
    }
    Ok(ids)
}

async fn move_one_to_sales(stage: &Stage, admin: &Client, id: i64, company: &Company) -> anyhow::Result<()> {
    say("One of them moves to Sales.");
    admin.patch(&stage.users(&format!("users/{id}")), json!({"departmentId": company.sales})).await?;
    stage.see(USER_EVENTS, format!("user-{id}"), "user.updated").await
}

/// A role is held for a scope: this manager decides for one department.
async fn appoint_the_manager(stage: &Stage, admin: &Client, id: i64, company: &Company) -> anyhow::Result<Client> {
    say("Another leads Engineering from now on, and logs in.");
    let department = company.engineering;
    admin.patch(&stage.companies(&format!("departments/{department}")), json!({"leaderId": id})).await?;
    stage.see(COMPANY_EVENTS, format!("department-{department}"), "department.updated").await?;
    let scope = json!({"type": "department", "departmentId": department});
    let roles = json!([{"role": "manager", "scope": scope}, {"role": "employee", "scope": {"type": "all"}}]);
    admin.put(&stage.users(&format!("users/{id}/roles")), roles).await?;
    stage.accept_and_log_in(admin, id, &stage.email("an")).await
}

/// A draft is nobody's business: the first event of a posting is that it is posted.
async fn post_the_job(stage: &Stage, manager: &Client, manager_id: i64, company: &Company) -> anyhow::Result<i64> {
    say("The manager drafts a job, publishes it, and betters it.");
    let body = json!({
        "title": "Backend Engineer", "description": "Builds what the company lives on.",
        "requirements": "Three years of it.", "benefits": "Lunch.", "salaryMin": "18000000", "salaryMax": "40000000",
        "vacancies": 1, "applicationDeadline": stage.later(OPEN_FOR), "location": "Hanoi",
        "employmentType": "full-time", "experienceLevel": "senior", "skills": ["rust", "kafka"],
        "departmentId": company.engineering, "positionId": company.position, "hiringManagerId": manager_id,
    });
    let job = manager.post(&stage.recruitment("job-postings"), body).await?.id("jobPostingId")?;
    let (url, key) = (stage.recruitment(&format!("job-postings/{job}")), format!("job-{job}"));
    manager.post(&format!("{url}/publish"), json!({})).await?;
    stage.see(RECRUITMENT_EVENTS, key.clone(), "job.posted").await?;
    manager.patch(&url, json!({"benefits": "Lunch and a bicycle."})).await?;
    stage.see(RECRUITMENT_EVENTS, key, "job.updated").await?;
    Ok(job)
}

async fn let_three_apply(stage: &Stage, admin: &Client, job: i64) -> anyhow::Result<[i64; 3]> {
    say("Three candidates apply.");
    let mut ids = [0; 3];
    for (id, (first_name, last_name)) in ids.iter_mut().zip([("Mai", "Ly"), ("Nam", "Do"), ("Oanh", "Ho")]) {
        let body = json!({
            "firstName": first_name, "lastName": last_name, "email": stage.email(&first_name.to_lowercase()),
            "phoneNumber": "+84911111111", "birthDate": "1995-05-06", "skills": ["rust"], "source": "example",
        });
        let candidate = admin.post(&stage.recruitment("candidates"), body).await?.id("candidateId")?;
        let body = json!({"jobPostingId": job, "candidateId": candidate, "coverLetter": "I would like to."});
        *id = admin.post(&stage.recruitment("applications"), body).await?.id("applicationId")?;
        stage.see(RECRUITMENT_EVENTS, format!("application-{id}"), "application.submitted").await?;
    }
    Ok(ids)
}

/// An application goes from state to state; what is not allowed from where it stands is refused.
async fn hire(stage: &Stage, manager: &Client, id: i64, manager_id: i64, job: i64) -> anyhow::Result<()> {
    say("The first is met, gets an offer and is hired; that fills the job.");
    review(stage, manager, id, json!({"to": "screening"})).await?;
    review(stage, manager, id, json!({"to": "interviewing"})).await?;
    let body = json!({
        "applicationId": id, "type": "technical", "scheduledDate": stage.later(MET_IN), "location": "Main office",
        "interviewers": [manager_id],
    });
    manager.post(&stage.recruitment("interviews"), body).await?;
    let offer = json!({"to": "offer", "offeredSalary": "30000000", "expectedStartDate": "2027-01-04"});
    review(stage, manager, id, offer).await?;
    review(stage, manager, id, json!({"to": "hired"})).await?;
    stage.see(RECRUITMENT_EVENTS, format!("job-{job}"), "job.updated").await
}

async fn review(stage: &Stage, manager: &Client, id: i64, decision: Value) -> anyhow::Result<()> {
    say(&format!("Application {id} is reviewed: {}.", decision["to"].as_str().unwrap_or_default()));
    manager.post(&stage.recruitment(&format!("applications/{id}/review")), decision).await?;
    stage.see(RECRUITMENT_EVENTS, format!("application-{id}"), "application.reviewed").await
}

/// Nobody asked the user-service for this one: it heard `application.reviewed` and prepared the employee itself.
async fn meet_the_new_employee(stage: &Stage, admin: &Client) -> anyhow::Result<()> {
    say("Whoever was hired becomes an employee.");
    loop {
        let key = stage.watch.wait_for_next(USER_EVENTS, "user.created").await?;
        let employee = admin.get(&stage.users(&key.replace("user-", "users/"))).await?;
        // Others may use the same system.
        if employee.body["email"] == stage.email("mai") {
            stage.ledger.note(USER_EVENTS, key, "user.created");
            return Ok(());
        }
    }
}

async fn log_out_and_leave(
    stage: &Stage,
    admin: &Client,
    manager: &Client,
    manager_id: i64,
    leaver: i64,
) -> anyhow::Result<()> {
    say("The manager logs out, and somebody leaves the company.");
    manager.log_out(&stage.at.users).await?;
    stage.see(USER_EVENTS, format!("user-{manager_id}"), "user.logout").await?;
    admin.delete(&stage.users(&format!("users/{leaver}"))).await?;
    stage.see(USER_EVENTS, format!("user-{leaver}"), "user.deleted").await
}

impl Stage {
    /// An event has to come now: it is noted, and waited for.
    async fn see(&self, topic: &'static str, key: String, event_type: &'static str) -> anyhow::Result<()> {
        self.ledger.note(topic, key.clone(), event_type);
        self.watch.wait_for(topic, &key, event_type).await
    }

    /// The link of an invitation is in a notification alone; whoever has it chooses the password.
    async fn accept_and_log_in(&self, client: &Client, id: i64, email: &str) -> anyhow::Result<Client> {
        let body = json!({"token": self.invitations.token(id).await?, "password": self.password});
        client.post(&self.users("invitations/accept"), body).await?;
        self.see(USER_EVENTS, format!("user-{id}"), "user.updated").await?;
        let logged_in = client.log_in(&self.at.users, email, &self.password).await?;
        self.see(USER_EVENTS, format!("user-{id}"), "user.login").await?;
        Ok(logged_in)
    }

    fn users(&self, rest: &str) -> String {
        format!("{}/api/v1/{rest}", self.at.users)
    }

    fn companies(&self, rest: &str) -> String {
        format!("{}/api/v1/{rest}", self.at.companies)
    }

    fn recruitment(&self, rest: &str) -> String {
        format!("{}/api/v1/{rest}", self.at.recruitment)
    }

    fn email(&self, name: &str) -> String {
        format!("{name}-{}@hoasen.example.com", self.run)
    }

    fn later(&self, time: SignedDuration) -> String {
        (self.began + time).to_string()
    }
}
