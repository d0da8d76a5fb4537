//! Whether what was answered came true: on the topics, in the audit trail, in the mailbox. Knows only what can be seen
//! from outside, and leaves the verdict to eventkit's checker.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use contracts::{AUDIT_EVENTS, USER_EVENTS};
use eventkit::testing::checker::{Fact, check, once};
use eventkit::transport::kafka::{KafkaReader, Next, Start};
use serde_json::Value;

use crate::load::REQUEST_PREFIX;
use crate::mailbox;
use crate::system::System;

/// How long everything may take to arrive on a machine that is busy with other tests.
pub const ARRIVE_MAX: Duration = Duration::from_secs(90);
/// How long all the looks for one thing may take, however much is still coming.
const LOOKS_MAX: Duration = Duration::from_mins(10);
/// How long the next record of a topic may take.
const RECORD_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The parts that have projections.
const PROJECTING: [&str; 4] = ["user-service", "company-service", "recruitment-service", "container"];
/// The invitation and the welcome.
const MAILS_PER_EMPLOYEE: usize = 2;

/// Checks that everybody whose creation was answered is there, that every acknowledged request's event is on its topic,
/// in order per key, and that each effect was had once.
///
/// # Errors
/// A promise was broken; the error tells which, and of which request.
pub async fn check_all(system: &System, acknowledged: &[Fact]) -> anyhow::Result<()> {
    check_all_within(ARRIVE_MAX, system, acknowledged).await
}

/// As [`check_all`]; what is not there when nothing more has come for `arrive_max` is lost.
///
/// # Errors
/// As [`check_all`].
pub async fn check_all_within(arrive_max: Duration, system: &System, acknowledged: &[Fact]) -> anyhow::Result<()> {
    check_state(system, acknowledged).await?;
    let told = last_look(arrive_max, async || {
        let told = facts_on(system, USER_EVENTS).await?;
        let left = missing(acknowledged, &told).count();
        Ok((told, left))
    })
    .await?;
    no_verdicts(USER_EVENTS, &check(acknowledged, &told, &once(&told)))?;
    let answered: HashSet<&str> = acknowledged.iter().map(|fact| &*fact.event_id).collect();
    let (audited, trail) = last_look(arrive_max, async || {
        let (audited, trail) = (facts_on(system, AUDIT_EVENTS).await?, trail(system).await?);
        let unanswered = missing(&audited, &trail).filter(|fact| !answered.contains(&*fact.event_id));
        let left = missing(acknowledged, &audited).chain(missing(acknowledged, &trail)).chain(unanswered).count();
        Ok(((audited, trail), left))
    })
    .await?;
    no_verdicts(AUDIT_EVENTS, &check(acknowledged, &audited, &trail))?;
    let verified = system.run("container", &["audit", "verify"]).await?;
    ensure!(verified.status.success(), "the audit trail: {}{}", verified.stdout, verified.stderr);
    check_mails(arrive_max, system, &told).await
}

/// Checks that every projection of every part is as the event stores tell, by a rebuild of each that changes nothing: an
/// effect that was lost, or had for what was never told, shows as a row that differs.
///
/// # Errors
/// One of them stays different, or cannot be compared.
pub async fn check_projections(system: &System) -> anyhow::Result<()> {
    check_projections_within(ARRIVE_MAX, system, 0).await
}

/// As [`check_projections`]; what is different after `arrive_max` stays so. In each table `foreign_max` rows may follow from
/// events of services that are not ours: those are on topics and in no store.
///
/// # Errors
/// As [`check_projections`].
pub async fn check_projections_within(arrive_max: Duration, system: &System, foreign_max: i64) -> anyhow::Result<()> {
    for part in PROJECTING {
        let wrong = last_look(arrive_max, async || wrong_tables(system, part, foreign_max).await).await?;
        ensure!(wrong.is_empty(), "projections of the {part} are not as the stores tell: {wrong:?}");
    }
    Ok(())
}

