//! A consumer's main loop: feeds the lanes that its workers empty, commits what is finished, keeps house.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::ConsumerConfig;
use super::attempt::Outcome;
use super::lag::Question;
use super::lanes::{Lanes, Way};
use super::runner::Run;
use crate::dead_letter::REDRIVE_GROUP;
use crate::error::chain;
use crate::failpoint::failpoint;
use crate::publish::EventPublisher;
use crate::transport::{ConsumedRecord, GroupStart, Incoming, Interest, Subscription, TopicPartition, Transport};

/// A subscription that held so long did not fail at once: the next one is tried soon.
const STEADY: Duration = Duration::from_secs(60);

/// Everything that a running consumer needs.
pub(crate) struct Engine {
    pub(crate) group: Arc<str>,
    pub(crate) topics: Vec<String>,
    pub(crate) instance: Option<String>,
    pub(crate) runners: HashMap<&'static str, Arc<dyn Run>>,
    /// By topic.
    pub(crate) tombstone_runners: HashMap<String, Arc<dyn Run>>,
    pub(crate) config: ConsumerConfig,
    pub(crate) publisher: EventPublisher,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) lanes: Arc<Lanes>,
    /// Whether the last commit of offsets failed; it is tried again many times a second, and told once.
    pub(crate) is_commit_failing: AtomicBool,
}

impl Engine {
    pub(crate) async fn run(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let mut workers = JoinSet::new();
        for _ in 0..self.config.concurrency {
            workers.spawn(Arc::clone(&self).work());
        }
        let mut housekeeping = JoinSet::new();
        let mut failures = 0;
        while !*stopping.borrow() {
            let begun = match housekeeping.is_empty() {
                true => self.own_time().await.map(|time| drop(housekeeping.spawn(Arc::clone(&self).keep_house(time)))),
                false => Ok(()),
            };
            let subscription = match begun {
                Ok(()) => self.subscribe().await,
                Err(error) => Err(error),
            };
            match subscription {
                Ok(subscription) => {
                    let began = Instant::now();
                    self.consume(subscription, &mut stopping).await;
                    failures = if began.elapsed() > STEADY { 1 } else { failures + 1 };
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(group = &*self.group, error = chain(&error), "consumer could not subscribe");
                }
            }
            if !*stopping.borrow() {
                tokio::select! {
                    () = sleep(self.config.retries.usual.delay(failures)) => {}
                    Ok(()) = stopping.changed() => {}
                }
            }
        }
        self.lanes.close();
        housekeeping.abort_all();
        while workers.join_next().await.is_some() {}
    }

    async fn subscribe(&self) -> crate::Result<Box<dyn Subscription>> {
        let interest = Interest {
            group: self.group.to_string(),
            topics: self.topics.clone(),
            instance: self.instance.clone(),
            drain_max: self.config.drain_max,
            start: GroupStart::Earliest,
        };
        self.transport.subscribe(interest).await
    }

    /// Feeds the lanes until the consumer stops or the subscription ends.
    async fn consume(&self, mut subscription: Box<dyn Subscription>, stopping: &mut watch::Receiver<bool>) {
        let mut commit_at: Option<Instant> = None;
        let mut lag = Question::default();
        let mut looks = interval(self.config.lag_interval);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let hold_until = self.relieve(&*subscription);
            tokio::select! {
                incoming = subscription.next(), if hold_until.is_none() => match incoming {
                    Ok(Incoming::Records(records)) => {
                        let passed_over = self.lanes.push(records, |record| self.way_of(record));
                        if passed_over > 0 {
                            self.count("other", Outcome::Ignored.label(), passed_over);
                        }
                    }
                    Ok(Incoming::Assigned(places)) => self.lanes.assign(places),
                    Ok(Incoming::Revoked { partitions, done }) => {
                        self.let_go(&*subscription, &partitions).await;
                        drop(done);
                    }
                    Err(error) => {
                        tracing::warn!(group = &*self.group, error = chain(&error), "subscription ended");
                        break;
                    }
                },
                () = sleep_until(hold_until.unwrap_or_else(Instant::now)), if hold_until.is_some() => {}
                () = self.lanes.progressed.notified() => {
                    commit_at.get_or_insert_with(|| Instant::now() + self.config.commit_interval);
                }
                () = sleep_until(commit_at.unwrap_or_else(Instant::now)), if commit_at.is_some() => {
                    commit_at = None;
                    self.commit(&*subscription).await;
                }
                _ = looks.tick(), if !lag.is_asked() => lag.ask(&self.lanes, &*subscription),
                answer = lag.answer(), if lag.is_asked() => self.tell_lag(answer),
                Ok(()) = stopping.changed() => break,
            }
        }
        let assigned = self.lanes.assigned();
        self.let_go(&*subscription, &assigned).await;
        subscription.close().await;
    }

    /// How the record is handled; told by its header, so that nothing is read twice or for nobody.
    fn way_of(&self, record: &ConsumedRecord) -> Way {
        let record = &record.record;
        let Some(event_type) = record.header("ce_type").filter(|_| record.value.is_some()) else { return Way::Alone };
        let may_share = !self.config.park_keys && record.header(REDRIVE_GROUP).is_none();
        match self.runners.get(event_type) {
            None => Way::PassedOver,
            Some(runner) if may_share && runner.shares(self.config.share_units) => Way::Shared,
            Some(_) => Way::Alone,
        }
    }

    /// Pauses partitions with too much that is not finished and resumes others; until when nothing more is to be taken.
    fn relieve(&self, subscription: &dyn Subscription) -> Option<Instant> {
        let pressure = self.lanes.pressure();
        for change in pressure.changes {
            if change.paused {
                // Nothing to worry about where records only come faster than they are handled; failures are told themselves.
                tracing::debug!(
                    group = &*self.group,
                    partition = %change.place,
                    "partition paused: too many records follow one that is not finished"
                );
            }
            subscription.set_paused(&change.place, change.paused);
        }
        self.gauge_lanes();
        pressure.hold_until
    }

    /// Lets what is in flight on partitions end (bounded), commits what is finished, and forgets them.
    async fn let_go(&self, subscription: &dyn Subscription, places: &[TopicPartition]) {
        self.lanes.revoke(places);
        let deadline = Instant::now() + self.config.drain_max;
        while !self.lanes.is_idle(places) {
            tokio::select! {
                () = self.lanes.progressed.notified() => {}
                () = sleep_until(deadline) => {
                    tracing::warn!(group = &*self.group, "handlers did not finish before their partitions went away");
                    break;
                }
            }
        }
        failpoint!(DURING_REBALANCE, &self.group);
        self.commit(subscription).await;
        self.lanes.forget(places);
        self.forget_lag(places);
        self.gauge_lanes();
    }

    async fn commit(&self, subscription: &dyn Subscription) {
        let offsets = self.lanes.committable();
        if offsets.is_empty() {
            return;
        }
        match subscription.commit(&offsets).await {
            Ok(()) => {
                self.lanes.committed(&offsets);
                if self.is_commit_failing.swap(false, Ordering::Relaxed) {
                    tracing::warn!(group = &*self.group, "offsets are committed again");
                }
            }
            // Not committed means delivered again, and the inbox knows what was done.
            Err(error) => {
                if !self.is_commit_failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(group = &*self.group, error = chain(&error), "offsets could not be committed");
                }
                self.lanes.progressed.notify_one();
            }
        }
    }
}
