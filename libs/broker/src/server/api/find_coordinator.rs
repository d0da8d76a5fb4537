//! FindCoordinator: the one node coordinates every group and every transaction.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{ApiKey, BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

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
    let (code, message) = match request.key_type {
        GROUP | TRANSACTION => (NONE, None),
        _ => (ResponseError::InvalidRequest.code(), Some(text("only groups and transactions have a coordinator here"))),
    };
    let found = code == NONE;
    let (host, port, node) = if found { (host, port, node) } else { (text(""), -1, BrokerId(-1)) };
    if call.head.version >= 4 {
        let coordinators = request.coordinator_keys.into_iter().map(|key| {
            let coordinator =
                Coordinator::default().with_key(key).with_error_code(code).with_error_message(message.clone());
            coordinator.with_host(host.clone()).with_port(port).with_node_id(node)
        });
        return call.answer(&FindCoordinatorResponse::default().with_coordinators(coordinators.collect()));
    }
    let response =
        FindCoordinatorResponse::default().with_error_code(code).with_host(host).with_port(port).with_node_id(node);
    call.answer(&if call.head.version >= 1 { response.with_error_message(message) } else { response })
}
