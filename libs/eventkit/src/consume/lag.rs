//! How far a consumer is behind, told as metrics: the broker is asked now and then, beside the main loop.

use std::collections::HashSet;

use futures::future::BoxFuture;

use super::lanes::Lanes;
use super::run::Engine;
use crate::error::chain;
use crate::metrics;
use crate::transport::{Subscription, TopicPartition};

/// What a question for the lag comes to.
type Answer = crate::Result<Vec<(TopicPartition, i64)>>;

/// A question for the lag, while it is under way.
#[derive(Default)]
pub(super) struct Question(Option<BoxFuture<'static, Answer>>);

impl Question {
    pub(super) fn is_asked(&self) -> bool {
        self.0.is_some()
    }

    /// Asks for what is assigned, if anything is.
    pub(super) fn ask(&mut self, lanes: &Lanes, subscription: &dyn Subscription) {
        let assigned = lanes.assigned();
        if !assigned.is_empty() {
            self.0 = Some(subscription.lag(&assigned));
        }
    }

    /// Waits for the answer; for ever where nothing is asked. Safe to drop while it waits.
    pub(super) async fn answer(&mut self) -> Answer {
        let Some(question) = &mut self.0 else { return std::future::pending().await };
        let answer = question.await;
        self.0 = None;
        answer
    }
}

impl Engine {
    /// Tells the lag of the partitions that are still this member's.
    pub(super) fn tell_lag(&self, answer: Answer) {
        match answer {
            Ok(lag) => {
                let assigned: HashSet<TopicPartition> = self.lanes.assigned().into_iter().collect();
                for (place, records) in lag.iter().filter(|(place, _)| assigned.contains(place)) {
                    self.gauge_lag(place, *records);
                }
            }
            // The last one stays: a broker that is away is told elsewhere.
            Err(error) => tracing::debug!(group = &*self.group, error = chain(&error), "the lag is not known"),
        }
    }

    /// Whoever gets these partitions tells how far behind they are: the sum over all members is the group's lag.
    pub(super) fn forget_lag(&self, places: &[TopicPartition]) {
        for place in places {
            self.gauge_lag(place, 0);
        }
    }

    fn gauge_lag(&self, place: &TopicPartition, records: i64) {
        let (group, topic, partition) = (self.group.to_string(), place.topic.clone(), place.partition.to_string());
        let records = u32::try_from(records.max(0)).unwrap_or(u32::MAX);
        ::metrics::gauge!(metrics::CONSUMER_LAG_RECORDS, "group" => group, "topic" => topic, "partition" => partition)
            .set(records);
    }

    /// Tells what this consumer has in hand, and which partitions stand still for it.
    pub(super) fn gauge_lanes(&self) {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let group = || self.group.to_string();
        ::metrics::gauge!(metrics::UNCOMMITTED_RECORDS, "group" => group()).set(count(self.lanes.open()));
        ::metrics::gauge!(metrics::STALLED_PARTITIONS, "group" => group()).set(count(self.lanes.stalled().len()));
    }
}
