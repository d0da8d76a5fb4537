//! DescribeCluster: the cluster's id and its one broker.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{ApiKey, BrokerId, DescribeClusterRequest, DescribeClusterResponse};

use crate::security::acl::Resource;
use crate::server::api::{Api, Handle, OPERATIONS_UNKNOWN, text};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{BOOL, I8, Shape, all, since};

pub(crate) static API: Api = Api {
    key: ApiKey::DescribeCluster,
    name: "describe_cluster",
    versions: 0..=2,
    shape: Shape { flexible: 0, fields: &[all(BOOL), since(1, I8), since(2, BOOL)] },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

/// Endpoints of brokers, not of controllers.
const BROKERS: i8 = 1;

async fn run(call: Call) -> Outcome {
    let request: DescribeClusterRequest = call.decode()?;
    if call.head.version >= 1 && request.endpoint_type != BROKERS {
        let refused = DescribeClusterResponse::default()
            .with_error_code(ResponseError::MismatchedEndpointType.code())
            .with_error_message(Some(text("this is the address of a broker, not of a controller")));
        return call.answer(&refused);
    }
    let node = BrokerId(call.shared.config.node_id);
    let (host, port) = call.advertised();
    let broker = DescribeClusterBroker::default().with_broker_id(node).with_host(host).with_port(port).with_rack(None);
    let wanted = request.include_cluster_authorized_operations;
    let operations = if wanted { call.operations(Resource::Cluster) } else { OPERATIONS_UNKNOWN };
    let response = DescribeClusterResponse::default()
        .with_error_message(None)
        .with_cluster_id(text(call.shared.catalog.cluster_id.clone()))
        .with_controller_id(node)
        .with_brokers(vec![broker])
        .with_cluster_authorized_operations(operations);
    call.answer(&if call.head.version >= 1 { response.with_endpoint_type(BROKERS) } else { response })
}
