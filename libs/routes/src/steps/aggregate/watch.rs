//! Completes groups by time, when the route stops, and those whose steps somebody else did not end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::exchange::{Result, Text};
use crate::run::{Core, Cx, Route};
use crate::state::patiently;

use super::Shared;

/// How many groups are asked for at a time.
const PAGE: usize = 100;
/// How often others' groups are looked for: their process may have ended, or their time has come.
const POLL_MS: i64 = 5_000;

/// Watches the groups while the route runs.
pub(super) fn begin(shared: Arc<Shared>, core: Arc<Core>, route: Arc<Route>) {
    let target = Arc::clone(&route);
    target.spawn(|stop| async move {
        let cx = Cx { core: &core, route: &route, errors: None };
        let groups = &shared.groups;
        let now_ms = || core.surroundings.clock.now_ms();
        let in_interval_ms = || groups.rules.interval_ms.map(|ms| now_ms().saturating_add_unsigned(ms));
        let mut interval_ms = in_interval_ms();
        tell(&cx, patiently(|| groups.store.started()).await);
        loop {
            tell(&cx, shared.run_left_over(&cx).await);
            let is_over = interval_ms.is_some_and(|interval_ms| interval_ms <= now_ms());
            if is_over {
                tell(&cx, shared.complete_all("interval", &cx).await);
                interval_ms = in_interval_ms();
            }
            tell(&cx, shared.complete_due(&cx).await);
            // From here on whoever adds a group that is complete by time says so.
            groups.wakes_at_ms.store(i64::MAX, Ordering::Release);
            let due_ms = groups.store.next_due_ms().await.unwrap_or_default();
            let poll_ms = groups.store.is_durable().then(|| now_ms() + POLL_MS);
            let wakes_at_ms = [due_ms, interval_ms, poll_ms].into_iter().flatten().min();
            groups.wakes_at_ms.store(wakes_at_ms.unwrap_or(i64::MAX), Ordering::Release);
            tokio::select! {
                () = stop.cancelled() => break,
                () = groups.is_sooner.notified() => {}
                () = until(wakes_at_ms, now_ms()) => {}
            }
        }
        if groups.completes_on_stop {
            tell(&cx, shared.complete_all("force", &cx).await);
        }
    });
}

impl Shared {
    async fn complete_due(&self, cx: &Cx<'_>) -> Result<()> {
        loop {
            let due = self.groups.store.due(cx.core.surroundings.clock.now_ms(), PAGE).await?;
            let is_last = due.len() < PAGE;
            self.complete_these(due, "timeout", cx).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    async fn complete_all(&self, by: &'static str, cx: &Cx<'_>) -> Result<()> {
        loop {
            let all = self.groups.store.all(PAGE).await?;
            let is_last = all.len() < PAGE;
            self.complete_these(all, by, cx).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    async fn complete_these(&self, names: Vec<Text>, by: &'static str, cx: &Cx<'_>) -> Result<()> {
        for name in names {
            if let Some(ready) = self.groups.complete(&name, by, cx.core).await? {
                self.complete(ready, cx).await;
            }
        }
        Ok(())
    }

    async fn run_left_over(&self, cx: &Cx<'_>) -> Result<()> {
        loop {
            let left_over = self.groups.left_over(1, cx.core).await?;
            if left_over.is_empty() {
                return Ok(());
            }
            for ready in left_over {
                self.complete(ready, cx).await;
            }
        }
    }
}

/// What could not be done is tried again at the next look.
fn tell(cx: &Cx<'_>, outcome: Result<()>) {
    if let Err(exception) = outcome {
        tracing::warn!(route = %cx.route.id(), %exception, "groups cannot be looked at for now");
    }
}

async fn until(time_ms: Option<i64>, now_ms: i64) {
    match time_ms {
        Some(time_ms) => {
            let wait_ms = u64::try_from(time_ms.saturating_sub(now_ms)).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(wait_ms.max(1))).await;
        }
        None => std::future::pending().await,
    }
}
