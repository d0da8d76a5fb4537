//! AlterConfigs: replaces everything that is set on a topic; what is not named goes back to its default.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse, ApiKey};

use crate::server::api::config_change::{self, Refused, refused};
use crate::server::api::{Api, Handle, NONE};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{BOOL, I8, Kind, Shape, all};

pub(crate) static API: Api = Api {
    key: ApiKey::AlterConfigs,
    name: "alter_configs",
    versions: 0..=2,
    shape: Shape {
        flexible: 2,
        fields: &[
            all(Kind::List(&[all(I8), all(Kind::Text), all(Kind::List(&[all(Kind::Text), all(Kind::Text)]))])),
            all(BOOL),
        ],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: AlterConfigsRequest = call.decode()?;
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
    call.answer(&AlterConfigsResponse::default().with_responses(responses))
}

async fn alter(call: &Call, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), Refused> {
    let mut wanted = BTreeMap::new();
    for config in &resource.configs {
        let Some(value) = &config.value else {
            return Err(refused(ResponseError::InvalidRequest, "a value is null"));
        };
        wanted.insert(config.name.to_string(), value.to_string());
    }
    let replace = |configs: &mut BTreeMap<String, String>| {
        *configs = wanted;
        Ok(())
    };
    config_change::apply(call, resource.resource_type, &resource.resource_name, validate_only, replace).await
}
