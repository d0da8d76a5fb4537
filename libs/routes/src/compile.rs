//! Checked files become routes: steps are built, endpoints found, error handling put together.

mod builder;
mod error_specs;
mod files;
mod route;

use std::sync::Arc;

use crate::run::Route;

pub use builder::Builder;
pub use error_specs::{ERROR_HANDLER, ON_EXCEPTION};
pub use files::{compile, compile_with};

/// Routes that are ready to start.
#[derive(Debug, Default)]
pub struct Compiled {
    /// The routes in the order of their files.
    pub routes: Vec<Arc<Route>>,
    /// The files on which routes of other files may depend.
    pub shared: Vec<Arc<str>>,
    /// Things without effect that the files say.
    pub notes: Vec<crate::parse::Problem>,
}
