//! Redis as the parts use it: one connection a process, nobody waits for long, and a Redis that was restarted is known
//! as another one.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, FromRedisValue, IntoConnectionInfo,
    RedisConnectionInfo,
};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::error::RedisError;
use crate::http::{Health, HealthCheck};
use crate::secret::Secret;

/// Commands under way at a time; more wait for their turn, within their time.
const COMMANDS_MAX: usize = 256;
/// How long nobody but who insists asks a Redis that did not answer.
const REST: Duration = Duration::from_secs(1);

/// The section `redis`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisConfig {
    /// Where it is; empty for none.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What it asks for; empty for nothing.
    pub password: Secret,
    /// What the names of all keys begin with.
    pub key_prefix: String,
    /// How long an answer may take, connecting included.
    pub timeout_ms: u64,
}

/// How much somebody wants an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// There is another way: a Redis that has just failed is not asked.
    Skip,
    /// There is no other way.
    Insist,
}

/// A Redis; clones share its connection. It is connected to when it is first asked, so that nothing needs it to start.
#[derive(Clone)]
pub struct Redis(Arc<Shared>);

struct Shared {
    client: Client,
    key_prefix: String,
    answer_max: Duration,
    /// The connection, and since when there is none.
    connection: tokio::sync::Mutex<Option<Connected>>,
    commands: Semaphore,
    failed_at: Mutex<Option<Instant>>,
}

/// A connection, and the run of the server that it leads to: a server that is restarted has another.
#[derive(Clone)]
struct Connected {
    connection: MultiplexedConnection,
    run: Arc<str>,
}

/// What a Redis says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisInfo {
    /// Its version.
    pub version: String,
    /// Whether it throws keys away when its memory is full, and by which policy.
    pub evicts: Option<String>,
}

/// Without what the client knows: the password.
impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("key_prefix", &self.0.key_prefix).finish_non_exhaustive()
    }
}

impl Redis {
    /// The configured Redis, if one is; nothing is connected to.
    ///
    /// # Errors
    /// The address cannot be used.
    pub fn new(config: &RedisConfig) -> Result<Option<Self>, RedisError> {
        if config.host.is_empty() {
            return Ok(None);
        }
        let mut login = RedisConnectionInfo::default();
        if !config.password.is_empty() {
            login = login.set_password(config.password.expose());
        }
        let address = ConnectionAddr::Tcp(config.host.clone(), config.port);
        let client = address.into_connection_info().map(|info| info.set_redis_settings(login)).and_then(Client::open);
        Ok(Some(Self(Arc::new(Shared {
            client: client.map_err(RedisError::Away)?,
            key_prefix: config.key_prefix.clone(),
            answer_max: Duration::from_millis(config.timeout_ms),
            connection: tokio::sync::Mutex::default(),
            commands: Semaphore::new(COMMANDS_MAX),
            failed_at: Mutex::default(),
        }))))
    }

