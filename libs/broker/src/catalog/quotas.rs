//! Client quotas: kept and shown. They bind nobody here: one broker on one machine has nothing to share out.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::log::disk::{Disk, replace_file};
use crate::sealed;
use crate::sync::lock;

const FILE: &str = "quotas.json";
/// Entities with quotas at most.
const ENTITIES_MAX: usize = 10_000;
/// What users and clients may be bound in.
const CLIENT_KEYS: [&str; 4] =
    ["consumer_byte_rate", "controller_mutation_rate", "producer_byte_rate", "request_percentage"];
/// What addresses may be bound in.
const IP_KEYS: [&str; 1] = ["connection_creation_rate"];

/// Who is bound: types (`user`, `client-id`, `ip`) with names, or none for the default of that type.
pub(crate) type Entity = BTreeMap<String, Option<String>>;
/// In what, and to how much.
pub(crate) type Values = BTreeMap<String, f64>;

/// A change of one entity: a value, or none to remove it.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) entity: Entity,
    pub(crate) values: BTreeMap<String, Option<f64>>,
}

/// Why a quota cannot be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QuotaError {
    #[error("{0}")]
    Invalid(String),
    #[error("there are as many entities with quotas as there may be")]
    TooMany,
    #[error("storage failed")]
    Storage(#[source] io::Error),
}

/// All quotas.
#[derive(Debug)]
pub(crate) struct Quotas {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    kept: Mutex<BTreeMap<Entity, Values>>,
}

/// An entity as it stands in the file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    entity: Entity,
    values: Values,
}

impl Quotas {
    /// Reads what is kept; blocking.
    pub(crate) fn open(disk: Arc<dyn Disk>, data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join(FILE);
        let rows: Vec<Row> = match fs::read(&path) {
            Ok(bytes) => sealed::read(&bytes).map_err(|reason| Error::Metadata { path: path.clone(), reason })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Error::storage("reading", &path)(error)),
        };
        let kept = rows.into_iter().map(|row| (row.entity, row.values)).collect();
        Ok(Self { disk, path, kept: Mutex::new(kept) })
    }

    /// The entities for which `wanted` holds.
    pub(crate) fn find(&self, wanted: impl Fn(&Entity) -> bool) -> Vec<(Entity, Values)> {
        let kept = lock(&self.kept);
        kept.iter()
            .filter(|(entity, _)| wanted(entity))
            .map(|(entity, values)| (entity.clone(), values.clone()))
            .collect()
    }

    /// Makes a change, which is on stable storage when this returns; with `validate_only` only checks it. Blocking.
    pub(crate) fn alter(&self, change: &Change, validate_only: bool) -> Result<(), QuotaError> {
        check(change).map_err(QuotaError::Invalid)?;
        let mut kept = lock(&self.kept);
        let mut next = kept.clone();
        let values = next.entry(change.entity.clone()).or_default();
        for (key, value) in &change.values {
            match value {
                Some(value) => values.insert(key.clone(), *value),
                None => values.remove(key),
            };
        }
        next.retain(|_, values| !values.is_empty());
        if next.len() > ENTITIES_MAX {
            return Err(QuotaError::TooMany);
        }
        if validate_only {
            return Ok(());
        }
        let row = |(entity, values): (&Entity, &Values)| Row { entity: entity.clone(), values: values.clone() };
        let rows: Vec<Row> = next.iter().map(row).collect();
        let bytes = serde_json::to_vec_pretty(&rows).map_err(|error| QuotaError::Storage(error.into()))?;
        replace_file(&*self.disk, &self.path, &sealed::seal(bytes)).map_err(QuotaError::Storage)?;
        *kept = next;
        Ok(())
    }
}

/// Whether this is a type of entity.
pub(crate) fn is_type(name: &str) -> bool {
    matches!(name, "user" | "client-id" | "ip")
}

fn check(change: &Change) -> Result<(), String> {
    let types = &change.entity;
    if types.is_empty() {
        return Err("no entity is named".to_owned());
    }
    if let Some(unknown) = types.keys().find(|name| !is_type(name)) {
        return Err(format!("there is no entity type {unknown}"));
    }
    if types.values().flatten().any(String::is_empty) {
        return Err("an entity's name is empty".to_owned());
    }
    let by_ip = types.contains_key("ip");
    if by_ip && types.len() > 1 {
        return Err("an address stands by itself".to_owned());
    }
    let keys: &[&str] = if by_ip { &IP_KEYS } else { &CLIENT_KEYS };
    for (key, value) in &change.values {
        if !keys.contains(&key.as_str()) {
            return Err(format!("there is no quota {key} for this entity"));
        }
        if value.is_some_and(|value| !value.is_finite() || value <= 0.0) {
            return Err(format!("the quota {key} must be above 0"));
        }
    }
    Ok(())
}
