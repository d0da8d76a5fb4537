//! Tables made from events: fed by a consumer as events come or followed from a service's own store, and rebuilt from the
//! stores beside the running ones.
//!
//! Whoever applies an event shares the projection's lock (on PostgreSQL an advisory one; on SQLite there is one writer at a
//! time), and whoever begins or ends a rebuild has it alone. So each event is applied either before a rebuild began, while it ran or after it ended:
//! - before: it is in its store, and the rebuild reads it there;
//! - while it ran: it is in the journal too, and what the rebuild has not read in the store is applied after that;
//! - after: where the rebuild has read it already, it is known as ahead, and is not applied a second time.

mod follow;
mod journal;
mod rebuild;
mod shadow;
mod source;
mod status;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use db::{Row, Tx, Value};

use crate::consume::{Handle, HandlerResult, HandlerRunner, Received, Run};
use crate::envelope::Envelope;
use crate::error::{HandlerError, Result};
use crate::event::{Event, decode};
use crate::publish::UnitOfWork;
pub use follow::catch_up;
pub use rebuild::{Ending, Feeder, Finished, Rebuild, STEP_WAIT_MS, rebuild};
pub use shadow::TableChange;
pub use source::{PAGE_EVENTS_MAX, StorePage, read_store};
pub use status::{RunningRebuild, SourceStatus, Status, TableRows, positions, status};

/// Writes what events of one type tell into a projection's tables.
///
/// It sees each event of an entity in order, and nothing else: no clock, no other tables, nothing that it publishes.
pub trait Project<E: Event>: Send + Sync + 'static {
    /// Writes one event.
    fn project(&self, told: Told<'_, E>, tables: &mut Projecting<'_>) -> impl Future<Output = HandlerResult> + Send;
}

impl<E: Event, P: Project<E>> Project<E> for Arc<P> {
    fn project(&self, told: Told<'_, E>, tables: &mut Projecting<'_>) -> impl Future<Output = HandlerResult> + Send {
        P::project(self, told, tables)
    }
}

/// An event as a projection gets it, from a topic or from a store.
#[derive(Debug)]
pub struct Told<'a, E> {
    /// The event, upcast to the current version.
    pub event: &'a E,
    /// Its envelope.
    pub envelope: &'a Envelope,
}

/// The transaction in which an event is applied, and the names of the tables in it.
#[derive(Debug)]
pub struct Projecting<'a> {
    tx: &'a mut Tx,
    suffix: &'static str,
}

impl<'a> Projecting<'a> {
    pub(crate) fn new(tx: &'a mut Tx, suffix: &'static str) -> Self {
        Self { tx, suffix }
    }
}

impl Projecting<'_> {
    /// The name under which one of the projection's tables is to be used now.
    pub fn table(&self, name: &str) -> String {
        format!("{name}{}", self.suffix)
    }

    /// Runs a statement and tells how many rows it touched.
    ///
    /// # Errors
    /// Those of [`Tx::execute`].
    pub async fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        Ok(self.tx.execute(sql, params).await?)
    }

    /// The only row of a query, if there is one, seen from inside the transaction.
    ///
    /// # Errors
    /// Those of [`Tx::query_opt`].
    pub async fn query_opt(&mut self, sql: &str, params: &[Value]) -> Result<Option<Row>> {
        Ok(self.tx.query_opt(sql, params).await?)
    }
}

/// A table of a projection. It has no columns with defaults and no generated ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The columns of its key.
    pub key: &'static [&'static str],
}

/// A store that a projection is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The service whose store it is.
    pub service: &'static str,
    /// The types of the events.
    pub event_types: Vec<&'static str>,
}

/// What a projection is: its tables, the events that it is made from, and what each does to the tables.
///
/// ```
/// use eventkit::projection::{Project, Projecting, Projection, Told};
/// use eventkit::{Consumer, Event, HandlerResult};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Serialize, Deserialize, Event)]
/// #[event(type = "department.created", topic = "company-events", key = "department-{department_id}")]
/// struct DepartmentCreated {
///     department_id: i64,
///     name: String,
/// }
///
/// struct Names;
///
/// impl Project<DepartmentCreated> for Names {
///     async fn project(&self, told: Told<'_, DepartmentCreated>, tables: &mut Projecting<'_>) -> HandlerResult {
///         let sql = format!(
///             "insert into {} (department_id, name) values ($1, $2)
///              on conflict (department_id) do update set name = excluded.name",
///             tables.table("departments")
///         );
///         tables.execute(&sql, &db::params![told.event.department_id, &told.event.name]).await?;
///         Ok(())
///     }
/// }
///
/// let departments = Projection::new("departments")
///     .table("departments", &["department_id"])
///     .made_from::<DepartmentCreated>("company-service", Names);
/// let consumer = Consumer::new("user-service").project(&departments);
/// ```
#[derive(Clone)]
pub struct Projection {
    name: &'static str,
    tables: Vec<Table>,
    sources: Vec<Source>,
    appliers: HashMap<&'static str, Arc<dyn Apply>>,
    handlers: Vec<Feeding>,
}

