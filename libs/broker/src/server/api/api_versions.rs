//! ApiVersions: what is offered, read off the table.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

use crate::server::api::{APIS, Api, Handle};
use crate::server::connection::{Call, Outcome};
use crate::wire::header::{Refusal, encode_response};
use crate::wire::shape::{Kind, Shape, since};

pub(crate) static API: Api = Api {
    key: ApiKey::ApiVersions,
    name: "api_versions",
    versions: 0..=4,
    shape: Shape { flexible: 3, fields: &[since(3, Kind::Text), since(3, Kind::Text)] },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let _request: ApiVersionsRequest = call.decode()?;
    call.answer(&offered())
}

fn offered() -> ApiVersionsResponse {
    let row = |api: &&Api| {
        ApiVersion::default()
            .with_api_key(api.key as i16)
            .with_min_version(*api.versions.start())
            .with_max_version(*api.versions.end())
    };
    ApiVersionsResponse::default().with_api_keys(APIS.iter().map(row).collect())
}

/// The answer to a request version nobody here knows: in version 0, which every client can read.
pub(crate) fn unsupported(correlation: i32) -> Result<Bytes, Refusal> {
    encode_response(correlation, 0, &offered().with_error_code(ResponseError::UnsupportedVersion.code()))
}
