//! Counts security incidents of each kind over a sliding window, and says when they have become too many.

use db::params;
use eventkit::UnitOfWork;

use crate::routes::Counted;

/// Into how many slices a window is cut: it slides by one at a time.
const SLICES: i64 = 60;

const MINUTE_MS: i64 = 60_000;

/// From when on administrators are told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Threshold {
    /// How many incidents of one kind are no news.
    pub(crate) incidents_max: i64,
    /// Over how long they are counted.
    pub(crate) window_ms: i64,
}

impl Threshold {
    /// Counts one event; tells how many there were in the window when that is too many and nobody was told within it.
    pub(crate) async fn crossed(
        &self,
        counted: &Counted,
        work: &mut UnitOfWork,
    ) -> Result<Option<i64>, eventkit::Error> {
        let Counted { incident, suppressed, at_ms, .. } = counted;
        let (suppressed, at_ms) = (*suppressed, *at_ms);
        let told_at = lock(work, incident).await?;
        self.count(work, incident, at_ms, suppressed.saturating_add(1)).await?;
        if told_at.is_some_and(|told_at| at_ms.saturating_sub(told_at) < self.window_ms) {
            return Ok(None);
        }
        let incidents = self.in_window(work, incident, at_ms).await?;
        if incidents <= self.incidents_max {
            return Ok(None);
        }
        work.execute("update incident_alerts set told_at = $1 where incident = $2", &params![at_ms, incident.as_str()])
            .await?;
        Ok(Some(incidents))
    }

    /// The window in minutes, as people are told it.
    pub(crate) fn window_minutes(&self) -> i64 {
        self.window_ms.div_euclid(MINUTE_MS).max(1)
    }

    async fn count(
        &self,
        work: &mut UnitOfWork,
        incident: &str,
        at_ms: i64,
        incidents: i64,
    ) -> Result<(), eventkit::Error> {
        let slice_ms = (self.window_ms / SLICES).max(1);
        work.execute(
            "insert into incident_counts (incident, slice_start, incidents) values ($1, $2, $3)
             on conflict (incident, slice_start) do update set
                 incidents = incident_counts.incidents + excluded.incidents",
            &params![incident, at_ms - at_ms.rem_euclid(slice_ms), incidents],
        )
        .await?;
        // What lies two windows back is of no use to an event that comes late either.
        work.execute(
            "delete from incident_counts where incident = $1 and slice_start < $2",
            &params![incident, at_ms.saturating_sub(self.window_ms.saturating_mul(2))],
        )
        .await?;
        Ok(())
    }

    async fn in_window(&self, work: &mut UnitOfWork, incident: &str, at_ms: i64) -> Result<i64, eventkit::Error> {
        let rows = work
            .query(
                "select incidents from incident_counts
                 where incident = $1 and slice_start > $2 and slice_start <= $3",
                &params![incident, at_ms.saturating_sub(self.window_ms), at_ms],
            )
            .await?;
        let mut sum: i64 = 0;
        for row in rows {
            sum = sum.saturating_add(row.get("incidents")?);
        }
        Ok(sum)
    }
}

/// Locks the kind until the unit ends, so that it is counted and told by one at a time; when it was last told.
async fn lock(work: &mut UnitOfWork, incident: &str) -> Result<Option<i64>, eventkit::Error> {
    let row = work
        .query_one(
            "insert into incident_alerts (incident) values ($1)
             on conflict (incident) do update set incident = excluded.incident
             returning told_at",
            &params![incident],
        )
        .await?;
    Ok(row.get("told_at")?)
}
