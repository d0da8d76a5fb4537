//! Route files as text: YAML becomes a tree that remembers where everything stands.

mod node;
mod problem;
mod yaml;

pub use node::{Kind as NodeKind, Mark, Name, Node, Scalar};
pub use problem::{Problem, Problems, Severity};
pub use yaml::{DOCUMENT_BYTES_MAX, read};
