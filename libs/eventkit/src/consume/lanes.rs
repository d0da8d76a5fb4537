//! Which record may be handled next: one lane a key, one record of a lane at a time, offsets committed only for the
//! contiguous finished prefix of a partition.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::transport::{ConsumedRecord, TopicPartition};

/// How long a partition may be full before it is paused. Until then nothing is taken from any: clients throw away what they
/// have fetched of a partition that is paused, so one that is only busy is waited for.
const FULL_MAX: Duration = Duration::from_millis(100);

/// The scheduler that a consumer's main loop fills and its workers empty.
#[derive(Debug)]
pub(crate) struct Lanes {
    state: Mutex<State>,
    /// A lane became ready.
    ready: Notify,
    /// A record ended, or a lane came to rest.
    pub(crate) progressed: Notify,
    window_max: i64,
    window_bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    partitions: HashMap<TopicPartition, Partition>,
    lanes: HashMap<LaneKey, Lane>,
    ready: VecDeque<LaneKey>,
    closed: bool,
    next_epoch: u64,
}

/// A partition that is assigned to this member.
#[derive(Debug)]
struct Partition {
    epoch: u64,
    /// Offsets taken and not finished.
    open: BTreeSet<i64>,
    /// How large the records at those are.
    bytes: usize,
    /// The offset after the last one taken; `None` before the first.
    end: Option<i64>,
    /// What the group has committed; before that, where this member began.
    committed: Option<i64>,
    /// Since when as much is not finished as may be.
    full_since: Option<Instant>,
    paused: bool,
}

/// The epoch is in it so that a partition that is taken away and given back starts with new lanes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct LaneKey {
    place: TopicPartition,
    epoch: u64,
    line: Line,
}

/// What has to stay in order: the records of one key; a record without a key is alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Line {
    Key(Bytes),
    Alone(i64),
}

#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<Job>,
    phase: Phase,
    /// Records that a worker has.
    out: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Stands in `ready`.
    #[default]
    Ready,
    /// A worker has its first records.
    Busy,
    /// Its first record failed and waits for its next attempt.
    Resting,
}

/// A record on its way through a handler.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) record: ConsumedRecord,
    pub(crate) tries: Tries,
    /// Whether it may be taken together with others, to be handled in one unit of work.
    shares: bool,
    lane: LaneKey,
}

/// How often and since when something was tried in vain.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    /// Failed attempts that count.
    pub(crate) failed: u32,
    /// Failed attempts of any kind, for the back-off.
    pub(crate) delays: u32,
    pub(crate) first_failed: Option<FirstFailure>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct FirstFailure {
    pub(crate) at: Instant,
    pub(crate) at_ms: i64,
}

impl Job {
    pub(crate) fn is_in_line_with(&self, other: &Self) -> bool {
        self.lane == other.lane
    }

    fn can_share(&self) -> bool {
        self.shares && self.tries.delays == 0
    }
}

/// How a record goes through a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Nobody wants it.
    PassedOver,
    /// In a unit of its own.
    Alone,
    /// In a unit that others may share.
    Shared,
}

/// What is to be done so that no more is taken than may be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pressure {
    pub(crate) changes: Vec<PauseChange>,
    /// Nothing is to be taken until then, or until something is finished.
    pub(crate) hold_until: Option<Instant>,
}

/// A change of whether a partition is fetched.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PauseChange {
    pub(crate) place: TopicPartition,
    pub(crate) paused: bool,
}

impl Partition {
    /// From the first record that is not finished to the end of what was taken.
    fn span(&self) -> i64 {
        match (self.open.first(), self.end) {
            (Some(first), Some(end)) => end - first,
            _ => 0,
        }
    }

    /// Whether a record from before the end is to be handled. One that is in here still was fetched again after a pause
    /// or a reset. One that is through comes again when offsets were reset, and looks the same where a topic was deleted
    /// and made anew: then it is another, so it is handled, and the inbox tells whether it was before.
    fn goes_back_to(&mut self, offset: i64) -> bool {
        let goes_back = !self.open.contains(&offset);
        if goes_back {
            self.committed = Some(offset);
        }
        goes_back
    }
}

impl Lanes {
    pub(crate) fn new(window_max: usize, window_bytes_max: usize) -> Self {
        Self {
            state: Mutex::default(),
            ready: Notify::new(),
            progressed: Notify::new(),
            window_max: i64::try_from(window_max).unwrap_or(i64::MAX),
            window_bytes_max,
        }
    }

