//! Every event in one table: its type, version, topic, key and samples; what documents and tests of all events read.

use eventkit::event::{decode, upcast};
use eventkit::{Envelope, Error, Event, Keyed};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use crate::audit::{AuditData, AuditSecurity, AuditSystem};
use crate::company::{CompanyCreated, DepartmentCreated, DepartmentUpdated};
use crate::notification::{NotificationEmail, NotificationPush, NotificationSms, recipient_key};
use crate::recruitment::{ApplicationReviewed, ApplicationSubmitted, JobPosted, JobUpdated};
use crate::user::{UserCreated, UserDeleted, UserLogin, UserLogout, UserUpdated};

/// One event.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its type, for example `user.created`.
    pub event_type: &'static str,
    /// The current version of its data.
    pub version: u32,
    /// The topic that carries it.
    pub topic: &'static str,
    /// The keys that its records can have, with fields of the data, or of the envelope, in braces; that of the samples
    /// first.
    pub keys: &'static [&'static str],
    /// Whole envelopes of each version, from 1; what is released is never changed again. An event that gets an optional
    /// field gets one more of its version, which has it; the last one has all that the event can have.
    pub samples: &'static [&'static str],
    pub(crate) schema: fn(&mut SchemaGenerator) -> Schema,
    read: fn(&Envelope) -> eventkit::Result<Option<String>>,
    round_trip: fn(&Envelope) -> eventkit::Result<RoundTrip>,
}

/// What readers of today make of an event's data.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundTrip {
    /// The data as they were sent, brought up to the current version.
    pub sent: Value,
    /// What the event that was read from them writes: whatever is missing here, no reader of today sees.
    pub read: Value,
}

impl Entry {
    /// Reads an envelope's data as the current version of the event, and tells the key of its record.
    ///
    /// # Errors
    /// The data is not such an event.
    pub fn read(&self, envelope: &Envelope) -> eventkit::Result<Option<String>> {
        (self.read)(envelope)
    }

    /// Reads an envelope's data as the current version of the event, and writes it again.
    ///
    /// # Errors
    /// The data is not such an event.
    pub fn round_trip(&self, envelope: &Envelope) -> eventkit::Result<RoundTrip> {
        (self.round_trip)(envelope)
    }
}

macro_rules! sample {
    ($event_type:literal, $name:literal) => {
        include_str!(concat!("../samples/", $event_type, "/", $name, ".json"))
    };
}

/// The keys of what is addressed to an employee, and to a candidate.
const RECIPIENT_KEYS: &[&str] = &["notification-{recipientId}", "notification-candidate-{recipientId}"];

/// Every event, in the order of the topics table.
pub const CATALOGUE: &[Entry] = &[
    keyed::<UserCreated>(&["user-{employeeId}"], &[sample!("user.created", "v1")]),
    keyed::<UserUpdated>(&["user-{employeeId}"], &[sample!("user.updated", "v1")]),
    keyed::<UserDeleted>(&["user-{employeeId}"], &[sample!("user.deleted", "v1")]),
    keyed::<UserLogin>(&["user-{employeeId}"], &[sample!("user.login", "v1")]),
    keyed::<UserLogout>(&["user-{employeeId}"], &[sample!("user.logout", "v1")]),
    keyed::<CompanyCreated>(&["company-{companyId}"], &[sample!("company.created", "v1")]),
    keyed::<DepartmentCreated>(&["department-{departmentId}"], &[sample!("department.created", "v1")]),
    keyed::<DepartmentUpdated>(&["department-{departmentId}"], &[sample!("department.updated", "v1")]),
    keyed::<JobPosted>(&["job-{jobPostingId}"], &[sample!("job.posted", "v1")]),
    keyed::<JobUpdated>(&["job-{jobPostingId}"], &[sample!("job.updated", "v1")]),
    keyed::<ApplicationSubmitted>(&["application-{applicationId}"], &[sample!("application.submitted", "v1")]),
    keyed::<ApplicationReviewed>(&["application-{applicationId}"], &[sample!("application.reviewed", "v1")]),
    addressed::<NotificationEmail>(RECIPIENT_KEYS, &[sample!("notification.email", "v1")]),
    addressed::<NotificationPush>(RECIPIENT_KEYS, &[sample!("notification.push", "v1")]),
    addressed::<NotificationSms>(RECIPIENT_KEYS, &[sample!("notification.sms", "v1")]),
    keyed::<AuditSecurity>(&["{entity}"], &[sample!("audit.security", "v1")]),
    keyed::<AuditData>(&["{entity}"], &[sample!("audit.data", "v1")]),
    keyed::<AuditSystem>(&["{entity}"], &[sample!("audit.system", "v1")]),
];

