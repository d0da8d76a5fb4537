//! Whether everybody whom the hiring story concerns was mailed what they should be, once, at their own address, and
//! nobody else anything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, ensure};
use contracts::recruitment::ApplicationStatus;
use demo::story::{Company, Told};
use eventkit::transport::kafka::{KafkaConfig, KafkaReader, Start};
use serde_json::Value;

use crate::mailbox;
use crate::stage::eventually;
use crate::system::System;
use crate::wire;

/// The given name of the newcomer of whom a leader has to be told; nobody else in a story has it.
pub const NEWCOMER: &str = "Newcomer";
/// The template whose mails depend on what was read first: who leads a department, or who comes into it.
const NEW_MEMBER: &str = "department-new-member";
/// How long a topic must be silent to count as read to its end.
const SILENCE: Duration = Duration::from_secs(2);

/// A template and an address.
type Addressed = (String, String);

/// Every notification that was asked for is one mail, named by its event, and each goes to whoever should be told.
///
/// # Errors
/// Somebody was told too little, too much, or somebody else's news.
pub async fn check(system: &System, stories: &[Told], kafka: &KafkaConfig) -> anyhow::Result<()> {
    let folder = system.data_dir("container").join("mailbox");
    let expected = expected(stories)?;
    let (sent, new_members) = eventually("the mails that the story asks for", async || {
        let notifications = notifications(kafka).await.ok()?;
        let asked: BTreeSet<&String> = notifications.keys().collect();
        let mails = mailbox::read(&folder).ok()?;
        let mailed: BTreeSet<&String> = mails.iter().map(|mail| &mail.id).collect();
        if asked != mailed {
            return None;
        }
        let mut sent: BTreeMap<Addressed, usize> = BTreeMap::new();
        let mut new_members = Vec::new();
        for mail in mails {
            let notification = &notifications[&mail.id];
            match notification["data"]["template"].as_str().unwrap_or_default() {
                NEW_MEMBER => new_members.push((mail.to, notification.clone())),
                template => *sent.entry((template.to_owned(), mail.to)).or_default() += 1,
            }
        }
        let is_there = expected.iter().all(|(addressed, count)| sent.get(addressed).is_some_and(|sent| sent >= count));
        let is_newcomer = |(_, asked): &(String, Value)| asked["data"]["variables"]["memberFirstName"] == NEWCOMER;
        (is_there && new_members.iter().any(is_newcomer)).then_some((sent, new_members))
    })
    .await;
    for (addressed, count) in &sent {
        ensure!(expected.get(addressed) == Some(count), "{count} mails {addressed:?}: {:?}", expected.get(addressed));
    }
    check_new_members(stories, &new_members)
}

/// Of those who come into a department only its leader is told, of each once.
fn check_new_members(stories: &[Told], mails: &[(String, Value)]) -> anyhow::Result<()> {
    let mut leaders = BTreeSet::new();
    for told in stories {
        let employees = told.ledger.employees();
        // The manager leads the first one.
        let led =
            |company: &Company| (employees[&company.manager_id].email.clone(), company.department_names[0].clone());
        leaders.extend(told.companies.iter().map(led));
    }
    let mut causes = BTreeSet::new();
    for (to, asked) in mails {
        let department = asked["data"]["variables"]["departmentName"].as_str().context("a department")?.to_owned();
        ensure!(leaders.contains(&(to.clone(), department)), "{to} was told of somebody new: {asked}");
        ensure!(causes.insert(asked["causationId"].to_string()), "{to} was told twice: {asked}");
    }
    Ok(())
}

/// How often who must be mailed what, whatever the order in which topics were read.
fn expected(stories: &[Told]) -> anyhow::Result<BTreeMap<Addressed, usize>> {
    let mut expected: BTreeMap<Addressed, usize> = BTreeMap::new();
    let mut add = |template: &str, to: &str| *expected.entry((template.to_owned(), to.to_owned())).or_default() += 1;
    for told in stories {
        let employees = told.ledger.employees();
        for person in employees.values() {
            add("user-welcome", &person.email);
            add("user-invitation", &person.email);
        }
        for ((_, key), events) in told.ledger.expected() {
            // Everybody logs in from one device.
            if events.contains(&"user.login") {
                let id: i64 = key.strip_prefix("user-").context("the key of an employee")?.parse()?;
                add("login-new-device", &employees[&id].email);
            }
        }
        for application in &told.applications {
            let (candidate, manager) = (&application.person.email, &employees[&application.manager_id].email);
            add("application-for-manager", manager);
            for step in wire::steps(application.end) {
                add(step, candidate);
            }
            if application.end == ApplicationStatus::Hired {
                // The interview lay ahead when the candidate was hired.
                for template in ["interview-scheduled", "interview-cancelled"] {
                    add(template, candidate);
                    add(template, manager);
                }
            }
        }
    }
    Ok(expected)
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