    pub(crate) fn assign(&self, places: Vec<TopicPartition>) {
        let mut state = self.lock();
        for place in places {
            state.next_epoch += 1;
            let epoch = state.next_epoch;
            let partition = Partition {
                epoch,
                open: BTreeSet::new(),
                bytes: 0,
                end: None,
                committed: None,
                full_since: None,
                paused: false,
            };
            state.partitions.insert(place, partition);
        }
    }

    /// Takes records in; those of partitions that are not assigned (any more) are dropped. Tells how many were passed
    /// over.
    pub(crate) fn push(&self, records: Vec<ConsumedRecord>, way_of: impl Fn(&ConsumedRecord) -> Way) -> usize {
        let mut state = self.lock();
        let state = &mut *state;
        let (mut woken, mut passed_over) = (0, 0);
        for record in records {
            let place = record.topic_partition();
            let Some(partition) = state.partitions.get_mut(&place) else { continue };
            if partition.end.is_some_and(|end| record.offset < end) && !partition.goes_back_to(record.offset) {
                continue;
            }
            partition.end = Some(record.offset + 1);
            partition.committed.get_or_insert(record.offset);
            let shares = match way_of(&record) {
                Way::PassedOver => {
                    passed_over += 1;
                    continue;
                }
                Way::Alone => false,
                Way::Shared => true,
            };
            partition.open.insert(record.offset);
            partition.bytes += record.record.bytes();
            let line = record.record.key.clone().map_or(Line::Alone(record.offset), Line::Key);
            let key = LaneKey { place, epoch: partition.epoch, line };
            let job = Job { record, tries: Tries::default(), shares, lane: key.clone() };
            match state.lanes.entry(key.clone()) {
                Entry::Occupied(lane) => lane.into_mut().queue.push_back(job),
                Entry::Vacant(vacant) => {
                    vacant.insert(Lane { queue: VecDeque::from([job]), phase: Phase::Ready, out: 0 });
                    state.ready.push_back(key);
                    woken += 1;
                }
            }
        }
        for _ in 0..woken {
            self.ready.notify_one();
        }
        if passed_over > 0 {
            self.progressed.notify_one();
        }
        passed_over
    }

    /// The next records to handle; `None` after [`Lanes::close`].
    ///
    /// One, or up to `max` that may share a unit; those of one lane stand together and in order.
    pub(crate) async fn take(&self, max: usize) -> Option<Vec<Job>> {
        loop {
            let woken = self.ready.notified();
            {
                let mut state = self.lock();
                if state.closed {
                    return None;
                }
                let jobs = state.take(max);
                if !jobs.is_empty() {
                    // One notification may stand for many lanes: pass it on.
                    if !state.ready.is_empty() {
                        self.ready.notify_one();
                    }
                    return Some(jobs);
                }
            }
            woken.await;
        }
    }

    /// The records are through: their offsets may be committed, their lanes go on.
    pub(crate) fn finish(&self, jobs: impl IntoIterator<Item = Job>) {
        let mut state = self.lock();
        for job in jobs {
            if let Some(partition) = state.current(&job) {
                partition.open.remove(&job.record.offset);
                partition.bytes = partition.bytes.saturating_sub(job.record.record.bytes());
            }
            if state.came_back(&job.lane) && state.go_on(&job.lane) {
                self.ready.notify_one();
            }
        }
        drop(state);
        self.progressed.notify_one();
    }

    /// The first record of a lane failed and is to be tried again after `rest`, and after it those that were taken
    /// with it; until then the lane rests and others go on.
    pub(crate) fn retry(
        self: &Arc<Self>,
        job: Job,
        followers: Vec<Job>,
        rest: impl Future<Output = ()> + Send + 'static,
    ) {
        let key = job.lane.clone();
        {
            let mut state = self.lock();
            match state.lanes.get_mut(&key) {
                Some(lane) if lane.phase == Phase::Busy => {
                    lane.phase = Phase::Resting;
                    lane.out = 0;
                    for job in std::iter::once(job).chain(followers).rev() {
                        lane.queue.push_front(job);
                    }
                }
                _ => return,
            }
        }
        self.progressed.notify_one();
        let lanes = Arc::clone(self);
        tokio::spawn(async move {
            rest.await;
            if lanes.lock().go_on(&key) {
                lanes.ready.notify_one();
            }
        });
    }

