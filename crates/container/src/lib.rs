//! The container: routes events, processes them, keeps the audit trail. Port 8181.
//!
//! # Map
//! - `router`: who is told what; `mail`, `templates`: telling it; `audit`: the chained trail.
//! - `api`: what an operator can ask; `error`: what can fail.
//!
//! # Invariants
//! - A notification follows from its cause: routed twice, it is the same event.
//! - A mail's file appears whole and durable, under its event's id, before the event counts as handled.
//! - An audit record is appended in the transaction in which its event counts as handled.

mod api;
mod audit;
mod error;
mod mail;
mod router;
mod templates;

use std::net::SocketAddr;
use std::path::PathBuf;

use chassis::part::{Process, StartError};
use chassis::{Running, auth};
use contracts::audit::AuditData;
use contracts::notification::NotificationEmail;
use contracts::user::UserCreated;
use db::Migration;
use serde::Deserialize;

pub use audit::{Fault, FaultKind, Record, Report};
pub use error::Error;

/// The part's name in events, logs and folders.
pub const NAME: &str = "container";

const MIGRATIONS: &[Migration] =
    &[Migration { version: 1, name: "audit", sql: include_str!("../migrations/1_audit.sql") }];

/// The section `container`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the container answers HTTP.
    pub listen: String,
    /// Where mails are written; empty for `mailbox` in the data directory.
    pub mailbox_dir: String,
    /// Who mails are from.
    pub mail_from: String,
    /// A folder with templates; empty for the built-in ones alone.
    pub templates_dir: String,
}

/// Starts the container; answers where it listens.
///
/// # Errors
/// The configuration is wrong, a port is taken, a folder or the database cannot be opened.
pub async fn start(process: &Process) -> Result<(SocketAddr, Running), StartError> {
    let config: Config = process.settings().section("container")?;
    let part = process.part(NAME);
    let listener = part.bind("container.listen", &config.listen).await?;
    let mailer = mailer(process, &config)?;
    let backbone = part.backbone(MIGRATIONS).await?;
    let consumers = vec![
        backbone.start_consumer(backbone.consumer("container-router").on::<UserCreated>(router::Router)),
        backbone.start_consumer(backbone.consumer("container-mail").effect::<NotificationEmail>(mailer)),
        backbone.start_consumer(backbone.consumer("container-audit").on::<AuditData>(audit::AuditTrail)),
    ];
    let authenticator = process.authenticator();
    let router = auth::require_operator(api::router(backbone.db().clone()), authenticator.clone());
    part.serve(listener, router, authenticator, backbone, consumers).await
}

fn mailer(process: &Process, config: &Config) -> Result<mail::Mailer, Error> {
    let given = |path: &str| (!path.is_empty()).then(|| PathBuf::from(path));
    let templates = templates::Templates::load(given(&config.templates_dir).as_deref())?;
    let folder = given(&config.mailbox_dir).unwrap_or_else(|| process.data_dir().path().join("mailbox"));
    mail::Mailer::new(folder, &config.mail_from, templates)
}