/// A consumer's handler that feeds a projection.
#[derive(Clone)]
pub(crate) struct Feeding {
    pub(crate) event_type: &'static str,
    pub(crate) topic: &'static str,
    pub(crate) runner: Arc<dyn Run>,
}

impl fmt::Debug for Projection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projection")
            .field("name", &self.name)
            .field("tables", &self.tables)
            .field("sources", &self.sources)
            .finish_non_exhaustive()
    }
}

impl Projection {
    /// A projection without tables and events yet; its name is unique in its database.
    pub fn new(name: &'static str) -> Self {
        Self { name, tables: Vec::new(), sources: Vec::new(), appliers: HashMap::new(), handlers: Vec::new() }
    }

    /// One of its tables, which a migration makes, with the columns of its key.
    #[must_use]
    pub fn table(mut self, name: &'static str, key: &'static [&'static str]) -> Self {
        self.tables.push(Table { name, key });
        self
    }

    /// Events that it is made from, with the service in whose store they all are.
    ///
    /// # Panics
    /// When it is made from events of this type already.
    #[must_use]
    pub fn made_from<E: Event>(mut self, service: &'static str, project: impl Project<E>) -> Self {
        let project = Arc::new(project);
        let before = self.appliers.insert(E::TYPE, Arc::new(Applier::<E, _>(project.clone(), PhantomData)));
        assert!(before.is_none(), "projection {} is made from {} already", self.name, E::TYPE);
        let live = Live { projection: self.name, project };
        let runner = Arc::new(HandlerRunner::<E, _>::new(live));
        self.handlers.push(Feeding { event_type: E::TYPE, topic: E::TOPIC, runner });
        match self.sources.iter_mut().find(|source| source.service == service) {
            Some(source) => source.event_types.push(E::TYPE),
            None => self.sources.push(Source { service, event_types: vec![E::TYPE] }),
        }
        self
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its tables.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The stores that it is made from.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    pub(crate) fn handlers(&self) -> &[Feeding] {
        &self.handlers
    }

    /// Applies an event of one of its types.
    async fn apply(&self, event_type: &str, envelope: &Envelope, tables: &mut Projecting<'_>) -> HandlerResult {
        match self.appliers.get(event_type) {
            Some(applier) => applier.apply(envelope, tables).await,
            None => Err(HandlerError::permanent(format!("projection {} is not made from {event_type}", self.name))),
        }
    }
}

/// Applies an event to a projection that a consumer feeds, for a handler that does more than that with it.
///
/// The handler's consumer says [`crate::Consumer::feeds`]; one that does nothing else is made by
/// [`crate::Consumer::project`].
///
/// # Errors
/// Those of `project` and of the database.
pub async fn apply<E: Event, P: Project<E>>(
    projection: &str,
    project: &P,
    received: &Received<E>,
    work: &mut UnitOfWork,
) -> HandlerResult {
    let now_ms = work.publisher().clock().now_ms();
    let tx = work.tx().await?;
    let event = journal::Event { identity: &received.identity, event_type: E::TYPE, envelope: &received.envelope };
    if !journal::admit(tx, projection, &event, now_ms).await? {
        return Ok(());
    }
    let told = Told { event: &received.event, envelope: &received.envelope };
    project.project(told, &mut Projecting::new(tx, "")).await
}

/// The handler of a consumer that feeds a projection and does nothing else.
struct Live<P> {
    projection: &'static str,
    project: Arc<P>,
}

impl<E: Event, P: Project<E>> Handle<E> for Live<P> {
    async fn handle(&self, received: &Received<E>, work: &mut UnitOfWork) -> HandlerResult {
        apply(self.projection, &self.project, received, work).await
    }
}

/// A [`Project`] whose event type is forgotten.
#[async_trait]
trait Apply: Send + Sync {
    async fn apply(&self, envelope: &Envelope, tables: &mut Projecting<'_>) -> HandlerResult;
}

struct Applier<E, P>(Arc<P>, PhantomData<fn() -> E>);

#[async_trait]
impl<E: Event, P: Project<E>> Apply for Applier<E, P> {
    async fn apply(&self, envelope: &Envelope, tables: &mut Projecting<'_>) -> HandlerResult {
        let event = decode::<E>(envelope)?;
        self.0.project(Told { event: &event, envelope }, tables).await
    }
}
