//! CreateTopics.

use std::collections::{BTreeMap, HashMap};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::{ApiKey, CreateTopicsRequest, CreateTopicsResponse};
use uuid::Uuid;

use crate::catalog::TopicError;
use crate::catalog::topic_config::{KEYS, Source};
use crate::num::i32_of;
use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, chain, text, topic_code};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{BOOL, I16, I32, I32_LIST, Kind, Shape, all, since};

pub(crate) static API: Api = Api {
    key: ApiKey::CreateTopics,
    name: "create_topics",
    versions: 2..=7,
    shape: Shape {
        flexible: 5,
        fields: &[
            all(Kind::List(&[
                all(Kind::Text),
                all(I32),
                all(I16),
                all(Kind::List(&[all(I32), all(I32_LIST)])),
                all(Kind::List(&[all(Kind::Text), all(Kind::Text)])),
            ])),
            all(I32),
            since(1, BOOL),
        ],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

/// A topic that was made, or would have been.
struct Made {
    id: Uuid,
    partitions: i32,
    configs: BTreeMap<String, String>,
}

struct Refused {
    code: i16,
    message: kafka_protocol::protocol::StrBytes,
}

async fn run(call: Call) -> Outcome {
    let request: CreateTopicsRequest = call.decode()?;
    let mut named = HashMap::new();
    for topic in &request.topics {
        *named.entry(topic.name.clone()).or_insert(0) += 1;
    }
    let mut results = Vec::new();
    for topic in &request.topics {
        let made = if named[&topic.name] > 1 {
            Err(refused(ResponseError::InvalidRequest, "the request names the topic more than once"))
        } else if let Err(error) = call.require_create(&topic.name) {
            Err(refused(error, "access rules do not allow it"))
        } else {
            create(&call, topic, request.validate_only).await
        };
        results.push(result(&call, topic, made));
    }
    call.answer(&CreateTopicsResponse::default().with_topics(results))
}

async fn create(call: &Call, topic: &CreatableTopic, validate_only: bool) -> Result<Made, Refused> {
    let partitions = wanted_partitions(call, topic)?;
    if !matches!(topic.replication_factor, -1 | 1) {
        return Err(refused(
            ResponseError::InvalidReplicationFactor,
            "there is one broker: the replication factor is 1 or -1",
        ));
    }
    let mut configs = BTreeMap::new();
    for config in &topic.configs {
        let Some(value) = &config.value else {
            return Err(refused(ResponseError::InvalidConfig, &format!("null value for {}", &*config.name)));
        };
        configs.insert(config.name.to_string(), value.to_string());
    }
    if validate_only {
        let partitions =
            call.shared.catalog.check_new(&topic.name, partitions, &configs).map_err(|error| from_topic(&error))?;
        return Ok(Made { id: Uuid::nil(), partitions, configs });
    }
    let made = call
        .shared
        .catalog
        .create(&topic.name, partitions, configs.clone())
        .await
        .map_err(|error| from_topic(&error))?;
    Ok(Made { id: made.id, partitions: i32_of(made.partitions.len()), configs })
}

/// The partition count, which an explicit assignment gives too.
fn wanted_partitions(call: &Call, topic: &CreatableTopic) -> Result<i32, Refused> {
    if topic.assignments.is_empty() {
        return Ok(topic.num_partitions);
    }
    if topic.num_partitions != -1 || topic.replication_factor != -1 {
        return Err(refused(
            ResponseError::InvalidRequest,
            "with assignments, partitions and replication factor must be -1",
        ));
    }
    let mut indexes: Vec<i32> = topic.assignments.iter().map(|assignment| assignment.partition_index).collect();
    indexes.sort_unstable();
    let consecutive = indexes.iter().enumerate().all(|(at, index)| *index == i32_of(at));
    let here = topic
        .assignments
        .iter()
        .all(|assignment| assignment.broker_ids.iter().map(|id| id.0).eq([call.shared.config.node_id]));
    if consecutive && here {
        Ok(i32_of(indexes.len()))
    } else {
        Err(refused(
            ResponseError::InvalidReplicaAssignment,
            "each partition, from 0 on, is assigned to this broker alone",
        ))
    }
}

fn refused(error: ResponseError, message: &str) -> Refused {
    Refused { code: error.code(), message: text(message) }
}

fn from_topic(error: &TopicError) -> Refused {
    Refused { code: topic_code(error), message: chain(error) }
}

fn result(call: &Call, topic: &CreatableTopic, made: Result<Made, Refused>) -> CreatableTopicResult {
    let version = call.head.version;
    let answer = CreatableTopicResult::default().with_name(topic.name.clone());
    match made {
        Err(refused) => {
            let answer = answer.with_error_code(refused.code).with_error_message(Some(refused.message));
            if version >= 5 { answer.with_configs(None) } else { answer }
        }
        Ok(made) => {
            let mut answer = answer.with_error_message(None);
            // What is configured is told to those who could ask for it.
            if version >= 5 && !call.sees(Operation::DescribeConfigs, Resource::Topic(&topic.name)) {
                let code = ResponseError::TopicAuthorizationFailed.code();
                answer = answer.with_topic_config_error_code(code).with_configs(None);
            } else if version >= 5 {
                answer = answer.with_num_partitions(made.partitions).with_replication_factor(1);
                answer.configs = Some(configs(call, &made.configs));
            }
            if version >= 7 {
                answer.topic_id = made.id;
            }
            answer
        }
    }
}

fn configs(call: &Call, set: &BTreeMap<String, String>) -> Vec<CreatableTopicConfigs> {
    let describe = |key: &crate::catalog::topic_config::Key| {
        let (value, source) = key.value(set, &call.shared.config);
        let source = match source {
            Source::Topic => 1,
            Source::Broker(_) => 4,
            Source::Default => 5,
        };
        CreatableTopicConfigs::default()
            .with_name(text(key.name))
            .with_value(Some(text(value)))
            .with_config_source(source)
    };
    KEYS.iter().map(describe).collect()
}
