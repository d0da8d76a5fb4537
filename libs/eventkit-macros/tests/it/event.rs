//! The stand-in for `eventkit::event`.

use serde_json::Value;

/// A fact with a name, a version and a topic.
pub trait Event {
    /// The name on the wire.
    const TYPE: &'static str;
    /// The version of the payload.
    const VERSION: u32;
    /// Where it goes.
    const TOPIC: &'static str;
    /// From each older version to the next.
    const UPCASTERS: &'static [Upcaster];
}

/// An event that knows its key.
pub trait Keyed: Event {
    /// The key.
    fn key(&self) -> String;
}

/// One step from an older version.
#[derive(Debug)]
pub struct Upcaster {
    /// The version it reads.
    pub from: u32,
    /// What it does to the payload.
    pub apply: fn(Value) -> Result<Value, String>,
}