/// The tables of projections that are not as the stores tell, with what is wrong in them, and how many rows are.
async fn wrong_tables(system: &System, part: &str, foreign_max: i64) -> anyhow::Result<(Vec<String>, usize)> {
    let args = ["events", "rebuild", "--service", part, "--format", "json"];
    let ran = system.run("user-service", &args).await?;
    ensure!(ran.status.success(), "{args:?}: {}{}", ran.stdout, ran.stderr);
    let (mut wrong, mut rows) = (Vec::new(), 0);
    for line in ran.stdout.lines() {
        let compared: Value = serde_json::from_str(line)?;
        for table in compared["tables"].as_array().context("tables")? {
            let count = |of: &str| table[of].as_i64().unwrap_or_default();
            let wrong_rows = count("missing") + count("different") + (count("surplus") - foreign_max).max(0);
            if wrong_rows > 0 {
                wrong.push(table.to_string());
                rows += usize::try_from(wrong_rows)?;
            }
        }
    }
    Ok((wrong, rows))
}

/// As [`check_all`], where a topic has lost records: what was answered has had its effects, each once.
///
/// # Errors
/// A promise was broken; the error tells which.
pub async fn check_effects(system: &System, acknowledged: &[Fact]) -> anyhow::Result<()> {
    check_state(system, acknowledged).await?;
    let trail = last_look(ARRIVE_MAX, async || {
        let trail = trail(system).await?;
        let left = missing(acknowledged, &trail).count();
        Ok((trail, left))
    })
    .await?;
    let lost = missing(acknowledged, &trail).next();
    ensure!(lost.is_none(), "{lost:?} was answered and is not in the audit trail");
    ensure!(once(&trail).len() == trail.len(), "the audit trail tells something twice");
    check_mails(ARRIVE_MAX, system, acknowledged).await
}

/// Everybody whose creation was answered is listed.
async fn check_state(system: &System, acknowledged: &[Fact]) -> anyhow::Result<()> {
    let (http, token) = (chassis::net::client(), system.operator_token("user-service")?);
    let first = format!("{}/api/v1/users?limit=200", system.url("user-service"));
    let (mut listed, mut next) = (HashSet::new(), Some(first.clone()));
    while let Some(url) = next {
        let page: Value = http.get(url).bearer_auth(&token).send().await?.error_for_status()?.json().await?;
        for user in page["items"].as_array().context("items")? {
            listed.insert(format!("user-{}", user["employeeId"]));
        }
        next = page["nextCursor"].as_str().map(|cursor| format!("{first}&cursor={cursor}"));
    }
    let gone = acknowledged.iter().find(|fact| !listed.contains(&fact.key));
    ensure!(gone.is_none(), "{gone:?} was answered, and nobody is listed under this key");
    Ok(())
}

/// Reads a topic to its end: every event that follows from a request of the load, with the request as its identity.
///
/// # Errors
/// Two events follow from one request, or the topic cannot be read.
async fn facts_on(system: &System, topic: &'static str) -> anyhow::Result<Vec<Fact>> {
    let kafka = system.kafka();
    let read = move || {
        let reader = KafkaReader::open(&kafka, topic, None, Start::Beginning)?;
        let (mut facts, mut ids) = (Vec::new(), HashMap::new());
        let mut since = Instant::now();
        loop {
            let record = match reader.next_or_end(RECORD_MAX)? {
                Next::Record(record) => record,
                Next::End => return Ok(facts),
                // Also where one of several partitions is at its end.
                Next::Nothing if since.elapsed() < RECORD_MAX => continue,
                Next::Nothing => bail!("{topic}: nothing comes, and its end is not reached"),
            };
            since = Instant::now();
            let Ok(event) = serde_json::from_slice::<Value>(record.record.value.as_deref().unwrap_or_default()) else {
                continue;
            };
            let key = String::from_utf8_lossy(record.record.key.as_deref().unwrap_or_default()).into_owned();
            let Some(request) = request_of(&event, &key) else { continue };
            let id = event["eventId"].as_str().context("an eventId")?.to_owned();
            let before = ids.insert(request.clone(), id.clone());
            ensure!(before.is_none_or(|before| before == id), "{topic}: {request} is told of by two events");
            facts.push(Fact::new(&key, &request));
        }
    };
    tokio::task::spawn_blocking(read).await?
}

