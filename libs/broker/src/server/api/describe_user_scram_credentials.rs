//! DescribeUserScramCredentials: which users there are and how their passwords are kept.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResult,
};
use kafka_protocol::messages::{ApiKey, DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse};

use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, text};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{Kind, Shape, all};

pub(crate) static API: Api = Api {
    key: ApiKey::DescribeUserScramCredentials,
    name: "describe_user_scram_credentials",
    versions: 0..=0,
    shape: Shape { flexible: 0, fields: &[all(Kind::List(&[all(Kind::Text)]))] },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: DescribeUserScramCredentialsRequest = call.decode()?;
    if let Err(error) = call.require(Operation::Describe, Resource::Cluster) {
        let refused = DescribeUserScramCredentialsResponse::default().with_error_code(error.code());
        return call.answer(&refused.with_error_message(Some(text("access rules do not allow it"))));
    }
    let saved = call.shared.security.store.read();
    let asked: Vec<String> = request.users.unwrap_or_default().into_iter().map(|user| user.name.to_string()).collect();
    // No names ask for all.
    let names = if asked.is_empty() { saved.users.keys().cloned().collect() } else { asked };
    let results = names.iter().map(|name| {
        let result = DescribeUserScramCredentialsResult::default().with_user(text(name.clone()));
        let refused = |error: ResponseError, message: &str| {
            result.clone().with_error_code(error.code()).with_error_message(Some(text(message)))
        };
        if names.iter().filter(|other| *other == name).count() > 1 {
            return refused(ResponseError::DuplicateResource, "the request names the user more than once");
        }
        let Some(credentials) = saved.users.get(name) else {
            return refused(ResponseError::ResourceNotFound, "there is no such user");
        };
        let infos = credentials.iter().map(|(mechanism, credential)| {
            let iterations = i32::try_from(credential.iterations).unwrap_or(i32::MAX);
            CredentialInfo::default().with_mechanism(mechanism.wire()).with_iterations(iterations)
        });
        result.with_error_message(None).with_credential_infos(infos.collect())
    });
    let results = results.collect();
    let response = DescribeUserScramCredentialsResponse::default().with_error_message(None);
    call.answer(&response.with_results(results))
}
