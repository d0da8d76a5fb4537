//! Telling a service's stored events again: to another topic, or to one group alone; previewed first, at a rate.

use std::time::Duration;

use eventkit::replay::BATCH_MAX;
pub use eventkit::replay::{Preview, Replayed, Selection, Target};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::parts::Part;

/// What a replay would tell again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Previewed {
    /// How many of each type, and where they lie.
    #[serde(flatten)]
    pub preview: Preview,
    /// The first of them.
    pub sample: Vec<SampleEvent>,
    /// The last of them, where it is not in the sample.
    pub last: Option<SampleEvent>,
}

/// An event of a preview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SampleEvent {
    /// Its place in the store.
    pub position: i64,
    /// Its id.
    pub event_id: String,
    /// Its type.
    pub event_type: String,
    /// Its topic.
    pub topic: String,
    /// The entity that it is about.
    pub key: String,
    /// When it happened.
    pub occurred_at: Option<Timestamp>,
}

impl Previewed {
    /// How many events in all.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.preview.by_type.iter().map(|(_, events)| u64::try_from(*events).unwrap_or(0)).sum()
    }
}

impl Part {
    /// What a selection of this part's stored events holds now.
    ///
    /// # Errors
    /// The part does not answer.
    pub async fn preview(&self, selection: &Selection) -> Result<Previewed> {
        self.post("/operator/v1/events/preview", selection).await
    }

    /// Has the part publish a selection again up to position `up_to`, which a preview told, not more than `per_second`
    /// events a second; `progress` hears of each batch. When this is dropped, it ends after the batch that is under way.
    ///
    /// # Errors
    /// [`Error::ReplayBrokeOff`] with how far it came.
    pub async fn replay(
        &self,
        selection: &Selection,
        target: &Target,
        up_to: i64,
        per_second: Option<u32>,
        mut progress: impl FnMut(Replayed),
    ) -> Result<Replayed> {
        let mut rest = selection.clone();
        let mut replayed = Replayed { events: 0, position: selection.after_position };
        let limit = per_second.map_or(BATCH_MAX, |per_second| per_second.clamp(1, BATCH_MAX));
        let mut next_at = Instant::now();
        loop {
            tokio::time::sleep_until(next_at).await;
            let request = json!({"selection": rest, "target": target, "upTo": up_to, "limit": limit});
            let batch: Replayed = self.post("/operator/v1/events/replay", &request).await.map_err(|source| {
                let Replayed { events, position } = replayed;
                Error::ReplayBrokeOff { events, position, source: Box::new(source) }
            })?;
            if batch.events == 0 {
                return Ok(replayed);
            }
            if let Some(per_second) = per_second {
                next_at = Instant::now() + Duration::from_secs(batch.events) / per_second.max(1);
            }
            replayed = Replayed { events: replayed.events + batch.events, position: batch.position };
            rest.after_position = batch.position;
            progress(replayed);
        }
    }
}
