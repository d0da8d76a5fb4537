//! The container: routes events, processes them, keeps the audit trail. Port 8181.
//!
//! # Map
//! - `routes`: Camel's YAML routes, deployed while the container runs; who is told what is such files, in
//!   `deploy/routes`. `directory`: who is who; `incidents`: when there are too many.
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
mod http_client;
mod incidents;
mod metrics;
mod notify;
mod routes;
mod templates;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::routes::run::Masking;
use chassis::Running;
use chassis::http::Health;
use chassis::part::{Process, StartError};
use contracts::audit::{AuditData, AuditSecurity, AuditSystem};
use contracts::notification::{NotificationEmail, NotificationPush, NotificationSms};
use db::{Db, Migration};
use eventkit::transport::Transport;
use eventkit::{Consumer, ConsumerHandle, EventPublisher};
use serde::Deserialize;

pub use self::routes::component_specs;
use self::routes::{Following, Routes};
pub use audit::{Fault, FaultKind, Record, Report, Stretch};
pub use error::Error;
use incidents::Threshold;
use notify::{Desk, Gateway, GatewayConfig, Log, Mailer, Preferences, Processor, SmtpConfig};

/// The part's name in events, logs and folders.
pub const NAME: &str = "container";

/// The container's own tables.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "audit", sql: include_str!("../migrations/1_audit.sql") },
    Migration { version: 2, name: "directory", sql: include_str!("../migrations/2_directory.sql") },
    Migration { version: 3, name: "notifications", sql: include_str!("../migrations/3_notifications.sql") },
    Migration { version: 4, name: "incidents", sql: include_str!("../migrations/4_incidents.sql") },
    Migration { version: 5, name: "audit_actors", sql: include_str!("../migrations/5_audit_actors.sql") },
    Migration { version: 6, name: "route_revisions", sql: include_str!("../migrations/6_route_revisions.sql") },
    Migration { version: 7, name: "route_state", sql: include_str!("../migrations/7_route_state.sql") },
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
    /// The folder with route files; empty for `routes` in the part's data directory.
    routes_dir: String,
    /// The values of `{{placeholders}}` in route files, each `NAME=VALUE`.
    routes_properties: Vec<String>,
    /// How long what routes remember is kept when nobody touches it.
    routes_state_keep_ms: i64,
    /// Under names that have one of these in them, a trace of a route shows nothing.
    routes_trace_masked: Vec<String>,
    /// Whether a trace of a route shows bodies.
    routes_trace_bodies: bool,
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
    routes: Routes,
}

/// What connects a container to the rest.
pub struct Links {
    /// Its outbox.
    pub publisher: EventPublisher,
    /// What routes read topics with and send to them; records wait for their acknowledgement in their order.
    pub transport: Arc<dyn Transport>,
    /// Makes consumers by the names of their groups, and starts them.
    pub consumers: Arc<dyn ConsumerMaker>,
    /// Which copy of the container it is: the same after a restart; nothing where copies come and go.
    pub instance: Option<String>,
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Links").field("instance", &self.instance).finish_non_exhaustive()
    }
}

