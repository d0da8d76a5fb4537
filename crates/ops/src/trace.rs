//! One event's whole path: the request that caused it, its place in the store and on its topic, who had its effect, its
//! dead letters, the mails and audit records, and the same of every event that has the same first cause.

mod gather;

use std::collections::{BTreeMap, BTreeSet};

use contracts::topics::TOPICS;
use eventkit::trace::{Asked, EVENTS_MAX, Known, Stored};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::dead_letters::Letter;
use crate::error::{Error, Result};
use crate::kafka::Kafka;
use crate::parts::Part;
use gather::{Gathered, Sought};

/// Events of one trace.
pub const TRACED_MAX: usize = 500;
/// How many causes are gone back.
const CAUSES_MAX: usize = 32;
/// The part that knows mails and the audit trail.
const CONTAINER: &str = "container";

/// An event's path.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// The event that was asked for.
    pub event_id: String,
    /// The id of the first cause: a request's, or an event's.
    pub correlation_id: Option<String>,
    /// The trace context that the first cause brought, if any.
    pub traceparent: Option<String>,
    /// The events without a cause among these, each with what followed from it.
    pub events: Vec<Node>,
    /// What could not be found out.
    pub notes: Vec<String>,
}

/// An event with what is known of it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Its id.
    pub event_id: String,
    /// Its type.
    pub event_type: String,
    /// The entity that it is about.
    pub key: Option<String>,
    /// The service that told it.
    pub service: String,
    /// When it happened.
    pub occurred_at: Option<Timestamp>,
    /// The id of the direct cause.
    pub causation_id: Option<String>,
    /// How it lies in its service's store.
    pub stored: Option<Stored>,
    /// Where it lies on topics, in the order of time; more than one after a crash, a redrive or a replay.
    pub records: Vec<Place>,
    /// Who has had its effect.
    pub handled: Vec<Effect>,
    /// The groups in which it waits behind a dead letter of its key.
    pub parked: Vec<String>,
    /// Its dead letters.
    pub dead_letters: Vec<Letter>,
    /// What became of the notification that it asks for.
    pub notification: Option<Notification>,
    /// Its place in the audit trail.
    pub audit_sequence: Option<i64>,
    /// What followed from it.
    pub caused: Vec<Node>,
}

/// A record that carries an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The only group that it is for, if it was sent back or replayed.
    pub only_for: Option<String>,
}

/// A group that has had an event's effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Effect {
    /// The part.
    pub part: &'static str,
    /// The consumer group.
    pub group: String,
    /// When.
    pub at: Option<Timestamp>,
}

/// What became of a notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// `email`, `sms` or `push`.
    pub channel: String,
    /// The template's name.
    pub template: String,
    /// `sent`, `skipped`, `failed` or `delayed`.
    pub outcome: String,
    /// Why it was not sent.
    pub reason: Option<String>,
    /// How often it was tried.
    pub attempts: i64,
    /// When it was tried last.
    pub tried_at: Timestamp,
}

#[derive(Debug, Deserialize)]
struct NotificationPage {
    items: Vec<Notification>,
}

#[derive(Debug, Deserialize)]
struct AuditRecord {
    sequence: i64,
}

/// Traces an event through `parts` and the topics; a part that does not answer is noted, not fatal.
///
/// # Errors
/// Nobody knows the event, or the cluster does not answer.
pub async fn trace(kafka: &Kafka, parts: &[Part], event_id: &str) -> Result<Trace> {
    let mut tracer = Tracer { parts, away: BTreeSet::new(), notes: Vec::new() };
    let sought = tracer.sought(kafka, event_id).await?;
    let mut gathered = kafka.gather(sought.clone()).await?;
    if gathered.is_cut {
        tracer.notes.push(format!("more than {TRACED_MAX} events have this first cause; the rest is left out"));
    }
    let mut traceparent = gathered.traceparent.take();
    let mut nodes = tracer.describe(gathered, &sought).await;
    for node in nodes.values() {
        traceparent = traceparent.or_else(|| node.stored.as_ref()?.traceparent.clone());
    }
    tracer.ask_container(&mut nodes).await;
    Ok(Trace {
        event_id: event_id.to_owned(),
        correlation_id: sought.correlation_id,
        traceparent,
        events: into_tree(nodes),
        notes: tracer.notes,
    })
}

