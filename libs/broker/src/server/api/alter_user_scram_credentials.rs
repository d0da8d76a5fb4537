//! AlterUserScramCredentials: sets and removes users' passwords, which arrive salted already.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use kafka_protocol::messages::{AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse, ApiKey};

use crate::security::acl::{Operation, Resource};
use crate::security::users::{Change, Salted};
use crate::server::api::{Api, Handle, text};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{I8, I32, Kind, Shape, all};

pub(crate) static API: Api = Api {
    key: ApiKey::AlterUserScramCredentials,
    name: "alter_user_scram_credentials",
    versions: 0..=0,
    shape: Shape {
        flexible: 0,
        fields: &[
            all(Kind::List(&[all(Kind::Text), all(I8)])),
            all(Kind::List(&[all(Kind::Text), all(I8), all(I32), all(Kind::Blob), all(Kind::Blob)])),
        ],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: AlterUserScramCredentialsRequest = call.decode()?;
    let deletions = request.deletions.into_iter().map(|deletion| Change {
        user: deletion.name.to_string(),
        mechanism: deletion.mechanism,
        salted: None,
    });
    let upsertions = request.upsertions.into_iter().map(|upsertion| Change {
        user: upsertion.name.to_string(),
        mechanism: upsertion.mechanism,
        salted: Some(Salted {
            salt: upsertion.salt.to_vec(),
            iterations: upsertion.iterations,
            password: upsertion.salted_password.to_vec(),
        }),
    });
    let changes: Vec<Change> = deletions.chain(upsertions).collect();
    let outcomes = match call.require(Operation::Alter, Resource::Cluster) {
        Ok(()) => call.shared.security.change_users(changes).await,
        Err(error) => changes.into_iter().map(|change| (change.user, Err(error))).collect(),
    };
    let results = outcomes.into_iter().map(|(user, outcome)| {
        let result = AlterUserScramCredentialsResult::default().with_user(text(user)).with_error_message(None);
        match outcome {
            Ok(()) => result,
            Err(error) => result.with_error_code(error.code()).with_error_message(Some(text(message(error)))),
        }
    });
    call.answer(&AlterUserScramCredentialsResponse::default().with_results(results.collect()))
}

fn message(error: ResponseError) -> &'static str {
    match error {
        ResponseError::UnsupportedSaslMechanism => "there is no such mechanism",
        ResponseError::DuplicateResource => "the request changes a credential more than once",
        ResponseError::ResourceNotFound => "there is no such credential",
        ResponseError::UnacceptableCredential => "a name, a salt, a password and 4096 to 16384 iterations are needed",
        ResponseError::PolicyViolation => "there are too many users",
        ResponseError::ClusterAuthorizationFailed => "access rules do not allow it",
        _ => "the users could not be stored",
    }
}
