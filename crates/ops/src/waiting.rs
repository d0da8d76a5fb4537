//! Events that wait: those parked in a consumer's database behind a dead letter of their key, and those held by a relay
//! because the broker refuses them.

pub use eventkit::relay::held::HeldEvent;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::Result;
use crate::parts::Part;

/// A key that waits for its dead letter to come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParkedKey {
    /// The consumer group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// The key.
    pub key: String,
    /// The id of the event that became the dead letter.
    pub blocker: String,
    /// Whether that event came back and succeeded, or was given up: then the others are being handled.
    pub resolved: bool,
    /// How many events wait.
    pub events: i64,
    /// Since when.
    pub since: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
struct Concerned {
    events: u64,
}

impl Part {
    /// The keys that wait for a dead letter in this part's groups, the oldest first.
    ///
    /// # Errors
    /// The part does not answer.
    pub async fn parked_keys(&self) -> Result<Vec<ParkedKey>> {
        self.get("/operator/v1/parked", &[]).await
    }

    /// Gives a key's dead letter up and has what is parked behind it handled; answers how many events that are.
    ///
    /// # Errors
    /// The key is not parked, or the part does not answer.
    pub async fn release_parked(&self, group: &str, topic: &str, key: &str) -> Result<u64> {
        self.parked_key("/operator/v1/parked/release", group, topic, key).await
    }

    /// Gives a key's dead letter up and everything parked behind it; answers how many events that are.
    ///
    /// # Errors
    /// The key is not parked, or the part does not answer.
    pub async fn skip_parked(&self, group: &str, topic: &str, key: &str) -> Result<u64> {
        self.parked_key("/operator/v1/parked/skip", group, topic, key).await
    }

    async fn parked_key(&self, path: &str, group: &str, topic: &str, key: &str) -> Result<u64> {
        let concerned: Concerned = self.post(path, &json!({"group": group, "topic": topic, "key": key})).await?;
        Ok(concerned.events)
    }

    /// The events that the broker refuses, and those that wait behind them, in order of position.
    ///
    /// # Errors
    /// The part does not answer.
    pub async fn held_events(&self) -> Result<Vec<HeldEvent>> {
        self.get("/operator/v1/held", &[]).await
    }

    /// Gives a held event up: it is never published.
    ///
    /// # Errors
    /// None is held at this position, or the part does not answer.
    pub async fn skip_held(&self, position: i64) -> Result<()> {
        let _: Concerned = self.post("/operator/v1/held/skip", &json!({"position": position})).await?;
        Ok(())
    }
}
