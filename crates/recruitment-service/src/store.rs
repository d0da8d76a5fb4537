//! The database: the only place that knows tables. What all of them share is in [`chassis::store`].

pub(crate) mod applications;
pub(crate) mod candidates;
pub(crate) mod interviews;
pub(crate) mod postings;
pub(crate) mod projections;

use chassis::store::Versioned;

use crate::domain::Record;

/// What is between the entries of a column that is searched for whole entries; no entry can hold it.
const SEPARATOR: char = '\u{1f}';

impl From<Versioned> for Record {
    fn from(Versioned { is_active, version, created_at, updated_at }: Versioned) -> Self {
        Self { is_active, version, created_at, updated_at }
    }
}

/// Entries with a separator around each, in lower case, so that one is found as a whole.
fn folded_entries(list: &[String]) -> String {
    list.iter().fold(SEPARATOR.to_string(), |mut folded, entry| {
        folded.push_str(&entry.to_lowercase());
        folded.push(SEPARATOR);
        folded
    })
}
