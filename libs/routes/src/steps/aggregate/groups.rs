//! The groups of an aggregation, and when they are complete.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::exchange::{Exception, Exchange, Kind, Result, Text, VALUE_BYTES_MAX, Value, class};
use crate::language::{Expression, Predicate};
use crate::run::{Core, Cx, Limits, Strategy};
use crate::state::{self, Change, Changed, Complete, Found, Kept, Wanted, patiently};
use crate::steps::split::number;

/// When groups are complete.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) key: Arc<dyn Expression>,
    pub(super) strategy: Strategy,
    pub(super) size: Option<usize>,
    pub(super) size_expression: Option<Arc<dyn Expression>>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) timeout_expression: Option<Arc<dyn Expression>>,
    pub(super) interval_ms: Option<u64>,
    pub(super) predicate: Option<Arc<dyn Predicate>>,
    pub(super) looks_at_new: bool,
    pub(super) ignores_invalid: bool,
    pub(super) closed_max: Option<usize>,
    pub(super) discards_late: bool,
    pub(super) discards_failed: bool,
}

impl Rules {
    /// Whether one of them may fail, and the group is to be there then as it was.
    fn may_fail(&self) -> bool {
        let may_fail =
            self.predicate.is_some() || self.size_expression.is_some() || self.timeout_expression.is_some();
        may_fail && !self.discards_failed
    }

    pub(super) fn can_complete(&self) -> bool {
        self.size.is_some()
            || self.size_expression.is_some()
            || self.timeout_ms.is_some()
            || self.timeout_expression.is_some()
            || self.interval_ms.is_some()
            || self.predicate.is_some()
    }

    fn completed_by(&self, exchange: &Exchange, size: usize) -> Result<Option<&'static str>> {
        if let Some(predicate) = &self.predicate {
            // What was collected is the body while the condition is looked at.
            let mut seen = exchange.clone();
            if !self.looks_at_new {
                self.strategy.complete(&mut seen);
            }
            if predicate.matches(&seen)? {
                return Ok(Some("predicate"));
            }
        }
        let wanted = match &self.size_expression {
            Some(expression) => expression
                .evaluate(exchange, Kind::Int)?
                .to_integer()
                .and_then(|size| usize::try_from(size).ok())
                .filter(|size| *size > 0)
                .or(self.size),
            None => self.size,
        };
        Ok(wanted.is_some_and(|wanted| size >= wanted).then_some("size"))
    }

    fn timeout_ms(&self, exchange: &Exchange) -> Result<Option<i64>> {
        let timeout = match &self.timeout_expression {
            Some(expression) => expression.evaluate(exchange, Kind::Long)?.to_integer().filter(|ms| *ms > 0),
            None => None,
        };
        Ok(timeout.or_else(|| self.timeout_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX))))
    }
}

/// The groups of one step.
///
/// What the store has counts. What has been joined is kept here as well, so that it is not read again for each member: it
/// counts as long as its mark is that of the store.
#[derive(Debug)]
pub(super) struct Groups {
    pub(super) rules: Rules,
    groups_max: usize,
    group_max: usize,
    keys_max: usize,
    pub(super) completes_on_stop: bool,
    pub(super) store: Box<dyn state::Groups>,
    slots: Mutex<HashMap<Text, Arc<Slot>>>,
    /// Told when the time of a group comes before [`Self::wakes_at_ms`].
    pub(super) is_sooner: Notify,
    /// When whoever watches looks next.
    pub(super) wakes_at_ms: AtomicI64,
}

/// One at a time changes a group; others of this process wait here, and those of others at the store.
type Slot = tokio::sync::Mutex<Option<Joined>>;

#[derive(Debug)]
struct Joined {
    mark: i64,
    exchange: Exchange,
}

/// A complete group, whose steps are to be run.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) number: i64,
    /// How often they have failed before.
    pub(super) failures: u32,
    pub(super) exchange: Exchange,
}

const COMPLETED_BY: Text = Text::fixed("CamelAggregatedCompletedBy");
const SIZE: Text = Text::fixed("CamelAggregatedSize");
const KEY: Text = Text::fixed("CamelAggregatedCorrelationKey");

/// How often it is said that somebody still runs the steps of a group.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// The first wait after the steps of a group have failed, and the longest, in milliseconds.
const AGAIN_FIRST_MS: i64 = 1_000;
const AGAIN_MAX_MS: i64 = 60_000;
/// How often the steps of a group are tried before they wait for the next start of the route.
const FAILURES_MAX: u32 = 10;

