//! Whether the chained audit trail has every change of the hiring story, by whoever made it, in order, and no other.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use contracts::services::USER_SERVICE;
use demo::story::Told;
use serde_json::{Value, json};

use crate::stage::eventually;
use crate::system::System;

/// What was done, and by whom, as the trail writes it.
type Change = (Value, Value);
/// What was done to each entity, in the order of the chain.
type Changes = BTreeMap<String, Vec<Change>>;

/// Checks the trail against everything that the stories changed.
///
/// # Errors
/// Something is missing, too much, or somebody else's; or the chain is broken.
pub async fn check(system: &System, stories: &[Told]) -> anyhow::Result<()> {
    let expected = expected(stories)?;
    let (logins, logouts) = (sessions(stories, "user.login"), sessions(stories, "user.logout"));
    let found = eventually("every change of the stories is in the audit trail", async || {
        let found = recorded(system).await.ok()?;
        let is_long =
            |entity: &String, changes: &Vec<Change>| found.get(entity).is_some_and(|all| all.len() >= changes.len());
        let is_enough = |action, events: &BTreeMap<String, usize>| {
            let by = changes_by_user(&found, action);
            events.iter().all(|(user, count)| by.get(user).is_some_and(|found| found >= count))
        };
        let is_there = expected.iter().all(|(entity, changes)| is_long(entity, changes));
        (is_there && is_enough("create", &logins) && is_enough("delete", &logouts)).then_some(found)
    })
    .await;
    for (entity, changes) in &found {
        match entity.split_once('-') {
            Some(("session", _)) => check_session(entity, changes)?,
            // Those that are there from the start.
            Some(("role", _)) => {
                let service = json!({"type": "service", "name": USER_SERVICE});
                ensure!(changes.iter().all(|(_, actor)| *actor == service), "the trail of {entity}: {changes:?}");
            }
            // The container deploys what it brings.
            Some(("route", _)) => {
                let service = json!({"type": "service", "name": "container"});
                ensure!(changes.iter().all(|(_, actor)| *actor == service), "the trail of {entity}: {changes:?}");
            }
            _ => {
                let expected = expected.get(entity);
                ensure!(expected == Some(changes), "the trail of {entity}: expected {expected:?}, found {changes:?}");
            }
        }
    }
    // A login whose answer was lost is there, and its session is ended by nobody.
    let more: BTreeMap<String, usize> =
        stories.iter().flat_map(|told| told.ledger.repeats()).map(|((_, user), logins)| (user, logins)).collect();
    for (action, events, more) in [("create", logins, more), ("delete", logouts, BTreeMap::new())] {
        let by = changes_by_user(&found, action);
        let is_right = |(user, found): (&String, &usize)| {
            let (expected, more) = (events.get(user).copied().unwrap_or(0), more.get(user).copied().unwrap_or(0));
            (expected..=expected + more).contains(found)
        };
        let is_whole = events.keys().all(|user| by.contains_key(user)) && by.iter().all(is_right);
        ensure!(is_whole, "sessions in the trail, {action}: expected {events:?} and up to {more:?} more, found {by:?}");
    }
    let verified = system.run("container", &["audit", "verify"]).await?;
    ensure!(verified.status.success(), "the audit trail: {}{}", verified.stdout, verified.stderr);
    Ok(())
}

/// Whoever began a session ends it, if anybody does.
fn check_session(entity: &str, changes: &[Change]) -> anyhow::Result<()> {
    let actions: Vec<&Value> = changes.iter().map(|(action, _)| action).collect();
    let is_whole = actions == ["create"] || actions == ["create", "delete"];
    let is_own = changes.iter().all(|(_, actor)| *actor == changes[0].1 && actor["type"] == "employee");
    ensure!(is_whole && is_own, "the trail of {entity}: {changes:?}");
    Ok(())
}

/// How often each employee has done this to a session.
fn changes_by_user(found: &Changes, action: &str) -> BTreeMap<String, usize> {
    let mut by = BTreeMap::new();
    let of_sessions = found.iter().filter(|(entity, _)| entity.starts_with("session-"));
    for (_, actor) in of_sessions.flat_map(|(_, changes)| changes).filter(|(done, _)| *done == action) {
        *by.entry(format!("user-{}", actor["employeeId"])).or_default() += 1;
    }
    by
}

/// How many events of a type each employee has.
fn sessions(stories: &[Told], event_type: &str) -> BTreeMap<String, usize> {
    let events = stories.iter().flat_map(|told| told.ledger.expected());
    let counted = events.map(|((_, key), events)| (key, events.iter().filter(|event| **event == event_type).count()));
    counted.filter(|(_, count)| *count > 0).collect()
}

fn expected(stories: &[Told]) -> anyhow::Result<Changes> {
    let mut expected = Changes::new();
    for (entity, changes) in stories.iter().flat_map(|told| told.ledger.changes()) {
        let written = changes.iter().map(|(action, actor)| Ok((json!(action), serde_json::to_value(actor)?)));
        expected.insert(entity, written.collect::<anyhow::Result<_>>()?);
    }
    Ok(expected)
}

/// Every change in the chain.
async fn recorded(system: &System) -> anyhow::Result<Changes> {
    let ran = system.run("container", &["audit", "list", "--limit", "1000000", "--format", "json"]).await?;
    ensure!(ran.status.success(), "{}", ran.stderr);
    let mut changes = Changes::new();
    for line in ran.stdout.lines() {
        let record: Value = serde_json::from_str(line)?;
        if record["eventType"] == "audit.data" {
            let entity = record["entity"].as_str().context("an entity")?.to_owned();
            let data = &record["envelope"]["data"];
            changes.entry(entity).or_default().push((data["action"].clone(), data["actor"].clone()));
        }
    }
    Ok(changes)
}