impl Container {
    /// The container over the outbox's database, which has its tables; a mailbox and a folder of routes that are not
    /// configured are in `data_dir`.
    ///
    /// # Errors
    /// A key of the configuration cannot be used, or the folder of routes cannot; the error names it.
    pub fn new(config: &Config, data_dir: &Path, links: Links) -> Result<Self, Error> {
        let given = |path: &str| (!path.is_empty()).then(|| PathBuf::from(path));
        let put_off = Duration::from_millis(config.put_off_ms);
        let mailbox = given(&config.mailbox_dir).unwrap_or_else(|| data_dir.join("mailbox"));
        let mailer = Mailer::new(&config.mail_from, &config.smtp, put_off, mailbox)?;
        let sms = Gateway::new("container.sms", &config.sms, put_off)?;
        let push = Gateway::new("container.push", &config.push, put_off)?;
        let (db, clock) = (links.publisher.db().clone(), links.publisher.clock().clone());
        let directory = directory::Directory::new(db.clone());
        let desk = Arc::new(Desk {
            directory: directory.clone(),
            preferences: Preferences::new(db.clone()),
            templates: templates::Templates::load(given(&config.templates_dir).as_deref())?,
            log: Log::new(db.clone(), clock, config.notifications_keep_ms),
        });
        let threshold = Threshold { incidents_max: config.incidents_max, window_ms: config.incidents_window_ms };
        let routes = Routes::new(routes::Parts {
            desk: routes::Desk {
                publisher: links.publisher.clone(),
                administrators: config.administrators.clone().into(),
                threshold,
            },
            publisher: links.publisher,
            transport: links.transport,
            consumers: links.consumers,
            directory,
            instance: links.instance,
            properties: properties(&config.routes_properties)?,
            state_keep_ms: config.routes_state_keep_ms,
            folder: given(&config.routes_dir).unwrap_or_else(|| data_dir.join("routes")),
            masking: Masking::new(&config.routes_trace_masked, config.routes_trace_bodies),
        })?;
        Ok(Self {
            mail: Arc::new(Processor::new(desk.clone(), mailer)),
            sms: Arc::new(Processor::new(desk.clone(), sms)),
            push: Arc::new(Processor::new(desk.clone(), push)),
            desk,
            db,
            routes,
        })
    }

    /// The container's consumers beside its routes, each made from what `consumer` makes of its group's name.
    pub fn consumers(&self, consumer: impl Fn(&str) -> Consumer) -> Vec<Consumer> {
        vec![
            consumer("container-directory").share_units().project(&directory::projection()),
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

    /// Starts the routes, which follow their folder from then on.
    ///
    /// # Errors
    /// The folder cannot be watched.
    pub async fn follow_routes(&self) -> Result<RunningRoutes, Error> {
        self.routes.follow().await.map(RunningRoutes)
    }

    /// What the container serves over HTTP.
    pub fn router(&self) -> axum::Router {
        let desks = api::Desks { db: self.db.clone(), desk: self.desk.clone(), routes: self.routes.clone() };
        let operator = routes::api().into_routes(desks.clone());
        api::api().into_router(desks).merge(operator).merge(self.routes.http())
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
    let mut backbone = part.backbone(MIGRATIONS).await?;
    let links = Links {
        publisher: backbone.publisher().clone(),
        transport: backbone.patient_transport()?,
        consumers: Arc::new(backbone.consumers().clone()),
        instance: Some(backbone.instance().to_owned()),
    };
    let data_dir = process.data_dir();
    let container = Container::new(&config, data_dir.path(), links)?;
    let still = container.routes.standing_still();
    backbone.checks().add("routes", move || {
        let complaint = still.complaint();
        async move { complaint.map_or(Health::Ready, Health::degraded) }
    });
    let consumers = container.consumers(|group| backbone.consumer(group));
    let consumers = consumers.into_iter().map(|consumer| backbone.start_consumer(consumer)).collect();
    let routes = container.follow_routes().await?;
    backbone.on_stop(routes.stop());
    part.serve(listener, container.router(), process.authenticator(), backbone, consumers).await
}

/// Makes consumers of the container's part, and starts them.
pub trait ConsumerMaker: Send + Sync {
    /// A consumer of a group, as the part is configured.
    fn consumer(&self, group: &str) -> Consumer;
    /// Starts it.
    fn start(&self, consumer: Consumer) -> ConsumerHandle;
}

impl ConsumerMaker for chassis::part::Consumers {
    fn consumer(&self, group: &str) -> Consumer {
        self.consumer(group)
    }

    fn start(&self, consumer: Consumer) -> ConsumerHandle {
        self.start(consumer)
    }
}

/// Routes that run and follow their folder.
#[derive(Debug)]
pub struct RunningRoutes(Following);

impl RunningRoutes {
    /// Lets what is under way end, and stops.
    pub async fn stop(self) {
        self.0.stop().await;
    }
}

fn properties(pairs: &[String]) -> Result<BTreeMap<String, String>, Error> {
    let pair = |pair: &String| match pair.split_once('=') {
        Some((name, value)) => Ok((name.trim().to_owned(), value.to_owned())),
        None => Err(Error::RoutesProperty { pair: pair.clone() }),
    };
    pairs.iter().map(pair).collect()
}
