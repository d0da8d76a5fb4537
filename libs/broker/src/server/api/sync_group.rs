//! SyncGroup: answered when the leader's assignment is on stable storage.

use kafka_protocol::messages::{ApiKey, SyncGroupRequest, SyncGroupResponse};

use crate::groups::membership::Sync;
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

async fn run(call: Call) -> Outcome {
    let request: SyncGroupRequest = call.decode()?;
    if let Err(error) = call.require(Operation::Read, Resource::Group(&request.group_id)) {
        return call.answer(&SyncGroupResponse::default().with_error_code(error.code()));
    }
    let sync = Sync {
        member_id: request.member_id.to_string(),
        instance: request.group_instance_id.map(|instance| instance.to_string()),
        generation: request.generation_id,
        protocol_type: request.protocol_type.map(|name| name.to_string()),
        protocol: request.protocol_name.map(|name| name.to_string()),
        assignments: request
            .assignments
            .into_iter()
            .map(|given| (given.member_id.to_string(), given.assignment))
            .collect(),
    };
    let synced = call.shared.groups.sync(&request.group_id, sync).await;
    let mut response = SyncGroupResponse::default().with_error_code(synced.code).with_assignment(synced.assignment);
    if call.head.version >= 5 {
        response =
            response.with_protocol_type(synced.protocol_type.map(text)).with_protocol_name(synced.protocol.map(text));
    }
    call.answer(&response)
}
