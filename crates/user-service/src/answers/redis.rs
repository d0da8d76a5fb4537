//! Answers that all copies of the service share in Redis, so that a request costs the database nothing.
//!
//! An answer that was kept may be given as long as nothing has happened since that changes it. So whoever is about to
//! change something says so first, with a mark in Redis: while the mark is there everybody asks the database and nobody
//! keeps an answer, and the mark stays for longer than a change can take and longer than an answer is kept. See
//! `docs/adr/0002-what-is-in-redis.md` for what can go wrong and why it does no harm.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chassis::RedisError;
use chassis::redis::{KeyNames, Patience, Redis};
use contracts::access::Access;
use serde::{Deserialize, Serialize};

use super::{Answer, Answers, DatabaseAnswers, Named, Whose};
use crate::error::Error;

/// A larger answer is not kept.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Asks for an answer. KEYS: born, change of everybody, change of the employee, answer. ARGV: how long a mark stays, how
/// long an answer does. What it returns is the answer; or until when one may be kept; or nothing.
///
/// Where `born` is missing Redis is new or was flushed, and a mark may have been lost with it: all are marked.
const FIND: &str = "
    if redis.call('EXISTS', KEYS[1]) == 0 then
        redis.call('SET', KEYS[1], '1', 'EX', 2592000)
        redis.call('SET', KEYS[2], '1', 'PX', ARGV[1])
    end
    if redis.call('EXISTS', KEYS[2], KEYS[3]) > 0 then return {'', 0} end
    local answer = redis.call('GET', KEYS[4])
    if answer then return {answer, 0} end
    local time = redis.call('TIME')
    return {'', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]}
";

/// Keeps an answer, unless something is about to change. KEYS: as above. ARGV: the answer, until when. A command that
/// comes late keeps nothing, since its time is over.
const KEEP_ANSWER: &str = "
    if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
    if redis.call('EXISTS', KEYS[2], KEYS[3]) > 0 then return 0 end
    redis.call('SET', KEYS[4], ARGV[1], 'PXAT', ARGV[2])
    return 1
";

/// An answer as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    expires_at_ms: i64,
    access: Access,
}

/// What Redis said to a question.
enum Told {
    Answer(Answer),
    /// It has none; whoever finds one may have it kept until then.
    MayKeep(i64),
    /// Something is changing.
    Nothing,
}

/// Asks Redis first; the database where Redis has no answer or is away.
pub(crate) struct RedisAnswers {
    redis: Redis,
    database: DatabaseAnswers,
    /// How long an answer is kept, by the time of Redis.
    keep_ms: u64,
    /// How long a mark stays.
    mark_ms: u64,
}

impl RedisAnswers {
    /// `change_max` is how long a change can take, from its announcement to its commit.
    pub(crate) fn new(redis: Redis, database: DatabaseAnswers, change_max: Duration, keep: Duration) -> Self {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self { redis, database, keep_ms: ms(keep), mark_ms: ms(change_max + keep) }
    }

    async fn ask(&self, named: &Named) -> Result<Told, RedisError> {
        let (text, until_ms): (String, i64) = self
            .redis
            .ask(Patience::Skip, |names| {
                let mut command = script(FIND, &keys(names, named));
                command.arg(self.mark_ms).arg(self.keep_ms);
                command
            })
            .await?;
        let kept = serde_json::from_str::<Kept>(&text).ok();
        Ok(match kept.filter(|kept| kept.access.employee_id == named.employee_id) {
            Some(Kept { expires_at_ms, access }) if expires_at_ms > self.database.clock().now_ms() => {
                Told::Answer(Answer { access: Arc::new(access), expires_at_ms })
            }
            _ if until_ms > 0 => Told::MayKeep(until_ms),
            _ => Told::Nothing,
        })
    }

    async fn keep(&self, named: &Named, answer: &Answer, until_ms: i64) {
        let kept = Kept { expires_at_ms: answer.expires_at_ms, access: Access::clone(&answer.access) };
        let Ok(text) = serde_json::to_string(&kept) else { return };
        if text.len() > ANSWER_BYTES_MAX {
            return;
        }
        let kept: Result<i64, RedisError> = self
            .redis
            .ask(Patience::Skip, |names| {
                let mut command = script(KEEP_ANSWER, &keys(names, named));
                command.arg(text).arg(until_ms);
                command
            })
            .await;
        if let Err(error) = kept {
            tracing::debug!(error = eventkit::chain(&error), "an answer was not kept");
        }
    }
}

#[async_trait]
impl Answers for RedisAnswers {
    async fn find(&self, named: &Named) -> Result<Option<Answer>, Error> {
        let told = self.ask(named).await.unwrap_or_else(|error| {
            tracing::debug!(error = eventkit::chain(&error), "the database is asked instead of redis");
            Told::Nothing
        });
        match told {
            Told::Answer(answer) => Ok(Some(answer)),
            Told::Nothing => self.database.find(named).await,
            Told::MayKeep(until_ms) => {
                let found = self.database.find(named).await?;
                if let Some(answer) = &found {
                    self.keep(named, answer, until_ms).await;
                }
                Ok(found)
            }
        }
    }

    async fn before_change(&self, whose: Whose) -> Result<(), Error> {
        let marked: Result<(), RedisError> = self
            .redis
            .ask(Patience::Insist, |names| {
                let mut command = redis::cmd("SET");
                command.arg(mark(names, whose)).arg("1").arg("PX").arg(self.mark_ms);
                command
            })
            .await;
        marked.map_err(Error::SessionsHeld)
    }
}

fn script(text: &str, keys: &[String; 4]) -> redis::Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(text).arg(keys.len()).arg(keys);
    command
}

fn keys(names: &KeyNames<'_>, named: &Named) -> [String; 4] {
    let Named { employee_id, session_id } = named;
    [
        names.of_run("sessions:born"),
        mark(names, Whose::Everybody),
        mark(names, Whose::Employee(*employee_id)),
        names.of_run(&format!("sessions:answer:{employee_id}:{session_id}")),
    ]
}

fn mark(names: &KeyNames<'_>, whose: Whose) -> String {
    match whose {
        Whose::Everybody => names.of_run("sessions:changing"),
        Whose::Employee(employee_id) => names.of_run(&format!("sessions:changing:{employee_id}")),
    }
}
