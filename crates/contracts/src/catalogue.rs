//! Every event in one table: its type, version, topic, key and samples; what documents and tests of all events read.

use eventkit::event::decode;
use eventkit::{Envelope, Event, Keyed};
use schemars::{JsonSchema, Schema, SchemaGenerator};

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
    /// The key of its records, with fields of the data, or of the envelope, in braces.
    pub key: &'static str,
    /// A whole envelope of each version, from 1; what is released is never changed again.
    pub samples: &'static [&'static str],
    pub(crate) schema: fn(&mut SchemaGenerator) -> Schema,
    read: fn(&Envelope) -> eventkit::Result<Option<String>>,
}

impl Entry {
    /// Reads an envelope's data as the current version of the event, and tells the key of its record.
    ///
    /// # Errors
    /// The data is not such an event.
    pub fn read(&self, envelope: &Envelope) -> eventkit::Result<Option<String>> {
        (self.read)(envelope)
    }
}

macro_rules! sample {
    ($event_type:literal, $version:literal) => {
        include_str!(concat!("../samples/", $event_type, "/v", $version, ".json"))
    };
}

/// Every event, in the order of the topics table.
pub const CATALOGUE: &[Entry] = &[
    keyed::<UserCreated>("user-{employeeId}", &[sample!("user.created", 1)]),
    keyed::<UserUpdated>("user-{employeeId}", &[sample!("user.updated", 1)]),
    keyed::<UserDeleted>("user-{employeeId}", &[sample!("user.deleted", 1)]),
    keyed::<UserLogin>("user-{employeeId}", &[sample!("user.login", 1)]),
    keyed::<UserLogout>("user-{employeeId}", &[sample!("user.logout", 1)]),
    keyed::<CompanyCreated>("company-{companyId}", &[sample!("company.created", 1)]),
    keyed::<DepartmentCreated>("department-{departmentId}", &[sample!("department.created", 1)]),
    keyed::<DepartmentUpdated>("department-{departmentId}", &[sample!("department.updated", 1)]),
    keyed::<JobPosted>("job-{jobPostingId}", &[sample!("job.posted", 1)]),
    keyed::<JobUpdated>("job-{jobPostingId}", &[sample!("job.updated", 1)]),
    keyed::<ApplicationSubmitted>("application-{applicationId}", &[sample!("application.submitted", 1)]),
    keyed::<ApplicationReviewed>("application-{applicationId}", &[sample!("application.reviewed", 1)]),
    addressed::<NotificationEmail>("notification-{recipientId}", &[sample!("notification.email", 1)]),
    addressed::<NotificationPush>("notification-{recipientId}", &[sample!("notification.push", 1)]),
    addressed::<NotificationSms>("notification-{recipientId}", &[sample!("notification.sms", 1)]),
    keyed::<AuditSecurity>("{entity}", &[sample!("audit.security", 1)]),
    keyed::<AuditData>("{entity}", &[sample!("audit.data", 1)]),
    keyed::<AuditSystem>("{entity}", &[sample!("audit.system", 1)]),
];

/// An event whose key follows from its data.
const fn keyed<E: Keyed + JsonSchema>(key: &'static str, samples: &'static [&'static str]) -> Entry {
    entry::<E>(key, samples, |envelope| Ok(Some(decode::<E>(envelope)?.key())))
}

/// An event whose key follows from whom its envelope addresses.
const fn addressed<E: Event + JsonSchema>(key: &'static str, samples: &'static [&'static str]) -> Entry {
    entry::<E>(key, samples, |envelope| {
        decode::<E>(envelope)?;
        Ok(envelope.recipient().map(|(kind, id)| recipient_key(kind, id)))
    })
}

const fn entry<E: Event + JsonSchema>(
    key: &'static str,
    samples: &'static [&'static str],
    read: fn(&Envelope) -> eventkit::Result<Option<String>>,
) -> Entry {
    Entry {
        event_type: E::TYPE,
        version: E::VERSION,
        topic: E::TOPIC,
        key,
        samples,
        schema: SchemaGenerator::subschema_for::<E>,
        read,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    use serde_json::Value;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::topics::TOPICS;

    #[test]
    fn every_event_of_the_topics_table_is_in_the_catalogue_with_a_sample_of_each_version() {
        let listed = TOPICS.iter().flat_map(|topic| topic.event_types.iter().map(|event| (topic.name, *event)));
        let found = CATALOGUE.iter().map(|entry| (entry.topic, entry.event_type));
        assert_eq!(found.collect::<Vec<_>>(), listed.collect::<Vec<_>>());
        for entry in CATALOGUE {
            assert_eq!(u32::try_from(entry.samples.len()), Ok(entry.version), "{}", entry.event_type);
        }
    }

    #[test]
    fn every_sample_still_reads_and_has_its_key() {
        for entry in CATALOGUE {
            for (sample, version) in entry.samples.iter().zip(1..) {
                let envelope = Envelope::read(sample.as_bytes()).unwrap();
                assert_eq!((envelope.event_type.as_str(), envelope.schema_version), (entry.event_type, version));
                let key = entry.read(&envelope).unwrap_or_else(|error| panic!("{}: {error}", entry.event_type));
                assert_eq!(key, Some(filled(entry.key, sample)), "{}", entry.event_type);
            }
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
    }
}
