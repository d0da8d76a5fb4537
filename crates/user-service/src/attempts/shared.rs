//! Counters in Redis, which all copies of the service share. They disappear by themselves when their window is over.

use chassis::RedisError;
use chassis::redis::{KeyNames, Patience, Redis};

use super::{Counter, Counters, Refused};

/// Counts once for each key, unless one of them is full. ARGV: now, the window, the maximum of each key. Returns for how
/// long to wait, or 0.
const COUNT: &str = "
    local now, window = tonumber(ARGV[1]), tonumber(ARGV[2])
    for at, key in ipairs(KEYS) do
        local held = redis.call('HMGET', key, 'count', 'ends')
        if held[1] and tonumber(held[2]) > now and tonumber(held[1]) >= tonumber(ARGV[2 + at]) then
            return tonumber(held[2]) - now
        end
    end
    for _, key in ipairs(KEYS) do
        local ends = redis.call('HGET', key, 'ends')
        if not ends or tonumber(ends) <= now then
            redis.call('DEL', key)
            redis.call('HSET', key, 'count', 0, 'ends', now + window)
            redis.call('PEXPIRE', key, window)
        end
        redis.call('HINCRBY', key, 'count', 1)
    end
    return 0
";

/// Takes one off each key.
const TAKE_BACK: &str = "
    for _, key in ipairs(KEYS) do
        local count = redis.call('HGET', key, 'count')
        if count and tonumber(count) > 0 then redis.call('HINCRBY', key, 'count', -1) end
    end
";

/// The counters.
#[derive(Debug)]
pub(super) struct SharedCounters(pub(super) Redis);

impl SharedCounters {
    /// Counts once for each counter, unless one of them is full.
    pub(super) async fn count(
        &self,
        counters: &Counters,
        window_ms: i64,
        now_ms: i64,
    ) -> Result<Result<(), Refused>, RedisError> {
        let wait_ms: i64 = self
            .0
            .ask(Patience::Skip, |names| {
                let mut command = script(COUNT, names, counters);
                command.arg(now_ms).arg(window_ms);
                for Counter { max, .. } in counters {
                    command.arg(*max);
                }
                command
            })
            .await?;
        Ok(if wait_ms > 0 { Err(Refused { wait_ms }) } else { Ok(()) })
    }

    /// Takes one off each counter.
    pub(super) async fn take_back(&self, counters: &Counters) -> Result<(), RedisError> {
        self.0.ask(Patience::Skip, |names| script(TAKE_BACK, names, counters)).await
    }
}

fn script(text: &str, names: &KeyNames<'_>, counters: &Counters) -> redis::Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(text).arg(counters.len());
    for Counter { name, .. } in counters {
        command.arg(names.lasting(&format!("attempts:{name}")));
    }
    command
}
