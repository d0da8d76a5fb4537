//! What a consumer's workers do with records: handle them together or alone, try again, give up.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::attempt::{Delivery, Failure, Outcome, Retry, attempt};
use super::lanes::{FirstFailure, Job, Tries};
use super::run::Engine;
use super::runner::{Run, TOMBSTONE};
use crate::dead_letter::{self, Cause, REDRIVE_GROUP};
use crate::error::{Error, HandlerError, chain};
use crate::failpoint::{self, failpoint};
use crate::inbox;
use crate::metrics;
use crate::publish::Origin;
use crate::transport::{ConsumedRecord, Record};

/// How long a dead letter may be tried to be published before the record is put back.
const DEAD_LETTER_ATTEMPT_MAX: Duration = Duration::from_secs(60);

/// What becomes of a record after its turn.
#[derive(Debug)]
pub(crate) enum Verdict {
    Finish,
    Retry(Duration),
}

/// What one try came to.
#[derive(Debug)]
pub(crate) enum Tried {
    Done,
    Wait(Duration),
    GiveUp(Failure),
}

impl Engine {
    pub(crate) async fn work(self: Arc<Self>) {
        while let Some(jobs) = self.lanes.take(self.config.batch_max).await {
            match jobs.len() {
                1 => self.handle_alone(jobs).await,
                _ => self.handle_together(jobs).await,
            }
        }
    }

    /// Handles records one after the other, each in a unit of its own.
    async fn handle_alone(&self, jobs: Vec<Job>) {
        let mut rest = jobs.into_iter().peekable();
        while let Some(mut job) = rest.next() {
            let verdict = match self.config.park_keys {
                true => self.handle_or_park(&job.record, &mut job.tries).await,
                false => match self.try_once(&job.record, &mut job.tries).await {
                    Tried::Done => Verdict::Finish,
                    Tried::Wait(delay) => Verdict::Retry(delay),
                    Tried::GiveUp(failure) => self.give_up_or_hold(&job.record, &mut job.tries, &failure).await,
                },
            };
            match verdict {
                Verdict::Finish => {
                    failpoint!(AFTER_EFFECT, &self.group);
                    self.lanes.finish([job]);
                }
                Verdict::Retry(delay) => {
                    let followers = std::iter::from_fn(|| rest.next_if(|next| next.is_in_line_with(&job))).collect();
                    self.lanes.retry(job, followers, self.rest_for(delay));
                }
            }
        }
    }

    /// Handles records in one unit; when it fails, nothing of it is kept and each is handled alone.
    async fn handle_together(&self, jobs: Vec<Job>) {
        let started = Instant::now();
        let deliveries: Result<Vec<_>, _> = jobs.iter().map(|job| Delivery::read(&self.group, &job.record)).collect();
        let Ok(deliveries) = deliveries else { return self.handle_alone(jobs).await };
        match attempt(self.run_together(deliveries), self.config.handler_timeout).await {
            Ok(()) => {
                self.observe("many", started);
                failpoint!(AFTER_EFFECT, &self.group);
                self.lanes.finish(jobs);
            }
            Err(failure) if failure.retry == Retry::Uncounted => self.put_all_back(jobs, &failure),
            Err(failure) => {
                let (group, events) = (&*self.group, jobs.len());
                tracing::debug!(
                    group,
                    events,
                    error = failure.text,
                    "events are handled one by one: one of them failed"
                );
                self.handle_alone(jobs).await;
            }
        }
    }