/// An event whose key follows from its data.
const fn keyed<E: Keyed + JsonSchema>(keys: &'static [&'static str], samples: &'static [&'static str]) -> Entry {
    entry::<E>(keys, samples, |envelope| Ok(Some(decode::<E>(envelope)?.key())))
}

/// An event whose key follows from whom its envelope addresses.
const fn addressed<E: Event + JsonSchema>(keys: &'static [&'static str], samples: &'static [&'static str]) -> Entry {
    entry::<E>(keys, samples, |envelope| {
        decode::<E>(envelope)?;
        Ok(envelope.recipient().map(|(kind, id)| recipient_key(kind, id)))
    })
}

const fn entry<E: Event + JsonSchema>(
    keys: &'static [&'static str],
    samples: &'static [&'static str],
    read: fn(&Envelope) -> eventkit::Result<Option<String>>,
) -> Entry {
    Entry {
        event_type: E::TYPE,
        version: E::VERSION,
        topic: E::TOPIC,
        keys,
        samples,
        schema: SchemaGenerator::subschema_for::<E>,
        read,
        round_trip: round_trip::<E>,
    }
}

fn round_trip<E: Event>(envelope: &Envelope) -> eventkit::Result<RoundTrip> {
    let written = serde_json::to_value(decode::<E>(envelope)?);
    let read = written.map_err(|source| Error::Encode { event_type: E::TYPE.to_owned(), source })?;
    Ok(RoundTrip { sent: upcast::<E>(envelope)?, read })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    use serde::{Deserialize, Serialize};
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::topics::TOPICS;

    #[test]
    fn every_event_of_the_topics_table_is_in_the_catalogue_with_a_sample_of_each_version() {
        let listed = TOPICS.iter().flat_map(|topic| topic.event_types.iter().map(|event| (topic.name, *event)));
        let found = CATALOGUE.iter().map(|entry| (entry.topic, entry.event_type));
        assert_eq!(found.collect::<Vec<_>>(), listed.collect::<Vec<_>>());
        for entry in CATALOGUE {
            let mut versions: Vec<u32> = samples(entry).map(|envelope| envelope.schema_version).collect();
            assert!(versions.is_sorted(), "{}: {versions:?}", entry.event_type);
            versions.dedup();
            assert_eq!(versions, (1..=entry.version).collect::<Vec<_>>(), "{}", entry.event_type);
        }
    }

    fn samples(entry: &Entry) -> impl Iterator<Item = Envelope> {
        entry.samples.iter().map(|sample| Envelope::read(sample.as_bytes()).unwrap())
    }

    #[test]
    fn every_sample_still_reads_and_has_its_key() {
        for entry in CATALOGUE {
            for (sample, envelope) in entry.samples.iter().zip(samples(entry)) {
                assert_eq!(envelope.event_type, entry.event_type);
                let key = entry.read(&envelope).unwrap_or_else(|error| panic!("{}: {error}", entry.event_type));
                assert_eq!(key, Some(filled(entry.keys[0], sample)), "{}", entry.event_type);
            }
        }
    }

    #[test]
    fn what_is_addressed_to_a_candidate_has_the_other_key_that_is_named() {
        for entry in CATALOGUE.iter().filter(|entry| entry.topic == crate::NOTIFICATION_EVENTS) {
            let sample = entry.samples[0];
            let mut envelope = Envelope::read(sample.as_bytes()).unwrap();
            envelope.recipient_type = Some(eventkit::RecipientType::Candidate);
            assert_eq!(entry.read(&envelope).unwrap(), Some(filled(entry.keys[1], sample)), "{}", entry.event_type);
        }
    }

    /// A key with the values of a sample in place of its braces.
    fn filled(key: &str, sample: &str) -> String {
        let Some((before, rest)) = key.split_once('{') else { return key.to_owned() };
        let (field, after) = rest.split_once('}').unwrap();
        let sample: Value = serde_json::from_str(sample).unwrap();
        let value = if sample["data"][field].is_null() { &sample[field] } else { &sample["data"][field] };
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{before}{value}{after}")
    }

    #[test]
    fn nothing_of_any_sample_is_lost_on_the_way_through_the_event_of_today() {
        for entry in CATALOGUE {
            for envelope in samples(entry) {
                let RoundTrip { sent, read } = entry.round_trip(&envelope).unwrap();
                assert_eq!(lost(&sent, &read), [""; 0], "{} version {}", entry.event_type, envelope.schema_version);
            }
            let RoundTrip { sent, read } = entry.round_trip(&samples(entry).last().unwrap()).unwrap();
            assert_eq!(sent, read, "{}", entry.event_type);
        }
    }

    /// The places of what was sent and is not read, or is read as something else.
    fn lost(sent: &Value, read: &Value) -> Vec<String> {
        let within = |name: String, sent: &Value, read: Option<&Value>| {
            let below = lost(sent, read.unwrap_or(&Value::Null));
            below.into_iter().map(move |place| format!("/{name}{place}"))
        };
        match (sent, read) {
            (Value::Object(fields), Value::Object(_)) => {
                fields.iter().flat_map(|(name, value)| within(name.clone(), value, read.get(name))).collect()
            }
            (Value::Array(items), Value::Array(_)) => {
                items.iter().enumerate().flat_map(|(at, item)| within(at.to_string(), item, read.get(at))).collect()
            }
            _ if sent == read => Vec::new(),
            _ => vec![String::new()],
        }
    }

    /// `user.login` without some of what it has.
    #[derive(Debug, Serialize, Deserialize, JsonSchema, Event)]
    #[serde(rename_all = "camelCase")]
    #[event(type = "user.login", topic = "user-events", key = "user-{employee_id}")]
    struct Shrunk {
        employee_id: i64,
    }

    #[test]
    fn a_field_that_an_event_has_no_more_is_found() {
        let whole = CATALOGUE.iter().find(|entry| entry.event_type == "user.login").unwrap();
        let shrunk = keyed::<Shrunk>(whole.keys, whole.samples);
        let envelope = samples(&shrunk).next().unwrap();
        assert!(shrunk.read(&envelope).is_ok(), "it reads, and that alone tells nothing");
        let RoundTrip { sent, read } = shrunk.round_trip(&envelope).unwrap();
        let fields = sent.as_object().unwrap().keys().filter(|name| *name != "employeeId");
        assert_eq!(lost(&sent, &read), fields.map(|name| format!("/{name}")).collect::<Vec<_>>());
        let nested = |text: &str| serde_json::json!({"a": [{"b": 1, "c": text}]});
        assert_eq!(lost(&nested("x"), &nested("y")), ["/a/0/c"]);
    }

    #[test]
    fn a_sample_holds_every_field_that_its_event_can_have() {
        for entry in CATALOGUE {
            let mut generator = SchemaGenerator::default();
            (entry.schema)(&mut generator);
            let newest: Value = serde_json::from_str(entry.samples.last().unwrap()).unwrap();
            let name = generator.definitions().keys().find(|name| is_of(name, entry.event_type)).unwrap().clone();
            for field in generator.definitions()[&name]["properties"].as_object().unwrap().keys() {
                assert!(!newest["data"][field].is_null(), "{} has no {field}", entry.event_type);
            }
        }
    }

    fn is_of(type_name: &str, event_type: &str) -> bool {
        type_name.eq_ignore_ascii_case(&event_type.replace('.', ""))
    }

    #[test]
    fn no_sample_is_ever_changed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
        let list = fs::read_to_string(folder.join("digests.txt")).unwrap();
        let listed: BTreeMap<String, String> = list
            .lines()
            .map(|line| line.split_once("  ").unwrap())
            .map(|(digest, path)| (path.to_owned(), digest.to_owned()))
            .collect();
        let mut found = BTreeMap::new();
        for kind in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap()) {
            if !kind.file_type().unwrap().is_dir() {
                continue;
            }
            for sample in fs::read_dir(kind.path()).unwrap().map(|entry| entry.unwrap()) {
                let digest = Sha256::digest(fs::read(sample.path()).unwrap());
                let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                let name = |name: std::ffi::OsString| name.into_string().unwrap();
                found.insert(format!("{}/{}", name(kind.file_name()), name(sample.file_name())), digest);
            }
        }
        assert_eq!(found, listed, "a new sample is added to digests.txt; one that is there stays as it is");
        let read: usize = CATALOGUE.iter().map(|entry| entry.samples.len()).sum();
        assert_eq!(found.len(), read, "a sample that the catalogue does not name is held to nothing");
    }
}
