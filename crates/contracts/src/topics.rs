//! The one table of topics: names, partitions, retention and purpose, as the seed lists them.

use std::collections::BTreeMap;

/// User lifecycle events.
pub const USER_EVENTS: &str = "user-events";
/// Company and department events.
pub const COMPANY_EVENTS: &str = "company-events";
/// Job postings and applications.
pub const RECRUITMENT_EVENTS: &str = "recruitment-events";
/// E-mail, push and SMS notifications.
pub const NOTIFICATION_EVENTS: &str = "notification-events";
/// Security and data auditing.
pub const AUDIT_EVENTS: &str = "audit-events";

/// How long dead letters are kept, in days.
const DEAD_LETTER_RETENTION_DAYS: u32 = 30;

/// A topic of the backbone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: &'static str,
    /// What it carries, in a few words.
    pub purpose: &'static str,
    /// The number of its partitions.
    pub partitions: i32,
    /// How long records are kept, in days.
    pub retention_days: u32,
    /// The types of the events on it.
    pub event_types: &'static [&'static str],
}

/// Every topic of the backbone.
pub const TOPICS: &[Topic] = &[
    Topic {
        name: USER_EVENTS,
        purpose: "User lifecycle events",
        partitions: 3,
        retention_days: 7,
        event_types: &["user.created", "user.updated", "user.deleted", "user.login", "user.logout"],
    },
    Topic {
        name: COMPANY_EVENTS,
        purpose: "Company/department events",
        partitions: 3,
        retention_days: 7,
        event_types: &["company.created", "department.created", "department.updated"],
    },
    Topic {
        name: RECRUITMENT_EVENTS,
        purpose: "Job postings, applications",
        partitions: 3,
        retention_days: 30,
        event_types: &["job.posted", "job.updated", "application.submitted", "application.reviewed"],
    },
    Topic {
        name: NOTIFICATION_EVENTS,
        purpose: "Email/push notifications",
        partitions: 3,
        retention_days: 3,
        event_types: &["notification.email", "notification.push", "notification.sms"],
    },
    Topic {
        name: AUDIT_EVENTS,
        purpose: "Security & data auditing",
        partitions: 3,
        retention_days: 90,
        event_types: &["audit.security", "audit.data", "audit.system"],
    },
];

/// A topic as it is created: name, partitions and Kafka's own settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// The number of its partitions.
    pub partitions: i32,
    /// Settings by Kafka's names, such as `retention.ms`.
    pub settings: BTreeMap<String, String>,
}

/// Every topic that has to exist: those of [`TOPICS`] and the dead-letter topic of each.
pub fn required_topics() -> Vec<TopicSpec> {
    let spec = |name: String, partitions: i32, retention_days: u32| {
        let retention_ms = u64::from(retention_days) * 24 * 60 * 60 * 1_000;
        let settings = BTreeMap::from([
            ("cleanup.policy".to_owned(), "delete".to_owned()),
            ("retention.ms".to_owned(), retention_ms.to_string()),
        ]);
        TopicSpec { name, partitions, settings }
    };
    TOPICS
        .iter()
        .flat_map(|topic| {
            let dead_letters = format!("{}{}", topic.name, eventkit::dead_letter::SUFFIX);
            [
                spec(topic.name.to_owned(), topic.partitions, topic.retention_days),
                spec(dead_letters, topic.partitions, DEAD_LETTER_RETENTION_DAYS),
            ]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_a_dead_letter_topic_with_as_many_partitions() {
        let specs = required_topics();
        assert_eq!(specs.len(), 2 * TOPICS.len());
        for topic in TOPICS {
            let letters = specs.iter().find(|spec| spec.name == format!("{}.dlq", topic.name)).unwrap();
            assert_eq!(letters.partitions, topic.partitions);
            assert_eq!(letters.settings["retention.ms"], "2592000000");
        }
    }

    #[test]
    fn an_event_type_is_on_one_topic() {
        let mut types: Vec<_> = TOPICS.iter().flat_map(|topic| topic.event_types).collect();
        let all = types.len();
        types.sort_unstable();
        types.dedup();
        assert_eq!(types.len(), all);
    }
}
