//! What both ways of changing configurations share: whose may be changed, and what a refusal says.

use std::collections::{BTreeMap, HashSet};

use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;

use crate::catalog::TopicError;
use crate::security::acl::{Operation, Resource};
use crate::server::api::{chain, text, topic_code};
use crate::server::connection::Call;

/// The number of topics among the kinds of resources.
pub(crate) const TOPIC: i8 = 2;
/// The number of brokers among the kinds of resources.
pub(crate) const BROKER: i8 = 4;

/// Why nothing was changed.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) code: i16,
    pub(crate) message: StrBytes,
}

pub(crate) fn refused(error: ResponseError, message: &str) -> Refused {
    Refused { code: error.code(), message: text(message) }
}

/// The resources that a request names more than once.
pub(crate) fn named_twice(names: impl Iterator<Item = (i8, StrBytes)>) -> HashSet<(i8, StrBytes)> {
    let mut seen = HashSet::new();
    names.filter(|name| !seen.insert(name.clone())).collect()
}

/// Changes what is set on a resource; only topics can be changed while the broker runs.
pub(crate) async fn apply(
    call: &Call,
    kind: i8,
    name: &str,
    validate_only: bool,
    change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), String>,
) -> Result<(), Refused> {
    let whose = if kind == TOPIC { Resource::Topic(name) } else { Resource::Cluster };
    if let Err(error) = call.require(Operation::AlterConfigs, whose) {
        return Err(refused(error, "access rules do not allow it"));
    }
    match kind {
        TOPIC => {}
        BROKER => {
            let reason = "the broker's configuration is given at its start";
            return Err(refused(ResponseError::InvalidRequest, reason));
        }
        _ => return Err(refused(ResponseError::InvalidRequest, "only topics have configurations to be changed")),
    }
    let catalog = &call.shared.catalog;
    if catalog.get(name).is_some_and(|topic| topic.is_internal()) {
        return Err(refused(ResponseError::PolicyViolation, "this topic is the broker's own"));
    }
    let changed = catalog.configure(name, validate_only, change).await;
    changed.map_err(|error: TopicError| Refused { code: topic_code(&error), message: chain(&error) })
}
