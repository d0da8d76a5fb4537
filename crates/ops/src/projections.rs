//! Projections: where each stands compared with the stores that it is made from, and rebuilding one from them beside the
//! running one.
//!
//! The events travel through whoever rebuilds, a page at a time: read at the doors of the services that told them, brought
//! to the part whose projection it is.

use std::time::Duration;

pub use eventkit::projection::{Ending, Finished, RunningRebuild, SourceStatus, Status, StorePage, TableChange};
use eventkit::replay::{Preview, Selection};
use eventkit::trace::{Asked, Known};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::parts::Part;

/// Events of a page if nothing else is said.
pub const PAGE_EVENTS: u32 = 200;

/// Where a projection stands towards one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stand {
    /// The service whose store it is.
    pub service: String,
    /// The types of the events.
    pub event_types: Vec<String>,
    /// The position of the newest event that the projection has.
    pub position: Option<i64>,
    /// How many newer ones the store has; nothing where its service does not tell.
    pub behind: Option<i64>,
    /// Why its service does not tell.
    pub note: Option<String>,
}

/// How a projection is rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Whether the running one is replaced.
    pub ending: Ending,
    /// Events of a page.
    pub page_events: u32,
    /// Events a second at the most.
    pub per_second: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Begun {
    rebuild_id: String,
}

#[derive(Debug, Deserialize)]
struct Applied {
    events: i64,
}

impl Part {
    /// Where this part's projections stand.
    ///
    /// # Errors
    /// The part does not answer.
    pub async fn projections(&self) -> Result<Vec<Status>> {
        self.get("/operator/v1/projections", &[]).await
    }

    /// The next events of this part's store, up to where it ended when the first page was asked for.
    ///
    /// # Errors
    /// The part does not answer.
    pub async fn read_store(
        &self,
        after_position: i64,
        up_to: Option<i64>,
        event_types: &[String],
        limit: u32,
    ) -> Result<StorePage> {
        let request =
            json!({"afterPosition": after_position, "upTo": up_to, "eventTypes": event_types, "limit": limit});
        self.post("/operator/v1/events/read", &request).await
    }

    /// How many events of some types this part's store has after a position.
    async fn count_after(&self, position: i64, event_types: &[String]) -> Result<i64> {
        let selection = Selection { after_position: position, ..Selection::default() };
        let preview: Preview = self.post("/operator/v1/events/preview", &selection).await?;
        let wanted = preview.by_type.iter().filter(|(event_type, _)| event_types.contains(event_type));
        Ok(wanted.map(|(_, events)| events).sum())
    }

    /// The highest position that some of this part's stored events have.
    async fn highest(&self, event_ids: &[String]) -> Result<Option<i64>> {
        if event_ids.is_empty() {
            return Ok(None);
        }
        let asked = |id: &String| Asked { event_id: id.clone(), event_type: None };
        let request = json!({"events": event_ids.iter().map(asked).collect::<Vec<_>>()});
        let known: Vec<Known> = self.post("/operator/v1/events/known", &request).await?;
        Ok(known.into_iter().filter_map(|known| known.stored).map(|stored| stored.position).max())
    }
}

/// The part of a service.
fn store_of<'a>(stores: &'a [Part], service: &str) -> Result<&'a Part> {
    let part = stores.iter().find(|part| part.name == service);
    part.ok_or_else(|| Error::NoStore { service: service.to_owned() })
}

/// Where a projection stands towards a store, as far as its service tells; why it does not is noted.
///
/// # Errors
/// There is no such service.
pub async fn stand(stores: &[Part], source: &SourceStatus) -> Result<Stand> {
    let store = store_of(stores, &source.service)?;
    let compared = async {
        let position = source.position.max(store.highest(&source.recent).await?);
        let behind = store.count_after(position.unwrap_or(0), &source.event_types).await?;
        Ok::<_, Error>((position, behind))
    };
    let (position, behind, note) = match compared.await {
        Ok((position, behind)) => (position, Some(behind), None),
        Err(error) => (source.position, None, Some(eventkit::chain(&error))),
    };
    Ok(Stand { service: source.service.clone(), event_types: source.event_types.clone(), position, behind, note })
}

