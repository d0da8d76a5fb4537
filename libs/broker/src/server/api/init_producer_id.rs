//! InitProducerId: an id for idempotent producers, and the next run of transactional ones.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ApiKey, InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use crate::security::acl::{Operation, Resource, ResourceType};
use crate::server::api::{Api, Handle, fenced_code};
use crate::server::connection::{Call, Outcome};
use crate::state_log::ProducerRun;
use crate::txns::transaction::Claim;
use crate::wire::shape::{BOOL, I16, I32, I64, Kind, Shape, all, since};

pub(crate) static API: Api = Api {
    key: ApiKey::InitProducerId,
    name: "init_producer_id",
    // Version 6 is of two-phase commit.
    versions: 0..=5,
    shape: Shape {
        flexible: 2,
        fields: &[all(Kind::Text), all(I32), since(3, I64), since(3, I16), since(6, BOOL), since(6, BOOL)],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: InitProducerIdRequest = call.decode()?;
    let begun = match &request.transactional_id {
        _ if let Err(error) = allowed(&call, &request) => Err(error),
        None => call.shared.txns.fresh_id().await.map(|id| ProducerRun { id, epoch: 0 }),
        Some(id) => {
            let producer = ProducerRun { id: request.producer_id.0, epoch: request.producer_epoch };
            let claim = Claim { producer, fenced: fenced_code(call.head.version >= 4) };
            let claim = (call.head.version >= 3 && producer.id >= 0).then_some(claim);
            call.shared.txns.init(id.to_string(), request.transaction_timeout_ms, claim).await
        }
    };
    let response = InitProducerIdResponse::default();
    call.answer(&match begun {
        Ok(run) => response.with_producer_id(ProducerId(run.id)).with_producer_epoch(run.epoch),
        Err(error) => response.with_error_code(error.code()).with_producer_id(ProducerId(-1)).with_producer_epoch(-1),
    })
}

/// Whoever may write to some topic may do so as an idempotent producer.
fn allowed(call: &Call, request: &InitProducerIdRequest) -> Result<(), ResponseError> {
    match &request.transactional_id {
        Some(id) => call.require(Operation::Write, Resource::TransactionalId(id)),
        None if call.sees_some(Operation::Write, ResourceType::Topic) => Ok(()),
        None => call.require(Operation::IdempotentWrite, Resource::Cluster),
    }
}
