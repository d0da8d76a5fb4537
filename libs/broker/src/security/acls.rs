//! Access rules over the wire: new ones, those there are, and taking them away.

use kafka_protocol::ResponseError;

use crate::security::Security;
use crate::security::acl::{Acl, Filter};

impl Security {
    /// Adds rules, those that fit below the limit; one that is there already is no mistake.
    pub(crate) async fn add_acls(&self, new: Vec<Acl>) -> Vec<Result<(), ResponseError>> {
        let acls_max = self.config.security.acls_max;
        let count = new.len();
        let stored = self.store.change(|saved| {
            let mut room = acls_max.saturating_sub(saved.acls.values().map(|acls| acls.len()).sum());
            let add = |acl: Acl| {
                let known = saved.acls.entry(acl.resource_type).or_default();
                if room == 0 && !known.contains(&acl) {
                    return Err(ResponseError::PolicyViolation);
                }
                room = room.saturating_sub(usize::from(known.insert(acl)));
                Ok(())
            };
            new.into_iter().map(add).collect()
        });
        stored.await.unwrap_or_else(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "access rules could not be stored");
            vec![Err(ResponseError::KafkaStorageError); count]
        })
    }

    /// The rules that a filter takes.
    pub(crate) fn list_acls(&self, filter: &Filter) -> Vec<Acl> {
        let saved = self.store.read();
        saved.acls.values().flatten().filter(|acl| filter.takes(acl)).cloned().collect()
    }

    /// Removes the rules that each filter takes; returns them.
    pub(crate) async fn remove_acls(&self, filters: Vec<Filter>) -> Result<Vec<Vec<Acl>>, ResponseError> {
        let removed = self.store.change(|saved| {
            let take = |filter: &Filter| {
                let mut taken = Vec::new();
                for acls in saved.acls.values_mut() {
                    taken.extend(acls.extract_if(.., |acl| filter.takes(acl)));
                }
                taken
            };
            filters.iter().map(take).collect()
        });
        removed.await.map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "access rules could not be stored");
            ResponseError::KafkaStorageError
        })
    }
}
