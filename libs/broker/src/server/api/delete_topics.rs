//! DeleteTopics, by name and by id.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{ApiKey, DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::catalog::is_internal;
use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, chain, text, topic_code};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{I32, Kind, Shape, UUID, all, since, until};

pub(crate) static API: Api = Api {
    key: ApiKey::DeleteTopics,
    name: "delete_topics",
    versions: 1..=6,
    shape: Shape {
        flexible: 4,
        fields: &[since(6, Kind::List(&[all(Kind::Text), all(UUID)])), until(5, Kind::TextList), all(I32)],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: DeleteTopicsRequest = call.decode()?;
    let mut responses = Vec::new();
    for name in request.topic_names {
        responses.push(delete(&call, name).await);
    }
    for topic in request.topics {
        let response = match topic.name {
            Some(name) => delete(&call, name).await,
            None => delete_by_id(&call, topic.topic_id).await,
        };
        responses.push(response);
    }
    call.answer(&DeleteTopicsResponse::default().with_responses(responses))
}

async fn delete_by_id(call: &Call, id: Uuid) -> DeletableTopicResult {
    match call.shared.catalog.get_by_id(id) {
        Some(topic) if !call.sees(Operation::Describe, Resource::Topic(&topic.name)) => {
            let code = ResponseError::TopicAuthorizationFailed.code();
            DeletableTopicResult::default().with_name(None).with_topic_id(id).with_error_code(code)
        }
        Some(topic) => delete(call, TopicName(StrBytes::from_string(topic.name.to_string()))).await,
        None => DeletableTopicResult::default()
            .with_name(None)
            .with_topic_id(id)
            .with_error_code(ResponseError::UnknownTopicId.code()),
    }
}

async fn delete(call: &Call, name: TopicName) -> DeletableTopicResult {
    let says = |answer: DeletableTopicResult, message| {
        if call.head.version >= 5 { answer.with_error_message(Some(message)) } else { answer }
    };
    let answer = DeletableTopicResult::default().with_name(Some(name.clone()));
    if let Err(error) = call.require(Operation::Delete, Resource::Topic(&name)) {
        return says(answer.with_error_code(error.code()), text("access rules do not allow it"));
    }
    if is_internal(&name) {
        let answer = answer.with_error_code(ResponseError::InvalidTopicException.code());
        return says(answer, text("this topic is the broker's own"));
    }
    match call.shared.catalog.delete(&name).await {
        Ok(topic) => {
            call.shared.groups.forget_topic(&name).await;
            if call.head.version >= 6 { answer.with_topic_id(topic.id) } else { answer }
        }
        Err(error) => says(answer.with_error_code(topic_code(&error)), chain(&error)),
    }
}
