//! A consumer's main loop and its workers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::ConsumerConfig;
use super::attempt::{Delivery, Failure, Outcome, Retry, Run, attempt};
use super::lanes::{Job, Lanes};
use crate::dead_letter::{self, Cause, REDRIVE_GROUP};
use crate::error::chain;
use crate::metrics;
use crate::publish::EventPublisher;
use crate::transport::{Incoming, Interest, Subscription, TopicPartition, Transport};

/// How long a dead letter may be tried to be published before the record is put back.
const DEAD_LETTER_ATTEMPT_MAX: Duration = Duration::from_secs(60);

/// Everything that a running consumer needs.
pub(crate) struct Engine {
    pub(crate) group: Arc<str>,
    pub(crate) topics: Vec<String>,
    pub(crate) instance: Option<String>,
    pub(crate) runners: HashMap<&'static str, Arc<dyn Run>>,
    pub(crate) config: ConsumerConfig,
    pub(crate) publisher: EventPublisher,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) lanes: Arc<Lanes>,
}

impl Engine {
    pub(crate) async fn run(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let mut workers = JoinSet::new();
        for _ in 0..self.config.concurrency {
            workers.spawn(Arc::clone(&self).work());
        }
        let mut failures = 0;
        while !*stopping.borrow() {
            match self.subscribe().await {
                Ok(subscription) => {
                    failures = 0;
                    self.consume(subscription, &mut stopping).await;
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(group = &*self.group, error = chain(&error), "consumer could not subscribe");
                    tokio::select! {
                        () = sleep(self.config.retry.delay(failures)) => {}
                        _ = stopping.changed() => {}
                    }
                }
            }
        }
        self.lanes.close();
        while workers.join_next().await.is_some() {}
    }

    async fn subscribe(&self) -> crate::Result<Box<dyn Subscription>> {
        let interest = Interest {
            group: self.group.to_string(),
            topics: self.topics.clone(),
            instance: self.instance.clone(),
            drain_max: self.config.drain_max,
        };
        self.transport.subscribe(interest).await
    }

