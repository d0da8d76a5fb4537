//! DescribeGroups: state, protocol and members; an unknown group is a dead one.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{ApiKey, DescribeGroupsRequest, DescribeGroupsResponse, GroupId};

use crate::groups::group::{Group, Phase};
use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, OPERATIONS_UNKNOWN, once, text};
use crate::server::connection::{Call, Outcome};
use crate::sync::lock;
use crate::wire::shape::{BOOL, Kind, Shape, all, since};

pub(crate) static API: Api = Api {
    key: ApiKey::DescribeGroups,
    name: "describe_groups",
    versions: 0..=6,
    shape: Shape { flexible: 5, fields: &[all(Kind::TextList), since(3, BOOL)] },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: DescribeGroupsRequest = call.decode()?;
    let version = call.head.version;
    let wanted = request.include_authorized_operations;
    let groups = once(request.groups, GroupId::clone).map(|id| {
        let resource = Resource::Group(&id);
        let described = match (call.require(Operation::Describe, resource), call.shared.groups.get(&id)) {
            (Err(error), _) => DescribedGroup::default().with_error_code(error.code()),
            (Ok(()), Some(group)) if lock(&group).consumers.is_none() => describe(&lock(&group), version),
            // Those of KIP-848 have a description of their own.
            (Ok(()), _) => unknown(version),
        };
        let operations = if wanted { call.operations(resource) } else { OPERATIONS_UNKNOWN };
        let described = described.with_group_id(id);
        if version >= 3 { described.with_authorized_operations(operations) } else { described }
    });
    let groups = groups.collect();
    call.answer(&DescribeGroupsResponse::default().with_groups(groups))
}

/// Since version 6 an unknown group is an error of its own.
fn unknown(version: i16) -> DescribedGroup {
    let dead = DescribedGroup::default().with_group_id(GroupId::default()).with_group_state(text("Dead"));
    if version < 6 {
        return dead;
    }
    dead.with_error_code(ResponseError::GroupIdNotFound.code()).with_error_message(Some(text("there is no such group")))
}

fn describe(group: &Group, version: i16) -> DescribedGroup {
    // Before the leader has assigned there is nothing to tell of protocols and assignments.
    let settled = group.phase == Phase::Stable;
    let protocol = group.protocol.clone().filter(|_| settled).unwrap_or_default();
    let members = group.members.values().map(|member| {
        let metadata = if settled { member.metadata(Some(&protocol)) } else { bytes::Bytes::new() };
        let described = DescribedGroupMember::default()
            .with_member_id(text(member.id.clone()))
            .with_client_id(text(member.client_id.clone()))
            .with_client_host(text(member.client_host.clone()))
            .with_member_metadata(metadata)
            .with_member_assignment(if settled { member.assignment.clone() } else { bytes::Bytes::new() });
        if version >= 4 { described.with_group_instance_id(member.instance.clone().map(text)) } else { described }
    });
    let members = members.collect();
    DescribedGroup::default()
        .with_group_state(text(group.phase.name()))
        .with_protocol_type(text(group.protocol_type.clone().unwrap_or_default()))
        .with_protocol_data(text(protocol))
        .with_members(members)
}