/// The request that an event about an employee goes back to, if it was one of the load.
fn request_of(event: &Value, entity: &str) -> Option<String> {
    let request = event["correlationId"].as_str().filter(|id| id.starts_with(REQUEST_PREFIX))?;
    let is_told = entity.starts_with("user-") && event["eventType"] != "audit.security";
    is_told.then(|| request.to_owned())
}

/// The audit trail in the order of its chain, as effects of requests of the load.
///
/// # Errors
/// It cannot be listed.
pub async fn trail(system: &System) -> anyhow::Result<Vec<Fact>> {
    let listed = system.run("container", &["audit", "list", "--limit", "1000000", "--format", "json"]).await?;
    ensure!(listed.status.success(), "the audit trail: {}", listed.stderr);
    let mut facts = Vec::new();
    for line in listed.stdout.lines() {
        let record: Value = serde_json::from_str(line)?;
        let entity = record["entity"].as_str().context("an entity")?;
        if let Some(request) = request_of(&record["envelope"], entity) {
            facts.push(Fact::new(entity, &request));
        }
    }
    Ok(facts)
}

/// Everybody of the load whose creation is on the topic got each mail once.
async fn check_mails(arrive_max: Duration, system: &System, told: &[Fact]) -> anyhow::Result<()> {
    let created: BTreeSet<String> = told
        .iter()
        .filter_map(|fact| fact.event_id.strip_suffix("-create").map(|name| format!("{name}@example.com")))
        .collect();
    let folder = system.data_dir("container").join("mailbox");
    let of = |counts: &HashMap<String, usize>, address: &String| counts.get(address).copied().unwrap_or(0);
    let counts = last_look(arrive_max, async || {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for mail in mailbox::read(&folder)? {
            *counts.entry(mail.to).or_default() += 1;
        }
        let left = created.iter().map(|address| MAILS_PER_EMPLOYEE.saturating_sub(of(&counts, address))).sum();
        Ok((counts, left))
    })
    .await?;
    for address in &created {
        let mails = of(&counts, address);
        ensure!(mails == MAILS_PER_EMPLOYEE, "{address} got {mails} mails, and not {MAILS_PER_EMPLOYEE}");
    }
    Ok(())
}

/// Those of these that are not there.
fn missing<'a>(wanted: &'a [Fact], found: &'a [Fact]) -> impl Iterator<Item = &'a Fact> {
    let found: HashSet<&str> = found.iter().map(|fact| &*fact.event_id).collect();
    wanted.iter().filter(move |fact| !found.contains(&*fact.event_id))
}

fn no_verdicts(topic: &str, verdicts: &[eventkit::testing::checker::Verdict]) -> anyhow::Result<()> {
    ensure!(verdicts.is_empty(), "{topic}: {verdicts:?}");
    Ok(())
}

/// Asks `state` until it answers `Some`.
///
/// # Errors
/// It does not in time, or fails.
pub async fn arrived<T, F>(what: &str, mut state: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let asking = async {
        loop {
            looks.tick().await;
            if let Some(state) = state().await? {
                return Ok(state);
            }
        }
    };
    tokio::time::timeout(ARRIVE_MAX, asking).await.with_context(|| format!("not in time: {what}"))?
}

/// Looks until nothing is left to come, or nothing more has come for `arrive_max`; `look` answers what it saw, and how much
/// is left. Answers what was seen last, whole or not: what is missing then is for the verdict to name.
async fn last_look<T, F>(arrive_max: Duration, mut look: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<(T, usize)>>,
{
    let looking = async {
        let (mut least, mut since) = (usize::MAX, Instant::now());
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            looks.tick().await;
            let began = Instant::now();
            let (seen, left) = look().await?;
            if left < least {
                (least, since) = (left, Instant::now());
            }
            if left == 0 || since.elapsed() >= arrive_max {
                return Ok(seen);
            }
            // Who looks leaves the machine at least as long to those that are looked at.
            looks.reset_after(began.elapsed().max(LOOK_EVERY));
        }
    };
    tokio::time::timeout(LOOKS_MAX, looking).await.context("looking for what was promised does not end")?
}
