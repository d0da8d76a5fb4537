//! What an event is: a typed fact, its contract, and how an older version of it is read.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::envelope::Envelope;
use crate::error::{Error, Result};

/// A fact in the past tense, as a plain data type; derive it with `#[derive(Event)]`.
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The type's name on the wire, for example `user.created`.
    const TYPE: &'static str;
    /// The version of the data's shape, from 1; bumped only by a breaking change.
    const VERSION: u32;
    /// The topic that carries the event.
    const TOPIC: &'static str;
    /// Steps from every older version to the next one, in order; empty while only one version exists.
    const UPCASTERS: &'static [Upcaster] = &[];
}

/// An event that knows its own key: the entity it is about.
pub trait Keyed: Event {
    /// The record's key, for example `user-42`: everything about one entity has one key, so it has one order.
    fn key(&self) -> String;
}

/// One step from an older version of an event's data to the next.
#[derive(Debug, Clone, Copy)]
pub struct Upcaster {
    /// The version that the step starts from; it leads to `from + 1`.
    pub from: u32,
    /// Turns data of version `from` into data of version `from + 1`, or says why it cannot.
    pub apply: fn(Value) -> Result<Value, String>,
}

/// Reads an envelope's data as `E`, upcasting an older version.
///
/// # Errors
/// [`Error::NewerSchema`] when the envelope is newer than `E`, [`Error::Upcast`] when a step fails or is missing,
/// [`Error::Decode`] when the data has another shape.
pub fn decode<E: Event>(envelope: &Envelope) -> Result<E> {
    let read = match envelope.schema_version == E::VERSION {
        true => serde_json::from_str(envelope.data.get()),
        false => serde_json::from_value(upcast::<E>(envelope)?),
    };
    read.map_err(undecodable::<E>)
}

/// An envelope's data in the shape of the current version of `E`: as it is, or what the steps from its version make of it.
///
/// What [`decode`] reads, before fields that `E` does not know are left out: compare it with what the event writes, and a
/// field that was lost is found.
///
/// # Errors
/// Those of [`decode`].
pub fn upcast<E: Event>(envelope: &Envelope) -> Result<Value> {
    let found = envelope.schema_version;
    if found > E::VERSION {
        return Err(Error::NewerSchema { event_type: E::TYPE, found, known: E::VERSION });
    }
    let mut data: Value = serde_json::from_str(envelope.data.get()).map_err(undecodable::<E>)?;
    for from in found..E::VERSION {
        let failed = |reason| Error::Upcast { event_type: E::TYPE, from, reason };
        let step = E::UPCASTERS
            .iter()
            .find(|step| step.from == from)
            .ok_or_else(|| failed("no upcaster starts from this version".to_owned()))?;
        data = (step.apply)(data).map_err(failed)?;
    }
    Ok(data)
}

fn undecodable<E: Event>(source: serde_json::Error) -> Error {
    Error::Decode { event_type: E::TYPE.to_owned(), source }
}
