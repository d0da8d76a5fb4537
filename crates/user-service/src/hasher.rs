//! Hashes and checks passwords with argon2id, a few at a time, away from the threads that answer requests.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use chassis::Secret;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::error::Error;

/// Hashes at a time; each takes 19 MiB and one processor.
const HASHES_MAX: usize = 4;
/// Hashes that are worked on or wait for their turn at the most.
const PLACES_MAX: usize = 64;

/// Compared with where there is no such employee, so that the answer takes as long. Nobody knows its password.
const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$dGVjaGxlZXQtZHVtbXktMQ$6lkVgW3fDwBsYz0kXoLz4b8vXq2tqJrYt7c8T1f0mZU";

/// Hashes passwords; clones share the limits.
#[derive(Clone, Debug)]
pub(crate) struct Hasher {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

impl Hasher {
    pub(crate) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(PLACES_MAX)), turns: Arc::new(Semaphore::new(HASHES_MAX)) }
    }

    /// The hash of a password, with its salt and parameters, as a PHC string.
    pub(crate) async fn hash(&self, password: Secret) -> Result<String, Error> {
        let hashed = self.run(move || Argon2::default().hash_password(password.expose().as_bytes())).await?;
        Ok(hashed.map_err(|error| Error::Cryptography(error.to_string()))?.to_string())
    }

    /// Whether the password is the one of `hash`. Without a hash it never is, and that takes as long to find out.
    pub(crate) async fn verify(&self, password: Secret, hash: Option<String>) -> Result<bool, Error> {
        let is_known = hash.is_some();
        let hash = hash.unwrap_or_else(|| DUMMY.to_owned());
        let verified = self.run(move || {
            let hash = PasswordHash::new(&hash)?;
            Argon2::default().verify_password(password.expose().as_bytes(), &hash)
        });
        Ok(verified.await?.is_ok() && is_known)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| Error::HashesWaiting)?;
        let turn = self.turns.clone().acquire_owned().await.expect("the semaphore is never closed");
        // The permits go along: a request that is given up does not make room before its hash is done.
        let done = spawn_blocking(move || {
            let result = work();
            drop((turn, place));
            result
        });
        done.await.map_err(|error| Error::Cryptography(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_hash_alone_and_the_dummy_fits_none() {
        let hasher = Hasher::new();
        let hash = hasher.hash(Secret::new("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$"), "{hash}");
        assert!(hasher.verify(Secret::new("correct horse"), Some(hash.clone())).await.unwrap());
        assert!(!hasher.verify(Secret::new("correct Horse"), Some(hash)).await.unwrap());
        assert!(!hasher.verify(Secret::new("correct horse"), None).await.unwrap());
        PasswordHash::new(DUMMY).unwrap();
    }

    #[tokio::test]
    async fn too_many_at_once_are_turned_away() {
        let hasher = Hasher::new();
        let _held = hasher.places.clone().try_acquire_many_owned(PLACES_MAX.try_into().unwrap()).unwrap();
        assert!(matches!(hasher.hash(Secret::new("x")).await, Err(Error::HashesWaiting)));
    }
}
