//! Types that lack what the generated code needs: the compiler points at them, not at the attribute.
extern crate self as eventkit;

use eventkit_macros::publish_event;

pub struct UnitOfWork;
pub struct EventkitError;

pub trait Event {
    const TOPIC: &'static str;
}

pub mod event {
    pub trait Keyed {
        fn key(&self) -> String;
    }
}

pub mod publish {
    pub struct Publication<V> {
        pub topic: &'static str,
        pub key: String,
        pub data: V,
    }

    pub async fn after_success<T, E, V: crate::Event>(
        _work: &mut crate::UnitOfWork,
        result: Result<T, E>,
        _describe: impl FnOnce(&T) -> Publication<V>,
    ) -> Result<T, E>
    where
        E: From<crate::EventkitError>,
    {
        result
    }
}

struct User;
struct NoEvent;

struct NoKey;

impl Event for NoKey {
    const TOPIC: &'static str = "user-events";
}

impl From<&User> for NoKey {
    fn from(_: &User) -> Self {
        Self
    }
}

#[publish_event(NoEvent)]
async fn is_no_event(work: &mut UnitOfWork) -> Result<User, EventkitError> {
    Ok(User)
}

#[publish_event(NoKey)]
async fn has_no_key(work: &mut UnitOfWork) -> Result<User, EventkitError> {
    Ok(User)
}

#[publish_event(event_type = NoKey, key_extractor = |_| 5)]
async fn key_is_no_text(work: &mut UnitOfWork) -> Result<User, EventkitError> {
    Ok(User)
}

#[publish_event(event_type = NoKey, key_extractor = |_| String::new())]
async fn error_is_foreign(work: &mut UnitOfWork) -> Result<User, std::fmt::Error> {
    Ok(User)
}

fn main() {}
