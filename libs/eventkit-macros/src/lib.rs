//! The macros of `eventkit`, so that publishing an event costs its author one attribute.
//!
//! Both are re-exported by `eventkit`; use them from there. They turn tokens into tokens: the
//! generated code calls ordinary functions and implements ordinary traits, and holds no policy,
//! no I/O and no transaction of its own.
//!
//! # Modules
//! - `args`: lists of `name = value`, read so that one mistake does not hide the next.
//! - `event` and `key`: `#[derive(Event)]`.
//! - `publish`, `publish_args` and `function`: `#[publish_event]`.
//! - `errors`: collects mistakes and emits them beside the user's own item.
//!
//! # Invariants
//! - Every mistake is reported at once, each on its own span.
//! - The user's struct or function is emitted whatever is wrong with the arguments.
//! - A name that the generated code introduces cannot clash with the user's.

mod args;
mod errors;
mod event;
mod function;
mod key;
mod publish;
mod publish_args;

#[cfg(test)]
mod golden;

use proc_macro::TokenStream;

/// Implements `eventkit::Event` for a struct or an enum, and `eventkit::event::Keyed` when a key
/// is given.
///
/// | argument | meaning |
/// |---|---|
/// | `type = "user.created"` | the name on the wire, two lower-case words; required |
/// | `topic = USER_EVENTS` | an expression for the topic, a `&'static str`; required |
/// | `version = 2` | the version of the payload, from 1; 1 when left out |
/// | `key = "user-{employee_id}"` | the key, with fields of the struct in braces |
/// | `upcast(1 = from_v1)` | functions from each older version to the next one |
///
/// Either no upcaster is given or one for every version before the current one. Type parameters
/// are passed on as they are; lifetimes are refused, since an event owns its data.
///
/// ```
/// # extern crate self as eventkit;
/// # pub trait Event {
/// #     const TYPE: &'static str;
/// #     const VERSION: u32;
/// #     const TOPIC: &'static str;
/// #     const UPCASTERS: &'static [event::Upcaster];
/// # }
/// # pub mod event {
/// #     pub struct Upcaster {
/// #         pub from: u32,
/// #         pub apply: fn(serde_json::Value) -> Result<serde_json::Value, String>,
/// #     }
/// #     pub trait Keyed {
/// #         fn key(&self) -> String;
/// #     }
/// # }
/// # fn main() {
/// use eventkit::event::Keyed;
/// # use eventkit_macros::Event;
///
/// #[derive(Event)]
/// #[event(type = "user.created", topic = "user-events", key = "user-{employee_id}")]
/// struct UserCreated {
///     employee_id: i64,
/// }
///
/// assert_eq!(UserCreated::TYPE, "user.created");
/// assert_eq!(UserCreated { employee_id: 42 }.key(), "user-42");
/// # }
/// ```
#[proc_macro_derive(Event, attributes(event))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    event::expand(input.into()).into()
}

/// Publishes an event when an async function succeeds, in the unit of work the function has.
///
/// After `Ok` the event goes into the outbox of the unit of work, in the same transaction as what
/// the function did; after `Err` nothing does. The function's error type needs
/// `From<eventkit::Error>`.
///
/// | argument | meaning |
/// |---|---|
/// | `event_type = UserCreated` | the event; alone, `UserCreated` says the same |
/// | `topic = USER_EVENTS` | the topic; the event's own when left out |
/// | `key_extractor = \|user\| …` | the key from the value in `Ok`; `Keyed::key` when left out |
/// | `data_extractor = \|user\| …` | the event from that value; `From<&Value>` when left out |
/// | `work = tx` | the parameter that is the unit of work, when its type does not say so |
///
/// An extractor is a closure of one parameter or a path to a function, and gets `&Value`. The
/// arguments of the function are moved into its body, so an extractor sees the value alone.
///
/// ```
/// # extern crate self as eventkit;
/// # pub struct UnitOfWork(Vec<(&'static str, String)>);
/// # pub mod publish {
/// #     pub struct Publication<V> { pub topic: &'static str, pub key: String, pub data: V }
/// #     pub async fn after_success<T, E, V>(
/// #         work: &mut super::UnitOfWork,
/// #         result: Result<T, E>,
/// #         describe: impl FnOnce(&T) -> Publication<V>,
/// #     ) -> Result<T, E> {
/// #         let value = result?;
/// #         let publication = describe(&value);
/// #         work.0.push((publication.topic, publication.key));
/// #         Ok(value)
/// #     }
/// # }
/// # use eventkit_macros::publish_event;
/// # struct User { employee_id: i64 }
/// # struct UserCreated { employee_id: i64 }
/// # impl From<&User> for UserCreated {
/// #     fn from(user: &User) -> Self { Self { employee_id: user.employee_id } }
/// # }
/// # struct Error;
/// # const USER_EVENTS: &str = "user-events";
/// # fn main() {
/// #[publish_event(
///     topic = USER_EVENTS,
///     event_type = UserCreated,
///     key_extractor = |user| format!("user-{}", user.employee_id),
///     data_extractor = |user| UserCreated::from(user),
/// )]
/// async fn create_user(work: &mut UnitOfWork, employee_id: i64) -> Result<User, Error> {
///     Ok(User { employee_id })
/// }
/// # let mut work = UnitOfWork(Vec::new());
/// # {
/// #     let future = std::pin::pin!(create_user(&mut work, 42));
/// #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// #     assert!(future.poll(&mut context).is_ready());
/// # }
/// # assert_eq!(work.0, [("user-events", "user-42".to_owned())]);
/// # }
/// ```
#[proc_macro_attribute]
pub fn publish_event(args: TokenStream, item: TokenStream) -> TokenStream {
    publish::expand(args.into(), item.into()).into()
}
