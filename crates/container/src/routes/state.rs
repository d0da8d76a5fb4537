//! The state of routes in the container's database: what `idempotentConsumer` has seen and `aggregate` has collected.
//!
//! A change, and the mark that an exchange has made it, are in one transaction: an exchange that comes again after a death
//! changes nothing. What is complete is kept until its steps have been run; whoever begins to run them says so, and others
//! take over when that is not said any more.

mod expiry;
mod groups;
mod keys;

use std::sync::Arc;

use db::{Db, Tx};
use eventkit::{Clock, EventPublisher};
use routes::exchange::{Exception, Result, class};
use routes::run::BoxFuture;
use routes::state::{Groups, Keys, Place, StateStore};
use uuid::Uuid;

pub(crate) use expiry::Expiry;
use groups::StoredGroups;
use keys::StoredKeys;

/// Keeps the state of routes; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct RouteState {
    db: Db,
    clock: Clock,
    /// Who this copy of the container is, the same after a restart; empty where copies come and go.
    instance: Arc<str>,
    /// Which of its lives this is.
    run: Arc<str>,
}

impl RouteState {
    pub(crate) fn new(publisher: &EventPublisher, instance: Option<&str>) -> Self {
        Self {
            db: publisher.db().clone(),
            clock: publisher.clock().clone(),
            instance: Arc::from(instance.unwrap_or_default()),
            run: Arc::from(Uuid::now_v7().to_string()),
        }
    }
}

impl StateStore for RouteState {
    fn keys(&self, place: Place, keys_max: usize) -> Box<dyn Keys> {
        Box::new(StoredKeys::new(self.clone(), name(&place), keys_max))
    }

    fn groups(&self, place: Place) -> Box<dyn Groups> {
        Box::new(StoredGroups::new(self.clone(), name(&place)))
    }
}

fn name(place: &Place) -> String {
    format!("{} > {}", place.owner, place.name)
}

/// What the database said, as routes know it: tried again if that may help.
fn exception(error: db::Error) -> Exception {
    let class = if error.is_transient() { &class::IO } else { &class::SQL };
    Exception::new(class, eventkit::chain(&error))
}

/// Ends a unit's work: it is durable when the future ends, and others go on meanwhile.
fn release(tx: Tx) -> BoxFuture<'static, Result<()>> {
    let commit = tx.release();
    Box::pin(async move { commit.await.map_err(exception) })
}

/// A limit as the database takes it.
fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