impl Groups {
    pub(super) fn new(
        rules: Rules,
        limits: &Limits,
        completes_on_stop: bool,
        store: Box<dyn state::Groups>,
    ) -> Self {
        Self {
            rules,
            groups_max: limits.groups_max,
            group_max: limits.group_max,
            keys_max: limits.keys_max,
            completes_on_stop,
            store,
            slots: Mutex::default(),
            is_sooner: Notify::new(),
            wakes_at_ms: AtomicI64::new(i64::MAX),
        }
    }

    /// Whether groups are completed by time or when the route stops, or may be left over from before.
    pub(super) fn needs_watch(&self) -> bool {
        self.rules.timeout_ms.is_some()
            || self.rules.timeout_expression.is_some()
            || self.rules.interval_ms.is_some()
            || self.completes_on_stop
            || self.store.is_durable()
    }

    /// Adds an exchange to its group; what is complete then is returned.
    pub(super) async fn add(&self, exchange: &mut Exchange, cx: &Cx<'_>) -> Result<Option<Ready>> {
        let key = self.rules.key.evaluate(exchange, Kind::Any)?.to_text().filter(|key| !key.is_empty());
        let Some(key) = key else {
            if self.rules.ignores_invalid {
                return Ok(None);
            }
            return Err(Exception::new(&class::CAMEL_EXCHANGE, "Invalid correlation key"));
        };
        let member = exchange.next_id(cx.route.id()).map(|id| Text::from(id.to_string()));
        let mut new = exchange.copy();
        new.go_alone();
        let name = state::name(&key);
        patiently(|| self.try_add(&name, &key, member.as_ref(), &new, cx)).await?
    }

    /// As [`Self::add`]; what the store cannot do is told apart from what the rules say.
    async fn try_add(
        &self,
        name: &Text,
        key: &Text,
        member: Option<&Text>,
        new: &Exchange,
        cx: &Cx<'_>,
    ) -> Result<Result<Option<Ready>>> {
        let slot = self.slot(name);
        let mut known = slot.lock().await;
        let joined = known.take();
        let now_ms = cx.core.surroundings.clock.now_ms();
        let wanted = self.wanted(name, member, joined.as_ref(), now_ms);
        let mut adding = Adding { groups: self, core: cx.core, key, new, now_ms, joined, outcome: None, refused: None };
        let mut decide = |found| adding.decide(found);
        let changing = self.store.change(wanted, &mut decide).await;
        let Adding { outcome, refused, joined, .. } = adding;
        let state::Changing { changed, durable } = match (changing, refused.clone()) {
            (Ok(changing), _) => changing,
            (Err(_), Some(refused)) => {
                // The group is as it was.
                *known = joined;
                drop(known);
                self.tidy(name, slot);
                return Ok(Err(refused));
            }
            (Err(exception), None) => return Err(exception),
        };
        let mut ready = None;
        match (changed, outcome) {
            (Changed::Joined { mark }, Some((exchange, due_ms))) => {
                *known = Some(Joined { mark, exchange });
                self.tell_due(due_ms);
            }
            (Changed::Complete { number }, Some((exchange, _))) => {
                ready = Some(Ready { number, failures: 0, exchange });
            }
            (Changed::Before | Changed::Stayed, _) => *known = joined,
            _ => {}
        }
        // The next member may join meanwhile; what the store has counts if this fails.
        drop(known);
        self.tidy(name, slot);
        durable.await?;
        Ok(refused.map_or(Ok(ready), Err))
    }

    /// Completes a group whatever it has collected, if it is there; one whose time has come only if that is still so.
    pub(super) async fn complete(&self, name: &Text, by: &'static str, core: &Core) -> Result<Option<Ready>> {
        let slot = self.slot(name);
        let mut known = slot.lock().await;
        let mut joined = known.take();
        let now_ms = core.surroundings.clock.now_ms();
        let wanted = self.wanted(name, None, joined.as_ref(), now_ms);
        let mut complete = None;
        let is_timeout = by == "timeout";
        let mut decide = |found: Found| {
            let Some(kept) = found.group else { return Ok(Change::Stay) };
            if is_timeout && kept.due_ms.is_none_or(|due_ms| due_ms > now_ms) {
                return Ok(Change::Stay);
            }
            if is_timeout && self.rules.discards_late {
                return Ok(Change::Drop { closes: true });
            }
            let exchange = self.whole(&kept, joined.take(), core)?;
            Ok(Change::Complete(self.content(complete.insert(self.completed(exchange, by)))))
        };
        let state::Changing { changed, durable } = self.store.change(wanted, &mut decide).await?;
        if changed == Changed::Stayed {
            *known = joined;
        }
        drop(known);
        self.tidy(name, slot);
        durable.await?;
        Ok(match (changed, complete) {
            (Changed::Complete { number }, Some(exchange)) => Some(Ready { number, failures: 0, exchange }),
            _ => None,
        })
    }

