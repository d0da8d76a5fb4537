//! Fetch sessions (KIP-227): which partitions a client reads, kept here so that it need not name all of them each time,
//! and so that it is told only of those of which there is news.
//!
//! A session is known by its id alone, as in Kafka: it outlives its connection until it is not used and its place is
//! wanted.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::fetch_request::FetchPartition;
use tokio::time::Instant;
use uuid::Uuid;

use crate::config::Config;
use crate::sync::lock;

/// Partitions over all sessions at most, about 150 bytes each.
const PARTITIONS_MAX: usize = 200_000;
/// The epoch of a request that begins a session.
const FIRST: i32 = 0;
/// The epoch of a request that wants none.
const NONE: i32 = -1;
/// What is remembered of a partition whose next answer is news in any case.
const UNKNOWN: i64 = -1;

/// A partition as a request names it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Empty where topics are named by id.
    pub(crate) topic: TopicName,
    /// Nil where topics are named by name.
    pub(crate) topic_id: Uuid,
    pub(crate) partition: FetchPartition,
}

impl Asked {
    /// Which partition it is.
    fn key(&self) -> Key {
        (self.topic.clone(), self.topic_id, self.partition.partition)
    }
}

pub(crate) type Key = (TopicName, Uuid, i32);

/// What a request says of its session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said {
    pub(crate) id: i32,
    pub(crate) epoch: i32,
    /// Whether topics are named by id.
    pub(crate) by_id: bool,
}

/// In what a fetch takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Context {
    /// Nothing is kept.
    Sessionless,
    /// A session may begin with the answer.
    Full { by_id: bool },
    /// Only news is told.
    Incremental { id: i32 },
}

/// What was told of a partition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    pub(crate) has_records: bool,
    pub(crate) is_error: bool,
    pub(crate) high_watermark: i64,
    pub(crate) log_start: i64,
}

/// All sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    sessions_max: usize,
    evict_after: Duration,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    sessions: HashMap<i32, Session>,
    /// Over all sessions.
    partitions: usize,
}

#[derive(Debug)]
struct Session {
    /// What the next request must say.
    epoch: i32,
    by_id: bool,
    used: Instant,
    /// In the order in which they are read.
    partitions: Vec<Cached>,
}

#[derive(Debug)]
struct Cached {
    asked: Asked,
    high_watermark: i64,
    log_start: i64,
}

