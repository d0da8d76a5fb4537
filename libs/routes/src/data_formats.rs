//! Data formats: each is one file, and one line here.

mod base64;
mod csv;
mod deflater;
mod json;
mod yaml;

use std::fmt;
use std::sync::Arc;

use crate::check::{Element, Spec};
use crate::exchange::{Message, Result};

static FORMATS: &[&FormatKind] =
    &[&base64::FORMAT, &csv::FORMAT, &deflater::GZIP, &json::FORMAT, &yaml::FORMAT, &deflater::ZLIB];

/// A kind of data format.
pub struct FormatKind {
    /// What it may say.
    pub spec: Spec,
    /// How it is built of what the file says; or what is wrong with it.
    pub build: fn(&Element) -> Result<Arc<dyn DataFormat>, String>,
}

impl fmt::Debug for FormatKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormatKind").field("name", &self.spec.name).finish()
    }
}

/// Reads and writes bodies.
pub trait DataFormat: Send + Sync + fmt::Debug {
    /// Values become bytes.
    ///
    /// # Errors
    /// If the body cannot be written in this format.
    fn marshal(&self, message: &mut Message) -> Result<()>;

    /// Bytes become values.
    ///
    /// # Errors
    /// If the body is not in this format.
    fn unmarshal(&self, message: &mut Message) -> Result<()>;
}

/// The data format of this name.
pub fn find(name: &str) -> Option<&'static FormatKind> {
    FORMATS.iter().copied().find(|kind| kind.spec.name == name)
}

/// All data formats, in the order of the support matrix.
pub fn all() -> &'static [&'static FormatKind] {
    FORMATS
}
