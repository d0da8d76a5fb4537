//! ListGroups, filtered by state and type.

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{ApiKey, GroupId, ListGroupsRequest, ListGroupsResponse};

use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, text};
use crate::server::connection::{Call, Outcome};
use crate::sync::lock;
use crate::wire::shape::{Kind, Shape, since};

pub(crate) static API: Api = Api {
    key: ApiKey::ListGroups,
    name: "list_groups",
    versions: 0..=5,
    shape: Shape { flexible: 3, fields: &[since(4, Kind::TextList), since(5, Kind::TextList)] },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

/// The types of groups.
const CLASSIC: &str = "Classic";
const CONSUMER: &str = "Consumer";
/// The protocol type of groups of KIP-848.
const CONSUMER_PROTOCOL: &str = "consumer";

async fn run(call: Call) -> Outcome {
    let request: ListGroupsRequest = call.decode()?;
    let version = call.head.version;
    let wants = |filter: &[kafka_protocol::protocol::StrBytes], name: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
    };
    let sees_all = call.sees(Operation::Describe, Resource::Cluster);
    let sees = |id: &str| sees_all || call.sees(Operation::Describe, Resource::Group(id));
    let mut groups = Vec::new();
    for group in call.shared.groups.list() {
        let group = lock(&group);
        let (state, kind, protocol_type) = match &group.consumers {
            Some(consumers) => (consumers.state(), CONSUMER, CONSUMER_PROTOCOL.to_owned()),
            None => (group.phase.name(), CLASSIC, group.protocol_type.clone().unwrap_or_default()),
        };
        if sees(&group.id) && wants(&request.states_filter, state) && wants(&request.types_filter, kind) {
            let mut listed = ListedGroup::default()
                .with_group_id(GroupId(text(group.id.to_string())))
                .with_protocol_type(text(protocol_type));
            if version >= 4 {
                listed = listed.with_group_state(text(state));
            }
            if version >= 5 {
                listed = listed.with_group_type(text(kind));
            }
            groups.push(listed);
        }
    }
    call.answer(&ListGroupsResponse::default().with_groups(groups))
}
