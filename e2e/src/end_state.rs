//! Whether everything that follows from the hiring story is as it should be: topics, mails, audit trail, projections.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use contracts::USER_EVENTS;
use contracts::audit::{Action, Actor};
use demo::ledger::Person;
use demo::story::{Company, Told};
use serde_json::{Value, json};

use crate::stage::eventually;
use crate::system::System;
use crate::{mails, trail, wire};

/// How long everything may take to arrive.
const ARRIVE_MAX: Duration = Duration::from_secs(60);

/// The group that knows who leads which department.
const DIRECTORY: &str = "container-directory";

/// Text messages and push notices.
const CHANNELS_COUNT: usize = 2;

/// Checks everything that follows from the stories, which are all that ever happened in this system.
///
/// # Errors
/// Something is not as it should be; the error tells the first thing.
pub async fn check(system: &System, stories: &mut [Told]) -> anyhow::Result<()> {
    let kafka = system.kafka();
    take_one_more_on(system, stories.last_mut().context("a story")?).await?;
    let stories = &*stories;
    for told in stories {
        let found = demo::check::look(&kafka, 0, &told.ledger, ARRIVE_MAX).await?;
        let differences = found.differences(&told.ledger);
        ensure!(differences.is_empty(), "on the topics:\n{}", differences.join("\n"));
    }
    be_refused(system).await?;
    check_gateway(system, stories).await?;
    mails::check(system, stories, &kafka).await?;
    trail::check(system, stories).await?;
    for told in stories {
        check_projections(system, told).await?;
    }
    // Last, when everything has come to rest: what is too much shows here.
    wire::check(&kafka, stories).await
}

/// Takes somebody on in a department whose leader the router knows by then, so that the leader has to be told.
async fn take_one_more_on(system: &System, told: &mut Told) -> anyhow::Result<()> {
    eventually("the directory has read of the departments", async || {
        let ran = system.run("container", &["groups", "describe", DIRECTORY, "--format", "json"]).await.ok()?;
        let described: Value = serde_json::from_str(&ran.stdout).ok()?;
        let places = described["partitions"].as_array()?;
        let of_companies: Vec<&Value> = places.iter().filter(|place| place["topic"] == "company-events").collect();
        (!of_companies.is_empty() && of_companies.iter().all(|place| place["lag"] == 0)).then_some(())
    })
    .await;
    let company = told.companies.first_mut().context("a story has a company")?;
    let department_id = company.department_ids[0];
    let email = format!("newcomer-{department_id}@demo.example.com");
    let body = json!({
        "firstName": mails::NEWCOMER, "lastName": "Last", "email": email, "departmentId": department_id,
        "positionId": company.position_id,
    });
    let url = format!("{}/api/v1/users", system.url("user-service"));
    let request = chassis::net::client().post(url).bearer_auth(system.operator_token("user-service")?).json(&body);
    let created: Value = request.send().await?.error_for_status()?.json().await?;
    let employee_id = created["employeeId"].as_i64().context("employeeId")?;
    company.members.push((employee_id, department_id));
    let key = format!("user-{employee_id}");
    told.ledger.changed(key.clone(), Action::Create, &Actor::Operator);
    told.ledger.note(USER_EVENTS, key, "user.created");
    let person = Person { first_name: mails::NEWCOMER.to_owned(), last_name: "Last".to_owned(), email };
    told.ledger.employed(employee_id, person);
    Ok(())
}

/// Asks every service for something without saying who asks; the audit trail has to tell of it.
async fn be_refused(system: &System) -> anyhow::Result<()> {
    for (service, path) in
        [("user-service", "users/1"), ("company-service", "companies/1"), ("recruitment-service", "job-postings/1")]
    {
        let url = format!("{}/api/v1/{path}", system.url(service));
        let refused = chassis::net::client().get(&url).send().await?;
        ensure!(refused.status() == 401, "{url} without a token: {}", refused.status());
    }
    Ok(())
}

