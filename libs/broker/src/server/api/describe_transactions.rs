//! DescribeTransactions: where transactions stand and over which partitions they are.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use kafka_protocol::messages::{
    ApiKey, DescribeTransactionsRequest, DescribeTransactionsResponse, TopicName, TransactionalId,
};

use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, once, text};
use crate::server::connection::{Call, Outcome};
use crate::sync::lock;
use crate::txns::transaction::Transaction;
use crate::wire::shape::{Kind, Shape, all};

pub(crate) static API: Api = Api {
    key: ApiKey::DescribeTransactions,
    name: "describe_transactions",
    versions: 0..=0,
    shape: Shape { flexible: 0, fields: &[all(Kind::TextList)] },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: DescribeTransactionsRequest = call.decode()?;
    let states = once(request.transactional_ids, TransactionalId::clone).map(|id| {
        let state = match call.shared.txns.get(&id) {
            _ if let Err(error) = call.require(Operation::Describe, Resource::TransactionalId(&id)) => {
                TransactionState::default().with_error_code(error.code())
            }
            Some(slot) => describe(&call, &lock(&slot.held).current),
            None => TransactionState::default().with_error_code(ResponseError::TransactionalIdNotFound.code()),
        };
        state.with_transactional_id(id)
    });
    let states = states.collect();
    call.answer(&DescribeTransactionsResponse::default().with_transaction_states(states))
}

fn describe(call: &Call, transaction: &Transaction) -> TransactionState {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in &transaction.partitions {
        if call.sees(Operation::Describe, Resource::Topic(topic)) {
            topics.entry(topic).or_default().push(*partition);
        }
    }
    let topics = topics
        .into_iter()
        .map(|(topic, partitions)| TopicData::default().with_topic(TopicName(text(topic))).with_partitions(partitions));
    TransactionState::default()
        .with_transaction_state(text(transaction.status.name()))
        .with_transaction_timeout_ms(transaction.timeout_ms)
        .with_transaction_start_time_ms(transaction.started_ms)
        .with_producer_id(transaction.producer.id.into())
        .with_producer_epoch(transaction.producer.epoch)
        .with_topics(topics.collect())
}