    async fn run_together(&self, deliveries: Vec<Delivery<'_>>) -> Result<(), HandlerError> {
        failpoint::pass_or_fail(failpoint::IN_HANDLER, &self.group).await?;
        let mut handlings = Vec::with_capacity(deliveries.len());
        for delivery in &deliveries {
            let (event_type, _) = self.runner_of(delivery).ok_or_else(|| HandlerError::permanent("no handler"))?;
            handlings.push(delivery.handling(event_type));
        }
        let mut work = self.publisher.begin(Origin::default());
        let is_new = inbox::record_all(work.tx().await?, &handlings, self.publisher.clock().now_ms()).await?;
        let (mark, total) = (work.mark(), deliveries.len());
        let new: Vec<_> =
            deliveries.into_iter().zip(is_new).filter_map(|(delivery, new)| new.then_some(delivery)).collect();
        let event_type_of = |delivery: &Delivery<'_>| self.runner_of(delivery).map(|(event_type, _)| event_type);
        for of_one_type in new.chunk_by(|one, next| event_type_of(one) == event_type_of(next)) {
            let (_, runner) = self.runner_of(&of_one_type[0]).ok_or_else(|| HandlerError::permanent("no handler"))?;
            runner.run_within(of_one_type, &mut work).await?;
        }
        if !work.is_begun() || !Arc::ptr_eq(&mark, &work.mark()) {
            return Err(HandlerError::transient("a handler undid the unit that it shared"));
        }
        work.commit().await?;
        self.count("many", Outcome::Handled.label(), new.len());
        self.count("many", Outcome::Duplicate.label(), total - new.len());
        Ok(())
    }

    /// Lets the lanes of records rest whose database is away.
    fn put_all_back(&self, jobs: Vec<Job>, failure: &Failure) {
        tracing::warn!(
            group = &*self.group,
            events = jobs.len(),
            error = failure.text,
            "events wait and are tried again"
        );
        let mut rest = jobs.into_iter().peekable();
        while let Some(mut job) = rest.next() {
            job.tries.delays += 1;
            let delay = self.config.retries.usual.delay(job.tries.delays);
            let followers = std::iter::from_fn(|| rest.next_if(|next| next.is_in_line_with(&job))).collect();
            self.lanes.retry(job, followers, self.rest_for(delay));
        }
    }

    /// One attempt at a record in a unit of its own.
    pub(crate) async fn try_once(&self, record: &ConsumedRecord, tries: &mut Tries) -> Tried {
        if self.is_for_another_group(&record.record) {
            return self.pass_over("redriven");
        }
        let delivery = match Delivery::read(&self.group, record) {
            Ok(delivery) => delivery,
            Err(error) => return Tried::GiveUp(self.note(tries, "unknown", Failure::undecodable(&error))),
        };
        let Some((event_type, runner)) = self.runner_of(&delivery) else {
            return self.pass_over(if delivery.envelope.is_some() { "other" } else { TOMBSTONE });
        };
        let started = Instant::now();
        let run = async {
            failpoint::pass_or_fail(failpoint::IN_HANDLER, &self.group).await?;
            runner.run(&delivery, &self.publisher).await
        };
        let outcome = attempt(run, self.config.handler_timeout).await;
        self.observe(event_type, started);
        match outcome {
            Ok(outcome) => {
                self.count(event_type, outcome.label(), 1);
                Tried::Done
            }
            Err(failure) => {
                let event = &delivery.identity;
                let (group, kind) = (&*self.group, failure.kind.as_str());
                tracing::warn!(
                    group,
                    event_type,
                    event,
                    kind,
                    failed = tries.failed,
                    error = failure.text,
                    "handler failed"
                );
                let failure = self.note(tries, event_type, failure);
                self.decide(tries, failure)
            }
        }
    }

    /// Whether the record is a dead letter that another group's failure sent back.
    pub(crate) fn is_for_another_group(&self, record: &Record) -> bool {
        record.header(REDRIVE_GROUP).is_some_and(|group| group != &*self.group)
    }

    fn runner_of(&self, delivery: &Delivery<'_>) -> Option<(&'static str, &dyn Run)> {
        match &delivery.envelope {
            Some(envelope) => {
                let (event_type, runner) = self.runners.get_key_value(envelope.event_type.as_str())?;
                Some((*event_type, &**runner))
            }
            None => Some((TOMBSTONE, &**self.tombstone_runners.get(&delivery.record.record.topic)?)),
        }
    }

    fn pass_over(&self, why: &'static str) -> Tried {
        self.count(why, Outcome::Ignored.label(), 1);
        Tried::Done
    }

    /// Counts a failure.
    fn note(&self, tries: &mut Tries, event_type: &'static str, failure: Failure) -> Failure {
        let first = FirstFailure { at: Instant::now(), at_ms: self.publisher.clock().now_ms() };
        tries.first_failed.get_or_insert(first);
        tries.delays += 1;
        tries.failed += u32::from(failure.retry != Retry::Uncounted);
        let (group, kind) = (self.group.to_string(), failure.kind.as_str());
        ::metrics::counter!(metrics::HANDLER_FAILURES_TOTAL, "group" => group, "event_type" => event_type, "kind" => kind)
            .increment(1);
        failure
    }