/// A text message and a push notice that somebody publishes are sent, once each, to whom they address.
async fn check_gateway(system: &System, stories: &[Told]) -> anyhow::Result<()> {
    let manager = stories.first().and_then(|told| told.companies.first()).context("a story has a company")?.manager_id;
    let key = format!("notification-{manager}");
    let text = "The canteen is closed today.";
    let variables = json!({"message": text});
    let notices = [
        ("notification.sms", json!({"to": "+84901234567", "template": "user-notification", "variables": variables})),
        ("notification.push", json!({"title": "Canteen", "template": "user-notification", "variables": variables})),
    ];
    for (event_type, data) in notices {
        let args = ["produce", "notification-events", "--event-type", event_type, "--key", &key];
        let ran = system.run_with_input("container", &args, &format!("{data}\n")).await?;
        ensure!(ran.status.success(), "{event_type}: {}", ran.stderr);
    }
    let sent = eventually("the text message and the push notice are sent", async || {
        let sent = system.gateway().messages();
        let is_there = sent.as_ref().map_or(true, |sent| sent.len() >= CHANNELS_COUNT);
        is_there.then_some(sent)
    })
    .await?;
    let mut channels: Vec<&str> = sent.iter().map(|sent| sent.channel.as_str()).collect();
    channels.sort_unstable();
    ensure!(channels == ["push", "sms"], "sent: {sent:?}");
    for sent in &sent {
        let has_text = sent.body["text"].as_str().is_some_and(|found| found.contains(text));
        let is_addressed = match sent.channel.as_str() {
            "sms" => sent.body["to"] == "+84901234567",
            _ => sent.body["recipientId"] == manager && sent.body["recipientType"] == "employee",
        };
        ensure!(has_text && is_addressed && sent.body["id"] == sent.id.as_str(), "sent: {sent:?}");
    }
    Ok(())
}

/// What each service knows of the others is right.
async fn check_projections(system: &System, told: &Told) -> anyhow::Result<()> {
    for company in &told.companies {
        check_departments(system, told, company).await?;
    }
    let postings: BTreeMap<i64, i64> =
        told.applications.iter().map(|application| (application.job_posting_id, application.manager_id)).collect();
    let employees = told.ledger.employees();
    for (posting, manager_id) in postings {
        let url = format!("{}/api/v1/job-postings/{posting}", system.url("recruitment-service"));
        let posting = get(&url, &told.admin_token).await?;
        let company = told.companies.iter().find(|company| company.manager_id == manager_id);
        let company = company.context("the company of a posting")?;
        let manager = employees.get(&manager_id).context("a hiring manager")?;
        let has_names = posting["departmentName"] == company.department_names[0]
            && posting["hiringManagerName"] == format!("{} {}", manager.first_name, manager.last_name);
        ensure!(has_names, "names from other services: {posting}");
        ensure!(posting["status"] == "closed" && posting["openVacancies"] == 0, "a filled posting: {posting}");
    }
    Ok(())
}

/// The company-service counts who works in each department, and the user-service knows what they are called.
async fn check_departments(system: &System, told: &Told, company: &Company) -> anyhow::Result<()> {
    for (department_id, name) in company.department_ids.iter().zip(&company.department_names) {
        let everybody = company.members.iter().chain(&told.hired);
        let members: Vec<i64> =
            everybody.filter(|(_, department)| department == department_id).map(|(employee, _)| *employee).collect();
        eventually("the head count is right", async || {
            let url = format!("{}/api/v1/departments/{department_id}", system.url("company-service"));
            let department = get(&url, &told.admin_token).await.ok()?;
            (department["headCount"] == members.len()).then_some(())
        })
        .await;
        for employee_id in members {
            let url = format!("{}/api/v1/users/{employee_id}", system.url("user-service"));
            let employee = get(&url, &told.admin_token).await?;
            ensure!(employee["departmentName"] == *name, "who works in {name}: {employee}");
        }
    }
    Ok(())
}

async fn get(url: &str, token: &str) -> anyhow::Result<Value> {
    let answer = chassis::net::client().get(url).bearer_auth(token).send().await?;
    Ok(answer.error_for_status()?.json().await?)
}
