//! IncrementalAlterConfigs: sets, deletes, appends to and subtracts from single values of a topic.

use std::collections::{BTreeMap, HashSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{ApiKey, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use crate::catalog::topic_config::{self, Kind as ValueKind};
use crate::config::Config;
use crate::server::api::config_change::{self, Refused, refused};
use crate::server::api::{Api, Handle, NONE};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{BOOL, I8, Kind, Shape, all};

pub(crate) static API: Api = Api {
    key: ApiKey::IncrementalAlterConfigs,
    name: "incremental_alter_configs",
    versions: 0..=1,
    shape: Shape {
        flexible: 1,
        fields: &[
            all(Kind::List(&[all(I8), all(Kind::Text), all(Kind::List(&[all(Kind::Text), all(I8), all(Kind::Text)]))])),
            all(BOOL),
        ],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

async fn run(call: Call) -> Outcome {
    let request: IncrementalAlterConfigsRequest = call.decode()?;
    let names = request.resources.iter().map(|resource| (resource.resource_type, resource.resource_name.clone()));
    let twice = config_change::named_twice(names);
    let mut responses = Vec::new();
    for resource in request.resources {
        let result = if twice.contains(&(resource.resource_type, resource.resource_name.clone())) {
            Err(refused(ResponseError::InvalidRequest, "the request names the resource more than once"))
        } else {
            alter(&call, &resource, request.validate_only).await
        };
        let response = AlterConfigsResourceResponse::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name);
        responses.push(match result {
            Ok(()) => response.with_error_code(NONE).with_error_message(None),
            Err(refused) => response.with_error_code(refused.code).with_error_message(Some(refused.message)),
        });
    }
    call.answer(&IncrementalAlterConfigsResponse::default().with_responses(responses))
}

async fn alter(call: &Call, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), Refused> {
    let mut keys = HashSet::new();
    for config in &resource.configs {
        if !keys.insert(&config.name) {
            return Err(refused(ResponseError::InvalidRequest, "the request names a key more than once"));
        }
        match config.config_operation {
            DELETE => {}
            SET | APPEND | SUBTRACT if config.value.is_some() => {}
            SET | APPEND | SUBTRACT => return Err(refused(ResponseError::InvalidRequest, "a value is null")),
            _ => return Err(refused(ResponseError::InvalidRequest, "there is no such operation")),
        }
    }
    let changes = |configs: &mut BTreeMap<String, String>| {
        resource.configs.iter().try_for_each(|change| apply(configs, change, &call.shared.config))
    };
    config_change::apply(call, resource.resource_type, &resource.resource_name, validate_only, changes).await
}

/// Applies one change to what is set; the result is checked as a whole later.
fn apply(configs: &mut BTreeMap<String, String>, change: &AlterableConfig, config: &Config) -> Result<(), String> {
    let name = change.name.to_string();
    let key = topic_config::key(&name).ok_or_else(|| format!("unknown topic config name: {name}"))?;
    let value = change.value.as_deref().unwrap_or_default();
    match change.config_operation {
        SET => {
            configs.insert(name, value.to_owned());
        }
        DELETE => {
            configs.remove(&name);
        }
        operation => {
            if !matches!(key.kind, ValueKind::List(_)) {
                return Err(format!("{name} is not a list, nothing can be appended to it or subtracted from it"));
            }
            let (present, _) = key.value(configs, config);
            let mut words: Vec<&str> = present.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
            for word in value.split(',').map(str::trim) {
                match operation {
                    APPEND if words.contains(&word) => {}
                    APPEND => words.push(word),
                    _ => words.retain(|present| *present != word),
                }
            }
            configs.insert(name, words.join(","));
        }
    }
    Ok(())
}