    /// Sends the command that `make` writes for the names of keys that are good for the present run of the server alone:
    /// what a server brings back from its disk after a restart has other names, and is not seen.
    ///
    /// # Errors
    /// It does not answer in time, refuses the login, or refuses the command.
    pub async fn ask<T: FromRedisValue>(
        &self,
        patience: Patience,
        make: impl FnOnce(&KeyNames<'_>) -> Cmd,
    ) -> Result<T, RedisError> {
        if patience == Patience::Skip && self.rests() {
            return Err(RedisError::Resting);
        }
        let answer = match timeout(self.0.answer_max, self.answer(make)).await {
            Ok(answer) => answer,
            Err(_) => Err(RedisError::TimedOut(self.0.answer_max)),
        };
        self.note(answer.as_ref().err()).await;
        answer
    }

    /// What it says about itself.
    ///
    /// # Errors
    /// As [`Redis::ask`].
    pub async fn info(&self) -> Result<RedisInfo, RedisError> {
        let info: String = self.ask(Patience::Insist, |_| redis::cmd("INFO")).await?;
        let policy = field(&info, "maxmemory_policy").unwrap_or("noeviction");
        let is_bounded = field(&info, "maxmemory").is_some_and(|bytes| bytes != "0");
        Ok(RedisInfo {
            version: field(&info, "redis_version").unwrap_or("unknown").to_owned(),
            evicts: (is_bounded && policy != "noeviction").then(|| policy.to_owned()),
        })
    }

    async fn answer<T: FromRedisValue>(&self, make: impl FnOnce(&KeyNames<'_>) -> Cmd) -> Result<T, RedisError> {
        let _turn = self.0.commands.acquire().await.expect("the semaphore is never closed");
        let Connected { mut connection, run } = self.connected().await?;
        let command = make(&KeyNames { prefix: &self.0.key_prefix, run: &run });
        command.query_async(&mut connection).await.map_err(told)
    }

    async fn connected(&self) -> Result<Connected, RedisError> {
        let mut held = self.0.connection.lock().await;
        if let Some(connected) = held.as_ref() {
            return Ok(connected.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.0.answer_max))
            .set_response_timeout(Some(self.0.answer_max));
        let connection = self.0.client.get_multiplexed_async_connection_with_config(&config).await;
        let mut connection = connection.map_err(told)?;
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await.map_err(told)?;
        let run = field(&info, "run_id").ok_or(RedisError::NoRun)?.into();
        Ok(held.insert(Connected { connection, run }).clone())
    }

    /// Whether it is left alone; of many who ask after the rest one tries, and the others do not wait with it.
    fn rests(&self) -> bool {
        let mut failed_at = self.0.failed_at.lock().unwrap_or_else(PoisonError::into_inner);
        let rests = failed_at.is_some_and(|at| at.elapsed() < REST);
        if failed_at.is_some() && !rests {
            *failed_at = Some(Instant::now());
        }
        rests
    }

    /// Remembers how it went: who did not answer is connected to anew, and that it is away is logged once.
    async fn note(&self, error: Option<&RedisError>) {
        let is_away = error.is_some_and(RedisError::is_away);
        if is_away {
            *self.0.connection.lock().await = None;
        }
        let now = is_away.then(Instant::now);
        let before = std::mem::replace(&mut *self.0.failed_at.lock().unwrap_or_else(PoisonError::into_inner), now);
        match (before, error) {
            (None, Some(error)) if is_away => tracing::warn!(error = eventkit::chain(error), "redis is away"),
            (Some(_), None) => tracing::info!("redis is back"),
            _ => {}
        }
    }
}

/// How keys are called.
#[derive(Debug)]
pub struct KeyNames<'a> {
    prefix: &'a str,
    run: &'a str,
}

impl KeyNames<'_> {
    /// A key that is good for this run of the server.
    #[must_use]
    pub fn of_run(&self, name: &str) -> String {
        format!("{}:{}:{name}", self.prefix, self.run)
    }

    /// A key that stays good when the server is restarted.
    #[must_use]
    pub fn lasting(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }
}

/// Degraded while it does not answer: what must not be done without it is refused, everything else goes on.
#[async_trait]
impl HealthCheck for Redis {
    async fn check(&self) -> Health {
        let answer: Result<String, RedisError> = self.ask(Patience::Insist, |_| redis::cmd("PING")).await;
        match answer {
            Ok(_) => Health::Ready,
            Err(RedisError::Login(_)) => Health::degraded("redis refuses the login"),
            Err(_) => Health::degraded("redis does not answer"),
        }
    }
}

fn told(error: redis::RedisError) -> RedisError {
    let is_refused = matches!(error.code(), Some("NOAUTH" | "WRONGPASS"));
    match error.kind() == ErrorKind::AuthenticationFailed || is_refused {
        true => RedisError::Login(error),
        false if error.is_io_error() || error.is_timeout() || error.is_connection_dropped() => RedisError::Away(error),
        false => RedisError::Refused(error),
    }
}

/// The value of a line `name:value`.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
