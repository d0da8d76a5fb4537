//! What must be there after the story: for each key, its events in their order; for each entity, who changed it; and
//! everybody who can be told something.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use contracts::audit::{Action, Actor};
use contracts::{COMPANY_EVENTS, RECRUITMENT_EVENTS, USER_EVENTS};

/// A key on a topic.
pub type Place = (&'static str, String);

/// What somebody did to an entity.
pub type Change = (Action, Actor);

/// Takes note of what the story made happen.
#[derive(Debug, Default)]
pub struct Ledger {
    expected: Mutex<BTreeMap<Place, Vec<&'static str>>>,
    changes: Mutex<BTreeMap<String, Vec<Change>>>,
    employees: Mutex<BTreeMap<i64, Person>>,
}

/// An employee of the story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The given name.
    pub first_name: String,
    /// The family name.
    pub last_name: String,
    /// Where mails go.
    pub email: String,
}

impl Ledger {
    /// The events that each key must have, in order.
    pub fn expected(&self) -> BTreeMap<Place, Vec<&'static str>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was done to each entity and by whom, in order; sessions are not among them.
    pub fn changes(&self) -> BTreeMap<String, Vec<Change>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everybody who was taken on or hired, by number.
    pub fn employees(&self) -> BTreeMap<i64, Person> {
        self.employees.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many events there must be in all.
    pub fn events(&self) -> usize {
        self.expected().values().map(Vec::len).sum()
    }

    /// The numbers of everything of one kind that was made, for example of every `department-`.
    pub fn ids(&self, prefix: &str) -> Vec<i64> {
        let expected = self.expected();
        expected.keys().filter_map(|(_, key)| key.strip_prefix(prefix)?.parse().ok()).collect()
    }

    pub(crate) fn user(&self, id: i64, event_type: &'static str) {
        self.note(USER_EVENTS, format!("user-{id}"), event_type);
    }

    pub(crate) fn company(&self, id: i64) {
        self.note(COMPANY_EVENTS, format!("company-{id}"), "company.created");
    }

    pub(crate) fn department(&self, id: i64, event_type: &'static str) {
        self.note(COMPANY_EVENTS, format!("department-{id}"), event_type);
    }

    pub(crate) fn job(&self, id: i64, event_type: &'static str) {
        self.note(RECRUITMENT_EVENTS, format!("job-{id}"), event_type);
    }

    pub(crate) fn application(&self, id: i64, event_type: &'static str) {
        self.note(RECRUITMENT_EVENTS, format!("application-{id}"), event_type);
    }

    /// Takes note of an event that has to come next under its key.
    pub fn note(&self, topic: &'static str, key: String, event_type: &'static str) {
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        expected.entry((topic, key)).or_default().push(event_type);
    }

    /// Takes note of what somebody did next to an entity.
    pub fn changed(&self, entity: String, action: Action, actor: &Actor) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.entry(entity).or_default().push((action, actor.clone()));
    }

    /// Takes note of somebody who can be told something.
    pub fn employed(&self, id: i64, person: Person) {
        self.employees.lock().unwrap_or_else(PoisonError::into_inner).insert(id, person);
    }
}
