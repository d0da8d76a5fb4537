//! The description of every topic and event as an AsyncAPI 3.0 document, made from the code.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::catalogue::{CATALOGUE, Entry};
use crate::topics::{TOPICS, Topic};

/// The version of the Kafka bindings that the document uses.
const BINDING_VERSION: &str = "0.5.0";
/// Where schemas that several events share are.
const SCHEMAS: &str = "/components/schemas";
/// The name of the schema of the headers.
const HEADERS: &str = "CloudEventsHeaders";

/// The whole document; the same code makes the same text.
pub fn document() -> Value {
    let mut settings = SchemaSettings::draft07();
    settings.definitions_path = SCHEMAS.into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let messages: Map<String, Value> = CATALOGUE
        .iter()
        .map(|entry| {
            let data = (entry.schema)(&mut generator);
            (entry.event_type.to_owned(), message(entry, &data.to_value()))
        })
        .collect();
    let mut schemas = generator.take_definitions(true);
    schemas.insert(HEADERS.to_owned(), headers());
    let mut document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "TechLeet events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What TechLeet's services tell each other over Kafka.",
            "license": { "name": env!("CARGO_PKG_LICENSE") },
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "localhost:9092",
                "protocol": "kafka",
                "description": "The embedded broker, or Apache Kafka.",
            },
        },
        "channels": each_topic(channel),
        "operations": each_topic(operation),
        "components": { "messages": messages, "schemas": schemas },
    });
    // Whether maps keep the order of insertion is a feature that any crate can switch on.
    document.sort_all_objects();
    document
}

fn each_topic(describe: fn(&Topic) -> Value) -> Map<String, Value> {
    TOPICS.iter().map(|topic| (topic.name.to_owned(), describe(topic))).collect()
}

fn channel(topic: &Topic) -> Value {
    let retention_ms = u64::from(topic.retention_days) * 24 * 60 * 60 * 1_000;
    let messages: Map<String, Value> = topic
        .event_types
        .iter()
        .map(|event| ((*event).to_owned(), json!({ "$ref": format!("#/components/messages/{event}") })))
        .collect();
    json!({
        "address": topic.name,
        "title": topic.purpose,
        "description": "Everything about one entity has one key, so it has one order.",
        "servers": [{ "$ref": "#/servers/kafka" }],
        "messages": messages,
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": { "cleanup.policy": ["delete"], "retention.ms": retention_ms },
                "bindingVersion": BINDING_VERSION,
            },
        },
    })
}

fn operation(topic: &Topic) -> Value {
    json!({
        "action": "send",
        "channel": { "$ref": format!("#/channels/{}", topic.name) },
        "summary": format!("What TechLeet tells on {}.", topic.name),
    })
}

fn message(entry: &Entry, data: &Value) -> Value {
    let payloads = entry.samples.iter().map(|sample| serde_json::from_str(sample).expect("a test reads every sample"));
    let payloads: Vec<Value> = payloads.collect();
    let of_one_version = payloads.chunk_by(|one, next| one["schemaVersion"] == next["schemaVersion"]);
    let examples = of_one_version.flat_map(|payloads| {
        payloads.iter().zip(1..).map(|(payload, number)| {
            let further = if number == 1 { String::new() } else { format!("-{number}") };
            json!({ "name": format!("v{}{further}", payload["schemaVersion"]), "payload": payload })
        })
    });
    let examples: Vec<Value> = examples.collect();
    json!({
        "name": entry.event_type,
        "title": format!("{}, version {}", entry.event_type, entry.version),
        "contentType": "application/json",
        "headers": { "$ref": format!("#{SCHEMAS}/{HEADERS}") },
        "payload": envelope(entry, data),
        "examples": examples,
        "x-schema-version": entry.version,
        "bindings": {
            "kafka": {
                "key": { "type": "string", "description": format!("{}, filled in", entry.keys.join(" or ")) },
                "bindingVersion": BINDING_VERSION,
            },
        },
    })
}

