//! DescribeConfigs: what is set on topics and what is in force by default; of the broker, what it was started with.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{ApiKey, DescribeConfigsRequest, DescribeConfigsResponse};

use crate::catalog::broker_config;
use crate::catalog::topic_config::{KEYS, Kind as ValueKind, Source};
use crate::config::Config;
use crate::security::acl::{Operation, Resource};
use crate::server::api::config_change::{BROKER, TOPIC};
use crate::server::api::{Api, Handle, once, text};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{BOOL, I8, Kind, Shape, all, since};

pub(crate) static API: Api = Api {
    key: ApiKey::DescribeConfigs,
    name: "describe_configs",
    versions: 1..=4,
    shape: Shape {
        flexible: 4,
        fields: &[all(Kind::List(&[all(I8), all(Kind::Text), all(Kind::TextList)])), all(BOOL), since(3, BOOL)],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

/// Numbers of sources on the wire.
const SOURCE_TOPIC: i8 = 1;
const SOURCE_BROKER: i8 = 4;
const SOURCE_DEFAULT: i8 = 5;

/// Which of the optional parts of an answer are wanted.
#[derive(Clone, Copy)]
struct Wanted {
    synonyms: bool,
    documentation: bool,
    version: i16,
}

async fn run(call: Call) -> Outcome {
    let request: DescribeConfigsRequest = call.decode()?;
    let wanted = Wanted {
        synonyms: request.include_synonyms,
        documentation: request.include_documentation,
        version: call.head.version,
    };
    let named = once(request.resources, |resource| (resource.resource_type, resource.resource_name.clone()));
    let results = named.map(|resource| {
        let result = describe(&call, &resource, wanted);
        result.with_resource_type(resource.resource_type).with_resource_name(resource.resource_name)
    });
    call.answer(&DescribeConfigsResponse::default().with_results(results.collect()))
}

fn describe(call: &Call, resource: &DescribeConfigsResource, wanted: Wanted) -> DescribeConfigsResult {
    let refused = |error: ResponseError, message: &str| {
        DescribeConfigsResult::default().with_error_code(error.code()).with_error_message(Some(text(message)))
    };
    let asked = |name: &str| {
        let keys = resource.configuration_keys.as_ref();
        keys.is_none_or(|keys| keys.iter().any(|key| key.as_str() == name))
    };
    let whose = match resource.resource_type {
        TOPIC => Resource::Topic(&resource.resource_name),
        _ => Resource::Cluster,
    };
    if let Err(error) = call.require(Operation::DescribeConfigs, whose) {
        return refused(error, "access rules do not allow it");
    }
    let config = &call.shared.config;
    let configs: Vec<_> = match resource.resource_type {
        TOPIC => {
            let Some(topic) = call.shared.catalog.get(&resource.resource_name) else {
                return refused(ResponseError::UnknownTopicOrPartition, "there is no such topic");
            };
            let keys = KEYS.iter().filter(|key| asked(key.name));
            keys.map(|key| {
                let about = About { name: key.name, kind: key.kind, doc: key.doc };
                entry(about, &key.values(&topic.configs, config), wanted)
            })
            .collect()
        }
        // What holds for all brokers where none says otherwise: nothing is kept of that kind.
        BROKER if resource.resource_name.is_empty() => Vec::new(),
        BROKER if resource.resource_name.as_str() == config.node_id.to_string() => {
            let keys = of_broker(config).into_iter().filter(|(about, _)| asked(about.name));
            keys.map(|(about, value)| entry(about, &[(value, Source::Broker(about.name))], wanted).with_read_only(true))
                .collect()
        }
        BROKER => return refused(ResponseError::InvalidRequest, "there is no such broker"),
        _ => return refused(ResponseError::InvalidRequest, "only topics and the broker have configurations"),
    };
    DescribeConfigsResult::default().with_configs(configs)
}

/// What is told of a key besides its value.
#[derive(Clone, Copy)]
struct About {
    name: &'static str,
    kind: ValueKind,
    doc: &'static str,
}

/// What topics fall back to, and the broker's own configuration.
fn of_broker(config: &Config) -> Vec<(About, String)> {
    let of_topics = KEYS.iter().filter_map(|key| match key.default_value(config) {
        (value, Source::Broker(name)) => Some((About { name, kind: key.kind, doc: key.doc }, value)),
        _ => None,
    });
    let own = broker_config::KEYS
        .iter()
        .map(|key| (About { name: key.name, kind: key.kind, doc: key.doc }, (key.value)(config)));
    of_topics.chain(own).collect()
}

fn entry(about: About, values: &[(String, Source)], wanted: Wanted) -> DescribeConfigsResourceResult {
    let About { name, kind, doc } = about;
    let mut entry = DescribeConfigsResourceResult::default().with_name(text(name));
    let synonyms = values.iter().map(|(value, source)| {
        let (source, original) = match source {
            Source::Topic => (SOURCE_TOPIC, name),
            Source::Broker(original) => (SOURCE_BROKER, *original),
            Source::Default => (SOURCE_DEFAULT, name),
        };
        let value = Some(text(value.clone()));
        DescribeConfigsSynonym::default().with_name(text(original)).with_value(value).with_source(source)
    });
    let synonyms: Vec<_> = synonyms.collect();
    if let Some(in_force) = synonyms.first() {
        entry.value.clone_from(&in_force.value);
        entry.config_source = in_force.source;
    }
    if wanted.synonyms {
        entry.synonyms = synonyms;
    }
    if wanted.version >= 3 {
        entry = entry.with_config_type(kind.wire());
    }
    if wanted.documentation {
        entry = entry.with_documentation(Some(text(doc)));
    }
    entry
}
