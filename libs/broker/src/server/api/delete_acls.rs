//! DeleteAcls: takes away the access rules that filters take.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::delete_acls_response::{DeleteAclsFilterResult, DeleteAclsMatchingAcl};
use kafka_protocol::messages::{ApiKey, DeleteAclsRequest, DeleteAclsResponse};

use crate::security::acl::{Acl, Operation, Resource, Wire};
use crate::server::api::{Api, Handle, text};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{I8, Kind, Shape, all, since};

pub(crate) static API: Api = Api {
    key: ApiKey::DeleteAcls,
    name: "delete_acls",
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
    let request: DeleteAclsRequest = call.decode()?;
    let security = &call.shared.security;
    let refusal = match call.require(Operation::Alter, Resource::Cluster) {
        Err(error) => Some((error, "access rules do not allow it")),
        Ok(()) if !security.policy.enabled => Some((ResponseError::SecurityDisabled, "there are no access rules here")),
        Ok(()) => None,
    };
    if let Some((error, message)) = refusal {
        let results = request.filters.iter().map(|_| refused(error, message));
        return call.answer(&DeleteAclsResponse::default().with_filter_results(results.collect()));
    }
    let read: Vec<_> = request.filters.into_iter().map(|filter| wire(filter).filter()).collect();
    let filters = read.iter().filter_map(|filter| filter.clone().ok()).collect();
    let removed = security.remove_acls(filters).await;
    let mut removed = removed.map(Vec::into_iter);
    let results = read.iter().map(|filter| match (filter, &mut removed) {
        (Err(_), _) => refused(ResponseError::InvalidRequest, "the filter is not one that there can be"),
        (Ok(_), Err(error)) => refused(*error, "the rules could not be removed"),
        (Ok(_), Ok(removed)) => {
            let matching = removed.next().unwrap_or_default().into_iter().map(described).collect();
            DeleteAclsFilterResult::default().with_error_message(None).with_matching_acls(matching)
        }
    });
    let results = results.collect();
    call.answer(&DeleteAclsResponse::default().with_filter_results(results))
}

fn wire(filter: DeleteAclsFilter) -> Wire {
    Wire {
        resource_type: filter.resource_type_filter,
        name: filter.resource_name_filter.map(|name| name.to_string()),
        pattern: filter.pattern_type_filter,
        principal: filter.principal_filter.map(|name| name.to_string()),
        host: filter.host_filter.map(|host| host.to_string()),
        operation: filter.operation,
        permission: filter.permission_type,
    }
}

fn described(acl: Acl) -> DeleteAclsMatchingAcl {
    DeleteAclsMatchingAcl::default()
        .with_error_message(None)
        .with_resource_type(acl.resource_type as i8)
        .with_resource_name(text(acl.name))
        .with_pattern_type(acl.pattern as i8)
        .with_principal(text(acl.principal))
        .with_host(text(acl.host))
        .with_operation(acl.operation as i8)
        .with_permission_type(acl.permission as i8)
}

fn refused(error: ResponseError, message: &str) -> DeleteAclsFilterResult {
    DeleteAclsFilterResult::default().with_error_code(error.code()).with_error_message(Some(text(message)))
}
