//! The user-service: employees, their roles and their sessions over HTTP on port 3001, and the events of their lives.
//!
//! # Map
//! - `domain`: what employees, roles and passwords are; `store`: the tables; `service`: what can be done, with its
//!   events; `events`: what is consumed.
//! - `api`: HTTP; `error`: what is refused and how that is answered.
//! - `tokens`, `hasher`, `attempts`: what a login needs; `authenticator`, `answers`: who is asking; `housekeeping`: what
//!   is old.
//!
//! # Invariants
//! - An employee's change, its event and its audit record are committed together or not at all.
//! - Private fields (salary, address, birth date) are in no event, and in few answers.
//! - Of a token that is handed out only the hash is kept; a password is hashed outside of any unit of work.
//! - Every request is checked against its session: what ended, was suspended or lost a role counts at once, whether the
//!   answer comes from the database or from Redis.
//! - Somebody always runs the installation, once somebody does.

mod answers;
mod api;
mod attempts;
mod authenticator;
mod domain;
mod error;
mod events;
mod hasher;
mod housekeeping;
mod service;
mod store;
mod tokens;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use chassis::part::{Process, StartError};
use chassis::{Authenticator, HttpConfig, Redis, Running, Secret, Settings};
use db::Migration;
use eventkit::{Consumer, EventPublisher, Origin};
use serde::Deserialize;

use answers::{Answers, DatabaseAnswers, RedisAnswers};
use attempts::Attempts;
use authenticator::SessionAuthenticator;
use housekeeping::Housekeeping;
use service::{Limits, Service};
use tokens::{AccessTokens, KEY_BYTES_MIN};

pub use error::Error;

/// The service's name in events, logs and folders.
pub const NAME: &str = contracts::services::USER_SERVICE;

/// The steps of the service's own tables.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "employees", sql: include_str!("../migrations/1_employees.sql") },
    Migration { version: 2, name: "access", sql: include_str!("../migrations/2_access.sql") },
    Migration { version: 3, name: "departments", sql: include_str!("../migrations/3_departments.sql") },
];

/// The name under which the key that signs access tokens is kept.
const ACCESS_TOKEN_KEY: &str = "access-token";

/// The section `user_service`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the service answers HTTP.
    pub listen: String,
    /// What the link in an invitation begins with.
    pub invitation_url: String,
    /// How long an invitation can be accepted.
    pub invitation_keep_ms: i64,
    /// How long an access token is good.
    pub access_token_keep_ms: i64,
    /// How long a session lives without being refreshed.
    pub refresh_token_keep_ms: i64,
    /// The key that signs access tokens; empty: made at random and kept in the database.
    pub access_token_key: Secret,
    /// Failed logins of one e-mail from one address within a window.
    pub login_attempts_max: u32,
    /// The window.
    pub login_window_ms: i64,
    /// Where requests ask about sessions.
    pub sessions: SessionsIn,
    /// How long an answer about a session is kept in Redis.
    pub session_answer_keep_ms: u64,
}

/// Where requests ask about sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionsIn {
    /// In Redis where there is one.
    Auto,
    /// In the database, in any case.
    Database,
    /// In Redis, without which the service does not start.
    Redis,
}

/// What copies of the service share besides their database.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Where.
    pub redis: Redis,
    /// How long a request can take, until its changes are committed.
    pub request_max: Duration,
    /// How long an answer about a session is kept there.
    pub answer_keep: Duration,
}

/// The service, put together over its database but not yet served.
#[derive(Clone)]
pub struct Core {
    service: Service,
    authenticator: Arc<SessionAuthenticator>,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").finish_non_exhaustive()
    }
}

