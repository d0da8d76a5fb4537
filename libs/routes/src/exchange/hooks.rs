//! What is to be done when an exchange ends.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use futures::FutureExt as _;

/// Called with whether the exchange failed.
enum Hook {
    /// It is done when the call returns.
    Now(Box<dyn FnOnce(bool) + Send + Sync>),
    /// It is done when what the call gives has ended.
    Later(Box<dyn FnOnce(bool) -> Work + Send + Sync>),
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is to be done when an exchange ends; a copy of the exchange has nothing to do.
///
/// An exchange that is cut off and dropped has failed: what takes time then is done beside everything else.
#[derive(Default)]
pub struct Hooks(Vec<Hook>);

impl Hooks {
    /// Adds one that is done at once.
    pub fn add(&mut self, hook: impl FnOnce(bool) + Send + Sync + 'static) {
        self.0.push(Hook::Now(Box::new(hook)));
    }

    /// Adds one that takes time: the exchange has ended only when it is done.
    pub fn add_later<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        hook: impl FnOnce(bool) -> F + Send + Sync + 'static,
    ) {
        self.0.push(Hook::Later(Box::new(move |is_failed| Box::pin(hook(is_failed)))));
    }

    /// Runs all of them, the last added first.
    pub async fn run(&mut self, is_failed: bool) {
        while let Some(hook) = self.0.pop() {
            match hook {
                Hook::Now(hook) => hook(is_failed),
                Hook::Later(hook) => hook(is_failed).await,
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes out those that were added after the first `kept`.
    pub fn split_off(&mut self, kept: usize) -> Hooks {
        Hooks(self.0.split_off(kept.min(self.0.len())))
    }

    /// Takes over those of another exchange.
    pub fn append(&mut self, other: &mut Hooks) {
        self.0.append(&mut other.0);
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        for hook in std::mem::take(&mut self.0).into_iter().rev() {
            match hook {
                Hook::Now(hook) => hook(true),
                Hook::Later(hook) => {
                    let mut work = hook(true);
                    if (&mut work).now_or_never().is_none()
                        && let Ok(runtime) = tokio::runtime::Handle::try_current()
                    {
                        runtime.spawn(work);
                    }
                }
            }
        }
    }
}

impl Clone for Hooks {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hooks").field(&self.0.len()).finish()
    }
}
