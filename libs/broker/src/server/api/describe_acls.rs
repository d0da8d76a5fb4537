//! DescribeAcls: the access rules that a filter takes, by resource.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_acls_response::{AclDescription, DescribeAclsResource};
use kafka_protocol::messages::{ApiKey, DescribeAclsRequest, DescribeAclsResponse};

use crate::security::acl::{Operation, Resource, Wire};
use crate::server::api::{Api, Handle, text};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{I8, Kind, Shape, all, since};

pub(crate) static API: Api = Api {
    key: ApiKey::DescribeAcls,
    name: "describe_acls",
    versions: 1..=3,
    shape: Shape {
        flexible: 2,
        fields: &[all(I8), all(Kind::Text), since(1, I8), all(Kind::Text), all(Kind::Text), all(I8), all(I8)],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: DescribeAclsRequest = call.decode()?;
    let refused = |error: ResponseError, message: &str| {
        let response = DescribeAclsResponse::default().with_error_code(error.code());
        call.answer(&response.with_error_message(Some(text(message))))
    };
    let security = &call.shared.security;
    if let Err(error) = call.require(Operation::Describe, Resource::Cluster) {
        return refused(error, "access rules do not allow it");
    }
    if !security.policy.enabled {
        return refused(ResponseError::SecurityDisabled, "there are no access rules here");
    }
    let wire = Wire {
        resource_type: request.resource_type_filter,
        name: request.resource_name_filter.map(|name| name.to_string()),
        pattern: request.pattern_type_filter,
        principal: request.principal_filter.map(|name| name.to_string()),
        host: request.host_filter.map(|host| host.to_string()),
        operation: request.operation,
        permission: request.permission_type,
    };
    let Ok(filter) = wire.filter() else {
        return refused(ResponseError::InvalidRequest, "the filter is not one that there can be");
    };
    let mut resources: BTreeMap<_, Vec<AclDescription>> = BTreeMap::new();
    for acl in security.list_acls(&filter) {
        let described = AclDescription::default()
            .with_principal(text(acl.principal))
            .with_host(text(acl.host))
            .with_operation(acl.operation as i8)
            .with_permission_type(acl.permission as i8);
        resources.entry((acl.resource_type, acl.name, acl.pattern)).or_default().push(described);
    }
    let resources = resources.into_iter().map(|((kind, name, pattern), acls)| {
        DescribeAclsResource::default()
            .with_resource_type(kind as i8)
            .with_resource_name(text(name))
            .with_pattern_type(pattern as i8)
            .with_acls(acls)
    });
    call.answer(&DescribeAclsResponse::default().with_error_message(None).with_resources(resources.collect()))
}
