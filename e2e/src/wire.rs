//! Whether every record on the five topics is an event as the contracts promise it, whether every type of event has
//! come, and whether each key's events are in their order.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use contracts::catalogue::CATALOGUE;
use contracts::recruitment::ApplicationStatus;
use contracts::topics::TOPICS;
use contracts::{AUDIT_EVENTS, COMPANY_EVENTS, NOTIFICATION_EVENTS, RECRUITMENT_EVENTS, USER_EVENTS};
use demo::ledger::is_as_expected;
use demo::story::Told;
use eventkit::Envelope;
use eventkit::trace_context::{self, TRACEPARENT};
use eventkit::transport::ConsumedRecord;
use eventkit::transport::kafka::{KafkaConfig, KafkaReader, Next, Start};
use serde_json::Value;
use uuid::Uuid;

use crate::stage::eventually;

/// How long the broker may take to give the next record or say that there is none.
const RECORD_MAX: Duration = Duration::from_secs(30);
/// Who writes the router's notifications.
const ROUTER: &str = "container";

/// A key on a topic.
type Place = (&'static str, String);

/// An event's first occurrence.
#[derive(Debug)]
struct Event {
    id: String,
    event_type: &'static str,
    service: String,
    causation: Option<String>,
    trace: String,
    data: Value,
}

/// The events of each key, in the order of their first occurrences.
type Events = BTreeMap<Place, Vec<Event>>;

/// Waits until everything that follows from the stories is on the topics, and checks each record and each order.
///
/// # Errors
/// Something is not as it should be; the error tells the first thing.
pub async fn check(kafka: &KafkaConfig, stories: &[Told]) -> anyhow::Result<()> {
    let events = eventually("every event of the stories is on its topic", async || match read(kafka).await {
        // What is wrong on a topic stays wrong.
        Err(error) => Some(Err(error)),
        Ok(events) => lacking(&events, stories).is_none().then_some(Ok(events)),
    })
    .await?;
    check_told(&events, stories)?;
    check_traces(&events)?;
    check_notifications(&events, stories)?;
    check_audit(&events, stories)
}

/// What the services told is what the stories made happen, each once, and nothing else.
fn check_told(events: &Events, stories: &[Told]) -> anyhow::Result<()> {
    let expected: BTreeMap<Place, Vec<&str>> = stories.iter().flat_map(|told| told.ledger.expected()).collect();
    let repeats: BTreeMap<Place, usize> = stories.iter().flat_map(|told| told.ledger.repeats()).collect();
    let of_services = [USER_EVENTS, COMPANY_EVENTS, RECRUITMENT_EVENTS];
    for ((topic, key), told) in events.iter().filter(|((topic, _), _)| of_services.contains(topic)) {
        let told: Vec<&str> = told.iter().map(|event| event.event_type).collect();
        let place = (*topic, key.clone());
        let repeats = repeats.get(&place).copied().unwrap_or(0);
        ensure!(
            expected.get(&place).is_some_and(|expected| is_as_expected(expected, repeats, &told)),
            "{topic} {key}: expected {:?}, found {told:?}",
            expected.get(&place)
        );
    }
    let untold = expected.keys().find(|place| !events.contains_key(*place));
    ensure!(untold.is_none(), "nothing is told of {untold:?}");
    Ok(())
}

/// An event that follows from another is of the same trace; not all are of one.
fn check_traces(events: &Events) -> anyhow::Result<()> {
    let traces: HashMap<&str, &str> =
        events.values().flatten().map(|event| (event.id.as_str(), event.trace.as_str())).collect();
    for event in events.values().flatten() {
        let of_cause = event.causation.as_deref().and_then(|cause| traces.get(cause));
        let is_same = of_cause.is_none_or(|trace| *trace == event.trace);
        ensure!(is_same, "{} {}: {} instead of {of_cause:?} of its cause", event.event_type, event.id, event.trace);
    }
    let different: HashSet<&str> = traces.into_values().collect();
    ensure!(different.len() > 1, "everything is of one trace: {different:?}");
    Ok(())
}

/// Everything on the five topics; each record is checked against the contracts.
async fn read(kafka: &KafkaConfig) -> anyhow::Result<Events> {
    let kafka = kafka.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let mut events = Events::new();
        let mut seen = HashSet::new();
        for topic in TOPICS {
            let reader = KafkaReader::open(&kafka, topic.name, None, Start::Beginning)?;
            loop {
                match reader.next_or_end(RECORD_MAX)? {
                    Next::End => break,
                    Next::Nothing => {}
                    Next::Record(record) => {
                        let place = format!("{}/{}/{}", topic.name, record.partition, record.offset);
                        let (key, event) = event(topic.name, &record).context(place)?;
                        if seen.insert(event.id.clone()) {
                            events.entry((topic.name, key)).or_default().push(event);
                        }
                    }
                }
            }
        }
        Ok(events)
    });
    reading.await?
}

