//! Where a projection stands, for whoever operates it.

use std::collections::BTreeMap;

use db::{Db, Value, params};
use serde::{Deserialize, Serialize};

use super::{Feeder, Projection, Source};
use crate::error::{Error, Result};

/// Of each store, how many events that were handled last are named: those of one unit have one time.
const RECENT_MAX: i64 = 50;

/// Where a projection stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Its name.
    pub projection: String,
    /// Its tables.
    pub tables: Vec<TableRows>,
    /// The stores that it is made from.
    pub sources: Vec<SourceStatus>,
    /// Events of the stores that it knows of although the consumer has not handled them yet.
    pub ahead: i64,
    /// When it was last rebuilt, in milliseconds since 1970.
    pub rebuilt_at_ms: Option<i64>,
    /// The rebuild that runs.
    pub rebuild: Option<RunningRebuild>,
}

/// How large a table is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableRows {
    /// The table.
    pub table: String,
    /// Its rows.
    pub rows: i64,
}

/// A store that a projection is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// The service whose store it is.
    pub service: String,
    /// The types of the events.
    pub event_types: Vec<String>,
    /// Up to which position of the store it was rebuilt, or followed.
    pub position: Option<i64>,
    /// The identities of the events that the consumer handled last; the store knows their positions.
    pub recent: Vec<String>,
}

/// A rebuild that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningRebuild {
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
    /// When it counts as given up if it takes no further step, in milliseconds since 1970.
    pub until_ms: i64,
    /// Events that were applied from stores.
    pub events: i64,
}

/// Where a projection stands that `feeder` feeds, or nobody.
///
/// # Errors
/// Those of the database.
pub async fn status(db: &Db, projection: &Projection, feeder: Option<&Feeder>, now_ms: i64) -> Result<Status> {
    let name = projection.name();
    let mut tables = Vec::with_capacity(projection.tables().len());
    for table in projection.tables() {
        let row = db.query_one(&format!("select count(*) as n from {}", table.name), &[]).await?;
        tables.push(TableRows { table: table.name.to_owned(), rows: row.get("n")? });
    }
    let known = positions(db, name).await?;
    let mut sources = Vec::with_capacity(projection.sources().len());
    for source in projection.sources() {
        sources.push(SourceStatus {
            service: source.service.to_owned(),
            event_types: source.event_types.iter().map(|event_type| (*event_type).to_owned()).collect(),
            position: known.get(source.service).copied(),
            recent: recent(db, source, feeder).await?,
        });
    }
    let sql = "select count(*) as n from projection_ahead where projection = $1 and not is_rebuild";
    let ahead = db.query_one(sql, &params![name]).await?.get("n")?;
    let row = db.query_opt("select rebuilt_at from projections where name = $1", &params![name]).await?;
    let rebuilt_at_ms = row.map(|row| row.get::<Option<i64>>("rebuilt_at")).transpose()?.flatten();
    let sql = "select began_at, expires_at, events from projection_rebuilds where projection = $1 and expires_at > $2";
    let row = db.query_opt(sql, &params![name, now_ms]).await?;
    let running = |row: db::Row| {
        Ok::<_, Error>(RunningRebuild {
            since_ms: row.get("began_at")?,
            until_ms: row.get("expires_at")?,
            events: row.get("events")?,
        })
    };
    let rebuild = row.map(running).transpose()?;
    Ok(Status { projection: name.to_owned(), tables, sources, ahead, rebuilt_at_ms, rebuild })
}

/// Up to which position of each service's store a projection was rebuilt or followed.
///
/// # Errors
/// Those of the database.
pub async fn positions(db: &Db, projection: &str) -> Result<BTreeMap<String, i64>> {
    let sql = "select service, position from projection_sources where projection = $1 and not is_rebuild";
    let rows = db.query(sql, &params![projection]).await?;
    rows.iter().map(|row| Ok((row.get("service")?, row.get("position")?))).collect()
}

async fn recent(db: &Db, source: &Source, feeder: Option<&Feeder>) -> Result<Vec<String>> {
    let Some(feeder) = feeder else { return Ok(Vec::new()) };
    let mut values: Vec<Value> = params![feeder.group.as_str(), RECENT_MAX].to_vec();
    values.extend(source.event_types.iter().map(|event_type| Value::from(*event_type)));
    let types: Vec<String> = (3..=values.len()).map(|number| format!("${number}")).collect();
    let sql = format!(
        "select event_identity from inbox where group_name = $1 and handler in ({})
         order by handled_at desc limit $2",
        types.join(", ")
    );
    let rows = db.query(&sql, &values).await?;
    rows.iter().map(|row| Ok(row.get("event_identity")?)).collect()
}
