//! What an operator can do, over the embedded broker.

mod dead_letters;
mod events;
mod groups;
mod health;
mod support;
mod topics;