struct Tracer<'a> {
    parts: &'a [Part],
    away: BTreeSet<&'static str>,
    notes: Vec<String>,
}

impl Tracer<'_> {
    /// What to look for on the topics, and from when on.
    async fn sought(&mut self, kafka: &Kafka, event_id: &str) -> Result<Sought> {
        let asked = |event_id: &str| Asked { event_id: event_id.to_owned(), event_type: None };
        let mut ids = BTreeSet::from([event_id.to_owned()]);
        let Some(stored) = self.stored(&asked(event_id)).await else {
            let found = kafka.find_event(event_id).await?;
            let event = found.ok_or_else(|| Error::NoEvent { event_id: event_id.to_owned() })?;
            // Its cause is not known to be later than anything: everything is looked through.
            return Ok(Sought { ids, correlation_id: event.correlation_id, since_ms: None, first_stored: None });
        };
        let correlation_id = stored.correlation_id.clone();
        let mut first = stored.clone();
        for _ in 0..CAUSES_MAX {
            let Some(cause) = first.causation_id.clone().filter(|cause| ids.insert(cause.clone())) else { break };
            let Some(earlier) = self.stored(&asked(&cause)).await else { break };
            first = earlier;
        }
        ids.extend(correlation_id.clone());
        Ok(Sought {
            ids,
            correlation_id,
            since_ms: Some(first.occurred_at_ms),
            first_stored: Some((event_id.to_owned(), stored)),
        })
    }

    /// How an event lies in the store of whoever told it.
    async fn stored(&mut self, asked: &Asked) -> Option<Stored> {
        for part in self.parts {
            for known in self.known(part, std::slice::from_ref(asked)).await {
                if let Some(stored) = known.stored {
                    return Some(stored);
                }
            }
        }
        None
    }

    async fn known(&mut self, part: &Part, asked: &[Asked]) -> Vec<Known> {
        if self.away.contains(part.name) {
            return Vec::new();
        }
        match part.post("/operator/v1/events/known", &json!({"events": asked})).await {
            Ok(known) => known,
            Err(error) => {
                self.note_away(part.name, &error);
                Vec::new()
            }
        }
    }

    fn note_away(&mut self, part: &'static str, error: &Error) {
        if self.away.insert(part) {
            self.notes.push(format!("{part} was not asked further: {error}"));
        }
    }

    /// What the parts know of each event.
    async fn describe(&mut self, gathered: Gathered, sought: &Sought) -> BTreeMap<String, Node> {
        let mut nodes = gathered.nodes;
        // What is stored and not on any topic (yet, or no more) belongs to it all the same.
        if let Some((event_id, stored)) = &sought.first_stored {
            nodes.entry(event_id.clone()).or_insert_with(|| Node::of_stored(event_id.clone(), stored));
        }
        let asked: Vec<Asked> = nodes
            .values()
            .map(|node| Asked { event_id: node.event_id.clone(), event_type: Some(node.event_type.clone()) })
            .collect();
        for part in self.parts {
            for chunk in asked.chunks(EVENTS_MAX) {
                for known in self.known(part, chunk).await {
                    let Some(node) = nodes.get_mut(&known.event_id) else { continue };
                    node.learn(part.name, known);
                }
            }
        }
        nodes
    }

    /// What became of notifications, and the places of audit events in the trail.
    async fn ask_container(&mut self, nodes: &mut BTreeMap<String, Node>) {
        let Some(container) = self.parts.iter().find(|part| part.name == CONTAINER) else { return };
        for node in nodes.values_mut() {
            if self.away.contains(CONTAINER) {
                return;
            }
            let query = [("eventId", node.event_id.clone())];
            let outcome = if node.event_type.starts_with("notification.") {
                let page = container.get::<NotificationPage>("/api/v1/notifications", &query).await;
                page.map(|page| node.notification = page.items.into_iter().next())
            } else if node.event_type.starts_with("audit.") {
                let records = container.get::<Vec<AuditRecord>>("/api/v1/audit", &query).await;
                records.map(|records| node.audit_sequence = records.first().map(|record| record.sequence))
            } else {
                Ok(())
            };
            if let Err(error) = outcome {
                self.note_away(CONTAINER, &error);
            }
        }
    }
}

