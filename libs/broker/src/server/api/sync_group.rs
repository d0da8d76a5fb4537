//! SyncGroup: answered when the leader's assignment is on stable storage.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{ApiKey, SyncGroupRequest, SyncGroupResponse};

use crate::groups::membership::{GROUP_BYTES_MAX, MEMBER_BYTES_MAX, Sync, kept_bytes};
use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, text};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{I32, Kind, Shape, all, since};

pub(crate) static API: Api = Api {
    key: ApiKey::SyncGroup,
    name: "sync_group",
    versions: 0..=5,
    shape: Shape {
        flexible: 4,
        fields: &[
            all(Kind::Text),
            all(I32),
            all(Kind::Text),
            since(3, Kind::Text),
            since(5, Kind::Text),
            since(5, Kind::Text),
            all(Kind::List(&[all(Kind::Text), all(Kind::Blob)])),
        ],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(mut call: Call) -> Outcome {
    let request: SyncGroupRequest = call.decode()?;
    if let Err(error) = call.require(Operation::Read, Resource::Group(&request.group_id)) {
        return call.answer(&SyncGroupResponse::default().with_error_code(error.code()));
    }
    if !fits(&request.assignments) {
        let code = ResponseError::MessageTooLarge.code();
        return call.answer(&SyncGroupResponse::default().with_error_code(code));
    }
    let sync = Sync {
        member_id: request.member_id.to_string(),
        instance: request.group_instance_id.as_ref().map(|instance| instance.to_string()),
        generation: request.generation_id,
        protocol_type: request.protocol_type.as_ref().map(|name| name.to_string()),
        protocol: request.protocol_name.as_ref().map(|name| name.to_string()),
        assignments: request.assignments.iter().map(kept).collect(),
    };
    let group_id = request.group_id.to_string();
    // Others may need the memory while this one waits.
    drop(request);
    call.release();
    let synced = call.shared.groups.sync(&group_id, sync).await;
    let mut response = SyncGroupResponse::default().with_error_code(synced.code).with_assignment(synced.assignment);
    if call.head.version >= 5 {
        response =
            response.with_protocol_type(synced.protocol_type.map(text)).with_protocol_name(synced.protocol.map(text));
    }
    call.answer(&response)
}

/// Whether a group may keep all this.
fn fits(assignments: &[SyncGroupRequestAssignment]) -> bool {
    let bytes = |given: &SyncGroupRequestAssignment| given.member_id.len() + given.assignment.len();
    assignments.iter().all(|given| given.assignment.len() <= MEMBER_BYTES_MAX)
        && kept_bytes(assignments.iter().map(bytes)) <= GROUP_BYTES_MAX
}

/// An assignment as the group keeps it: a part of the request would hold all of it in memory.
fn kept(given: &SyncGroupRequestAssignment) -> (String, Bytes) {
    (given.member_id.to_string(), Bytes::copy_from_slice(&given.assignment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_group_keeps_does_not_hold_the_request_in_memory() {
        let frame = Bytes::from(b"work".to_vec());
        let given = SyncGroupRequestAssignment::default().with_assignment(frame.clone());
        let (_, assignment) = kept(&given);
        drop(given);
        assert!(frame.is_unique(), "nothing of the request is left");
        assert_eq!(assignment, frame);
    }

    #[test]
    fn an_assignment_is_bounded_and_all_of_them_are() {
        let given = |bytes: usize| SyncGroupRequestAssignment::default().with_assignment(Bytes::from(vec![0; bytes]));
        assert!(fits(&[given(MEMBER_BYTES_MAX)]));
        assert!(!fits(&[given(MEMBER_BYTES_MAX + 1)]));
        assert!(!fits(&vec![given(MEMBER_BYTES_MAX); GROUP_BYTES_MAX / MEMBER_BYTES_MAX]));
        assert!(!fits(&vec![given(0); GROUP_BYTES_MAX / 64 + 1]), "many empty ones are not nothing");
    }
}