fn envelope(entry: &Entry, data: &Value) -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "required": ["eventType", "data"],
        "properties": {
            "eventId": text("The event's identity, a UUID of version 7 or 5. Readers take envelopes without it, too."),
            "eventType": { "const": entry.event_type },
            "schemaVersion": {
                "type": "integer", "minimum": 1, "default": 1,
                "description": "The version of the shape of data.",
            },
            "recipientId": { "type": "integer", "description": "The number of whom the event addresses." },
            "recipientType": {
                "type": "string", "enum": ["employee", "candidate"], "default": "employee",
                "description": "What kind of person that is.",
            },
            "data": data,
            "timestamp": {
                "type": "string", "format": "date-time", "description": "When it happened, with milliseconds, in UTC.",
            },
            "service": text("The service that tells it."),
            "correlationId": text("The id of the first cause: a request or an event."),
            "causationId": text("The id of the direct cause."),
        },
    })
}

/// The Kafka binding of CloudEvents 1.0, binary mode.
fn headers() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "properties": {
            "ce_specversion": { "const": "1.0" },
            "ce_id": text("The event's identity."),
            "ce_source": text("The service that tells it, after a slash."),
            "ce_type": text("The event's type."),
            "ce_time": text("When it happened."),
            "ce_subject": text("The record's key."),
            "content-type": { "const": "application/json" },
            "traceparent": text("The trace of its cause, or one that begins with it."),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place that a reference within the document leads to.
    fn followed<'a>(document: &'a Value, reference: &str) -> Option<&'a Value> {
        document.pointer(reference.strip_prefix('#')?)
    }

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|field| references(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > CATALOGUE.len());
        for reference in found {
            assert!(followed(&document, &reference).is_some(), "{reference}");
        }
    }

    #[test]
    fn every_event_is_a_message_of_its_topics_channel() {
        let document = document();
        for entry in CATALOGUE {
            let channel = &document["channels"][entry.topic];
            assert!(channel["messages"][entry.event_type].is_object(), "{}", entry.event_type);
            let message = &document["components"]["messages"][entry.event_type];
            assert_eq!(message["examples"][0]["payload"]["eventType"], entry.event_type);
        }
        assert_eq!(document["channels"]["user-events"]["bindings"]["kafka"]["partitions"], 3);
    }

    #[test]
    fn every_message_tells_its_version_and_has_an_example_of_each() {
        let document = document();
        for entry in CATALOGUE {
            let message = &document["components"]["messages"][entry.event_type];
            assert_eq!(message["x-schema-version"], entry.version, "{}", entry.event_type);
            let examples = message["examples"].as_array().unwrap();
            assert_eq!(examples.len(), entry.samples.len(), "{}", entry.event_type);
            for version in 1..=entry.version {
                let name = format!("v{version}");
                let example = examples.iter().find(|example| example["name"] == name.as_str());
                let example = example.unwrap_or_else(|| panic!("{} has no example {name}", entry.event_type));
                assert_eq!(example["payload"]["schemaVersion"], version, "{}", entry.event_type);
                assert_eq!(example["payload"]["eventType"], entry.event_type);
            }
        }
    }

    #[test]
    fn examples_of_an_event_of_several_versions_are_named_after_them() {
        let samples = &[
            r#"{"eventType":"a.b","schemaVersion":1,"data":{}}"#,
            r#"{"eventType":"a.b","schemaVersion":1,"data":{"new":1}}"#,
            r#"{"eventType":"a.b","schemaVersion":2,"data":{}}"#,
        ];
        let mut entry = CATALOGUE[0];
        (entry.version, entry.samples) = (2, samples);
        let message = message(&entry, &json!({}));
        let names: Vec<&Value> =
            message["examples"].as_array().unwrap().iter().map(|example| &example["name"]).collect();
        assert_eq!(names, ["v1", "v1-2", "v2"]);
        assert_eq!(message["x-schema-version"], 2);
    }
}
