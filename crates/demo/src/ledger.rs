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
    repeats: Mutex<BTreeMap<Place, usize>>,
}

/// What a login that is made once more repeats: its own event, and that of its session's end.
const REPEATED: [&str; 2] = ["user.login", "user.logout"];

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

    /// How often the events of sessions may come once more under a key; no other key has any too many.
    pub fn repeats(&self) -> BTreeMap<Place, usize> {
        self.repeats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note that an employee may have logged in so many times more: the answers were lost, or a token ran out.
    pub(crate) fn logged_in_more(&self, id: i64, logins: u64) {
        if logins > 0 {
            let mut repeats = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
            *repeats.entry((USER_EVENTS, format!("user-{id}"))).or_default() +=
                usize::try_from(logins).unwrap_or(usize::MAX);
        }
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

/// Whether the events of a key are those that are expected, in their order; those of sessions may be there up to
/// `repeats` times more, each beside the first.
pub fn is_as_expected(expected: &[&str], repeats: usize, found: &[impl AsRef<str>]) -> bool {
    let mut left = REPEATED.map(|event_type| (event_type, repeats));
    let (mut next, mut last) = (expected.iter(), None);
    for event in found.iter().map(AsRef::as_ref) {
        if next.as_slice().first().is_some_and(|expected| *expected == event) {
            next.next();
            last = Some(event);
            continue;
        }
        let more = left.iter_mut().find(|(repeated, left)| Some(event) == last && *repeated == event && *left > 0);
        let Some((_, left)) = more else { return false };
        *left -= 1;
    }
    next.as_slice().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_events_of_sessions_may_come_once_more_and_no_oftener_than_answers_were_lost() {
        let expected = ["user.created", "user.login", "user.logout"];
        let cases: [(usize, &[&str], bool); 9] = [
            (0, &["user.created", "user.login", "user.logout"], true),
            (1, &["user.created", "user.login", "user.logout"], true),
            (1, &["user.created", "user.login", "user.login", "user.logout"], true),
            (1, &["user.created", "user.login", "user.login", "user.logout", "user.logout"], true),
            (0, &["user.created", "user.login", "user.login", "user.logout"], false),
            (1, &["user.created", "user.login", "user.login", "user.login", "user.logout"], false),
            (1, &["user.created", "user.created", "user.login", "user.logout"], false),
            (1, &["user.created", "user.login", "user.logout", "user.login"], false),
            (1, &["user.created", "user.login", "user.login"], false),
        ];
        for (repeats, found, is_right) in cases {
            assert_eq!(is_as_expected(&expected, repeats, found), is_right, "{repeats} {found:?}");
        }
    }

    #[test]
    fn repeats_are_noted_of_whose_answers_were_lost_alone() {
        let ledger = Ledger::default();
        ledger.logged_in_more(1, 0);
        ledger.logged_in_more(2, 2);
        assert_eq!(ledger.repeats(), BTreeMap::from([((USER_EVENTS, "user-2".to_owned()), 2)]));
    }
}
