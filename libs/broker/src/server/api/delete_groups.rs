//! DeleteGroups: only groups without members, their offsets with them.

use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{ApiKey, DeleteGroupsRequest, DeleteGroupsResponse};

use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, NONE};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{Kind, Shape, all};

pub(crate) static API: Api = Api {
    key: ApiKey::DeleteGroups,
    name: "delete_groups",
    versions: 0..=2,
    shape: Shape { flexible: 2, fields: &[all(Kind::TextList)] },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: DeleteGroupsRequest = call.decode()?;
    let mut results = Vec::new();
    for group in request.groups_names {
        let deleted = match call.require(Operation::Delete, Resource::Group(&group)) {
            Ok(()) => call.shared.groups.delete(&group).await,
            Err(error) => Err(error),
        };
        let code = deleted.map_or_else(|error| error.code(), |()| NONE);
        results.push(DeletableGroupResult::default().with_group_id(group).with_error_code(code));
    }
    call.answer(&DeleteGroupsResponse::default().with_results(results))
}
