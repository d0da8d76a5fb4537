//! The table of APIs: one file and one row each. What is not in the table is not advertised and not answered.

pub(crate) mod add_offsets_to_txn;
pub(crate) mod add_partitions_to_txn;
pub(crate) mod alter_client_quotas;
pub(crate) mod alter_configs;
pub(crate) mod alter_partition_reassignments;
pub(crate) mod alter_user_scram_credentials;
pub(crate) mod api_versions;
pub(crate) mod config_change;
pub(crate) mod consumer_group_describe;
pub(crate) mod consumer_group_heartbeat;
pub(crate) mod create_acls;
pub(crate) mod create_partitions;
pub(crate) mod create_topics;
pub(crate) mod delete_acls;
pub(crate) mod delete_groups;
pub(crate) mod delete_records;
pub(crate) mod delete_topics;
pub(crate) mod describe_acls;
pub(crate) mod describe_client_quotas;
pub(crate) mod describe_cluster;
pub(crate) mod describe_configs;
pub(crate) mod describe_groups;
pub(crate) mod describe_log_dirs;
pub(crate) mod describe_producers;
pub(crate) mod describe_transactions;
pub(crate) mod describe_user_scram_credentials;
pub(crate) mod elect_leaders;
pub(crate) mod end_txn;
pub(crate) mod fetch;
pub(crate) mod find_coordinator;
pub(crate) mod heartbeat;
pub(crate) mod incremental_alter_configs;
pub(crate) mod init_producer_id;
pub(crate) mod join_group;
pub(crate) mod leave_group;
pub(crate) mod list_groups;
pub(crate) mod list_offsets;
pub(crate) mod list_partition_reassignments;
pub(crate) mod list_transactions;
pub(crate) mod metadata;
pub(crate) mod offset_commit;
pub(crate) mod offset_delete;
pub(crate) mod offset_fetch;
pub(crate) mod offset_for_leader_epoch;
pub(crate) mod produce;
pub(crate) mod sasl_authenticate;
pub(crate) mod sasl_handshake;
pub(crate) mod sync_group;
pub(crate) mod txn_offset_commit;
pub(crate) mod write_txn_markers;

use std::collections::HashSet;
use std::hash::Hash;
use std::ops::RangeInclusive;

use futures::future::BoxFuture;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::StrBytes;

use crate::catalog::TopicError;
use crate::log::partition::AppendError;
use crate::log::read::{Isolation, ReadError};
use crate::server::connection::{Call, Outcome};
use crate::wire::header::Refusal;
use crate::wire::shape::Shape;

/// One API of the protocol.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) key: ApiKey,
    /// Name in metrics.
    pub(crate) name: &'static str,
    /// Versions that are answered.
    pub(crate) versions: RangeInclusive<i16>,
    pub(crate) shape: Shape,
    pub(crate) handle: Handle,
}

/// Runs when the answers before it are out.
pub(crate) type Ordered = fn(Call) -> BoxFuture<'static, Outcome>;
/// Runs up to what must be done in order as soon as the request is read; the rest is the answer.
pub(crate) type Eager = fn(Call) -> BoxFuture<'static, Result<BoxFuture<'static, Outcome>, Refusal>>;

/// When a handler runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Handle {
    Ordered(Ordered),
    Eager(Eager),
}

/// Every API that is offered, by key.
pub(crate) static APIS: &[&Api] = &[
    &produce::API,
    &fetch::API,
    &list_offsets::API,
    &metadata::API,
    &offset_commit::API,
    &offset_fetch::API,
    &find_coordinator::API,
    &join_group::API,
    &heartbeat::API,
    &leave_group::API,
    &sync_group::API,
    &describe_groups::API,
    &list_groups::API,
    &sasl_handshake::API,
    &api_versions::API,
    &create_topics::API,
    &delete_topics::API,
    &delete_records::API,
    &init_producer_id::API,
    &offset_for_leader_epoch::API,
    &add_partitions_to_txn::API,
    &add_offsets_to_txn::API,
    &end_txn::API,
    &write_txn_markers::API,
    &txn_offset_commit::API,
    &describe_acls::API,
    &create_acls::API,
    &delete_acls::API,
    &describe_configs::API,
    &alter_configs::API,
    &describe_log_dirs::API,
    &sasl_authenticate::API,
    &create_partitions::API,
    &delete_groups::API,
    &elect_leaders::API,
    &incremental_alter_configs::API,
    &alter_partition_reassignments::API,
    &list_partition_reassignments::API,
    &offset_delete::API,
    &describe_client_quotas::API,
    &alter_client_quotas::API,
    &describe_user_scram_credentials::API,
    &alter_user_scram_credentials::API,
    &describe_cluster::API,
    &describe_producers::API,
    &describe_transactions::API,
    &list_transactions::API,
    &consumer_group_heartbeat::API,
    &consumer_group_describe::API,
];

/// The row of a key.
pub(crate) fn find(key: ApiKey) -> Option<&'static Api> {
    APIS.iter().copied().find(|api| api.key == key)
}

