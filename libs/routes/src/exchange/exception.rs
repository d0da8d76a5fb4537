//! What fails an exchange: an exception with the name of its Java class, as route files know it.

use std::fmt;
use std::sync::Arc;

use super::classes::Class;
use super::text::Text;

/// A result that fails with an [`Exception`].
pub type Result<T, E = Exception> = std::result::Result<T, E>;

/// An exception; clones are cheap.
#[derive(Clone)]
pub struct Exception(Arc<Thrown>);

struct Thrown {
    class: &'static Class,
    message: Option<Text>,
    cause: Option<Exception>,
}

impl Exception {
    /// An exception of `class` with a message.
    pub fn new(class: &'static Class, message: impl Into<Text>) -> Self {
        Self(Arc::new(Thrown { class, message: Some(message.into()), cause: None }))
    }

    /// An exception of `class` that says nothing.
    pub fn silent(class: &'static Class) -> Self {
        Self(Arc::new(Thrown { class, message: None, cause: None }))
    }

    /// The same exception with what caused it.
    pub fn caused_by(&self, cause: Exception) -> Self {
        Self(Arc::new(Thrown { class: self.0.class, message: self.0.message.clone(), cause: Some(cause) }))
    }

    /// Its class.
    pub fn class(&self) -> &'static Class {
        self.0.class
    }

    /// What it says.
    pub fn message(&self) -> Option<&Text> {
        self.0.message.as_ref()
    }

    /// What caused it.
    pub fn cause(&self) -> Option<&Exception> {
        self.0.cause.as_ref()
    }

    /// The exception and its causes, outermost first.
    pub fn chain(&self) -> impl Iterator<Item = &Exception> {
        std::iter::successors(Some(self), |exception| exception.cause())
    }
}

impl PartialEq for Exception {
    /// Whether it is the same one, not one that looks alike.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Display for Exception {
    /// As Java's `toString`: the class, and the message if there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.class.name)?;
        match &self.0.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        match &self.0.cause {
            Some(cause) => write!(f, ", caused by {cause:?}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Exception {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_ref().map(|cause| cause as &(dyn std::error::Error + 'static))
    }
}
