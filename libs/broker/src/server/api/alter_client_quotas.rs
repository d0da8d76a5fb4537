//! AlterClientQuotas: quotas are kept and shown; nothing is throttled by them.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_client_quotas_request::EntryData;
use kafka_protocol::messages::alter_client_quotas_response::{EntityData, EntryData as Altered};
use kafka_protocol::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse, ApiKey};

use crate::catalog::quotas::{Change, Entity, QuotaError};
use crate::security::acl::{Operation, Resource};
use crate::server::api::config_change::{Refused, refused};
use crate::server::api::{Api, Handle, chain};
use crate::server::connection::{Call, Outcome};
use crate::wire::header::Refusal;
use crate::wire::shape::{BOOL, F64, Kind, Shape, all};

pub(crate) static API: Api = Api {
    key: ApiKey::AlterClientQuotas,
    name: "alter_client_quotas",
    versions: 0..=1,
    shape: Shape {
        flexible: 1,
        fields: &[
            all(Kind::List(&[
                all(Kind::List(&[all(Kind::Text), all(Kind::Text)])),
                all(Kind::List(&[all(Kind::Text), all(F64), all(BOOL)])),
            ])),
            all(BOOL),
        ],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: AlterClientQuotasRequest = call.decode()?;
    if let Err(error) = call.require(Operation::AlterConfigs, Resource::Cluster) {
        let forbid = |entry| respond(entry, Err(refused(error, "access rules do not allow it")));
        let entries = request.entries.into_iter().map(forbid).collect();
        return call.answer(&AlterClientQuotasResponse::default().with_entries(entries));
    }
    let quotas = Arc::clone(&call.shared.quotas);
    let validate_only = request.validate_only;
    let altered = tokio::task::spawn_blocking(move || {
        let alter = |entry: EntryData| {
            let result = change(&entry).and_then(|change| quotas.alter(&change, validate_only));
            respond(entry, result.map_err(told))
        };
        request.entries.into_iter().map(alter).collect::<Vec<Altered>>()
    });
    let entries = altered.await.map_err(|_| Refusal::Panicked)?;
    call.answer(&AlterClientQuotasResponse::default().with_entries(entries))
}

/// What is to be changed; whoever is named twice, or a key, is a mistake.
fn change(entry: &EntryData) -> Result<Change, QuotaError> {
    let twice = |what: &str| QuotaError::Invalid(format!("{what} is named twice"));
    let mut entity = Entity::new();
    for part in &entry.entity {
        let name = part.entity_name.as_ref().map(ToString::to_string);
        if entity.insert(part.entity_type.to_string(), name).is_some() {
            return Err(twice(&part.entity_type));
        }
    }
    let mut values = BTreeMap::new();
    for op in &entry.ops {
        if values.insert(op.key.to_string(), (!op.remove).then_some(op.value)).is_some() {
            return Err(twice(&op.key));
        }
    }
    Ok(Change { entity, values })
}

fn told(error: QuotaError) -> Refused {
    let code = match &error {
        QuotaError::Invalid(_) => ResponseError::InvalidRequest,
        QuotaError::TooMany => ResponseError::PolicyViolation,
        QuotaError::Storage(_) => ResponseError::KafkaStorageError,
    };
    Refused { code: code.code(), message: chain(&error) }
}

fn respond(entry: EntryData, result: Result<(), Refused>) -> Altered {
    let entity = entry
        .entity
        .into_iter()
        .map(|part| EntityData::default().with_entity_type(part.entity_type).with_entity_name(part.entity_name));
    let altered = Altered::default().with_entity(entity.collect());
    match result {
        Ok(()) => altered.with_error_message(None),
        Err(refused) => altered.with_error_code(refused.code).with_error_message(Some(refused.message)),
    }
}