impl Core {
    /// Brings roles, signing key and bootstrap token (in `folder`) into a database that has been migrated.
    ///
    /// # Errors
    /// The database does not answer, the key is too short, or the token cannot be written.
    pub async fn prepare(
        config: &Config,
        shared: Option<Shared>,
        publisher: &EventPublisher,
        folder: &Path,
    ) -> Result<Self, StartError> {
        let bootstrap_file = folder.join(service::BOOTSTRAP_FILE);
        let (db, clock) = (publisher.db().clone(), publisher.clock().clone());
        let redis = shared.as_ref().map(|shared| shared.redis.clone());
        let attempts = Attempts::new(config.login_attempts_max, config.login_window_ms, redis);
        let in_database = DatabaseAnswers::new(db.clone(), clock.clone());
        let answers: Arc<dyn Answers> = match shared {
            None => Arc::new(in_database),
            Some(Shared { redis, request_max, answer_keep }) => {
                Arc::new(RedisAnswers::new(redis, in_database, 2 * request_max, answer_keep))
            }
        };
        service::seed_roles(publisher, &*answers).await?;
        service::prepare_bootstrap(publisher, &bootstrap_file).await?;
        let tokens = Arc::new(AccessTokens::new(&signing_key(config, publisher).await?));
        let limits = Limits {
            invitation_url: config.invitation_url.clone(),
            invitation_keep_ms: config.invitation_keep_ms,
            access_token_keep_ms: config.access_token_keep_ms,
            refresh_token_keep_ms: config.refresh_token_keep_ms,
        };
        let authenticator = Arc::new(SessionAuthenticator::new(answers.clone(), clock.clone(), tokens.clone()));
        let service = Service::new(db, clock, limits, tokens, answers, attempts, bootstrap_file);
        Ok(Self { service, authenticator })
    }

    /// The routes; they need an authenticator and an event publisher layer around them.
    pub fn router(&self) -> Router {
        api::router(self.service.clone())
    }

    /// Who holds an access token.
    #[must_use]
    pub fn authenticator(&self) -> Arc<dyn Authenticator> {
        self.authenticator.clone()
    }

    /// The consumer with everything that the service wants to know.
    #[must_use]
    pub fn with_handlers(&self, consumer: Consumer) -> Consumer {
        events::with_handlers(consumer, self.service.clone())
    }
}

/// Starts the service; answers where it listens.
///
/// # Errors
/// The configuration is wrong, the port is taken, or the database cannot be opened.
pub async fn start(process: &Process) -> Result<(SocketAddr, Running), StartError> {
    let config: Config = process.settings().section("user_service")?;
    let part = process.part(NAME);
    let listener = part.bind("user_service.listen", &config.listen).await?;
    let backbone = part.backbone(MIGRATIONS).await?;
    let shared = shared(&config, process.settings())?;
    if let Some(shared) = &shared {
        backbone.checks().add("redis", shared.redis.clone());
    }
    let folder = process.data_dir().part(NAME)?;
    let core = Core::prepare(&config, shared, backbone.publisher(), &folder).await?;
    let consumer = backbone.start_consumer(core.with_handlers(backbone.consumer(NAME)));
    let housekeeping = Housekeeping::start(backbone.db().clone(), backbone.publisher().clock().clone());
    // It lives as long as the router does.
    let router = core.router().layer(Extension(Arc::new(housekeeping)));
    let authenticator = process.authenticator_with(core.authenticator());
    part.serve(listener, router, authenticator, backbone, vec![consumer]).await
}

/// What the settings say that copies share.
fn shared(config: &Config, settings: &Settings) -> Result<Option<Shared>, StartError> {
    if config.sessions == SessionsIn::Database {
        return Ok(None);
    }
    let request_max = Duration::from_millis(settings.section::<HttpConfig>("http")?.request_timeout_ms);
    let redis = Redis::new(&settings.section("redis")?)?;
    if redis.is_none() && config.sessions == SessionsIn::Redis {
        return Err("user_service.sessions is \"redis\", and redis.host (REDIS_HOST) names none".into());
    }
    let answer_keep = Duration::from_millis(config.session_answer_keep_ms);
    Ok(redis.map(|redis| Shared { redis, request_max, answer_keep }))
}

/// The key that signs access tokens: the configured one, or one that all copies of the service share.
async fn signing_key(config: &Config, publisher: &EventPublisher) -> Result<Vec<u8>, StartError> {
    let configured = config.access_token_key.expose();
    if !configured.is_empty() {
        return match configured.len() >= KEY_BYTES_MIN {
            true => Ok(configured.as_bytes().to_vec()),
            false => Err(format!("user_service.access_token_key needs at least {KEY_BYTES_MIN} characters").into()),
        };
    }
    if store::keys::find(publisher.db(), ACCESS_TOKEN_KEY).await?.is_none() {
        let mut work = publisher.begin(Origin::default());
        store::keys::offer(&mut work, ACCESS_TOKEN_KEY, &tokens::random_token()?).await?;
        work.commit().await?;
    }
    let key = store::keys::find(publisher.db(), ACCESS_TOKEN_KEY).await?;
    Ok(key.ok_or("the signing key was stored and is not there")?.into_bytes())
}
