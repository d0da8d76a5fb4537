//! ListTransactions, filtered by state, producer and age.

use kafka_protocol::messages::list_transactions_response::TransactionState;
use kafka_protocol::messages::{ApiKey, ListTransactionsRequest, ListTransactionsResponse, TransactionalId};

use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, text};
use crate::server::connection::{Call, Outcome};
use crate::sync::lock;
use crate::txns::transaction::{Status, Transaction};
use crate::wire::shape::{I64, Kind, Shape, all, since};

pub(crate) static API: Api = Api {
    key: ApiKey::ListTransactions,
    name: "list_transactions",
    // Version 2 filters by regular expressions of a dialect that is not spoken here.
    versions: 0..=1,
    shape: Shape { flexible: 0, fields: &[all(Kind::TextList), all(Kind::FixedList(8)), since(1, I64)] },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: ListTransactionsRequest = call.decode()?;
    let now = call.shared.config.clock.now_ms();
    let unknown = request.state_filters.iter().filter(|name| !Status::is_name(name)).cloned().collect();
    let wanted = |transaction: &Transaction| {
        let (states, producers) = (&request.state_filters, &request.producer_id_filters);
        let age = now.saturating_sub(transaction.started_ms);
        (states.is_empty() || states.iter().any(|name| name.as_str() == transaction.status.name()))
            && (producers.is_empty() || producers.iter().any(|id| id.0 == transaction.producer.id))
            && (request.duration_filter < 0 || transaction.started_ms >= 0 && age > request.duration_filter)
    };
    let mut states = Vec::new();
    for slot in call.shared.txns.list() {
        let current = &lock(&slot.held).current;
        if wanted(current) && call.sees(Operation::Describe, Resource::TransactionalId(&slot.id)) {
            let state = TransactionState::default().with_transactional_id(TransactionalId(text(slot.id.to_string())));
            let state = state.with_transaction_state(text(current.status.name()));
            states.push(state.with_producer_id(current.producer.id.into()));
        }
    }
    let response = ListTransactionsResponse::default().with_unknown_state_filters(unknown);
    call.answer(&response.with_transaction_states(states))
}