/// How many events a rebuild will read.
///
/// # Errors
/// A store's service does not answer.
pub async fn events_of(stores: &[Part], status: &Status) -> Result<i64> {
    let mut events = 0;
    for source in &status.sources {
        events += store_of(stores, &source.service)?.count_after(0, &source.event_types).await?;
    }
    Ok(events)
}

/// A rebuild that was begun at a part.
#[derive(Debug)]
pub struct Rebuilding<'a> {
    owner: &'a Part,
    status: &'a Status,
    rebuild_id: String,
}

impl<'a> Rebuilding<'a> {
    /// Begins a rebuild of a projection of `owner`; with `take_over` it ends another one that is at work.
    ///
    /// # Errors
    /// Another one is at work, or the part does not answer.
    pub async fn begin(owner: &'a Part, status: &'a Status, take_over: bool) -> Result<Self> {
        let request = json!({"projection": status.projection, "takeOver": take_over});
        let begun: Begun = owner.post("/operator/v1/projections/begin", &request).await?;
        Ok(Self { owner, status, rebuild_id: begun.rebuild_id })
    }

    /// Reads every store from its beginning to its end, and ends the rebuild; `progress` hears of each page.
    ///
    /// # Errors
    /// [`Error::RebuildBrokeOff`]: nothing has changed, unless the part died at the very end.
    pub async fn run(&self, stores: &[Part], plan: Plan, progress: impl FnMut(i64)) -> Result<Finished> {
        self.feed(stores, plan, progress).await.map_err(|source| {
            let (part, projection) = (self.owner.name, self.status.projection.clone());
            Error::RebuildBrokeOff { part, projection, source: Box::new(source) }
        })
    }

    async fn feed(&self, stores: &[Part], plan: Plan, mut progress: impl FnMut(i64)) -> Result<Finished> {
        let (projection, rebuild_id) = (&self.status.projection, &self.rebuild_id);
        let limit = plan.per_second.map_or(plan.page_events, |per_second| per_second.clamp(1, plan.page_events));
        let mut next_at = Instant::now();
        for source in &self.status.sources {
            let (store, service) = (store_of(stores, &source.service)?, &source.service);
            let (mut position, mut end) = (0, None);
            loop {
                tokio::time::sleep_until(next_at).await;
                let StorePage { events, up_to, is_end } =
                    store.read_store(position, end, &source.event_types, limit).await?;
                end = Some(up_to);
                position = events.last().map_or(position, |event| event.position);
                if let Some(per_second) = plan.per_second {
                    let events = u64::try_from(events.len()).unwrap_or(u64::MAX);
                    next_at = Instant::now() + Duration::from_secs(events) / per_second.max(1);
                }
                let page = json!({
                    "projection": projection, "rebuildId": rebuild_id, "service": service, "events": events,
                });
                let applied: Applied = self.owner.post("/operator/v1/projections/apply", &page).await?;
                progress(applied.events);
                if is_end {
                    break;
                }
            }
        }
        let end = json!({"projection": projection, "rebuildId": rebuild_id, "ending": plan.ending});
        loop {
            let finished: Option<Finished> = self.owner.post("/operator/v1/projections/finish", &end).await?;
            if let Some(finished) = finished {
                return Ok(finished);
            }
        }
    }

    /// Gives the rebuild up, so that another one can begin at once.
    ///
    /// # Errors
    /// The part does not answer.
    pub async fn cancel(&self) -> Result<()> {
        let request = json!({"projection": self.status.projection, "rebuildId": self.rebuild_id});
        let _: serde_json::Value = self.owner.post("/operator/v1/projections/cancel", &request).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_that_tells_nothing_is_noted_with_its_reason() {
        // Nothing listens there.
        let store = Part::new("user-service", "127.0.0.1:1".to_owned(), "secret".to_owned());
        let source = SourceStatus {
            service: "user-service".to_owned(),
            event_types: vec!["user.created".to_owned()],
            position: Some(7),
            recent: Vec::new(),
        };
        let stand = stand(&[store], &source).await.unwrap();
        assert_eq!((stand.position, stand.behind), (Some(7), None));
        let note = stand.note.unwrap();
        assert!(note.starts_with("nothing answers on 127.0.0.1:1; is user-service running?"), "{note}");
    }
}
