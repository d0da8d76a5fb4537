//! A projection of a service's own events, brought up to date from the service's store.

use std::collections::HashSet;

use db::{Tx, params};

use super::rebuild::not_applied;
use super::{Projecting, Projection, journal};
use crate::envelope::Envelope;
use crate::error::{Error, HandlerError, Result};
use crate::outbox::{Horizon, StoredEvent, read_after};
use crate::publish::EventPublisher;

/// Events that one unit of work applies.
const BATCH_MAX: usize = 500;

/// Applies what is stored and not applied yet; answers the position that it came to.
///
/// Several may run at a time: they take turns.
///
/// # Errors
/// Those of the database; [`Error::Projection`] when an event could not be applied: it is tried again the next time;
/// [`Error::Config`] when the projection is made from other services' events too.
pub async fn catch_up(publisher: &EventPublisher, projection: &Projection) -> Result<i64> {
    let event_types: HashSet<String> = own_types(projection, publisher.service())?.into_iter().collect();
    loop {
        let (position, passed) = step(publisher, projection, &event_types).await?;
        if passed < BATCH_MAX {
            return Ok(position);
        }
    }
}

/// The types of a projection that a service's own events alone make.
pub(super) fn own_types(projection: &Projection, service: &str) -> Result<Vec<String>> {
    match projection.sources() {
        [source] if source.service == service => Ok(source.event_types.iter().map(|name| (*name).to_owned()).collect()),
        _ => {
            let reason = format!("projection {} is not made from the events of {service} alone", projection.name());
            Err(Error::Config { reason })
        }
    }
}

/// Passes one batch in one unit; answers the new position and how many events it were.
async fn step(
    publisher: &EventPublisher,
    projection: &Projection,
    event_types: &HashSet<String>,
) -> Result<(i64, usize)> {
    let (db, name, service) = (publisher.db(), projection.name(), publisher.service());
    let horizon = Horizon::settle(db).await?;
    let known = super::positions(db, name).await?.remove(service);
    let before = known.unwrap_or(0);
    let events = read_after(db, before, horizon, BATCH_MAX).await?;
    let Some(last) = events.last().map(|event| event.position) else { return Ok((before, 0)) };
    let now_ms = publisher.clock().now_ms();
    let mut tx = db.begin().await?;
    for event in events.iter().filter(|event| event_types.contains(&event.event_type)) {
        if let Err(error) = apply(&mut tx, projection, event, now_ms).await {
            tx.rollback().await;
            return Err(not_applied(name, &event.event_id, Some(event.position), error));
        }
    }
    if !advance(&mut tx, name, service, known, last).await? {
        // Another one was quicker: what it applied is read anew.
        tx.rollback().await;
        return Ok((before, BATCH_MAX));
    }
    tx.commit().await?;
    Ok((last, events.len()))
}

async fn apply(tx: &mut Tx, projection: &Projection, stored: &StoredEvent, now_ms: i64) -> Result<(), HandlerError> {
    let envelope = Envelope::read(stored.envelope.as_bytes())?;
    let event = journal::Event { identity: &stored.event_id, event_type: &stored.event_type, envelope: &envelope };
    match journal::admit(tx, projection.name(), &event, now_ms).await? {
        true => projection.apply(&stored.event_type, &envelope, &mut Projecting::new(tx, "")).await,
        false => Ok(()),
    }
}

/// Moves the position; false when somebody else did.
async fn advance(tx: &mut Tx, name: &str, service: &str, known: Option<i64>, position: i64) -> Result<bool> {
    let moved = match known {
        Some(before) => {
            let sql = "update projection_sources set position = $1
                       where projection = $2 and service = $3 and not is_rebuild and position = $4";
            tx.execute(sql, &params![position, name, service, before]).await?
        }
        None => {
            let sql = "insert into projection_sources (projection, service, is_rebuild, position)
                       values ($1, $2, $3, $4) on conflict (projection, service, is_rebuild) do nothing";
            tx.execute(sql, &params![name, service, false, position]).await?
        }
    };
    Ok(moved == 1)
}
