//! Where idempotent consumers remember what they have seen.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::exchange::{Result, Text};
use crate::state::{Keys, name, patiently};

/// The class of the repository that a file names; where the state of routes is kept, its keys are kept as well.
pub const MEMORY: &str = "org.apache.camel.support.processor.idempotent.MemoryIdempotentRepository";

/// Remembers keys.
///
/// An exchange that can come again is known by where its cause was read, and finds its own key as if nobody had it: what
/// it began before a crash is done. The key of any other is kept only when it has ended; until then this process alone
/// knows that somebody has it.
#[derive(Debug)]
pub struct Repository {
    keys: Box<dyn Keys>,
    /// Keys of exchanges under way that do not come again.
    reserved: Mutex<HashSet<Text>>,
}

/// A key that an exchange may have.
#[derive(Debug, Clone)]
pub struct Claim {
    key: Text,
    /// What names the exchange; empty if it does not come again.
    owner: Text,
}

impl Claim {
    /// A key for an exchange, with what names it if it can come again.
    pub fn new(key: &Text, owner: Option<Text>) -> Self {
        Self { key: name(key), owner: owner.unwrap_or_default() }
    }
}

impl Repository {
    /// A repository that keeps these keys.
    pub fn new(keys: Box<dyn Keys>) -> Self {
        Self { keys, reserved: Mutex::default() }
    }

    /// Takes a key; false if another has it, or had it before.
    ///
    /// # Errors
    /// What the store says.
    pub async fn take(&self, claim: &Claim) -> Result<bool> {
        if !claim.owner.is_empty() {
            return self.add(claim).await;
        }
        if !self.reserved().insert(claim.key.clone()) {
            return Ok(false);
        }
        let is_taken = self.is_taken(claim).await;
        if !matches!(is_taken, Ok(false)) {
            self.reserved().remove(&claim.key);
        }
        is_taken.map(|is_taken| !is_taken)
    }

    /// Whether another has a key.
    ///
    /// # Errors
    /// What the store says.
    pub async fn is_taken(&self, claim: &Claim) -> Result<bool> {
        patiently(|| self.keys.is_taken(&claim.key, &claim.owner)).await
    }

    /// Keeps a key from now on.
    pub async fn keep(&self, claim: &Claim) {
        self.settle(claim, self.add(claim).await.map(drop));
    }

    /// Gives a key back that was taken.
    pub async fn give_back(&self, claim: &Claim) {
        let outcome = match claim.owner.is_empty() {
            // It was reserved only.
            true => Ok(()),
            false => patiently(|| self.keys.remove(&claim.key, &claim.owner)).await,
        };
        self.settle(claim, outcome);
    }

    async fn add(&self, claim: &Claim) -> Result<bool> {
        patiently(|| self.keys.add(&claim.key, &claim.owner)).await
    }

    fn settle(&self, claim: &Claim, outcome: Result<()>) {
        if let Err(exception) = outcome {
            tracing::error!(
                class = exception.class().name,
                "key of an idempotent consumer could not be kept or given back"
            );
        }
        if claim.owner.is_empty() {
            self.reserved().remove(&claim.key);
        }
    }

    fn reserved(&self) -> MutexGuard<'_, HashSet<Text>> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