    /// Complete groups whose steps nobody runs any more.
    pub(super) async fn left_over(&self, most: usize, core: &Core) -> Result<Vec<Ready>> {
        let found = self.store.left_over(core.surroundings.clock.now_ms(), most).await?;
        let restored = |Complete { number, failures, content }: Complete| match core.restored(&content) {
            Some(exchange) => Some(Ready { number, failures, exchange }),
            None => {
                tracing::error!(number, "what a complete group has collected cannot be read, it stays where it is");
                None
            }
        };
        Ok(found.into_iter().filter_map(restored).collect())
    }

    /// Has it known, while steps run, that somebody runs them.
    pub(super) async fn hold(&self, number: i64, steps: impl Future<Output = ()>, cx: &Cx<'_>) {
        let mut steps = std::pin::pin!(steps);
        while tokio::time::timeout(RENEW_EVERY, &mut steps).await.is_err() {
            if let Err(exception) = self.store.renew(number, cx.core.surroundings.clock.now_ms()).await {
                tracing::warn!(route = %cx.route.id(), %exception, "others may run the steps of a complete group as well");
            }
        }
    }

    /// The steps of a complete group have come to their end.
    pub(super) async fn settle(&self, number: i64, failures: u32, is_failed: bool, cx: &Cx<'_>) {
        if !(is_failed && self.store.is_durable()) {
            return self.note(number, None, cx).await;
        }
        let failures = failures.saturating_add(1);
        let wait_ms = (AGAIN_FIRST_MS << (failures - 1).min(16)).min(AGAIN_MAX_MS);
        let again_ms = cx.core.surroundings.clock.now_ms().saturating_add(wait_ms);
        let again_ms = (failures < FAILURES_MAX).then_some(again_ms);
        tracing::error!(
            route = %cx.route.id(), group = number, failures, is_tried_again = again_ms.is_some(),
            "steps of a complete group failed, it is kept"
        );
        self.note(number, Some(again_ms), cx).await;
        self.tell_due(again_ms);
    }

    /// Notes that the steps of a complete group have been run; or that they failed, and when they are tried again.
    async fn note(&self, number: i64, failed: Option<Option<i64>>, cx: &Cx<'_>) {
        let noted = patiently(|| match failed {
            None => self.store.done(number),
            Some(again_ms) => self.store.failed(number, again_ms),
        });
        if let Err(exception) = noted.await {
            tracing::error!(route = %cx.route.id(), group = number, %exception, "end of a group was not kept");
        }
    }

    fn wanted<'a>(
        &self,
        key: &'a Text,
        member: Option<&'a Text>,
        joined: Option<&Joined>,
        now_ms: i64,
    ) -> Wanted<'a> {
        let closed_max = self.rules.closed_max.map(|closed_max| match closed_max {
            // Without a number of its own it is as many as any repository remembers.
            0 => self.keys_max,
            closed_max => closed_max.min(self.keys_max),
        });
        Wanted { key, member, known: joined.map(|joined| joined.mark), closed_max, now_ms }
    }

    /// What a group has collected, from here or from its members.
    fn whole(&self, kept: &Kept, joined: Option<Joined>, core: &Core) -> Result<Exchange> {
        let Some(members) = &kept.members else {
            return joined.map(|joined| joined.exchange).ok_or_else(unreadable);
        };
        let mut whole = None;
        for (place, member) in members.iter().enumerate() {
            let mut member = core.restored(member).ok_or_else(unreadable)?;
            let key = member.properties.remove(&KEY);
            let mut joined = self.rules.strategy.add(whole, member);
            joined.properties.insert(SIZE, number(place + 1));
            joined.properties.insert(KEY, key.unwrap_or_default());
            whole = Some(joined);
        }
        whole.ok_or_else(unreadable)
    }

    fn completed(&self, mut exchange: Exchange, by: &'static str) -> Exchange {
        self.rules.strategy.complete(&mut exchange);
        exchange.properties.insert(COMPLETED_BY, Value::fixed(by));
        exchange
    }

    fn content(&self, exchange: &Exchange) -> Vec<u8> {
        if self.store.is_durable() { exchange.to_stored() } else { Vec::new() }
    }

    /// A member as it is kept, with the key that its group has in full.
    fn member(&self, new: &Exchange, key: &Text) -> Vec<u8> {
        if !self.store.is_durable() {
            return Vec::new();
        }
        let mut member = new.clone();
        member.properties.insert(KEY, Value::Text(key.clone()));
        member.to_stored()
    }

    fn tell_due(&self, due_ms: Option<i64>) {
        if due_ms.is_some_and(|due_ms| due_ms < self.wakes_at_ms.load(Ordering::Acquire)) {
            self.is_sooner.notify_one();
        }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Text, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, name: &Text) -> Arc<Slot> {
        let mut slots = self.slots();
        if self.store.is_durable() && slots.len() > self.groups_max {
            // Groups that others have completed; whoever still waits has a hand on its own.
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(name.clone()).or_default())
    }

    /// Forgets a slot that nobody uses and that knows nothing.
    fn tidy(&self, name: &Text, slot: Arc<Slot>) {
        let mut slots = self.slots();
        // Two of them: here and in the table. Nobody else comes to one without the table.
        if Arc::strong_count(&slot) == 2 && slot.try_lock().is_ok_and(|known| known.is_none()) {
            slots.remove(name);
        }
    }
}

