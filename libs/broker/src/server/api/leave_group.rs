//! LeaveGroup: one member, or since version 3 several, also by their instance ids.

use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{ApiKey, LeaveGroupRequest, LeaveGroupResponse};

use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, NONE};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{Kind, Shape, all, since, until};

pub(crate) static API: Api = Api {
    key: ApiKey::LeaveGroup,
    name: "leave_group",
    versions: 0..=5,
    shape: Shape {
        flexible: 4,
        fields: &[
            all(Kind::Text),
            until(2, Kind::Text),
            since(3, Kind::List(&[all(Kind::Text), all(Kind::Text), since(5, Kind::Text)])),
        ],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: LeaveGroupRequest = call.decode()?;
    if let Err(error) = call.require(Operation::Read, Resource::Group(&request.group_id)) {
        return call.answer(&LeaveGroupResponse::default().with_error_code(error.code()));
    }
    let leave = |member: &str, instance: Option<&str>| {
        let left = call.shared.groups.leave(&request.group_id, member, instance);
        left.map_or_else(|error| error.code(), |()| NONE)
    };
    if call.head.version < 3 {
        return call.answer(&LeaveGroupResponse::default().with_error_code(leave(&request.member_id, None)));
    }
    let members = request.members.iter().map(|member| {
        MemberResponse::default()
            .with_member_id(member.member_id.clone())
            .with_group_instance_id(member.group_instance_id.clone())
            .with_error_code(leave(&member.member_id, member.group_instance_id.as_deref()))
    });
    call.answer(&LeaveGroupResponse::default().with_members(members.collect()))
}
