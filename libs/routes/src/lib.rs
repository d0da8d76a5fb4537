//! Runs routes that are written in Apache Camel's YAML DSL.
//!
//! # Map
//! - [`exchange`]: what travels through a route: body, headers, properties, variables, exception.
//! - [`language`]: how a text of an expression language becomes something that can be evaluated.
//! - [`parse`], [`check`], [`compile`], [`run`]: a file becomes a tree, the tree is checked, what was
//!   checked becomes steps, the steps are run.
//! - [`steps`], [`components`], [`data_formats`]: tables of what there is; each entry is a file with
//!   what it may say, how it is built and what it does.
//!
//! - [`state`], [`repository`]: what steps remember between exchanges, and where that is kept.
//!
//! # Invariants
//! - A file says only what can be done: everything else is refused before anything runs, all of it at
//!   once, with its place. What has no effect here is noted.
//! - No step knows a component, no component knows a step.
//! - Nothing grows without a limit: [`run::Limits`].
//! - What fails or panics in a step fails its exchange only.

pub mod cases;
pub mod check;
pub mod clock;
pub mod compile;
pub mod components;
pub mod data_formats;
pub mod exchange;
pub mod language;
mod log_line;
pub mod matrix;
pub mod parse;
mod pattern;
pub mod repository;
pub mod run;
pub mod state;
pub mod steps;

pub use clock::Clock;
pub use run::{Engine, Limits, Setup};
