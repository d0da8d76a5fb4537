//! What each part publishes and consumes: what it waits for at its start, and what it may do on a cluster with access
//! rules, follow from this table.

use eventkit::dead_letter::SUFFIX;

use crate::services::{COMPANY_SERVICE, RECRUITMENT_SERVICE, USER_SERVICE};
use crate::topics::{AUDIT_EVENTS, COMPANY_EVENTS, NOTIFICATION_EVENTS, RECRUITMENT_EVENTS, USER_EVENTS};

/// The part that routes, notifies and audits; the names of its groups begin with it.
pub const CONTAINER: &str = "container";

/// One part's topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// The part; the names of its groups begin with it.
    pub part: &'static str,
    /// The topics of its own events.
    pub publishes: &'static [&'static str],
    /// The topics that its groups read; what they cannot handle goes to the dead-letter topic of each.
    pub consumes: &'static [&'static str],
}

/// Every part.
pub const TRAFFIC: &[Traffic] = &[
    Traffic {
        part: USER_SERVICE,
        publishes: &[USER_EVENTS, NOTIFICATION_EVENTS, AUDIT_EVENTS],
        consumes: &[COMPANY_EVENTS, RECRUITMENT_EVENTS],
    },
    Traffic { part: COMPANY_SERVICE, publishes: &[COMPANY_EVENTS, AUDIT_EVENTS], consumes: &[USER_EVENTS] },
    Traffic {
        part: RECRUITMENT_SERVICE,
        publishes: &[RECRUITMENT_EVENTS, NOTIFICATION_EVENTS, AUDIT_EVENTS],
        consumes: &[COMPANY_EVENTS, USER_EVENTS],
    },
    Traffic {
        part: CONTAINER,
        publishes: &[NOTIFICATION_EVENTS, AUDIT_EVENTS],
        consumes: &[USER_EVENTS, COMPANY_EVENTS, RECRUITMENT_EVENTS, NOTIFICATION_EVENTS, AUDIT_EVENTS],
    },
];

/// The traffic of the part called `name`, if it is one of ours.
#[must_use]
pub fn of(name: &str) -> Option<&'static Traffic> {
    TRAFFIC.iter().find(|traffic| traffic.part == name)
}

/// What a client may do with topics or groups; all of it lets it describe them, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Reads records, or is a member of a group.
    Read,
    /// Writes records.
    Write,
}

impl Operation {
    /// As Kafka's own tools call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Write => "Write",
        }
    }
}

/// On what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// The topic of this name.
    Topic(String),
    /// The groups whose names begin with this.
    Groups(String),
}

/// What a part must be allowed on a cluster with access rules, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// On what.
    pub resource: Resource,
    /// What.
    pub operation: Operation,
}

impl Traffic {
    /// The topics that it cannot do without.
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        let mut topics: Vec<String> = self
            .rights()
            .into_iter()
            .filter_map(|right| match right.resource {
                Resource::Topic(topic) => Some(topic),
                Resource::Groups(_) => None,
            })
            .collect();
        topics.dedup();
        topics
    }

    /// What it must be allowed, in order.
    #[must_use]
    pub fn rights(&self) -> Vec<Right> {
        let topic = |name: String, operation| Right { resource: Resource::Topic(name), operation };
        let mut rights: Vec<Right> =
            self.publishes.iter().map(|name| topic((*name).to_owned(), Operation::Write)).collect();
        for name in self.consumes {
            rights.push(topic((*name).to_owned(), Operation::Read));
            rights.push(topic(format!("{name}{SUFFIX}"), Operation::Write));
        }
        rights.push(Right { resource: Resource::Groups(self.part.to_owned()), operation: Operation::Read });
        rights.sort();
        rights
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::topics::required_topics;

    #[test]
    fn the_parts_together_need_every_topic() {
        let needed: BTreeSet<String> = TRAFFIC.iter().flat_map(Traffic::topics).collect();
        let required: BTreeSet<String> = required_topics().into_iter().map(|spec| spec.name).collect();
        assert_eq!(needed, required);
    }

    #[test]
    fn a_part_may_write_its_own_events_and_letters_and_read_what_it_consumes() {
        let rights: Vec<(Resource, &str)> = of(COMPANY_SERVICE)
            .unwrap()
            .rights()
            .into_iter()
            .map(|right| (right.resource, right.operation.name()))
            .collect();
        let topic = |name: &str| Resource::Topic(name.to_owned());
        let expected = [
            (topic("audit-events"), "Write"),
            (topic("company-events"), "Write"),
            (topic("user-events"), "Read"),
            (topic("user-events.dlq"), "Write"),
            (Resource::Groups("company-service".to_owned()), "Read"),
        ];
        assert_eq!(rights, expected);
    }
}
