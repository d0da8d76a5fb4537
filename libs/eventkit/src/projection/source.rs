//! Reading a store from its beginning to its end, a page at a time.

use db::{Db, Value, params};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::outbox::{self, Horizon, StoredEvent};

/// Events of a page at the most.
pub const PAGE_EVENTS_MAX: u32 = 500;
/// Bytes of the envelopes of a page, the last one not counted.
const PAGE_BYTES_MAX: i64 = 256 * 1_024;

/// Some events of a store, in order of position.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StorePage {
    /// The events.
    pub events: Vec<StoredEvent>,
    /// Up to which position the store is read: where it ended when the first page was asked for.
    pub up_to: i64,
    /// Whether there are no more.
    pub is_end: bool,
}

/// The next events of some types after a position of this database's store, up to `limit` and [`PAGE_EVENTS_MAX`].
///
/// The first page, which is asked for without `up_to`, says where the store ends now; whoever asks for the next ones up to
/// there comes to an end, however fast the store grows.
///
/// # Errors
/// Those of the database, and [`crate::Error::HeldBack`].
pub async fn read_store(
    db: &Db,
    after_position: i64,
    up_to: Option<i64>,
    event_types: &[String],
    limit: u32,
) -> Result<StorePage> {
    let up_to = match up_to {
        Some(up_to) => up_to,
        None => end(db).await?,
    };
    if event_types.is_empty() {
        return Ok(StorePage { events: Vec::new(), up_to, is_end: true });
    }
    let limit = i64::from(limit.clamp(1, PAGE_EVENTS_MAX));
    let mut values: Vec<Value> = params![after_position, up_to].to_vec();
    values.extend(event_types.iter().map(Value::from));
    let types: Vec<String> = (3..=values.len()).map(|number| format!("${number}")).collect();
    let condition = format!("position > $1 and position <= $2 and event_type in ({})", types.join(", "));
    let events = outbox::page(db, &condition, values.clone(), limit, PAGE_BYTES_MAX).await?;
    let is_end = match events.last() {
        None => true,
        Some(last) => {
            values[0] = Value::from(last.position);
            let sql = format!("select position from event_store where {condition} order by position limit 1");
            db.query_opt(&sql, &values).await?.is_none()
        }
    };
    Ok(StorePage { events, up_to, is_end })
}

/// The last position of the store, below which everything is readable.
async fn end(db: &Db) -> Result<i64> {
    let horizon = Horizon::settle(db).await?;
    let sql = "select coalesce(max(position), 0) as position from event_store where position <= $1";
    Ok(db.query_one(sql, &params![horizon]).await?.get("position")?)
}
