//! Heartbeat: a member is alive, and learns of rebalances.

use kafka_protocol::messages::{ApiKey, HeartbeatRequest, HeartbeatResponse};

use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, NONE};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{I32, Kind, Shape, all, since};

pub(crate) static API: Api = Api {
    key: ApiKey::Heartbeat,
    name: "heartbeat",
    versions: 0..=4,
    shape: Shape { flexible: 4, fields: &[all(Kind::Text), all(I32), all(Kind::Text), since(3, Kind::Text)] },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: HeartbeatRequest = call.decode()?;
    if let Err(error) = call.require(Operation::Read, Resource::Group(&request.group_id)) {
        return call.answer(&HeartbeatResponse::default().with_error_code(error.code()));
    }
    let instance = request.group_instance_id.as_deref();
    let alive = call.shared.groups.heartbeat(&request.group_id, &request.member_id, instance, request.generation_id);
    call.answer(&HeartbeatResponse::default().with_error_code(alive.map_or_else(|error| error.code(), |()| NONE)))
}