    /// Forgets partitions; what is queued for them is dropped, what is being handled ends on its own.
    pub(crate) fn revoke(&self, places: &[TopicPartition]) {
        let mut state = self.lock();
        let gone: HashSet<&TopicPartition> = places.iter().collect();
        state.lanes.retain(|key, lane| {
            if gone.contains(&key.place) {
                lane.queue.clear();
            }
            !gone.contains(&key.place) || lane.phase == Phase::Busy
        });
        state.ready.retain(|key| !gone.contains(&key.place));
    }

    /// Whether no record of these partitions is being handled.
    pub(crate) fn is_idle(&self, places: &[TopicPartition]) -> bool {
        let state = self.lock();
        !state.lanes.iter().any(|(key, lane)| lane.phase == Phase::Busy && places.contains(&key.place))
    }

    /// Ends the ownership of partitions after what was in flight has ended.
    pub(crate) fn forget(&self, places: &[TopicPartition]) {
        let mut state = self.lock();
        for place in places {
            state.partitions.remove(place);
        }
        state.lanes.retain(|key, _| !places.contains(&key.place));
    }

    /// Partitions that are assigned.
    pub(crate) fn assigned(&self) -> Vec<TopicPartition> {
        self.lock().partitions.keys().cloned().collect()
    }

    /// What can be committed and was not yet: for each partition the offset after its finished prefix.
    pub(crate) fn committable(&self) -> Vec<(TopicPartition, i64)> {
        let state = self.lock();
        let ends = state.partitions.iter().filter_map(|(place, partition)| {
            // Where a partition went back, what is open may be from beyond its end.
            let end = partition.end?;
            let end = partition.open.first().map_or(end, |first| end.min(*first));
            (partition.committed != Some(end)).then(|| (place.clone(), end))
        });
        ends.collect()
    }

    pub(crate) fn committed(&self, offsets: &[(TopicPartition, i64)]) {
        let mut state = self.lock();
        for (place, offset) in offsets {
            if let Some(partition) = state.partitions.get_mut(place) {
                partition.committed = Some(*offset);
            }
        }
    }

    /// What is to be done about what was taken and is not finished; the answer is taken as done.
    pub(crate) fn pressure(&self) -> Pressure {
        let (now, mut pressure) = (Instant::now(), Pressure::default());
        let mut state = self.lock();
        for (place, partition) in &mut state.partitions {
            let (records_max, bytes_max) = match partition.paused {
                true => (self.window_max / 2 + 1, self.window_bytes_max / 2 + 1),
                false => (self.window_max, self.window_bytes_max),
            };
            let is_full = partition.span() >= records_max || partition.bytes >= bytes_max;
            let full_since = is_full.then(|| partition.full_since.unwrap_or(now));
            partition.full_since = full_since;
            let paused = match full_since.map(|since| since + FULL_MAX) {
                Some(until) if until > now && !partition.paused => {
                    pressure.hold_until = pressure.hold_until.into_iter().chain([until]).min();
                    false
                }
                Some(_) => true,
                None => false,
            };
            if paused != partition.paused {
                partition.paused = paused;
                pressure.changes.push(PauseChange { place: place.clone(), paused });
            }
        }
        pressure
    }

    /// Partitions that are paused, as `topic-partition`.
    pub(crate) fn stalled(&self) -> Vec<String> {
        let state = self.lock();
        let paused = state.partitions.iter().filter(|(_, partition)| partition.paused);
        paused.map(|(place, _)| place.to_string()).collect()
    }

    /// The number of records taken and not finished.
    pub(crate) fn open(&self) -> usize {
        self.lock().partitions.values().map(|partition| partition.open.len()).sum()
    }

