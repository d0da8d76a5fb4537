//! What an exchange has begun and nobody has waited for yet: records that are on their way.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use super::exception::{Exception, Result};

type Begun = Pin<Box<dyn Future<Output = Result<()>> + Send + Sync>>;

/// What has been begun; a copy of the exchange has begun nothing.
#[derive(Default)]
pub struct Pending(Vec<Begun>);

impl Pending {
    /// Adds something that has been begun.
    pub fn add(&mut self, begun: impl Future<Output = Result<()>> + Send + Sync + 'static) {
        self.0.push(Box::pin(begun));
    }

    /// Takes over what another exchange has begun.
    pub fn append(&mut self, other: &mut Pending) {
        self.0.append(&mut other.0);
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until all has ended; the first failure counts.
    ///
    /// # Errors
    /// With the first failure, after everything has ended.
    pub async fn end(&mut self) -> Result<()> {
        let mut failure: Option<Exception> = None;
        for begun in std::mem::take(&mut self.0) {
            if let Err(exception) = begun.await {
                failure.get_or_insert(exception);
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

impl Clone for Pending {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pending").field(&self.0.len()).finish()
    }
}
