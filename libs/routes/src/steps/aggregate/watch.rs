//! Completes groups by time, when the route stops, and those whose steps somebody else did not end.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::exchange::{Exception, Result, Text};
use crate::run::{Core, Cx, Route};
use crate::state::{may_pass, patiently};

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
        tell(&cx, &patiently(|| groups.store.started()).await);
        loop {
            let left_over = shared.run_left_over(&cx).await;
            tell(&cx, &left_over);
            let is_over = interval_ms.is_some_and(|interval_ms| interval_ms <= now_ms());
            if is_over {
                tell(&cx, &shared.complete_all("interval", &cx).await);
                interval_ms = in_interval_ms();
            }
            let completed = shared.complete_due(&cx).await;
            tell(&cx, &completed);
            // From here on whoever adds a group that is complete by time says so.
            groups.wakes_at_ms.store(i64::MAX, Ordering::Release);
            let mut due_ms = groups.store.next_due_ms().await.unwrap_or_default();
            let in_poll_ms = now_ms() + POLL_MS;
            if completed.is_err() || left_over.is_err() {
                // What is due still is tried again at the next look, and not without a pause.
                due_ms = due_ms.map(|due_ms| due_ms.max(in_poll_ms));
            }
            let poll_ms = groups.store.is_durable().then_some(in_poll_ms);
            let wakes_at_ms = [due_ms, interval_ms, poll_ms].into_iter().flatten().min();
            groups.wakes_at_ms.store(wakes_at_ms.unwrap_or(i64::MAX), Ordering::Release);
            tokio::select! {
                () = stop.cancelled() => break,
                () = groups.is_sooner.notified() => {}
                () = until(wakes_at_ms, now_ms()) => {}
            }
        }
        if groups.completes_on_stop {
            tell(&cx, &shared.complete_all("force", &cx).await);
        }
    });
}

impl Shared {
    async fn complete_due(&self, cx: &Cx<'_>) -> Result<()> {
        let mut left = Left::default();
        loop {
            let most = PAGE + left.names.len();
            let due = self.groups.store.due(cx.core.surroundings.clock.now_ms(), most).await?;
            let is_last = due.len() < most;
            self.complete_these(due, "timeout", &mut left, cx).await?;
            if is_last {
                return left.outcome(cx);
            }
        }
    }

    async fn complete_all(&self, by: &'static str, cx: &Cx<'_>) -> Result<()> {
        let mut left = Left::default();
        loop {
            let most = PAGE + left.names.len();
            let all = self.groups.store.all(most).await?;
            let is_last = all.len() < most;
            self.complete_these(all, by, &mut left, cx).await?;
            if is_last {
                return left.outcome(cx);
            }
        }
    }

    /// Completes groups, but those that have been left as they were; only what may pass ends it.
    async fn complete_these(&self, names: Vec<Text>, by: &'static str, left: &mut Left, cx: &Cx<'_>) -> Result<()> {
        for name in names {
            if left.names.contains(&name) {
                continue;
            }
            match self.groups.complete(&name, by, cx.core).await {
                Ok(Some(ready)) => self.complete(ready, cx).await,
                Ok(None) => drop(left.names.insert(name)),
                Err(exception) if may_pass(&exception) => return Err(exception),
                Err(exception) => {
                    left.failures += 1;
                    left.failure.get_or_insert(exception);
                    left.names.insert(name);
                }
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

/// Groups that one look has left as they were: each is looked at once, so that it ends, and holds up no other.
#[derive(Debug, Default)]
struct Left {
    names: HashSet<Text>,
    /// How many of them cannot be completed, and why the first cannot.
    failures: usize,
    failure: Option<Exception>,
}

impl Left {
    fn outcome(self, cx: &Cx<'_>) -> Result<()> {
        let Some(exception) = self.failure else { return Ok(()) };
        let (route, groups) = (cx.route.id(), self.failures);
        tracing::error!(%route, groups, "groups cannot be completed, they stay where they are");
        Err(exception)
    }
}

/// What could not be done is tried again at the next look.
fn tell(cx: &Cx<'_>, outcome: &Result<()>) {
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
