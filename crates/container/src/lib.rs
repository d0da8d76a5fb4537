//! The container: routes events, processes them, keeps the audit trail. Port 8181.
//!
//! # Map
//! - `router`: who is told what, by one table of rules; `directory`: who is who.
//! - `notify`: telling it, by mail, text message or push; `templates`: in which words.
//! - `audit`: the chained trail.
//! - `api`: what can be asked over HTTP; `error`: what can fail; `metrics`: names of metrics.
//!
//! # Invariants
//! - A notification follows from its cause: routed twice, it is the same event.
//! - A mail's file appears whole and durable, under its event's id, before the event counts as handled.
//! - What leaves the house does so at least once, under an id that stays the same.
//! - An audit record is appended in the transaction in which its event counts as handled.

mod api;
mod audit;
mod directory;
mod error;
mod metrics;
mod notify;
mod router;
mod templates;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chassis::Running;
use chassis::part::{Process, StartError};
use contracts::audit::{AuditData, AuditSecurity, AuditSystem};
use contracts::notification::{NotificationEmail, NotificationPush, NotificationSms};
use contracts::recruitment::{ApplicationReviewed, ApplicationSubmitted};
use contracts::user::{UserCreated, UserLogin, UserUpdated};
use db::{Db, Migration};
use eventkit::{Clock, Consumer};
use serde::Deserialize;

pub use audit::{Fault, FaultKind, Record, Report};
pub use error::Error;
use notify::{Desk, Gateway, GatewayConfig, Log, Mailer, Preferences, Processor, SmtpConfig};
use router::{Router, Threshold};

/// The part's name in events, logs and folders.
pub const NAME: &str = "container";

/// The container's own tables.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "audit", sql: include_str!("../migrations/1_audit.sql") },
    Migration { version: 2, name: "directory", sql: include_str!("../migrations/2_directory.sql") },
    Migration { version: 3, name: "notifications", sql: include_str!("../migrations/3_notifications.sql") },
    Migration { version: 4, name: "incidents", sql: include_str!("../migrations/4_incidents.sql") },
    Migration { version: 5, name: "audit_actors", sql: include_str!("../migrations/5_audit_actors.sql") },
];

/// The section `container`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the container answers HTTP.
    pub listen: String,
    /// Where mails are written; empty for `mailbox` in the data directory.
    mailbox_dir: String,
    /// Who mails are from.
    mail_from: String,
    /// A folder with templates; empty for the built-in ones alone.
    templates_dir: String,
    /// The mail addresses of those who are told of many security incidents.
    administrators: Vec<String>,
    /// How many incidents of one kind within the window they are not told of.
    incidents_max: i64,
    /// The window.
    incidents_window_ms: i64,
    /// How long to wait for a server that asks for patience without saying how much.
    put_off_ms: u64,
    /// How long the notifications log goes back.
    notifications_keep_ms: i64,
    smtp: SmtpConfig,
    sms: GatewayConfig,
    push: GatewayConfig,
}

/// The container's handlers and routes over a database, without ports and transport.
#[derive(Debug, Clone)]
pub struct Container {
    db: Db,
    desk: Arc<Desk>,
    mail: Arc<Processor<Mailer>>,
    sms: Arc<Processor<Gateway>>,
    push: Arc<Processor<Gateway>>,
    told: Router,
    looked_up: Router,
}

impl Container {
    /// The container over `db`, which has its tables; a mailbox that is not configured is in `data_dir`.
    ///
    /// # Errors
    /// A key of the configuration cannot be used; the error names it.
    pub fn new(config: &Config, data_dir: &Path, db: Db, clock: Clock) -> Result<Self, Error> {
        let given = |path: &str| (!path.is_empty()).then(|| PathBuf::from(path));
        let put_off = Duration::from_millis(config.put_off_ms);
        let mailbox = given(&config.mailbox_dir).unwrap_or_else(|| data_dir.join("mailbox"));
        let mailer = Mailer::new(&config.mail_from, &config.smtp, put_off, mailbox)?;
        let sms = Gateway::new("container.sms", &config.sms, put_off)?;
        let push = Gateway::new("container.push", &config.push, put_off)?;
        let directory = directory::Directory::new(db.clone());
        let desk = Arc::new(Desk {
            directory: directory.clone(),
            preferences: Preferences::new(db.clone()),
            templates: templates::Templates::load(given(&config.templates_dir).as_deref())?,
            log: Log::new(db.clone(), clock, config.notifications_keep_ms),
        });
        let threshold = Threshold { incidents_max: config.incidents_max, window_ms: config.incidents_window_ms };
        let router = |part| Router::new(part, directory.clone(), config.administrators.clone(), threshold);
        Ok(Self {
            told: router(router::Part::Told),
            looked_up: router(router::Part::LookedUp),
            mail: Arc::new(Processor::new(desk.clone(), mailer)),
            sms: Arc::new(Processor::new(desk.clone(), sms)),
            push: Arc::new(Processor::new(desk.clone(), push)),
            desk,
            db,
        })
    }

    /// The container's consumers, each made from what `consumer` makes of its group's name.
    pub fn consumers(&self, consumer: impl Fn(&str) -> Consumer) -> Vec<Consumer> {
        vec![
            consumer("container-directory").share_units().project(&directory::projection()),
            consumer("container-router")
                .share_units()
                .on::<UserCreated>(self.told.clone())
                .on::<ApplicationSubmitted>(self.told.clone())
                .on::<ApplicationReviewed>(self.told.clone())
                .on::<AuditSecurity>(self.told.clone()),
            // Looks people up while it handles: in units of its own, so that the writer waits for one event at the most.
            consumer("container-router-directory")
                .on::<UserCreated>(self.looked_up.clone())
                .on::<UserUpdated>(self.looked_up.clone())
                .on::<UserLogin>(self.looked_up.clone())
                .on::<ApplicationSubmitted>(self.looked_up.clone()),
            consumer("container-mail").effect::<NotificationEmail>(self.mail.clone()),
            consumer("container-gateways")
                .effect::<NotificationSms>(self.sms.clone())
                .effect::<NotificationPush>(self.push.clone()),
            consumer("container-audit")
                .share_units()
                .on::<AuditData>(audit::AuditTrail)
                .on::<AuditSecurity>(audit::AuditTrail)
                .on::<AuditSystem>(audit::AuditTrail),
        ]
    }

    /// The container's routes.
    pub fn router(&self) -> axum::Router {
        api::api().into_router(api::Desks { db: self.db.clone(), desk: self.desk.clone() })
    }
}

/// Starts the container; answers where it listens.
///
/// # Errors
/// The configuration is wrong, a port is taken, a folder or the database cannot be opened.
pub async fn start(process: &Process) -> Result<(SocketAddr, Running), StartError> {
    let config: Config = process.settings().section("container")?;
    let part = process.part(NAME);
    let listener = part.bind("container.listen", &config.listen).await?;
    let backbone = part.backbone(MIGRATIONS).await?;
    let (db, clock) = (backbone.db().clone(), backbone.publisher().clock().clone());
    let container = Container::new(&config, process.data_dir().path(), db, clock)?;
    let consumers = container.consumers(|group| backbone.consumer(group));
    let consumers = consumers.into_iter().map(|consumer| backbone.start_consumer(consumer)).collect();
    part.serve(listener, container.router(), process.authenticator(), backbone, consumers).await
}
