//! What TechLeet's services say to each other: topics and events, as plain data without I/O.
//!
//! A change here is a change of the wire: additions are free, anything else needs a new version of the event and an
//! upcaster from the old one.
//!
//! # Map
//! - [`topics`]: the one table of topics, which topic creation, documents and tests read.
//! - [`user`], [`notification`], [`audit`]: the events, by topic.

pub mod audit;
pub mod notification;
pub mod topics;
pub mod user;

pub use topics::{AUDIT_EVENTS, NOTIFICATION_EVENTS, TOPICS, USER_EVENTS};