/// The event in a record, and its key.
fn event(topic: &'static str, consumed: &ConsumedRecord) -> anyhow::Result<(String, Event)> {
    let record = &consumed.record;
    let key = String::from_utf8(record.key.as_deref().context("no key")?.to_vec())?;
    let envelope = Envelope::read(record.value.as_deref().context("no value")?)?;
    let entry = CATALOGUE.iter().find(|entry| entry.event_type == envelope.event_type);
    let entry = entry.with_context(|| format!("an unknown type: {}", envelope.event_type))?;
    ensure!(entry.topic == topic, "{} does not belong here", entry.event_type);
    ensure!(envelope.schema_version == entry.version, "{}: version {}", entry.event_type, envelope.schema_version);
    let promised = entry.read(&envelope)?;
    ensure!(promised.is_none_or(|promised| promised == key), "{}: the key is {key}", entry.event_type);
    let id = envelope.event_id.clone().context("no eventId")?;
    let version = Uuid::parse_str(&id)?.get_version_num();
    ensure!(version == 7 || version == 5, "{id} is neither a new event's id nor a derived one");
    ensure!(envelope.correlation_id.as_deref().is_some_and(|id| !id.is_empty()), "no correlationId");
    let time = eventkit::envelope::format_millis(envelope.timestamp.context("no timestamp")?);
    let source = format!("/{}", envelope.service);
    let headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", &id),
        ("ce_source", &source),
        ("ce_type", entry.event_type),
        ("ce_time", &time),
        ("ce_subject", &key),
        ("content-type", "application/json"),
    ];
    for (name, expected) in headers {
        ensure!(record.header(name) == Some(expected), "{name} is {:?}, not {expected}", record.header(name));
    }
    let trace = record.header(TRACEPARENT).context("no traceparent")?;
    ensure!(trace_context::read(trace).as_deref() == Some(trace), "a traceparent of {trace:?}");
    let trace = trace.to_owned();
    let data = serde_json::from_str(envelope.data.get())?;
    let (service, causation) = (envelope.service, envelope.causation_id);
    Ok((key, Event { id, event_type: entry.event_type, service, causation, trace, data }))
}

/// What has not come yet: a type of event, or a change of the story without its audit record.
fn lacking(events: &Events, stories: &[Told]) -> Option<String> {
    let come: BTreeSet<&str> = events.values().flatten().map(|event| event.event_type).collect();
    if let Some(entry) = CATALOGUE.iter().find(|entry| !come.contains(entry.event_type)) {
        return Some(entry.event_type.to_owned());
    }
    let changes = stories.iter().flat_map(|told| told.ledger.expected());
    let mut changes = changes.map(|((_, key), told)| (key, told.iter().filter_map(|told| action(told)).count()));
    let short = changes.find(|(key, count)| actions(events, key).len() < *count);
    short.map(|(key, count)| format!("{count} audit records of {key}"))
}

/// What a change is called in the audit trail; sessions have records of their own.
fn action(event_type: &str) -> Option<&'static str> {
    match event_type {
        "user.login" | "user.logout" => None,
        // It was created as a draft.
        "job.posted" => Some("update"),
        "user.deleted" => Some("delete"),
        created if created.ends_with(".created") || created.ends_with(".submitted") => Some("create"),
        _ => Some("update"),
    }
}

/// The changes of an entity in the order of its audit records.
fn actions<'a>(events: &'a Events, key: &str) -> Vec<&'a str> {
    let records = events.get(&(AUDIT_EVENTS, key.to_owned())).map(Vec::as_slice).unwrap_or_default();
    records
        .iter()
        .filter(|record| record.event_type == "audit.data")
        .filter_map(|record| record.data["action"].as_str())
        .collect()
}

