//! How any process of ours starts, is configured, observed, answers errors, opens its database, stops.
//!
//! ```
//! use chassis::{Environment, Settings, Sources};
//! use chassis::http::HttpConfig;
//!
//! # fn main() -> Result<(), chassis::ConfigError> {
//! let settings = Settings::load(&Sources {
//!     environment: Environment::from_iter([("TECHLEET_HTTP__REQUEST_TIMEOUT_MS", "5000")]),
//!     ..Sources::default()
//! })?;
//! let http: HttpConfig = settings.section("http")?;
//! assert_eq!(http.request_timeout_ms, 5000);
//! # Ok(())
//! # }
//! ```
//!
//! Map, in the order in which a process needs them:
//! - [`config`]: settings in layers, all mistakes at once; [`profile`], [`secret`].
//! - [`telemetry`]: logs and metrics.
//! - [`data_dir`]: the directory that survives restarts, its lock, the operator's token.
//! - [`database`]: each part's own database.
//! - [`redis`]: what copies of a part share besides, where there is one.
//! - [`net`]: ports; [`http`]: the server; [`auth`], [`session_client`]: who asks.
//! - [`api`]: routes with who may use them, and their description; `security_log`: refused access; `idempotency`;
//!   `operator_api`: the door to a part's events.
//! - [`problem`], [`error_code`]: error answers; [`extract`]: request data whose faults are problems.
//! - [`entity`], [`listing`], [`path_id`]: what the services' entities and lists have in common; [`rules`]: for their
//!   fields; [`store`]: their tables; [`resource`]: requests about one of them, and the answers.
//! - [`part`]: database, outbox, relay, consumers and server of one part; [`lifecycle`]: parts started in order, stopped in reverse, signals.
//! - `testing` (a feature): a service in process for its tests.
//!
//! Invariants:
//! - Only [`config::Environment::from_process`] reads the environment; the time comes from [`eventkit::Clock`].
//! - No message, listing or log line holds the value of a secret key.
//! - An error's cause is logged once, where the answer is made, and never sent.
//! - Nothing is half started: a part that fails to start stops those before it.

pub mod api;
pub mod auth;
pub mod config;
pub mod data_dir;
pub mod database;
pub mod entity;
pub mod error;
pub mod error_code;
pub mod extract;
pub mod http;
pub mod idempotency;
pub mod lifecycle;
pub mod listing;
pub mod metrics;
pub mod net;
mod operator_api;
pub mod part;
pub mod path_id;
pub mod problem;
pub mod profile;
pub mod redis;
pub mod request_id;
pub mod resource;
pub mod rules;
pub mod secret;
pub mod security_log;
pub mod session_client;
pub mod store;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
mod topic_watch;

pub use self::redis::{Redis, RedisConfig};
pub use api::Api;
pub use auth::{Authenticator, Principal, RequireOperator};
pub use config::{Environment, Settings, Sources};
pub use data_dir::DataDir;
pub use database::Databases;
pub use entity::{Checked, Entity, EntityError, IfMatch, Patch};
pub use error::{BoxError, ConfigError, Error, Mistake, RedisError};
pub use error_code::ErrorCode;
pub use extract::{ValidJson, ValidPath, ValidQuery};
pub use http::{Health, HealthCheck, HealthChecks, HttpConfig, HttpServer};
pub use lifecycle::{Parts, Running, Shutdown};
pub use listing::{Filter, Listing, Page};
pub use path_id::PathId;
pub use problem::{FieldError, Problem};
pub use profile::Profile;
pub use request_id::RequestId;
pub use resource::{Create, Edit};
pub use secret::Secret;
pub use security_log::SecurityLog;
pub use session_client::SessionClient;
pub use telemetry::Telemetry;
