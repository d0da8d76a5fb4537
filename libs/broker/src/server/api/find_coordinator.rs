//! FindCoordinator: the one node coordinates every group and every transaction.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{ApiKey, BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, NONE, text};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{I8, Kind, Shape, since, until};

pub(crate) static API: Api = Api {
    key: ApiKey::FindCoordinator,
    name: "find_coordinator",
    versions: 0..=6,
    shape: Shape { flexible: 3, fields: &[until(3, Kind::Text), since(1, I8), since(4, Kind::TextList)] },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

async fn run(call: Call) -> Outcome {
    let request: FindCoordinatorRequest = call.decode()?;
    let (host, port) = call.advertised();
    let node = BrokerId(call.shared.config.node_id);
    let find = |key: &str| match check(&call, request.key_type, key) {
        Ok(()) => (NONE, None, host.clone(), port, node),
        Err((error, message)) => (error.code(), Some(text(message)), text(""), -1, BrokerId(-1)),
    };
    if call.head.version >= 4 {
        let coordinators = request.coordinator_keys.into_iter().map(|key| {
            let (code, message, host, port, node) = find(&key);
            let coordinator = Coordinator::default().with_key(key).with_error_code(code).with_error_message(message);
            coordinator.with_host(host).with_port(port).with_node_id(node)
        });
        return call.answer(&FindCoordinatorResponse::default().with_coordinators(coordinators.collect()));
    }
    let (code, message, host, port, node) = find(&request.key);
    let response =
        FindCoordinatorResponse::default().with_error_code(code).with_host(host).with_port(port).with_node_id(node);
    call.answer(&if call.head.version >= 1 { response.with_error_message(message) } else { response })
}

fn check(call: &Call, key_type: i8, key: &str) -> Result<(), (ResponseError, &'static str)> {
    let resource = match key_type {
        GROUP => Resource::Group(key),
        TRANSACTION => Resource::TransactionalId(key),
        _ => {
            return Err((ResponseError::InvalidRequest, "only groups and transactions have a coordinator here"));
        }
    };
    call.require(Operation::Describe, resource).map_err(|error| (error, "access rules do not allow it"))
}