/// No error.
pub(crate) const NONE: i16 = 0;
/// What authorized-operations fields say when nobody asked, or nothing is restricted.
pub(crate) const OPERATIONS_UNKNOWN: i32 = i32::MIN;
/// What a request names, each once: an answer is not to be many times as large for naming one thing again and again.
pub(crate) fn once<T, K: Eq + Hash>(named: Vec<T>, key: impl Fn(&T) -> K) -> impl Iterator<Item = T> {
    let mut seen = HashSet::new();
    named.into_iter().filter(move |one| seen.insert(key(one)))
}

/// A message for a client.
pub(crate) fn text(message: impl Into<String>) -> StrBytes {
    StrBytes::from_string(message.into())
}

/// An error and its chain as one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> StrBytes {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    StrBytes::from_string(line)
}

/// Kafka's code for a refused change of a topic.
pub(crate) fn topic_code(error: &TopicError) -> i16 {
    match error {
        TopicError::Exists => ResponseError::TopicAlreadyExists,
        TopicError::Unknown => ResponseError::UnknownTopicOrPartition,
        TopicError::Name(_) => ResponseError::InvalidTopicException,
        TopicError::Partitions(_) => ResponseError::InvalidPartitions,
        TopicError::Config(_) => ResponseError::InvalidConfig,
        TopicError::Storage(_) => ResponseError::KafkaStorageError,
        TopicError::Worker => ResponseError::UnknownServerError,
    }
    .code()
}

/// Kafka's code for a refused batch.
pub(crate) fn append_code(error: &AppendError) -> i16 {
    match error {
        AppendError::TooLarge => ResponseError::MessageTooLarge,
        AppendError::OutOfOrder => ResponseError::OutOfOrderSequenceNumber,
        AppendError::StaleEpoch => ResponseError::InvalidProducerEpoch,
        AppendError::OutsideTransaction => ResponseError::InvalidTxnState,
        AppendError::Deleted => ResponseError::UnknownTopicOrPartition,
        AppendError::ReadOnly | AppendError::Storage(_) => ResponseError::KafkaStorageError,
    }
    .code()
}

/// Kafka's code for an offset that cannot be read.
pub(crate) fn read_code(error: &ReadError) -> i16 {
    match error {
        ReadError::OutOfRange => ResponseError::OffsetOutOfRange,
        ReadError::Damaged => ResponseError::CorruptMessage,
        ReadError::Deleted => ResponseError::UnknownTopicOrPartition,
        ReadError::Storage(_) => ResponseError::KafkaStorageError,
    }
    .code()
}

/// What a client may see, as requests say it.
pub(crate) fn isolation_of(level: i8) -> Isolation {
    if level == 1 { Isolation::Committed } else { Isolation::Everything }
}

/// Code for a producer of another epoch; older versions of an API have but one code for it.
pub(crate) fn fenced_code(knows_fencing: bool) -> ResponseError {
    if knows_fencing { ResponseError::ProducerFenced } else { ResponseError::InvalidProducerEpoch }
}

/// Code for a client whose idea of the leader epoch is not ours; -1 means that it has none.
pub(crate) fn epoch_code(current: i32) -> i16 {
    match current.cmp(&crate::log::partition::LEADER_EPOCH) {
        _ if current == -1 => NONE,
        std::cmp::Ordering::Less => ResponseError::FencedLeaderEpoch.code(),
        std::cmp::Ordering::Equal => NONE,
        std::cmp::Ordering::Greater => ResponseError::UnknownLeaderEpoch.code(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::wire::shape::generate;
    use bytes::{Bytes, BytesMut};
    use kafka_protocol::messages::RequestKind;

    #[test]
    fn every_shape_describes_what_the_decoder_reads_in_every_version() {
        for api in APIS {
            for version in api.versions.clone() {
                // Kafka advertises produce from 0 for the sake of older clients; nothing below 3 can be decoded.
                if api.key == ApiKey::Produce && version < 3 {
                    continue;
                }
                for (elements, seed) in [(0, 1), (1, 2), (2, 3), (3, 99)] {
                    let body = generate::body(&api.shape, version, elements, seed);
                    let what = format!("{:?} version {version} elements {elements}", api.key);
                    assert_eq!(api.shape.check(version, &body), Ok(()), "{what}");
                    let mut rest = Bytes::from(body.clone());
                    let request = RequestKind::decode(api.key, &mut rest, version)
                        .unwrap_or_else(|error| panic!("{what}: {error}"));
                    assert!(rest.is_empty(), "{what}: {} bytes left", rest.len());
                    let mut again = BytesMut::new();
                    request.encode(&mut again, version).unwrap();
                    assert_eq!(again, body, "{what}");
                }
            }
        }
    }

    #[test]
    fn rows_are_in_order_and_flexible_versions_begin_where_the_headers_say() {
        assert!(APIS.windows(2).all(|pair| (pair[0].key as i16) < (pair[1].key as i16)));
        for api in APIS {
            for version in api.versions.clone() {
                let flexible = api.key.request_header_version(version) >= 2;
                assert_eq!(flexible, version >= api.shape.flexible, "{:?} version {version}", api.key);
            }
        }
    }
}
