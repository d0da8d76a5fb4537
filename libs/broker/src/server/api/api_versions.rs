//! ApiVersions: what is offered, read off the table.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

use crate::server::api::{APIS, Api, Handle, text};
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
    call.answer(&with_features(offered(), call.head.version))
}

/// The feature that tells clients that transactions end with a new epoch and need not be told of partitions.
const TRANSACTIONS: &str = "transaction.version";
const TRANSACTIONS_LEVEL: i16 = 2;
/// First version that can tell of features, and first whose clients understand one that begins at level 0.
const FEATURES_SINCE: i16 = 3;
const LEVEL_ZERO_SINCE: i16 = 4;

fn with_features(answer: ApiVersionsResponse, version: i16) -> ApiVersionsResponse {
    if version < FEATURES_SINCE {
        return answer;
    }
    let name = || text(TRANSACTIONS);
    let finalized = FinalizedFeatureKey::default().with_name(name());
    let finalized = finalized.with_max_version_level(TRANSACTIONS_LEVEL).with_min_version_level(TRANSACTIONS_LEVEL);
    let answer = answer.with_finalized_features_epoch(0).with_finalized_features(vec![finalized]);
    if version < LEVEL_ZERO_SINCE {
        return answer;
    }
    let supported = SupportedFeatureKey::default().with_name(name()).with_max_version(TRANSACTIONS_LEVEL);
    answer.with_supported_features(vec![supported])
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
