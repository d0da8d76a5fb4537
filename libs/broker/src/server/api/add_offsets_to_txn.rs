//! AddOffsetsToTxn: a producer's transaction will commit offsets of a group.

use kafka_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, ApiKey};

use crate::catalog::OFFSETS_TOPIC;
use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, NONE, fenced_code};
use crate::server::connection::{Call, Outcome};
use crate::state_log::ProducerRun;
use crate::txns::transaction::Claim;
use crate::wire::shape::{I16, I64, Kind, Shape, all};

pub(crate) static API: Api = Api {
    key: ApiKey::AddOffsetsToTxn,
    name: "add_offsets_to_txn",
    versions: 0..=4,
    shape: Shape { flexible: 3, fields: &[all(Kind::Text), all(I64), all(I16), all(Kind::Text)] },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: AddOffsetsToTxnRequest = call.decode()?;
    let group = |()| call.require(Operation::Read, Resource::Group(&request.group_id));
    let allowed = call.require(Operation::Write, Resource::TransactionalId(&request.transactional_id)).and_then(group);
    if let Err(error) = allowed {
        return call.answer(&AddOffsetsToTxnResponse::default().with_error_code(error.code()));
    }
    let producer = ProducerRun { id: request.producer_id.0, epoch: request.producer_epoch };
    let claim = Claim { producer, fenced: fenced_code(call.head.version >= 2) };
    let offsets = [(OFFSETS_TOPIC.to_owned(), 0)];
    let added = call.shared.txns.add(&request.transactional_id, claim, &offsets).await;
    let code = added.map_or_else(|error| error.code(), |_| NONE);
    call.answer(&AddOffsetsToTxnResponse::default().with_error_code(code))
}