impl Node {
    fn of_stored(event_id: String, stored: &Stored) -> Self {
        Self {
            event_id,
            event_type: stored.event_type.clone(),
            key: Some(stored.key.clone()),
            service: String::new(),
            occurred_at: Timestamp::from_millisecond(stored.occurred_at_ms).ok(),
            causation_id: stored.causation_id.clone(),
            stored: None,
            records: Vec::new(),
            handled: Vec::new(),
            parked: Vec::new(),
            dead_letters: Vec::new(),
            notification: None,
            audit_sequence: None,
            caused: Vec::new(),
        }
    }

    fn learn(&mut self, part: &'static str, known: Known) {
        if let Some(stored) = known.stored {
            part.clone_into(&mut self.service);
            self.stored = Some(stored);
        }
        let at = |ms| Timestamp::from_millisecond(ms).ok();
        let effects =
            known.handled.into_iter().map(|handled| Effect { part, group: handled.group, at: at(handled.at_ms) });
        self.handled.extend(effects);
        self.handled.sort_by(|one, other| (one.at, &one.group).cmp(&(other.at, &other.group)));
        self.parked.extend(known.parked);
    }
}

/// Puts every event under its cause; those whose cause is none of them stand at the top, by time.
fn into_tree(mut nodes: BTreeMap<String, Node>) -> Vec<Node> {
    let ids: BTreeSet<String> = nodes.keys().cloned().collect();
    let mut children: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut roots = Vec::new();
    for node in nodes.values() {
        match node.causation_id.as_ref().filter(|cause| ids.contains(*cause) && **cause != node.event_id) {
            Some(cause) => children.entry(cause.clone()).or_default().push(node.event_id.clone()),
            None => roots.push(node.event_id.clone()),
        }
    }
    let mut tops = by_time(roots.iter().filter_map(|id| take(id, &mut nodes, &children, 0)).collect());
    // A circle of causes has no top; whatever is left is shown beside the others.
    let left: Vec<String> = nodes.keys().cloned().collect();
    tops.extend(left.iter().filter_map(|id| take(id, &mut nodes, &children, CAUSES_MAX)));
    tops
}

fn take(
    id: &str,
    nodes: &mut BTreeMap<String, Node>,
    children: &BTreeMap<String, Vec<String>>,
    depth: usize,
) -> Option<Node> {
    let mut node = nodes.remove(id)?;
    if depth < CAUSES_MAX {
        let below = children.get(id).into_iter().flatten();
        node.caused = by_time(below.filter_map(|child| take(child, nodes, children, depth + 1)).collect());
    }
    Some(node)
}

fn by_time(mut nodes: Vec<Node>) -> Vec<Node> {
    nodes.sort_by(|one, other| (one.occurred_at, &one.event_id).cmp(&(other.occurred_at, &other.event_id)));
    nodes
}

/// Every topic of the backbone, and their dead-letter topics.
fn all_topics() -> impl Iterator<Item = String> {
    let topics = TOPICS.iter().map(|topic| topic.name);
    topics.flat_map(|topic| [topic.to_owned(), crate::dead_letters::dead_letter_topic(topic)])
}