    /// Feeds the lanes until the consumer stops or the subscription ends.
    async fn consume(&self, mut subscription: Box<dyn Subscription>, stopping: &mut watch::Receiver<bool>) {
        let mut commit_at: Option<Instant> = None;
        loop {
            tokio::select! {
                incoming = subscription.next() => match incoming {
                    Ok(Incoming::Records(records)) => {
                        self.lanes.push(records);
                        self.apply_pauses(&*subscription);
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
                () = self.lanes.progressed.notified() => {
                    self.apply_pauses(&*subscription);
                    commit_at.get_or_insert_with(|| Instant::now() + self.config.commit_interval);
                }
                () = sleep_until(commit_at.unwrap_or_else(Instant::now)), if commit_at.is_some() => {
                    commit_at = None;
                    self.commit(&*subscription).await;
                }
                _ = stopping.changed() => break,
            }
        }
        let assigned = self.lanes.assigned();
        self.let_go(&*subscription, &assigned).await;
        subscription.close().await;
    }

    fn apply_pauses(&self, subscription: &dyn Subscription) {
        for change in self.lanes.pause_changes() {
            if change.paused {
                tracing::warn!(
                    group = &*self.group,
                    partition = %change.place,
                    "partition paused: a record in it cannot be finished and too many follow it"
                );
            }
            subscription.set_paused(&change.place, change.paused);
        }
        let open = u32::try_from(self.lanes.open()).unwrap_or(u32::MAX);
        ::metrics::gauge!(metrics::UNCOMMITTED_RECORDS, "group" => self.group.to_string()).set(open);
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
        self.commit(subscription).await;
        self.lanes.forget(places);
    }

    async fn commit(&self, subscription: &dyn Subscription) {
        let offsets = self.lanes.committable();
        if offsets.is_empty() {
            return;
        }
        match subscription.commit(&offsets).await {
            Ok(()) => self.lanes.committed(&offsets),
            // Not committed means delivered again, and the inbox knows what was done.
            Err(error) => {
                tracing::warn!(group = &*self.group, error = chain(&error), "offsets could not be committed");
                self.lanes.progressed.notify_one();
            }
        }
    }

    async fn work(self: Arc<Self>) {
        while let Some(job) = self.lanes.take().await {
            self.handle(job).await;
        }
    }

    async fn handle(&self, mut job: Job) {
        if job.record.record.header(REDRIVE_GROUP).is_some_and(|group| group != &*self.group) {
            return self.end(job, "redriven", Outcome::Ignored);
        }
        let delivery = match Delivery::read(&self.group, &job.record) {
            Ok(Some(delivery)) => delivery,
            Ok(None) => return self.end(job, "tombstone", Outcome::Ignored),
            Err(error) => return self.give_up_or_hold(job, Failure::undecodable(&error)).await,
        };
        let Some((event_type, runner)) = self.runners.get_key_value(delivery.envelope.event_type.as_str()) else {
            return self.end(job, "other", Outcome::Ignored);
        };
        let started = Instant::now();
        let outcome = attempt(&**runner, &delivery, &self.publisher, self.config.handler_timeout).await;
        self.observe(event_type, started);
        let failure = match outcome {
            Ok(outcome) => return self.end(job, event_type, outcome),
            Err(failure) => failure,
        };
        let identity = delivery.identity;
        job.first_failed_at_ms.get_or_insert_with(|| self.publisher.clock().now_ms());
        job.delays += 1;
        job.failed += u32::from(failure.retry != Retry::Uncounted);
        tracing::warn!(
            group = &*self.group,
            event_type,
            event = identity,
            failed = job.failed,
            kind = failure.kind,
            error = failure.text,
            "handler failed"
        );
        let group = self.group.to_string();
        ::metrics::counter!(metrics::HANDLER_FAILURES_TOTAL, "group" => group, "event_type" => *event_type, "kind" => failure.kind)
            .increment(1);
        let wait = self.config.retry.delay(job.delays);
        match failure.retry {
            Retry::Uncounted => self.lanes.retry(job, wait),
            Retry::Counted(delay) if self.config.retry.allows(job.failed) => {
                self.lanes.retry(job, delay.map_or(wait, |least| least.max(wait)));
            }
            Retry::Counted(_) | Retry::Never => self.give_up_or_hold(job, failure).await,
        }
    }

    fn end(&self, job: Job, event_type: &'static str, outcome: Outcome) {
        self.count(event_type, outcome.label());
        self.lanes.finish(job);
    }

    /// Sends a dead letter if this consumer writes them; else the record stays where it is and holds its key.
    async fn give_up_or_hold(&self, mut job: Job, failure: Failure) {
        let now_ms = self.publisher.clock().now_ms();
        let first_failed_at_ms = *job.first_failed_at_ms.get_or_insert(now_ms);
        if !self.config.dead_letters {
            job.delays += 1;
            let wait = self.config.retry.delay(job.delays);
            return self.lanes.retry(job, wait);
        }
        let cause = Cause {
            group: &self.group,
            error: &failure.text,
            kind: failure.kind,
            attempts: job.failed.max(1),
            first_failed_at_ms,
            failed_at_ms: now_ms,
        };
        let letter = dead_letter::letter(&job.record, &cause);
        let sent = tokio::time::timeout(DEAD_LETTER_ATTEMPT_MAX, self.transport.publish(vec![letter])).await;
        match sent {
            Ok(Ok(())) => {
                tracing::error!(
                    group = &*self.group,
                    topic = job.record.record.topic,
                    partition = job.record.partition,
                    offset = job.record.offset,
                    error = failure.text,
                    "event became a dead letter"
                );
                self.count("any", "dead_letter");
                self.lanes.finish(job);
            }
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(group = &*self.group, "a dead letter could not be published and will be tried again");
                job.delays += 1;
                let wait = self.config.retry.delay(job.delays);
                self.lanes.retry(job, wait);
            }
        }
    }

    fn count(&self, event_type: &'static str, outcome: &'static str) {
        let group = self.group.to_string();
        ::metrics::counter!(metrics::CONSUMED_TOTAL, "group" => group, "event_type" => event_type, "outcome" => outcome)
            .increment(1);
    }

    fn observe(&self, event_type: &'static str, started: Instant) {
        let group = self.group.to_string();
        ::metrics::histogram!(metrics::HANDLER_SECONDS, "group" => group, "event_type" => event_type)
            .record(started.elapsed().as_secs_f64());
    }
}
