//! Whether everything that follows from the hiring story is as it should be: topics, mails, audit trail, projections.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, ensure};
use contracts::recruitment::ApplicationStatus;
use demo::story::Told;
use eventkit::transport::kafka::{KafkaConfig, KafkaReader, Start};
use serde_json::{Value, json};

use crate::mailbox;
use crate::stage::eventually;
use crate::system::System;
use crate::wire;

/// How long everything may take to arrive.
const ARRIVE_MAX: Duration = Duration::from_secs(60);
/// How long a topic must be silent to count as read to its end.
const SILENCE: Duration = Duration::from_secs(2);

/// Text messages and push notices.
const CHANNELS_COUNT: usize = 2;

/// Checks everything that follows from the stories, which are all that ever happened in this system.
///
/// # Errors
/// Something is not as it should be; the error tells the first thing.
pub async fn check(system: &System, stories: &[Told]) -> anyhow::Result<()> {
    let kafka = system.kafka();
    for told in stories {
        let found = demo::check::look(&kafka, 0, &told.ledger, ARRIVE_MAX).await?;
        let differences = found.differences(&told.ledger);
        ensure!(differences.is_empty(), "on the topics:\n{}", differences.join("\n"));
    }
    be_refused(system).await?;
    check_gateway(system, stories).await?;
    wire::check(&kafka, stories).await?;
    check_mails(system, stories, &kafka).await?;
    check_audit(system, stories).await?;
    for told in stories {
        check_projections(system, told).await?;
    }
    Ok(())
}

