//! Whether a file says only what can be done: nodes become elements, or problems with their places.
//!
//! What a step, a component or a data format may say stands in its [`Spec`]; reading, messages and
//! the support matrix follow from it.

mod element;
mod expression;
mod file;
mod known;
mod placeholders;
mod reader;
mod spec;
mod suggest;
mod template;
mod uri;

pub use element::{Compiled, Element, Given, Step};
pub use file::{Bean, RouteFile, RouteSource, top_level_specs};
pub(crate) use file::{Parsed, check_files};
pub use known::{DATA_FORMATS, LANGUAGES, STEPS, TOP_LEVEL, Unsupported};
pub use placeholders::{Scope, resolve};
pub use reader::{Checker, read_scalar as read_given};
pub use spec::{Inline, OptionSpec, Spec, Takes};
pub use suggest::nearest;
pub use template::Kamelets;
pub use uri::{EndpointText, parse_uri};
