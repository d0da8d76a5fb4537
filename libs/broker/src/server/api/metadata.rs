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
use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, NONE, OPERATIONS_UNKNOWN, once, text, topic_code};
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
    let operations = request.include_topic_authorized_operations;
    // Version 0 cannot say null: there an empty list asks for all topics.
    let asked = request.topics.filter(|topics| !(version == 0 && topics.is_empty()));
    let mut topics = Vec::new();
    match asked {
        None => {
            let all = call.shared.catalog.list();
            let seen = all.iter().filter(|topic| call.sees(Operation::Describe, Resource::Topic(&topic.name)));
            topics.extend(seen.map(|topic| describe(&call, topic, operations)));
        }
        Some(asked) => {
            for topic in once(asked, |topic| (topic.name.clone(), topic.topic_id)) {
                topics.push(find(&call, &topic, request.allow_auto_topic_creation, operations).await);
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
        response.cluster_authorized_operations = call.operations(Resource::Cluster);
    }
    call.answer(&response)
}

async fn find(
    call: &Call,
    asked: &MetadataRequestTopic,
    allow_create: bool,
    operations: bool,
) -> MetadataResponseTopic {
    let catalog = &call.shared.catalog;
    // With an id the name says nothing: some clients leave it empty instead of null.
    let name = asked.name.as_ref().filter(|_| asked.topic_id.is_nil());
    let Some(name) = name else {
        return match catalog.get_by_id(asked.topic_id) {
            // What a client may not know of is not there for it.
            Some(topic) if call.require(Operation::Describe, Resource::Topic(&topic.name)).is_ok() => {
                describe(call, &topic, operations)
            }
            _ => {
                let code = ResponseError::UnknownTopicId.code();
                MetadataResponseTopic::default().with_error_code(code).with_topic_id(asked.topic_id).with_name(None)
            }
        };
    };
    if let Err(error) = call.require(Operation::Describe, Resource::Topic(name)) {
        return without(call, name, error.code(), operations);
    }
    let create = allow_create && call.shared.config.auto_create_topics;
    let found = match catalog.get(name) {
        Some(topic) => Ok(topic),
        None if create => match call.require_create(name) {
            Ok(()) => catalog.get_or_create(name).await,
            Err(error) => return without(call, name, error.code(), operations),
        },
        None => Err(TopicError::Unknown),
    };
    match found {
        Ok(topic) => describe(call, &topic, operations),
        Err(error) => {
            if !matches!(error, TopicError::Unknown) {
                tracing::debug!(topic = %name.0, error = &error as &dyn std::error::Error, "topic not made");
            }
            without(call, name, topic_code(&error), operations)
        }
    }
}

/// The answer about a topic of which there is nothing to tell.
fn without(call: &Call, name: &TopicName, code: i16, operations: bool) -> MetadataResponseTopic {
    let topic = MetadataResponseTopic::default().with_error_code(code).with_name(Some(name.clone()));
    if call.head.version >= 8 {
        topic.with_topic_authorized_operations(operations_of(call, name, operations))
    } else {
        topic
    }
}

fn operations_of(call: &Call, topic: &str, wanted: bool) -> i32 {
    if wanted { call.operations(Resource::Topic(topic)) } else { OPERATIONS_UNKNOWN }
}

fn describe(call: &Call, topic: &Topic, operations: bool) -> MetadataResponseTopic {
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
        described.topic_authorized_operations = operations_of(call, &topic.name, operations);
    }
    if version >= 10 {
        described.topic_id = topic.id;
    }
    described
}
