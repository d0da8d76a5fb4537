//! CreateAcls: new access rules, in force once they are on stable storage.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::{ApiKey, CreateAclsRequest, CreateAclsResponse};

use crate::security::acl::{Operation, Resource, Wire};
use crate::server::api::{Api, Handle, NONE, text};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{I8, Kind, Shape, all, since};

pub(crate) static API: Api = Api {
    key: ApiKey::CreateAcls,
    name: "create_acls",
    versions: 1..=3,
    shape: Shape {
        flexible: 2,
        fields: &[all(Kind::List(&[
            all(I8),
            all(Kind::Text),
            since(1, I8),
            all(Kind::Text),
            all(Kind::Text),
            all(I8),
            all(I8),
        ]))],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: CreateAclsRequest = call.decode()?;
    let security = &call.shared.security;
    let refusal = match call.require(Operation::Alter, Resource::Cluster) {
        Err(error) => Some((error, "access rules do not allow it")),
        Ok(()) if !security.policy.enabled => Some((ResponseError::SecurityDisabled, "there are no access rules here")),
        Ok(()) => None,
    };
    if let Some((error, message)) = refusal {
        let results = request.creations.iter().map(|_| refused(error, message));
        return call.answer(&CreateAclsResponse::default().with_results(results.collect()));
    }
    let read: Vec<_> = request.creations.into_iter().map(|creation| wire(creation).rule()).collect();
    let new = read.iter().filter_map(|acl| acl.clone().ok()).collect();
    let mut added = security.add_acls(new).await.into_iter();
    let results = read.iter().map(|acl| match acl {
        Err(_) => refused(ResponseError::InvalidRequest, "the rule is not one that there can be"),
        Ok(_) => match added.next() {
            Some(Ok(())) => AclCreationResult::default().with_error_code(NONE).with_error_message(None),
            Some(Err(error)) => refused(error, "the rule could not be kept"),
            None => refused(ResponseError::UnknownServerError, "the rule could not be kept"),
        },
    });
    let results = results.collect();
    call.answer(&CreateAclsResponse::default().with_results(results))
}

fn wire(creation: AclCreation) -> Wire {
    Wire {
        resource_type: creation.resource_type,
        name: Some(creation.resource_name.to_string()),
        pattern: creation.resource_pattern_type,
        principal: Some(creation.principal.to_string()),
        host: Some(creation.host.to_string()),
        operation: creation.operation,
        permission: creation.permission_type,
    }
}

fn refused(error: ResponseError, message: &str) -> AclCreationResult {
    AclCreationResult::default().with_error_code(error.code()).with_error_message(Some(text(message)))
}
