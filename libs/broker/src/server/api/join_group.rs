//! JoinGroup: answered when the next generation begins.

use std::time::Duration;

use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{ApiKey, JoinGroupRequest, JoinGroupResponse};

use crate::groups::group::{Joined, millis};
use crate::groups::membership::Join;
use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, text};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{I32, Kind, Shape, all, since};

pub(crate) static API: Api = Api {
    key: ApiKey::JoinGroup,
    name: "join_group",
    versions: 0..=9,
    shape: Shape {
        flexible: 6,
        fields: &[
            all(Kind::Text),
            all(I32),
            since(1, I32),
            all(Kind::Text),
            since(5, Kind::Text),
            all(Kind::Text),
            all(Kind::List(&[all(Kind::Text), all(Kind::Blob)])),
            since(8, Kind::Text),
        ],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: JoinGroupRequest = call.decode()?;
    let version = call.head.version;
    if let Err(error) = call.require(Operation::Read, Resource::Group(&request.group_id)) {
        return call.answer(&response(Joined::refused(&error, &request.member_id), version));
    }
    let session_timeout = millis(request.session_timeout_ms);
    // The first version has one timeout for both.
    let rebalance_timeout: Duration = if version >= 1 { millis(request.rebalance_timeout_ms) } else { session_timeout };
    let join = Join {
        member_id: request.member_id.to_string(),
        instance: request.group_instance_id.map(|instance| instance.to_string()),
        client_id: call.head.client_id.to_string(),
        client_host: format!("/{}", call.peer.ip()),
        session_timeout,
        rebalance_timeout,
        protocol_type: request.protocol_type.to_string(),
        protocols: request
            .protocols
            .into_iter()
            .map(|protocol| (protocol.name.to_string(), protocol.metadata))
            .collect(),
        id_required: version >= 4,
        knows_skip: version >= 9,
    };
    let joined = call.shared.groups.join(&request.group_id, join).await;
    call.answer(&response(joined, version))
}

fn response(joined: Joined, version: i16) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|(id, instance, metadata)| {
        let member = JoinGroupResponseMember::default().with_member_id(text(id)).with_metadata(metadata);
        if version >= 5 { member.with_group_instance_id(instance.map(text)) } else { member }
    });
    // Null became possible with version 7.
    let protocol =
        if version >= 7 { joined.protocol.map(text) } else { Some(text(joined.protocol.unwrap_or_default())) };
    let mut response = JoinGroupResponse::default()
        .with_error_code(joined.code)
        .with_generation_id(joined.generation)
        .with_protocol_name(protocol)
        .with_leader(text(joined.leader))
        .with_member_id(text(joined.member_id))
        .with_members(members.collect());
    if version >= 7 {
        response = response.with_protocol_type(joined.protocol_type.map(text));
    }
    if version >= 9 {
        response = response.with_skip_assignment(joined.skip_assignment);
    }
    response
}