impl Sessions {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            sessions_max: config.fetch_sessions_max,
            evict_after: Duration::from_millis(config.fetch_session_evict_after_ms),
            kept: Mutex::default(),
        }
    }

    /// What a request is to read, and in which context: an incremental one adds to its session and takes from it.
    ///
    /// # Errors
    /// A session that is not there, or is at another epoch, or names topics in the other way.
    pub(crate) fn enter(
        &self,
        said: Said,
        asked: Vec<Asked>,
        forgotten: &HashSet<Key>,
        now: Instant,
    ) -> Result<(Context, Vec<Asked>), ResponseError> {
        let mut kept = lock(&self.kept);
        if said.epoch == FIRST || said.epoch == NONE {
            kept.remove(said.id);
            let context = if said.epoch == FIRST { Context::Full { by_id: said.by_id } } else { Context::Sessionless };
            return Ok((context, asked));
        }
        let free = PARTITIONS_MAX - kept.partitions;
        let session = kept.sessions.get_mut(&said.id).ok_or(ResponseError::FetchSessionIdNotFound)?;
        if session.epoch != said.epoch {
            return Err(ResponseError::InvalidFetchSessionEpoch);
        }
        if session.by_id != said.by_id {
            return Err(ResponseError::FetchSessionTopicIdError);
        }
        let before = session.partitions.len();
        session.update(asked, forgotten);
        let after = session.partitions.len();
        session.epoch = next(session.epoch);
        session.used = now;
        let all: Vec<Asked> = session.partitions.iter().map(|cached| cached.asked.clone()).collect();
        if after > before + free {
            kept.partitions -= before;
            kept.sessions.remove(&said.id);
            return Err(ResponseError::FetchSessionIdNotFound);
        }
        kept.partitions = kept.partitions + after - before;
        if all.is_empty() {
            kept.remove(said.id);
            return Ok((Context::Sessionless, all));
        }
        Ok((Context::Incremental { id: said.id }, all))
    }

    /// What becomes of the session with the answer: its id for the client (0 for none), and which of the partitions the
    /// answer tells of. Both lists are in the order of what [`Self::enter`] gave.
    pub(crate) fn leave(&self, context: Context, asked: &[Asked], told: &[Told], now: Instant) -> (i32, Vec<bool>) {
        let mut kept = lock(&self.kept);
        match context {
            Context::Sessionless => (0, vec![true; told.len()]),
            Context::Full { by_id } => (self.begin(&mut kept, by_id, asked, told, now), vec![true; told.len()]),
            Context::Incremental { id } => match kept.sessions.get_mut(&id) {
                Some(session) => (id, session.note(asked, told)),
                // It was evicted meanwhile: the client learns of that with its next request.
                None => (id, vec![true; told.len()]),
            },
        }
    }

    /// Begins a session if there is room for it; an old one that nobody used for long makes room.
    fn begin(&self, kept: &mut Kept, by_id: bool, asked: &[Asked], told: &[Told], now: Instant) -> i32 {
        if kept.sessions.len() >= self.sessions_max {
            let oldest = kept.sessions.iter().min_by_key(|(_, session)| session.used);
            let unused = oldest.filter(|(_, session)| now.duration_since(session.used) >= self.evict_after);
            match unused.map(|(id, _)| *id) {
                Some(id) => kept.remove(id),
                None => return 0,
            }
        }
        let id = random_id();
        if asked.is_empty()
            || self.sessions_max == 0
            || kept.partitions + asked.len() > PARTITIONS_MAX
            || kept.sessions.contains_key(&id)
        {
            return 0;
        }
        let mut session = Session { epoch: next(FIRST), by_id, used: now, partitions: Vec::new() };
        session.update(asked.to_vec(), &HashSet::new());
        session.note(asked, told);
        kept.partitions += session.partitions.len();
        kept.sessions.insert(id, session);
        id
    }
}

impl Kept {
    fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.partitions.len();
        }
    }
}

impl Session {
    /// Takes over what a request says; what is named newly is told of in any case.
    fn update(&mut self, asked: Vec<Asked>, forgotten: &HashSet<Key>) {
        if !forgotten.is_empty() {
            self.partitions.retain(|cached| !forgotten.contains(&cached.asked.key()));
        }
        if asked.is_empty() {
            return;
        }
        let mut places: HashMap<Key, usize> =
            self.partitions.iter().enumerate().map(|(at, cached)| (cached.asked.key(), at)).collect();
        for one in asked {
            match places.get(&one.key()) {
                Some(at) => self.partitions[*at].asked = one,
                None => {
                    places.insert(one.key(), self.partitions.len());
                    self.partitions.push(Cached { asked: one, high_watermark: UNKNOWN, log_start: UNKNOWN });
                }
            }
        }
    }

    /// Remembers what an answer tells; returns which of it is news. Who got records is read last the next time, so that
    /// nobody starves behind them.
    fn note(&mut self, asked: &[Asked], told: &[Told]) -> Vec<bool> {
        let mut served = HashSet::new();
        let places: HashMap<Key, usize> =
            self.partitions.iter().enumerate().map(|(at, cached)| (cached.asked.key(), at)).collect();
        let news = asked.iter().zip(told).map(|(asked, told)| {
            let key = asked.key();
            // Forgotten by a request that came meanwhile.
            let Some(cached) = places.get(&key).map(|at| &mut self.partitions[*at]) else { return true };
            let moved = cached.high_watermark != told.high_watermark || cached.log_start != told.log_start;
            // After an error the next answer is news too: that it is over.
            cached.high_watermark = if told.is_error { UNKNOWN } else { told.high_watermark };
            cached.log_start = told.log_start;
            if told.has_records {
                served.insert(key);
            }
            told.has_records || told.is_error || moved
        });
        let news = news.collect();
        let (last, mut first): (Vec<Cached>, Vec<Cached>) =
            self.partitions.drain(..).partition(|cached| served.contains(&cached.asked.key()));
        first.extend(last);
        self.partitions = first;
        news
    }
}