/// Asks every service for something without saying who asks; the audit trail has to tell of it.
async fn be_refused(system: &System) -> anyhow::Result<()> {
    for (service, path) in
        [("user-service", "users/1"), ("company-service", "companies/1"), ("recruitment-service", "job-postings/1")]
    {
        let url = format!("{}/api/v1/{path}", system.url(service));
        let refused = reqwest::get(&url).await?;
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

/// Every notification that was asked for is one mail, named by its event, and no mail is anything else.
async fn check_mails(system: &System, stories: &[Told], kafka: &KafkaConfig) -> anyhow::Result<()> {
    let folder = system.data_dir("container").join("mailbox");
    let expected = expected_mails(stories);
    let counted = eventually("the mails that the story asks for", async || {
        let notifications = notifications(kafka).await.ok()?;
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for notification in notifications.values() {
            *counts.entry(notification["data"]["template"].as_str().unwrap_or_default()).or_default() += 1;
        }
        let is_there = expected.iter().all(|(template, count)| counts.get(template).copied().unwrap_or(0) >= *count);
        let asked: BTreeSet<String> = notifications.keys().cloned().collect();
        let mailed: BTreeSet<String> = mailbox::read(&folder).ok()?.into_iter().map(|mail| mail.id).collect();
        let counts: BTreeMap<String, usize> =
            counts.into_iter().map(|(template, count)| (template.to_owned(), count)).collect();
        (is_there && asked == mailed).then_some(counts)
    })
    .await;
    for (template, count) in expected {
        ensure!(counted.get(template) == Some(&count), "{template}: expected {count} mails, found {counted:?}");
    }
    Ok(())
}

/// How many mails of each template follow from the story, whatever the order in which topics were read.
fn expected_mails(stories: &[Told]) -> Vec<(&'static str, usize)> {
    let events: Vec<&str> = stories.iter().flat_map(|told| told.ledger.expected().into_values().flatten()).collect();
    let count = |event_type: &str| events.iter().filter(|event| **event == event_type).count();
    let interviews: usize = stories.iter().map(|told| told.hired.len()).sum();
    let ended = |end: ApplicationStatus| {
        let applications = stories.iter().flat_map(|told| &told.applications);
        applications.filter(|application| application.end == end).count()
    };
    let (hired, rejected) = (ended(ApplicationStatus::Hired), ended(ApplicationStatus::Rejected));
    vec![
        ("application-screening", hired + rejected),
        ("application-interviewing", hired),
        ("application-offer", hired),
        ("application-hired", hired),
        ("application-rejected", rejected),
        ("application-withdrawn", ended(ApplicationStatus::Withdrawn)),
        ("user-welcome", count("user.created")),
        ("user-invitation", count("user.created")),
        ("login-new-device", count("user.login")),
        ("application-received", count("application.submitted")),
        ("application-for-manager", count("application.submitted")),
        // The candidate and the one interviewer of each.
        ("interview-scheduled", 2 * interviews),
        // It lay ahead when the candidate was hired.
        ("interview-cancelled", 2 * interviews),
    ]
}

/// Every e-mail notification on the topic, by the id of its event.
async fn notifications(kafka: &KafkaConfig) -> anyhow::Result<BTreeMap<String, Value>> {
    let kafka = kafka.clone();
    let read = move || {
        let reader = KafkaReader::open(&kafka, "notification-events", None, Start::Beginning)?;
        let mut found = BTreeMap::new();
        while let Some(record) = reader.next(SILENCE)? {
            let event: Value = serde_json::from_slice(record.record.value.as_deref().unwrap_or_default())?;
            if event["eventType"] == "notification.email" {
                found.insert(event["eventId"].as_str().context("an eventId")?.to_owned(), event);
            }
        }
        Ok(found)
    };
    tokio::task::spawn_blocking(read).await?
}

/// The trail is whole and has every write of the story with who did it.
async fn check_audit(system: &System, stories: &[Told]) -> anyhow::Result<()> {
    let keys = stories.iter().flat_map(|told| told.ledger.expected().into_keys());
    let entities: BTreeSet<String> = keys.map(|(_, key)| key).collect();
    eventually("every entity is in the audit trail", async || {
        let listed = audited(system).await.ok()?;
        entities.iter().all(|entity| listed.contains(entity)).then_some(())
    })
    .await;
    let verified = system.run("container", &["audit", "verify"]).await?;
    ensure!(verified.status.success(), "the audit trail: {}{}", verified.stdout, verified.stderr);
    Ok(())
}

/// The entities whose creation is recorded with an actor.
async fn audited(system: &System) -> anyhow::Result<BTreeSet<String>> {
    let ran = system.run("container", &["audit", "list", "--limit", "100000", "--format", "json"]).await?;
    ensure!(ran.status.success(), "{}", ran.stderr);
    let records = ran.stdout.lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>()?;
    let creations = records.iter().filter(|record| {
        let data = &record["envelope"]["data"];
        data["action"] == "create" && data["actor"]["type"].is_string()
    });
    Ok(creations.filter_map(|record| record["entity"].as_str().map(str::to_owned)).collect())
}

/// What each service knows of the others is right.
async fn check_projections(system: &System, told: &Told) -> anyhow::Result<()> {
    for company in &told.companies {
        for department_id in &company.department_ids {
            let members = company.members.iter().map(|(_, department)| department);
            let hired = told.hired.iter().map(|(_, department)| department);
            let heads = members.chain(hired).filter(|department| *department == department_id).count();
            eventually("the head count is right", async || {
                let url = format!("{}/api/v1/departments/{department_id}", system.url("company-service"));
                let department = get(&url, &told.admin_token).await.ok()?;
                (department["headCount"] == heads).then_some(())
            })
            .await;
        }
    }
    for (employee_id, _) in &told.hired {
        let url = format!("{}/api/v1/users/{employee_id}", system.url("user-service"));
        let employee = get(&url, &told.admin_token).await?;
        ensure!(employee["departmentName"] == "Engineering", "a hired employee's department: {employee}");
    }
    let jobs: BTreeSet<i64> = told.applications.iter().map(|application| application.job_posting_id).collect();
    for job in jobs {
        let url = format!("{}/api/v1/job-postings/{job}", system.url("recruitment-service"));
        let posting = get(&url, &told.admin_token).await?;
        let has_names = posting["departmentName"] == "Engineering" && posting["hiringManagerName"].is_string();
        ensure!(has_names, "names from other services: {posting}");
        ensure!(posting["status"] == "closed" && posting["openVacancies"] == 0, "a filled posting: {posting}");
    }
    Ok(())
}

async fn get(url: &str, token: &str) -> anyhow::Result<Value> {
    let answer = reqwest::Client::new().get(url).bearer_auth(token).send().await?;
    Ok(answer.error_for_status()?.json().await?)
}
