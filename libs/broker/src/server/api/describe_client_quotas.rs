//! DescribeClientQuotas: the quotas that are kept, by who is bound.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use kafka_protocol::messages::{ApiKey, DescribeClientQuotasRequest, DescribeClientQuotasResponse};

use crate::catalog::quotas::{Entity, Values, is_type};
use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, text};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{BOOL, I8, Kind, Shape, all};

pub(crate) static API: Api = Api {
    key: ApiKey::DescribeClientQuotas,
    name: "describe_client_quotas",
    versions: 0..=1,
    shape: Shape { flexible: 1, fields: &[all(Kind::List(&[all(Kind::Text), all(I8), all(Kind::Text)])), all(BOOL)] },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

/// How the name of one type must be.
enum Wanted {
    Named(String),
    Default,
    Any,
}

async fn run(call: Call) -> Outcome {
    let request: DescribeClientQuotasRequest = call.decode()?;
    let response = DescribeClientQuotasResponse::default();
    if let Err(error) = call.require(Operation::DescribeConfigs, Resource::Cluster) {
        return call.answer(&response.with_error_code(error.code()).with_entries(None));
    }
    let wanted = match wanted(&request.components) {
        Ok(wanted) => wanted,
        Err((error, message)) => {
            let refused = response.with_error_code(error.code()).with_error_message(Some(text(message)));
            return call.answer(&refused.with_entries(None));
        }
    };
    let matches = |entity: &Entity| {
        let as_many = !request.strict || entity.len() == wanted.len();
        as_many && wanted.iter().all(|(kind, wanted)| entity.get(kind).is_some_and(|name| wanted.is(name.as_deref())))
    };
    let found = call.shared.quotas.find(matches);
    call.answer(&response.with_error_message(None).with_entries(Some(found.into_iter().map(entry).collect())))
}

impl Wanted {
    fn is(&self, name: Option<&str>) -> bool {
        match self {
            Self::Named(wanted) => name == Some(wanted),
            Self::Default => name.is_none(),
            Self::Any => true,
        }
    }
}

fn wanted(components: &[ComponentData]) -> Result<BTreeMap<String, Wanted>, (ResponseError, &'static str)> {
    let mut all = BTreeMap::new();
    for component in components {
        let wanted = match (component.match_type, &component._match) {
            (0, Some(name)) => Wanted::Named(name.to_string()),
            (1, None) => Wanted::Default,
            (2, None) => Wanted::Any,
            _ => return Err((ResponseError::InvalidRequest, "this is no way to match a name")),
        };
        if !is_type(&component.entity_type) {
            return Err((ResponseError::UnsupportedVersion, "there are no such entities"));
        }
        if all.insert(component.entity_type.to_string(), wanted).is_some() {
            return Err((ResponseError::InvalidRequest, "an entity type is named twice"));
        }
    }
    Ok(all)
}

fn entry((entity, values): (Entity, Values)) -> EntryData {
    let entity = entity
        .into_iter()
        .map(|(kind, name)| EntityData::default().with_entity_type(text(kind)).with_entity_name(name.map(text)));
    let values = values.into_iter().map(|(key, value)| ValueData::default().with_key(text(key)).with_value(value));
    EntryData::default().with_entity(entity.collect()).with_values(values.collect())
}
