//! The recruitment-service: job postings, candidates, applications and interviews over HTTP on port 3003, and the
//! events of hiring on `recruitment-events`.
//!
//! # Map
//! - `domain`: what the entities are, their rules and state machines; `store`: the tables.
//! - `service`: what can be done beyond reading, with its events, audit records and mails; `api`: HTTP.
//! - `events`: what is learned from the other services; `error`: what is refused and how that is answered.
//!
//! # Invariants
//! - A change, its event and its audit record are committed together or not at all.
//! - Nothing leaves a final state, and no posting has fewer than zero open vacancies.
//! - Private fields (birth date, address), what is offered and what reviewers write are in no event; private fields are
//!   in few answers.

mod api;
mod domain;
mod error;
mod events;
mod service;
mod store;

use std::net::SocketAddr;

use axum::Router;
use chassis::Running;
use chassis::part::{Process, StartError};
use db::Migration;
use eventkit::{Consumer, EventPublisher};
use serde::Deserialize;

pub use error::Error;

/// The service's name in events, logs, folders and consumer groups.
pub const NAME: &str = contracts::services::RECRUITMENT_SERVICE;

/// The service's tables.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "recruitment", sql: include_str!("../migrations/1_recruitment.sql") },
    Migration { version: 2, name: "removed_employees", sql: include_str!("../migrations/2_removed_employees.sql") },
];

/// The section `recruitment_service`.
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
    let config: Config = process.settings().section("recruitment_service")?;
    let part = process.part(NAME);
    let listener = part.bind("recruitment_service.listen", &config.listen).await?;
    let backbone = part.backbone(MIGRATIONS).await?;
    let consumer = backbone.start_consumer(handlers(backbone.consumer(NAME)));
    let router = router(backbone.publisher());
    part.serve(listener, router, process.authenticator(), backbone, vec![consumer]).await
}

/// The service's routes over the database of `publisher`; they need the layers of [`chassis::part::with_layers`].
pub fn router(publisher: &EventPublisher) -> Router {
    api::api().into_router(service::Recruitment::new(publisher))
}

/// Has a consumer keep what the other services tell.
#[must_use]
pub fn handlers(consumer: Consumer) -> Consumer {
    events::handlers(consumer)
}