/// Every change of the stories is recorded with who did it, in the order in which they were made.
fn check_audit(events: &Events, stories: &[Told]) -> anyhow::Result<()> {
    for ((topic, key), records) in events.iter().filter(|((topic, _), _)| *topic == AUDIT_EVENTS) {
        for record in records.iter().filter(|record| record.event_type == "audit.data") {
            let (action, data) = (record.data["action"].as_str(), &record.data);
            ensure!(data["actor"]["type"].is_string(), "{topic} {key}: nobody did {}", record.id);
            let is_whole = data["before"].is_string() == (action != Some("create"))
                && data["after"].is_string() == (action != Some("delete"));
            ensure!(is_whole, "{topic} {key}: digests of {action:?}: {data}");
        }
    }
    for ((_, key), told) in stories.iter().flat_map(|told| told.ledger.expected()) {
        let found = actions(events, &key);
        let mut rest = found.iter();
        let wanted: Vec<&str> = told.iter().filter_map(|told| action(told)).collect();
        let is_in_order = wanted.iter().all(|wanted| rest.any(|found| found == wanted));
        ensure!(is_in_order, "the audit of {key}: expected {wanted:?} within {found:?}");
        let is_lifelong = found.first() == Some(&"create")
            && found.iter().skip(1).all(|action| *action != "create")
            && found.iter().rev().skip(1).all(|action| *action != "delete");
        ensure!(is_lifelong, "the audit of {key}: {found:?}");
    }
    for part in ["user-service", "company-service", "recruitment-service", "container"] {
        let key = format!("part-{part}");
        let records = events.get(&(AUDIT_EVENTS, key.clone())).map(Vec::as_slice).unwrap_or_default();
        let first = records.iter().find(|record| record.event_type == "audit.system");
        let first = first.with_context(|| format!("no start of {key}"))?;
        ensure!(first.data["occurrence"] == "started", "{key} began with {}", first.data);
    }
    Ok(())
}

/// Every notification of the router has its cause on a topic, and follows the order of its causes; a candidate is told
/// each step of the application, in order.
fn check_notifications(events: &Events, stories: &[Told]) -> anyhow::Result<()> {
    let mut causes: HashMap<&str, (&Place, usize)> = HashMap::new();
    for (place, events) in events {
        causes.extend(events.iter().enumerate().map(|(index, event)| (event.id.as_str(), (place, index))));
    }
    for ((_, key), notifications) in events.iter().filter(|((topic, _), _)| *topic == NOTIFICATION_EVENTS) {
        let mut last: HashMap<(&str, &Place), usize> = HashMap::new();
        for notification in notifications.iter().filter(|event| event.service == ROUTER) {
            let template = notification.data["template"].as_str().context("no template")?;
            let cause = notification.causation.as_deref().and_then(|cause| causes.get(cause));
            let Some((place, index)) = cause else { bail!("{key}: {template} {} has no cause", notification.id) };
            let before = last.insert((template, place), *index);
            ensure!(before.is_none_or(|before| before < *index), "{key}: {template} is out of the order of {place:?}");
        }
    }
    for application in stories.iter().flat_map(|told| &told.applications) {
        let key = format!("notification-candidate-{}", application.candidate_id);
        let notifications = events.get(&(NOTIFICATION_EVENTS, key.clone())).map(Vec::as_slice).unwrap_or_default();
        let routed = notifications.iter().filter(|event| event.service == ROUTER);
        let told: Vec<&str> = routed.filter_map(|event| event.data["template"].as_str()).collect();
        let expected = steps(application.end);
        ensure!(told == expected, "{key}: expected {expected:?}, found {told:?}");
    }
    Ok(())
}

/// What a candidate is told on the way to an end.
pub(crate) fn steps(end: ApplicationStatus) -> &'static [&'static str] {
    match end {
        ApplicationStatus::Hired => &[
            "application-received",
            "application-screening",
            "application-interviewing",
            "application-offer",
            "application-hired",
        ],
        ApplicationStatus::Rejected => &["application-received", "application-screening", "application-rejected"],
        _ => &["application-received", "application-withdrawn"],
    }
}