    fn decide(&self, tries: &Tries, failure: Failure) -> Tried {
        let policy = self.config.retries.of(failure.kind);
        let wait = policy.delay(tries.delays);
        let since_first = tries
            .first_failed
            .map_or(Duration::ZERO, |first| self.publisher.clock().since(first.at.into_std(), first.at_ms));
        match failure.retry {
            Retry::Uncounted => Tried::Wait(wait),
            Retry::Counted(delay) if policy.allows(tries.failed, since_first) => {
                Tried::Wait(delay.map_or(wait, |least| least.max(wait)))
            }
            Retry::Counted(_) | Retry::Never => Tried::GiveUp(failure),
        }
    }

    /// Sends a dead letter if this consumer writes them; else the record stays where it is and holds its key.
    async fn give_up_or_hold(&self, record: &ConsumedRecord, tries: &mut Tries, failure: &Failure) -> Verdict {
        if self.config.dead_letters && self.send_letter(record, tries, failure).await {
            return Verdict::Finish;
        }
        self.rest(tries)
    }

    fn rest_for(&self, delay: Duration) -> impl Future<Output = ()> + Send + 'static {
        let clock = self.publisher.clock().clone();
        async move { clock.sleep(delay).await }
    }

    /// Puts a record back for the usual time.
    pub(crate) fn rest(&self, tries: &mut Tries) -> Verdict {
        tries.delays += 1;
        Verdict::Retry(self.config.retries.usual.delay(tries.delays))
    }

    /// Publishes a dead letter; false if that failed. One that is too large goes without its value: its key would be held
    /// for ever.
    pub(crate) async fn send_letter(&self, record: &ConsumedRecord, tries: &Tries, failure: &Failure) -> bool {
        let now_ms = self.publisher.clock().now_ms();
        let cause = Cause {
            group: &self.group,
            error: &failure.text,
            kind: failure.kind.as_str(),
            attempts: tries.failed.max(1),
            first_failed_at_ms: tries.first_failed.map_or(now_ms, |first| first.at_ms),
            failed_at_ms: now_ms,
        };
        let (group, topic, partition, offset) =
            (&*self.group, record.record.topic.as_str(), record.partition, record.offset);
        let letter = dead_letter::letter(record, &cause);
        let mut sent = self.publish_letter(letter.clone()).await;
        if sent.as_ref().is_err_and(Error::is_too_large) {
            tracing::warn!(group, topic, partition, offset, "a dead letter is too large and goes without its value");
            sent = self.publish_letter(dead_letter::without_value(&letter)).await;
        }
        if let Err(error) = sent {
            tracing::warn!(
                group,
                topic,
                partition,
                offset,
                error = chain(&error),
                "a dead letter could not be published and will be tried again"
            );
            return false;
        }
        tracing::error!(group, topic, partition, offset, error = failure.text, "event became a dead letter");
        self.count("any", "dead_letter", 1);
        true
    }

    async fn publish_letter(&self, letter: Record) -> Result<(), Error> {
        let operation = format!("publish to {}", letter.topic);
        let publishing = self.transport.publish(vec![letter]);
        tokio::time::timeout(DEAD_LETTER_ATTEMPT_MAX, publishing).await.unwrap_or_else(|_| {
            let source = format!("not taken within {} s", DEAD_LETTER_ATTEMPT_MAX.as_secs()).into();
            Err(Error::Transport { operation, transient: true, source })
        })
    }

    pub(crate) fn count(&self, event_type: &'static str, outcome: &'static str, events: usize) {
        let group = self.group.to_string();
        ::metrics::counter!(metrics::CONSUMED_TOTAL, "group" => group, "event_type" => event_type, "outcome" => outcome)
            .increment(events as u64);
    }

    fn observe(&self, event_type: &'static str, started: Instant) {
        let group = self.group.to_string();
        ::metrics::histogram!(metrics::HANDLER_SECONDS, "group" => group, "event_type" => event_type)
            .record(started.elapsed().as_secs_f64());
    }
}
