//! JoinGroup: answered when the next generation begins.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{ApiKey, JoinGroupRequest, JoinGroupResponse};

use crate::groups::group::{Joined, millis};
use crate::groups::membership::{Join, MEMBER_BYTES_MAX, kept_bytes};
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

async fn run(mut call: Call) -> Outcome {
    let request: JoinGroupRequest = call.decode()?;
    let version = call.head.version;
    if let Err(error) = call.require(Operation::Read, Resource::Group(&request.group_id)) {
        return call.answer(&response(Joined::refused(&error, &request.member_id), version));
    }
    if said_bytes(&request) > MEMBER_BYTES_MAX {
        return call.answer(&response(Joined::refused(&ResponseError::MessageTooLarge, &request.member_id), version));
    }
    let session_timeout = millis(request.session_timeout_ms);
    // The first version has one timeout for both.
    let rebalance_timeout: Duration = if version >= 1 { millis(request.rebalance_timeout_ms) } else { session_timeout };
    let join = Join {
        member_id: request.member_id.to_string(),
        instance: request.group_instance_id.as_ref().map(|instance| instance.to_string()),
        client_id: call.head.client_id.to_string(),
        client_host: format!("/{}", call.peer.ip()),
        session_timeout,
        rebalance_timeout,
        protocol_type: request.protocol_type.to_string(),
        protocols: request.protocols.iter().map(kept).collect(),
        id_required: version >= 4,
        knows_skip: version >= 9,
    };
    let group_id = request.group_id.to_string();
    // Others may need the memory while this one waits.
    drop(request);
    call.release();
    let joined = call.shared.groups.join(&group_id, join).await;
    call.answer(&response(joined, version))
}

/// Bytes that the group would keep of the member.
fn said_bytes(request: &JoinGroupRequest) -> usize {
    let protocols = request.protocols.iter().map(|protocol| protocol.name.len() + protocol.metadata.len());
    kept_bytes(protocols.chain(request.group_instance_id.iter().map(|instance| instance.len())))
}

/// A protocol as the group keeps it: a part of the request would hold all of it in memory.
fn kept(protocol: &JoinGroupRequestProtocol) -> (String, Bytes) {
    (protocol.name.to_string(), Bytes::copy_from_slice(&protocol.metadata))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn what_a_group_keeps_does_not_hold_the_request_in_memory() {
        let frame = Bytes::from(b"rangemetadata".to_vec());
        let name = StrBytes::from_utf8(frame.slice(..5)).unwrap();
        let protocol = JoinGroupRequestProtocol::default().with_name(name).with_metadata(frame.slice(5..));
        let (name, metadata) = kept(&protocol);
        drop(protocol);
        assert!(frame.is_unique(), "nothing of the request is left");
        assert_eq!((name.as_str(), metadata.as_ref()), ("range", b"metadata".as_slice()));
    }

    #[test]
    fn many_empty_protocols_are_not_nothing() {
        let protocols = vec![JoinGroupRequestProtocol::default(); 20_000];
        assert!(said_bytes(&JoinGroupRequest::default().with_protocols(protocols)) > MEMBER_BYTES_MAX);
    }
}