    /// Ends every worker after the record that it has.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_waiters();
        self.ready.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, max: usize) -> Vec<Job> {
        let mut jobs: Vec<Job> = Vec::new();
        // Each lane once: those that cannot share with what was taken stay ready.
        for _ in 0..self.ready.len() {
            let Some(key) = self.ready.pop_front() else { break };
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            let Some(first) = lane.queue.front() else { continue };
            if !jobs.is_empty() && !first.can_share() {
                self.ready.push_back(key);
                continue;
            }
            lane.phase = Phase::Busy;
            while let Some(job) = lane.queue.pop_front() {
                let alone = !job.can_share();
                jobs.push(job);
                lane.out += 1;
                if alone || jobs.len() >= max {
                    return jobs;
                }
                if !lane.queue.front().is_some_and(Job::can_share) {
                    break;
                }
            }
        }
        jobs
    }

    /// A record of the lane came back from its worker; true if it was the last.
    fn came_back(&mut self, key: &LaneKey) -> bool {
        let Some(lane) = self.lanes.get_mut(key) else { return false };
        lane.out = lane.out.saturating_sub(1);
        lane.out == 0
    }

    /// The job's partition, if this member still holds it under the assignment in which the job was taken.
    fn current(&mut self, job: &Job) -> Option<&mut Partition> {
        self.partitions.get_mut(&job.lane.place).filter(|partition| partition.epoch == job.lane.epoch)
    }

    /// Lets a lane go on with its next record; true if it has one.
    fn go_on(&mut self, key: &LaneKey) -> bool {
        let Some(lane) = self.lanes.get_mut(key) else { return false };
        if lane.queue.is_empty() {
            self.lanes.remove(key);
            return false;
        }
        lane.phase = Phase::Ready;
        self.ready.push_back(key.clone());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Record;

    fn place() -> TopicPartition {
        TopicPartition { topic: "accounts".to_owned(), partition: 0 }
    }

    fn push(lanes: &Lanes, offsets: std::ops::Range<i64>) {
        let record = |offset| {
            let record =
                Record { topic: place().topic, key: None, value: None, headers: Vec::new(), timestamp_ms: None };
            ConsumedRecord { record, partition: 0, offset }
        };
        lanes.push(offsets.map(record).collect(), |_| Way::Alone);
    }

    async fn handle(lanes: &Lanes, records: usize) {
        for _ in 0..records {
            let jobs = lanes.take(1).await.unwrap();
            lanes.finish(jobs);
        }
    }

    fn pause(paused: bool) -> Pressure {
        Pressure { changes: vec![PauseChange { place: place(), paused }], hold_until: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_pauses_when_what_is_not_finished_is_too_large() {
        let lanes = Lanes::new(100, 100);
        lanes.assign(vec![place()]);
        let record = |offset| {
            let value = Some(Bytes::from_static(&[0; 40]));
            let record = Record { topic: place().topic, key: None, value, headers: Vec::new(), timestamp_ms: None };
            ConsumedRecord { record, partition: 0, offset }
        };
        lanes.push((0..2).map(record).collect(), |_| Way::Alone);
        assert_eq!(lanes.pressure(), Pressure::default());
        lanes.push(vec![record(2)], |_| Way::Alone);
        let until = Instant::now() + FULL_MAX;
        assert_eq!(lanes.pressure(), Pressure { changes: Vec::new(), hold_until: Some(until) });
        tokio::time::advance(FULL_MAX).await;
        assert_eq!(lanes.pressure(), pause(true));
        handle(&lanes, 1).await;
        assert_eq!(lanes.pressure(), Pressure::default(), "half of it has to be finished first");
        handle(&lanes, 1).await;
        assert_eq!(lanes.pressure(), pause(false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_that_is_busy_is_waited_for_and_not_paused() {
        let lanes = Lanes::new(10, usize::MAX);
        lanes.assign(vec![place()]);
        for from in 0..20 {
            push(&lanes, from * 10..(from + 1) * 10);
            assert!(lanes.pressure().hold_until.is_some());
            tokio::time::advance(FULL_MAX / 2).await;
            handle(&lanes, 10).await;
            assert_eq!(lanes.pressure(), Pressure::default());
        }
    }

    #[tokio::test]
    async fn a_topic_that_was_made_anew_is_handled_from_its_beginning() {
        let lanes = Lanes::new(100, 100);
        lanes.assign(vec![place()]);
        push(&lanes, 0..5);
        handle(&lanes, 5).await;
        assert_eq!(lanes.committable(), [(place(), 5)]);
        lanes.committed(&lanes.committable());
        push(&lanes, 0..2);
        assert_eq!(lanes.open(), 2);
        handle(&lanes, 2).await;
        assert_eq!(lanes.committable(), [(place(), 2)]);
    }

    #[tokio::test]
    async fn what_is_in_hand_is_not_taken_again_and_nothing_is_committed_past_it() {
        let lanes = Lanes::new(100, 100);
        lanes.assign(vec![place()]);
        push(&lanes, 0..3);
        let first = lanes.take(1).await.unwrap();
        push(&lanes, 0..3);
        assert_eq!(lanes.open(), 3);
        handle(&lanes, 2).await;
        assert!(lanes.committable().is_empty());
        lanes.finish(first);
        assert_eq!(lanes.committable(), [(place(), 3)]);
    }
}
