//! Compares what a service promised with what came of it, knowing nothing of how it works.
//!
//! In: what was acknowledged, what is on the topics, which effects were had, each in the order in which it happened.
//! Out: every promise that was broken.

use std::collections::{HashMap, HashSet};

/// An event, as a test saw it somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fact {
    /// The key whose order counts.
    pub key: String,
    /// The event's identity.
    pub event_id: String,
}

impl Fact {
    /// A fact about the event called `event_id` of the entity called `key`.
    pub fn new(key: &str, event_id: &str) -> Self {
        Self { key: key.to_owned(), event_id: event_id.to_owned() }
    }
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// It was acknowledged and is not on its topic.
    Lost(String),
    /// It is on its topic under another key than it was acknowledged with.
    WrongKey(String),
    /// Its first occurrence on the topic comes before that of an event of its key that was acknowledged earlier.
    Overtook(String),
    /// It is on its topic and had no effect.
    NoEffect(String),
    /// Its effect was had more than once.
    DoubleEffect(String),
    /// Its effect was had before that of an event of its key that came earlier on the topic.
    EffectOvertook(String),
    /// An effect of something that is on no topic.
    Invented(String),
}

/// Every broken promise, sorted; none when all is well.
///
/// What is on the topic and was not acknowledged is no fault: the answer may have been lost.
pub fn check(acknowledged: &[Fact], topic: &[Fact], effects: &[Fact]) -> Vec<Verdict> {
    let mut verdicts = HashSet::new();
    let published = first_occurrences(topic);
    let keys: HashMap<&str, &str> = topic.iter().map(|fact| (&*fact.event_id, &*fact.key)).collect();
    for fact in acknowledged {
        match keys.get(&*fact.event_id) {
            None => verdicts.insert(Verdict::Lost(fact.event_id.clone())),
            Some(key) if *key != fact.key => verdicts.insert(Verdict::WrongKey(fact.event_id.clone())),
            Some(_) => false,
        };
    }
    verdicts.extend(overtakers(acknowledged, &published).into_iter().map(Verdict::Overtook));
    let had = first_occurrences(effects);
    let mut times: HashMap<&str, usize> = HashMap::new();
    for fact in effects {
        *times.entry(&fact.event_id).or_default() += 1;
    }
    for event_id in published.keys() {
        if !had.contains_key(event_id) {
            verdicts.insert(Verdict::NoEffect((*event_id).to_owned()));
        }
    }
    for (event_id, times) in times {
        if times > 1 {
            verdicts.insert(Verdict::DoubleEffect(event_id.to_owned()));
        }
        if !published.contains_key(event_id) {
            verdicts.insert(Verdict::Invented(event_id.to_owned()));
        }
    }
    verdicts.extend(overtakers(topic, &had).into_iter().map(Verdict::EffectOvertook));
    let mut verdicts: Vec<_> = verdicts.into_iter().collect();
    verdicts.sort_unstable();
    verdicts
}

/// The first occurrence of each: the effects of whoever has none twice, for a check of a topic alone.
pub fn once(facts: &[Fact]) -> Vec<Fact> {
    let mut seen = HashSet::new();
    facts.iter().filter(|fact| seen.insert(&fact.event_id)).cloned().collect()
}

/// Where each event stands first.
fn first_occurrences(facts: &[Fact]) -> HashMap<&str, usize> {
    let mut first = HashMap::new();
    for (place, fact) in facts.iter().enumerate() {
        first.entry(&*fact.event_id).or_insert(place);
    }
    first
}

/// Events that stand before one of their key in `places` that was told before them.
fn overtakers(told: &[Fact], places: &HashMap<&str, usize>) -> Vec<String> {
    let mut latest: HashMap<&str, usize> = HashMap::new();
    let mut seen = HashSet::new();
    let mut overtakers = Vec::new();
    for fact in told {
        let Some(place) = places.get(&*fact.event_id) else { continue };
        if !seen.insert(&*fact.event_id) {
            continue;
        }
        let before = latest.entry(&fact.key).or_insert(*place);
        if place < before {
            overtakers.push(fact.event_id.clone());
        }
        *before = (*before).max(*place);
    }
    overtakers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(list: &str) -> Vec<Fact> {
        list.split_whitespace().map(|id| Fact::new(&id[..1], id)).collect()
    }

    fn verdicts(acknowledged: &str, topic: &str, effects: &str) -> Vec<Verdict> {
        check(&facts(acknowledged), &facts(topic), &facts(effects))
    }

    #[test]
    fn a_good_run_has_no_verdict_whatever_was_repeated_on_the_topic() {
        assert_eq!(verdicts("a1 b1 a2", "a1 b1 a1 a2 b1 a2", "b1 a1 a2"), []);
        assert_eq!(verdicts("a1", "a1 a2", "a1 a2"), [], "an answer that was lost is no fault");
    }

    #[test]
    fn planted_losses_are_found() {
        assert_eq!(verdicts("a1 a2", "a1", "a1"), [Verdict::Lost("a2".to_owned())]);
        assert_eq!(verdicts("a1 a2", "a1 a2", "a1"), [Verdict::NoEffect("a2".to_owned())]);
    }

    #[test]
    fn planted_duplicates_and_inventions_are_found() {
        assert_eq!(verdicts("a1 a2", "a1 a2", "a1 a2 a1"), [Verdict::DoubleEffect("a1".to_owned())]);
        assert_eq!(verdicts("a1", "a1", "a1 b7"), [Verdict::Invented("b7".to_owned())]);
    }

    #[test]
    fn planted_reorderings_are_found() {
        assert_eq!(verdicts("a1 b1 a2", "a2 b1 a1", "a2 b1 a1"), [Verdict::Overtook("a2".to_owned())]);
        assert_eq!(verdicts("a1 a2", "a1 a2", "a2 a1"), [Verdict::EffectOvertook("a2".to_owned())]);
    }

    #[test]
    fn a_changed_key_is_found() {
        let topic = [Fact::new("b", "a1")];
        assert_eq!(check(&facts("a1"), &topic, &topic), [Verdict::WrongKey("a1".to_owned())]);
    }
}
