//! The groups of an aggregation, and when they are complete.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::exchange::{Exception, Exchange, Kind, Result, Text, VALUE_BYTES_MAX, Value, class};
use crate::language::{Expression, Predicate};
use crate::run::{Core, Cx, Limits, Route, Strategy};

use super::Shared;
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
    /// Whether a rule may fail, and the group is to be there then as it was.
    fn keeps_old(&self) -> bool {
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
}

#[derive(Debug)]
pub(super) struct Groups {
    rules: Rules,
    groups_max: usize,
    group_max: usize,
    keys_max: usize,
    completes_on_stop: bool,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    groups: HashMap<Text, Group>,
    /// Which groups are complete when, in order.
    deadlines: BTreeMap<(Instant, Text), ()>,
    closed: HashSet<Text>,
    closed_order: VecDeque<Text>,
}

#[derive(Debug, Clone)]
struct Group {
    exchange: Exchange,
    size: usize,
    deadline: Option<Instant>,
}

const COMPLETED_BY: Text = Text::fixed("CamelAggregatedCompletedBy");
const SIZE: Text = Text::fixed("CamelAggregatedSize");
const KEY: Text = Text::fixed("CamelAggregatedCorrelationKey");

impl Groups {
    pub(super) fn new(rules: Rules, limits: &Limits, completes_on_stop: bool) -> Self {
        Self {
            rules,
            groups_max: limits.groups_max,
            group_max: limits.group_max,
            keys_max: limits.keys_max,
            completes_on_stop,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Whether groups are completed by time, or when the route stops.
    pub(super) fn needs_watch(&self) -> bool {
        self.rules.timeout_ms.is_some()
            || self.rules.timeout_expression.is_some()
            || self.rules.interval_ms.is_some()
            || self.completes_on_stop
    }

    /// Adds an exchange to its group; what is complete then is returned.
    pub(super) fn add(&self, exchange: &Exchange) -> Result<Option<Exchange>> {
        let key = self.rules.key.evaluate(exchange, Kind::Any)?.to_text().filter(|key| !key.is_empty());
        let Some(key) = key else {
            if self.rules.ignores_invalid {
                return Ok(None);
            }
            return Err(Exception::new(&class::CAMEL_EXCHANGE, "Invalid correlation key"));
        };
        let mut state = self.lock();
        let weight = state.groups.get(&key).map_or(0, |group| group.exchange.weight());
        if weight > 0 && weight.saturating_add(exchange.weight()) > VALUE_BYTES_MAX {
            let message = format!("a group holds {weight} bytes, and more than {VALUE_BYTES_MAX} are not allowed");
            return Err(Exception::new(&class::ILLEGAL_STATE, message));
        }
        if state.closed.contains(&key) {
            let message = format!("The correlation key [{key}] has been closed");
            return Err(Exception::new(&class::CLOSED_CORRELATION_KEY, message));
        }
        let old = state.groups.remove(&key);
        if old.is_none() && state.groups.len() >= self.groups_max {
            let message = format!("there are {} groups already, and no more are allowed", self.groups_max);
            return Err(Exception::new(&class::ILLEGAL_STATE, message));
        }
        if let Some(deadline) = old.as_ref().and_then(|old| old.deadline) {
            state.deadlines.remove(&(deadline, key.clone()));
        }
        let kept = if self.rules.keeps_old() { old.clone() } else { None };
        let added = self.joined(&mut state, &key, old, exchange);
        if let (Err(_), Some(kept)) = (&added, kept) {
            if let Some(deadline) = kept.deadline {
                state.deadlines.insert((deadline, key.clone()), ());
            }
            state.groups.insert(key, kept);
        }
        added
    }

    /// Joins an exchange with its group, and puts that back if it is not complete.
    fn joined(
        &self,
        state: &mut State,
        key: &Text,
        old: Option<Group>,
        exchange: &Exchange,
    ) -> Result<Option<Exchange>> {
        let size = old.as_ref().map_or(0, |old| old.size) + 1;
        let mut new = exchange.copy();
        new.properties.insert(SIZE, number(size));
        let early = if self.rules.looks_at_new { self.completed_by(&new, size)? } else { None };
        let mut joined = self.rules.strategy.add(old.map(|old| old.exchange), new);
        joined.properties.insert(SIZE, number(size));
        joined.properties.insert(KEY, Value::Text(key.clone()));
        let by = match (self.rules.looks_at_new, early) {
            (true, early) => early,
            (false, _) => self.completed_by(&joined, size)?,
        };
        let by = by.or((size >= self.group_max).then_some("size"));
        if let Some(by) = by {
            return Ok(Some(self.complete(state, key.clone(), joined, by)));
        }
        let deadline = self.timeout_ms(exchange)?.map(|ms| Instant::now() + Duration::from_millis(ms));
        if let Some(deadline) = deadline {
            state.deadlines.insert((deadline, key.clone()), ());
        }
        state.groups.insert(key.clone(), Group { exchange: joined, size, deadline });
        self.changed.notify_one();
        Ok(None)
    }

    fn completed_by(&self, exchange: &Exchange, size: usize) -> Result<Option<&'static str>> {
        if let Some(predicate) = &self.rules.predicate {
            // What was collected is the body while the condition is looked at.
            let mut seen = exchange.clone();
            if !self.rules.looks_at_new {
                self.rules.strategy.complete(&mut seen);
            }
            if predicate.matches(&seen)? {
                return Ok(Some("predicate"));
            }
        }
        let wanted = match &self.rules.size_expression {
            Some(expression) => expression
                .evaluate(exchange, Kind::Int)?
                .to_integer()
                .and_then(|size| usize::try_from(size).ok())
                .filter(|size| *size > 0)
                .or(self.rules.size),
            None => self.rules.size,
        };
        Ok(wanted.is_some_and(|wanted| size >= wanted).then_some("size"))
    }

    fn timeout_ms(&self, exchange: &Exchange) -> Result<Option<u64>> {
        if let Some(expression) = &self.rules.timeout_expression {
            let ms = expression.evaluate(exchange, Kind::Long)?.to_integer();
            if let Some(ms) = ms.and_then(|ms| u64::try_from(ms).ok()).filter(|ms| *ms > 0) {
                return Ok(Some(ms));
            }
        }
        Ok(self.rules.timeout_ms)
    }

    fn complete(&self, state: &mut State, key: Text, mut exchange: Exchange, by: &'static str) -> Exchange {
        self.rules.strategy.complete(&mut exchange);
        exchange.properties.insert(COMPLETED_BY, Value::fixed(by));
        if let Some(closed_max) = self.rules.closed_max {
            state.closed.insert(key.clone());
            state.closed_order.push_back(key);
            // Without a number of its own it is as many as any repository remembers.
            let closed_max = if closed_max == 0 { self.keys_max } else { closed_max.min(self.keys_max) };
            while state.closed_order.len() > closed_max {
                if let Some(oldest) = state.closed_order.pop_front() {
                    state.closed.remove(&oldest);
                }
            }
        }
        exchange
    }

    /// Takes out the groups whose time has come.
    fn due(&self, now: Instant) -> Vec<Exchange> {
        let mut state = self.lock();
        let mut due = Vec::new();
        while let Some(((deadline, key), ())) = state.deadlines.pop_first() {
            if deadline > now {
                state.deadlines.insert((deadline, key), ());
                break;
            }
            if let Some(group) = state.groups.remove(&key) {
                let exchange = self.complete(&mut state, key, group.exchange, "timeout");
                if !self.rules.discards_late {
                    due.push(exchange);
                }
            }
        }
        due
    }

    /// Takes out all groups.
    fn all(&self, by: &'static str) -> Vec<Exchange> {
        let mut state = self.lock();
        state.deadlines.clear();
        let groups = std::mem::take(&mut state.groups);
        groups.into_iter().map(|(key, group)| self.complete(&mut state, key, group.exchange, by)).collect()
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.lock().deadlines.first_key_value().map(|((deadline, _), ())| *deadline)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches the times of groups while the route runs.
pub(super) fn watch(shared: Arc<Shared>, core: Arc<Core>, route: Arc<Route>) {
    let target = Arc::clone(&route);
    target.spawn(|stop| async move {
        let cx = Cx { core: &core, route: &route, errors: None };
        let groups = &shared.groups;
        let mut interval = groups.rules.interval_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
        loop {
            let next = [groups.next_deadline(), interval].into_iter().flatten().min();
            tokio::select! {
                () = stop.cancelled() => break,
                () = groups.changed.notified() => continue,
                () = until(next) => {}
            }
            let now = Instant::now();
            let mut due = groups.due(now);
            if interval.is_some_and(|interval| interval <= now) {
                due.extend(groups.all("interval"));
                interval = groups.rules.interval_ms.map(|ms| now + Duration::from_millis(ms));
            }
            for exchange in due {
                shared.complete(exchange, &cx).await;
            }
        }
        if groups.completes_on_stop {
            for exchange in groups.all("force") {
                shared.complete(exchange, &cx).await;
            }
        }
    });
}

async fn until(next: Option<Instant>) {
    match next {
        Some(next) => tokio::time::sleep_until(next).await,
        None => std::future::pending().await,
    }
}
