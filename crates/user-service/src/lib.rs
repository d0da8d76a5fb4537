//! The user-service: employees over HTTP on port 3001, and the events of their lives on `user-events`.
//!
//! # Map
//! - `domain`: what an employee is; `store`: the tables; `service`: what can be done, with its events.
//! - `api`: HTTP; `error`: what is refused and how that is answered.
//!
//! # Invariants
//! - An employee's change, its event and its audit record are committed together or not at all.
//! - Private fields (address, birth date) are in no event.

mod api;
mod domain;
mod error;
mod service;
mod store;

use std::net::SocketAddr;

use chassis::Running;
use chassis::part::{Process, StartError};
use db::Migration;
use serde::Deserialize;

pub use error::Error;

/// The service's name in events, logs and folders.
pub const NAME: &str = "user-service";

const MIGRATIONS: &[Migration] =
    &[Migration { version: 1, name: "employees", sql: include_str!("../migrations/1_employees.sql") }];

/// The section `user_service`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the service answers HTTP.
    pub listen: String,
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
    let router = api::router(service::Users::new(backbone.db().clone()));
    part.serve(listener, router, process.authenticator(), backbone, Vec::new()).await
}
