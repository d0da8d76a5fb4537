//! What TechLeet's services say to each other: topics and events, as plain data without I/O.
//!
//! A change here is a change of the wire: additions are free, anything else needs a new version of the event and an
//! upcaster from the old one.
//!
//! # Map
//! - [`topics`]: the one table of topics, which topic creation, documents and tests read.
//! - [`user`], [`company`], [`recruitment`], [`notification`], [`audit`]: the events, by topic.
//! - [`catalogue`]: every event with its samples; [`asyncapi`]: the document about all of them.
//! - [`services`]: who tells them; [`traffic`]: which part publishes and consumes what.
//! - [`access`]: permissions and roles; [`money`]: amounts.

pub mod access;
pub mod asyncapi;
pub mod audit;
pub mod catalogue;
pub mod company;
pub mod money;
pub mod notification;
pub mod recruitment;
pub mod services;
pub mod topics;
pub mod traffic;
pub mod user;

pub use money::Money;
pub use topics::{AUDIT_EVENTS, COMPANY_EVENTS, NOTIFICATION_EVENTS, RECRUITMENT_EVENTS, TOPICS, USER_EVENTS};
