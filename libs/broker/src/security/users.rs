//! Users over the wire: who has which credential, and changes of them.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;

use crate::security::Security;
use crate::security::scram::{Credential, ITERATIONS_MAX, ITERATIONS_MIN, Mechanism};

/// One change of a user's credential.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) user: String,
    pub(crate) mechanism: i8,
    /// `None` takes the credential away.
    pub(crate) salted: Option<Salted>,
}

/// A password as the client has salted it.
#[derive(Debug)]
pub(crate) struct Salted {
    pub(crate) salt: Vec<u8>,
    pub(crate) iterations: i32,
    pub(crate) password: Vec<u8>,
}

/// What a user's changes came to.
pub(crate) type Outcomes = BTreeMap<String, Result<(), ResponseError>>;

impl Security {
    /// Makes the changes of each user all or not at all.
    pub(crate) async fn change_users(&self, changes: Vec<Change>) -> Outcomes {
        let mut by_user: BTreeMap<String, Vec<Change>> = BTreeMap::new();
        for change in changes {
            by_user.entry(change.user.clone()).or_default().push(change);
        }
        let mut outcomes: Outcomes =
            by_user.iter().map(|(user, changes)| (user.clone(), check(user, changes))).collect();
        by_user.retain(|user, _| outcomes[user].is_ok());
        let users_max = self.config.security.users_max;
        let stored = self.store.change(|saved| {
            let mut refused = Outcomes::new();
            for (user, changes) in by_user {
                if let Err(error) = apply(&mut saved.users, users_max, &user, changes) {
                    refused.insert(user, Err(error));
                }
            }
            refused
        });
        match stored.await {
            Ok(refused) => outcomes.extend(refused),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "users could not be stored");
                let kept = outcomes.values_mut().filter(|outcome| outcome.is_ok());
                kept.for_each(|outcome| *outcome = Err(ResponseError::KafkaStorageError));
            }
        }
        outcomes
    }
}

fn check(user: &str, changes: &[Change]) -> Result<(), ResponseError> {
    let mut seen = BTreeSet::new();
    for change in changes {
        let mechanism = Mechanism::of_wire(change.mechanism).ok_or(ResponseError::UnsupportedSaslMechanism)?;
        if !seen.insert(mechanism) {
            return Err(ResponseError::DuplicateResource);
        }
        let Some(salted) = &change.salted else { continue };
        let iterations = u32::try_from(salted.iterations).unwrap_or(0);
        if user.is_empty() || salted.salt.is_empty() || salted.password.is_empty() {
            return Err(ResponseError::UnacceptableCredential);
        }
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
            return Err(ResponseError::UnacceptableCredential);
        }
    }
    Ok(())
}

fn apply(
    users: &mut BTreeMap<String, BTreeMap<Mechanism, Credential>>,
    users_max: usize,
    user: &str,
    changes: Vec<Change>,
) -> Result<(), ResponseError> {
    let mut credentials = users.get(user).cloned().unwrap_or_default();
    for change in changes {
        let mechanism = Mechanism::of_wire(change.mechanism).ok_or(ResponseError::UnsupportedSaslMechanism)?;
        match change.salted {
            None => {
                credentials.remove(&mechanism).ok_or(ResponseError::ResourceNotFound)?;
            }
            Some(Salted { salt, iterations, password }) => {
                let iterations = u32::try_from(iterations).map_err(|_| ResponseError::UnacceptableCredential)?;
                credentials.insert(mechanism, Credential::of_salted(mechanism, salt, iterations, &password));
            }
        }
    }
    if credentials.is_empty() {
        users.remove(user);
    } else if users.len() >= users_max && !users.contains_key(user) {
        return Err(ResponseError::PolicyViolation);
    } else {
        users.insert(user.to_owned(), credentials);
    }
    Ok(())
}
