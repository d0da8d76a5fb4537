//! InitProducerId for idempotent producers. Transactional ones are refused until there are transactions.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ApiKey, InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use crate::server::api::{Api, Handle};
use crate::server::connection::{Call, Outcome};
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
    let refused = |error: ResponseError| {
        InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    };
    if request.transactional_id.is_some() {
        return call.answer(&refused(ResponseError::InvalidRequest));
    }
    let ids = Arc::clone(&call.shared.producer_ids);
    let response = match tokio::task::spawn_blocking(move || ids.next()).await {
        Ok(Ok(id)) => InitProducerIdResponse::default().with_producer_id(ProducerId(id)).with_producer_epoch(0),
        Ok(Err(error)) => {
            tracing::error!(%error, "no producer id could be reserved");
            refused(ResponseError::CoordinatorNotAvailable)
        }
        Err(_) => refused(ResponseError::UnknownServerError),
    };
    call.answer(&response)
}
