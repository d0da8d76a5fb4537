//! The events of the job and what has to come of them, which no router is asked for.

use std::hash::{DefaultHasher, Hash, Hasher};

use anyhow::ensure;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use serde::Serialize;
use serde_json::{Value as Json, json};
use std::time::Duration;

use crate::answers::Answers;

pub(super) const PARTITIONS: i32 = 3;
pub(super) const EVENTS: &str = "routed-events";
pub(super) const NOTIFICATIONS: &str = "routed-notifications";
pub(super) const AUDITS: &str = "routed-audits";
pub(super) const DEAD: &str = "routed-events.dlq";
pub(super) const TOPICS: [&str; 4] = [EVENTS, NOTIFICATIONS, AUDITS, DEAD];

/// How large the value of an event is, in bytes.
const EVENT_BYTES: usize = 300;
/// So many employees have events.
const KEYS: u32 = 10_000;
/// One in so many events is cut off in the middle.
const BROKEN_EVERY: u32 = 200;
const TYPES: [&str; 4] = ["user.created", "user.login", "user.updated", "user.deleted"];

const FULL_PAUSE: Duration = Duration::from_millis(1);
const FLUSH_MAX: Duration = Duration::from_secs(300);

/// What is on the topics behind a router: how many records, and the sum of what they hash to, whatever their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Outputs {
    pub(super) count: u32,
    pub(super) hash: u64,
}

impl Outputs {
    /// Adds a record: JSON counts by its content, everything else by its bytes.
    pub(super) fn add(&mut self, topic: &str, key: &[u8], value: &[u8]) {
        let mut hasher = DefaultHasher::new();
        (topic, key).hash(&mut hasher);
        match serde_json::from_slice::<Json>(value) {
            Ok(json) => hash_json(&json, &mut hasher),
            Err(_) => value.hash(&mut hasher),
        }
        self.count += 1;
        self.hash = self.hash.wrapping_add(hasher.finish());
    }
}

fn hash_json(json: &Json, hasher: &mut DefaultHasher) {
    match json {
        Json::Object(fields) => {
            let mut names: Vec<_> = fields.keys().collect();
            names.sort();
            for name in names {
                name.hash(hasher);
                hash_json(&fields[name], hasher);
            }
        }
        Json::Array(values) => values.iter().for_each(|value| hash_json(value, hasher)),
        scalar => scalar.to_string().hash(hasher),
    }
}

/// An event of the job.
struct Event {
    key: String,
    kind: &'static str,
    employee_id: u32,
    id: String,
    value: Vec<u8>,
    is_broken: bool,
}

const TIMESTAMP: &str = "2026-11-24T02:05:27.123Z";

impl Event {
    fn new(number: u32) -> Self {
        let employee_id = number % KEYS;
        let kind = TYPES[usize::try_from(number / KEYS + number).unwrap_or_default() % TYPES.len()];
        let id = format!("01935c6e-7b1a-7c7e-9c1d-{number:012x}");
        let write = |note: &str| {
            format!(
                r#"{{"eventId":"{id}","eventType":"{kind}","schemaVersion":1,"data":{{"employeeId":{employee_id},"email":"an{employee_id}@example.com","firstName":"An","lastName":"Tran","note":"{note}"}},"timestamp":"{TIMESTAMP}","service":"user-service"}}"#
            )
        };
        let missing = EVENT_BYTES.saturating_sub(write("").len());
        let mut value = write(&"x".repeat(missing)).into_bytes();
        let is_broken = number % BROKEN_EVERY == BROKEN_EVERY / 2;
        if is_broken {
            value.truncate(EVENT_BYTES / 2);
        }
        Self { key: format!("user-{employee_id}"), kind, employee_id, id, value, is_broken }
    }

    /// Adds what a router has to make of it.
    fn expect(&self, outputs: &mut Outputs) {
        let key = self.key.as_bytes();
        if self.is_broken {
            return outputs.add(DEAD, key, &self.value);
        }
        let (told, template) = match self.kind {
            "user.created" => ("notification.email", "user-welcome"),
            "user.login" => ("notification.push", "login-new-device"),
            _ => ("notification.email", "user-notification"),
        };
        let notification = json!({
            "eventType": told, "schemaVersion": 1, "recipientId": self.employee_id,
            "data": {"template": template, "name": "An"},
            "timestamp": TIMESTAMP, "service": "router", "causationId": self.id,
        });
        let email = format!("an{}@example.com", self.employee_id);
        let audit = json!({
            "eventType": "audit.data", "schemaVersion": 1,
            "data": {"action": self.kind, "employeeId": self.employee_id, "email": email},
            "timestamp": TIMESTAMP, "service": "router", "causationId": self.id,
        });
        outputs.add(NOTIFICATIONS, key, notification.to_string().as_bytes());
        outputs.add(AUDITS, key, audit.to_string().as_bytes());
    }
}

/// Puts the events on their topic; what has to come of them.
pub(super) fn fill(brokers: &str, events: u32) -> anyhow::Result<Outputs> {
    let producer: BaseProducer<Answers> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("acks", "all")
        .set("linger.ms", "20")
        .create_with_context(Answers::default())?;
    let mut outputs = Outputs::default();
    for number in 0..events {
        let event = Event::new(number);
        event.expect(&mut outputs);
        let mut record = BaseRecord::to(EVENTS).key(&event.key).payload(&event.value);
        while let Err((error, refused)) = producer.send(record) {
            ensure!(error == KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), "{error}");
            record = refused;
            producer.poll(FULL_PAUSE);
        }
        producer.poll(Duration::ZERO);
    }
    producer.flush(FLUSH_MAX)?;
    let (acknowledged, refused) = producer.context().counted();
    ensure!(acknowledged == events, "{acknowledged} of {events} events were acknowledged, {refused} refused");
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_of_one_size_and_some_are_broken() {
        let events: Vec<_> = (0..1_000).map(Event::new).collect();
        assert!(events.iter().all(|event| event.value.len() == if event.is_broken { 150 } else { 300 }));
        let broken = |event: &&Event| serde_json::from_slice::<Json>(&event.value).is_err();
        assert_eq!(events.iter().filter(broken).count(), 5);
        assert!(events.iter().all(|event| event.is_broken == broken(&event)));
        assert!(TYPES.iter().all(|kind| events.iter().any(|event| event.kind == *kind)));
    }

    #[test]
    fn outputs_are_equal_by_content_whatever_their_order() {
        let (mut one, mut other) = (Outputs::default(), Outputs::default());
        one.add("t", b"k", br#"{"a":1,"b":{"c":2}}"#);
        one.add("t", b"k", b"no json");
        other.add("t", b"k", b"no json");
        other.add("t", b"k", br#"{ "b": {"c": 2}, "a": 1 }"#);
        assert_eq!(one, other);
        other.add("t", b"k", b"no json");
        assert_ne!(one, other);
        let mut another = Outputs::default();
        another.add("t", b"k", br#"{"a":2,"b":{"c":1}}"#);
        another.add("t", b"k", b"no json");
        assert_ne!(one, another);
    }
}