/// The epoch after another; they begin again at 1.
fn next(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

/// Never 0, which stands for no session.
fn random_id() -> i32 {
    let low = Uuid::now_v7().as_u128() & 0x7fff_ffff;
    i32::try_from(low).unwrap_or(i32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use kafka_protocol::protocol::StrBytes;

    fn asked(partition: i32) -> Asked {
        Asked {
            topic: TopicName(StrBytes::from_static_str("t")),
            topic_id: Uuid::nil(),
            partition: FetchPartition::default().with_partition(partition),
        }
    }

    fn told(high_watermark: i64) -> Told {
        Told { has_records: false, is_error: false, high_watermark, log_start: 0 }
    }

    fn sessions(sessions_max: usize) -> Sessions {
        let config =
            Config { fetch_sessions_max: sessions_max, fetch_session_evict_after_ms: 1_000, ..Config::default() };
        Sessions::new(&config)
    }

    fn begin(sessions: &Sessions, partitions: i32, now: Instant) -> i32 {
        let all: Vec<Asked> = (0..partitions).map(asked).collect();
        let said = Said { id: 0, epoch: FIRST, by_id: false };
        let (context, all) = sessions.enter(said, all, &HashSet::new(), now).unwrap();
        sessions.leave(context, &all, &vec![told(0); all.len()], now).0
    }

    #[tokio::test]
    async fn a_full_cache_keeps_what_is_used_and_gives_up_what_is_not() {
        let (sessions, start) = (sessions(2), Instant::now());
        let (first, second) = (begin(&sessions, 1, start), begin(&sessions, 1, start));
        assert!(first > 0 && second > 0 && first != second);
        assert_eq!(begin(&sessions, 1, start + Duration::from_millis(999)), 0, "both are young");
        let later = start + Duration::from_millis(1_000);
        let said = |id, epoch| Said { id, epoch, by_id: false };
        sessions.enter(said(first, 1), Vec::new(), &HashSet::new(), later).unwrap();
        assert!(begin(&sessions, 1, later) > 0);
        let gone = sessions.enter(said(second, 1), Vec::new(), &HashSet::new(), later).unwrap_err();
        assert_eq!(gone, ResponseError::FetchSessionIdNotFound, "the one that nobody used");
        assert!(sessions.enter(said(first, 2), Vec::new(), &HashSet::new(), later).is_ok());
    }

    #[tokio::test]
    async fn partitions_over_all_sessions_are_bounded_and_given_back() {
        let (sessions, now) = (sessions(100), Instant::now());
        let half = i32::try_from(PARTITIONS_MAX / 2).unwrap();
        let first = begin(&sessions, half, now);
        assert!(begin(&sessions, half, now) > 0);
        assert_eq!(begin(&sessions, 1, now), 0, "no room");
        let said = Said { id: first, epoch: 1, by_id: false };
        let refused = sessions.enter(said, vec![asked(half)], &HashSet::new(), now).unwrap_err();
        assert_eq!(refused, ResponseError::FetchSessionIdNotFound, "it grew too large and is gone");
        assert!(begin(&sessions, half, now) > 0, "its room is free");
    }

    #[tokio::test]
    async fn who_got_records_is_read_last_the_next_time() {
        let (sessions, now) = (sessions(1), Instant::now());
        let id = begin(&sessions, 3, now);
        let enter = |epoch| {
            let said = Said { id, epoch, by_id: false };
            let (context, all) = sessions.enter(said, Vec::new(), &HashSet::new(), now).unwrap();
            let order: Vec<i32> = all.iter().map(|asked| asked.partition.partition).collect();
            (context, all, order)
        };
        let (context, all, order) = enter(1);
        assert_eq!(order, [0, 1, 2]);
        let mut answer = vec![told(0); 3];
        answer[0].has_records = true;
        assert_eq!(sessions.leave(context, &all, &answer, now), (id, vec![true, false, false]));
        assert_eq!(enter(2).2, [1, 2, 0]);
    }

    #[test]
    fn epochs_begin_again_at_one() {
        assert_eq!((next(FIRST), next(i32::MAX)), (1, 1));
    }
}
