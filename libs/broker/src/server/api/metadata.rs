//! Metadata: this broker, and the topics asked for; makes topics where that is allowed.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{ApiKey, BrokerId, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::catalog::{Topic, TopicError};
use crate::log::partition::LEADER_EPOCH;
use crate::server::api::{
    Api, CLUSTER_OPERATIONS, Handle, NONE, OPERATIONS_UNKNOWN, TOPIC_OPERATIONS, text, topic_code,
};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{BOOL, Kind, Shape, UUID, all, between, since};

pub(crate) static API: Api = Api {
    key: ApiKey::Metadata,
    name: "metadata",
    versions: 0..=13,
    shape: Shape {
        flexible: 9,
        fields: &[
            all(Kind::List(&[since(10, UUID), all(Kind::Text)])),
            since(4, BOOL),
            between(8, 10, BOOL),
            since(8, BOOL),
        ],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: MetadataRequest = call.decode()?;
    let version = call.head.version;
    let operations = if request.include_topic_authorized_operations { TOPIC_OPERATIONS } else { OPERATIONS_UNKNOWN };
    // Version 0 cannot say null: there an empty list asks for all topics.
    let asked = request.topics.as_ref().filter(|topics| !(version == 0 && topics.is_empty()));
    let mut topics = Vec::new();
    match asked {
        None => topics.extend(call.shared.catalog.list().iter().map(|topic| describe(&call, topic, operations))),
        Some(asked) => {
            for topic in asked {
                topics.push(find(&call, topic, request.allow_auto_topic_creation, operations).await);
            }
        }
    }
    let node = BrokerId(call.shared.config.node_id);
    let (host, port) = call.advertised();
    let broker = MetadataResponseBroker::default().with_node_id(node).with_host(host).with_port(port);
    let mut response = MetadataResponse::default().with_brokers(vec![broker]).with_topics(topics);
    if version >= 1 {
        response.controller_id = node;
    }
    if version >= 2 {
        response.cluster_id = Some(text(call.shared.catalog.cluster_id.clone()));
    }
    if (8..=10).contains(&version) && request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    call.answer(&response)
}

async fn find(call: &Call, asked: &MetadataRequestTopic, allow_create: bool, operations: i32) -> MetadataResponseTopic {
    let catalog = &call.shared.catalog;
    // With an id the name says nothing: some clients leave it empty instead of null.
    let name = asked.name.as_ref().filter(|_| asked.topic_id.is_nil());
    let Some(name) = name else {
        return match catalog.get_by_id(asked.topic_id) {
            Some(topic) => describe(call, &topic, operations),
            None => {
                let code = ResponseError::UnknownTopicId.code();
                MetadataResponseTopic::default().with_error_code(code).with_topic_id(asked.topic_id).with_name(None)
            }
        };
    };
    let create = allow_create && call.shared.config.auto_create_topics;
    let found = if create { catalog.get_or_create(name).await } else { catalog.get(name).ok_or(TopicError::Unknown) };
    match found {
        Ok(topic) => describe(call, &topic, operations),
        Err(error) => {
            if !matches!(error, TopicError::Unknown) {
                tracing::debug!(topic = %name.0, error = &error as &dyn std::error::Error, "topic not made");
            }
            let topic =
                MetadataResponseTopic::default().with_error_code(topic_code(&error)).with_name(Some(name.clone()));
            if call.head.version >= 8 { topic.with_topic_authorized_operations(operations) } else { topic }
        }
    }
}

fn describe(call: &Call, topic: &Topic, operations: i32) -> MetadataResponseTopic {
    let version = call.head.version;
    let node = BrokerId(call.shared.config.node_id);
    let partitions = topic.partitions.iter().map(|partition| {
        let described = MetadataResponsePartition::default()
            .with_error_code(NONE)
            .with_partition_index(partition.index)
            .with_leader_id(node)
            .with_replica_nodes(vec![node])
            .with_isr_nodes(vec![node]);
        if version >= 7 { described.with_leader_epoch(LEADER_EPOCH) } else { described }
    });
    let mut described = MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(topic.name.to_string()))))
        .with_partitions(partitions.collect());
    if version >= 1 {
        described.is_internal = topic.is_internal();
    }
    if version >= 8 {
        described.topic_authorized_operations = operations;
    }
    if version >= 10 {
        described.topic_id = topic.id;
    }
    described
}