fn unreadable() -> Exception {
    Exception::new(&class::ILLEGAL_STATE, "what a group has collected cannot be read")
}

/// An exchange that is to join its group.
struct Adding<'a> {
    groups: &'a Groups,
    core: &'a Core,
    key: &'a Text,
    new: &'a Exchange,
    now_ms: i64,
    joined: Option<Joined>,
    /// What has been joined, and when that is complete by time.
    outcome: Option<(Exchange, Option<i64>)>,
    /// Why it does not join.
    refused: Option<Exception>,
}

impl Adding<'_> {
    fn decide(&mut self, found: Found) -> Result<Change> {
        let change = self.change(found);
        if let Err(exception) = &change {
            self.refused = Some(exception.clone());
        }
        change
    }

    fn change(&mut self, found: Found) -> Result<Change> {
        let groups = self.groups;
        if found.is_closed {
            let message = format!("The correlation key [{}] has been closed", self.key);
            return Err(Exception::new(&class::CLOSED_CORRELATION_KEY, message));
        }
        if found.group.is_none() && found.groups >= groups.groups_max {
            let message = format!("there are {} groups already, and no more are allowed", groups.groups_max);
            return Err(Exception::new(&class::ILLEGAL_STATE, message));
        }
        let size = found.group.as_ref().map_or(0, |kept| kept.size) + 1;
        let before = self.joined.take();
        if groups.rules.may_fail()
            && let Some(Joined { mark, exchange }) = &before
        {
            self.joined = Some(Joined { mark: *mark, exchange: exchange.clone() });
        }
        let old = match &found.group {
            Some(kept) => Some(groups.whole(kept, before, self.core)?),
            None => None,
        };
        let weight = old.as_ref().map_or(0, Exchange::weight);
        if weight > 0 && weight.saturating_add(self.new.weight()) > VALUE_BYTES_MAX {
            let message = format!("a group holds {weight} bytes, and more than {VALUE_BYTES_MAX} are not allowed");
            if let (Some(kept), Some(exchange)) = (&found.group, old) {
                self.joined = Some(Joined { mark: kept.mark, exchange });
            }
            return Err(Exception::new(&class::ILLEGAL_STATE, message));
        }
        match self.join(old, size) {
            Err(exception) if groups.rules.discards_failed => {
                self.refused = Some(exception);
                Ok(Change::Drop { closes: false })
            }
            change => change,
        }
    }

    fn join(&mut self, old: Option<Exchange>, size: usize) -> Result<Change> {
        let rules = &self.groups.rules;
        let mut new = self.new.clone();
        new.properties.insert(SIZE, number(size));
        let early = if rules.looks_at_new { rules.completed_by(&new, size)? } else { None };
        let member = self.groups.member(&new, self.key);
        let mut joined = rules.strategy.add(old, new);
        joined.properties.insert(SIZE, number(size));
        joined.properties.insert(KEY, Value::Text(self.key.clone()));
        let by = match (rules.looks_at_new, early) {
            (true, early) => early,
            (false, _) => rules.completed_by(&joined, size)?,
        };
        let by = by.or((size >= self.groups.group_max).then_some("size"));
        if let Some(by) = by {
            let (complete, _) = self.outcome.insert((self.groups.completed(joined, by), None));
            return Ok(Change::Complete(self.groups.content(complete)));
        }
        let due_ms = rules.timeout_ms(self.new)?.map(|ms| self.now_ms.saturating_add(ms));
        self.outcome = Some((joined, due_ms));
        Ok(Change::Join { member, due_ms })
    }
}
