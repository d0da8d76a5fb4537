//! EndTxn: commits or aborts. Since version 5 each end begins a new epoch of the producer, which the answer tells.

use kafka_protocol::messages::{ApiKey, EndTxnRequest, EndTxnResponse, ProducerId};

use crate::log::control::Marker;
use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, fenced_code};
use crate::server::connection::{Call, Outcome};
use crate::state_log::ProducerRun;
use crate::txns::transaction::Claim;
use crate::wire::shape::{BOOL, I16, I64, Kind, Shape, all};

pub(crate) static API: Api = Api {
    key: ApiKey::EndTxn,
    name: "end_txn",
    versions: 0..=5,
    shape: Shape { flexible: 3, fields: &[all(Kind::Text), all(I64), all(I16), all(BOOL)] },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

/// First version whose clients expect a new epoch.
const BUMPS_SINCE: i16 = 5;

async fn run(call: Call) -> Outcome {
    let request: EndTxnRequest = call.decode()?;
    let version = call.head.version;
    if let Err(error) = call.require(Operation::Write, Resource::TransactionalId(&request.transactional_id)) {
        return call.answer(&EndTxnResponse::default().with_error_code(error.code()));
    }
    let producer = ProducerRun { id: request.producer_id.0, epoch: request.producer_epoch };
    let claim = Claim { producer, fenced: fenced_code(version >= 2) };
    let marker = if request.committed { Marker::Commit } else { Marker::Abort };
    let id = request.transactional_id.to_string();
    let ended = call.shared.txns.end(id, claim, marker, version >= BUMPS_SINCE).await;
    let response = match ended {
        Ok(next) if version >= BUMPS_SINCE => {
            EndTxnResponse::default().with_producer_id(ProducerId(next.id)).with_producer_epoch(next.epoch)
        }
        Ok(_) => EndTxnResponse::default(),
        Err(error) => EndTxnResponse::default().with_error_code(error.code()),
    };
    call.answer(&response)
}
