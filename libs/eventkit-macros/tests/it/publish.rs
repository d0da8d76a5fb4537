//! The stand-in for `eventkit::publish`: the unit of work is a list of what was published.

use crate::Event;

/// What a unit of work holds: (topic, type, key, payload written with `Debug`).
#[derive(Debug, Default)]
pub struct UnitOfWork {
    /// Rows that a function's body wrote.
    pub rows: Vec<String>,
    /// Events in the order they were published.
    pub published: Vec<(&'static str, &'static str, String, String)>,
    /// Whether publishing fails.
    pub is_broken: bool,
}

/// An event about to be published.
#[derive(Debug)]
pub struct Publication<V> {
    /// Where it goes.
    pub topic: &'static str,
    /// Its key.
    pub key: String,
    /// The event.
    pub data: V,
}

/// Why publishing failed.
#[derive(Debug, PartialEq)]
pub struct Error;

/// Publishes what `describe` says when the result is a success.
pub async fn after_success<T, E, V>(
    work: &mut UnitOfWork,
    result: Result<T, E>,
    describe: impl FnOnce(&T) -> Publication<V>,
) -> Result<T, E>
where
    V: Event + std::fmt::Debug,
    E: From<Error>,
{
    let value = result?;
    let Publication { topic, key, data } = describe(&value);
    if work.is_broken {
        return Err(E::from(Error));
    }
    std::future::ready(()).await;
    work.published.push((topic, V::TYPE, key, format!("{data:?}")));
    Ok(value)
}
