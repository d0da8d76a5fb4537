//! What an operator can do (`crates/ops`), over the embedded broker; here, since `ops` must not know the broker.

mod dead_letters;
mod events;
mod groups;
mod health;
mod support;
mod topics;
