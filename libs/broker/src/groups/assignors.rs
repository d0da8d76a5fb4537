//! Who of a group reads which partitions, where the broker decides (KIP-848).

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

/// A partition of a topic.
pub(crate) type Part = (Uuid, i32);
/// Partitions of one member.
pub(crate) type Parts = BTreeSet<Part>;

/// How partitions are shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Assignor {
    /// As evenly as it goes, and with as few moves.
    Uniform,
    /// Each topic in ranges, so that equal numbers of several topics meet at one member.
    Range,
}

/// A member as an assignor sees it.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) id: &'a str,
    pub(crate) topics: &'a BTreeSet<Uuid>,
    /// What it is to read now.
    pub(crate) target: &'a Parts,
}

impl Assignor {
    /// The name that members ask for it by.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Uniform, Self::Range].into_iter().find(|assignor| assignor.name() == name)
    }

    /// Shares the partitions of `topics` among `readers`; every partition that anybody reads goes to exactly one.
    /// The answer is in the order of the readers.
    pub(crate) fn share(self, readers: &[Reader<'_>], topics: &BTreeMap<Uuid, i32>) -> Vec<Parts> {
        match self {
            Self::Uniform => uniform(readers, topics),
            Self::Range => range(readers, topics),
        }
    }
}

fn range(readers: &[Reader<'_>], topics: &BTreeMap<Uuid, i32>) -> Vec<Parts> {
    let mut shares = vec![Parts::new(); readers.len()];
    for (topic, partitions) in topics {
        let mut of_topic: Vec<usize> = (0..readers.len()).filter(|at| readers[*at].topics.contains(topic)).collect();
        of_topic.sort_by_key(|at| readers[*at].id);
        let mut next = 0..*partitions;
        for (place, at) in of_topic.iter().enumerate() {
            let left = of_topic.len() - place;
            let count = next.len().div_ceil(left);
            shares[*at].extend(next.by_ref().take(count).map(|index| (*topic, index)));
        }
    }
    shares
}

fn uniform(readers: &[Reader<'_>], topics: &BTreeMap<Uuid, i32>) -> Vec<Parts> {
    let mut shares = vec![Parts::new(); readers.len()];
    let mut free: Parts =
        topics.iter().flat_map(|(topic, partitions)| (0..*partitions).map(|index| (*topic, index))).collect();
    for (share, reader) in shares.iter_mut().zip(readers) {
        let kept = reader.target.iter().filter(|part| reader.topics.contains(&part.0) && free.remove(*part));
        share.extend(kept.copied());
    }
    let mut loads: BTreeSet<(usize, usize)> = shares.iter().enumerate().map(|(at, share)| (share.len(), at)).collect();
    for part in free {
        let least = loads.iter().copied().find(|(_, at)| readers[*at].topics.contains(&part.0));
        if let Some(least) = least {
            give(&mut shares, &mut loads, least, part);
        }
    }
    // Each move makes two loads more alike, so this ends.
    while let Some((from, part, to)) = unfair(readers, &shares, &loads) {
        loads.remove(&(shares[from].len(), from));
        shares[from].remove(&part);
        loads.insert((shares[from].len(), from));
        give(&mut shares, &mut loads, to, part);
    }
    shares
}

fn give(shares: &mut [Parts], loads: &mut BTreeSet<(usize, usize)>, to: (usize, usize), part: Part) {
    loads.remove(&to);
    shares[to.1].insert(part);
    loads.insert((to.0 + 1, to.1));
}

/// A partition whose reader has at least two more than another that could read it.
fn unfair(
    readers: &[Reader<'_>],
    shares: &[Parts],
    loads: &BTreeSet<(usize, usize)>,
) -> Option<(usize, Part, (usize, usize))> {
    let least = loads.first()?.0;
    for (load, from) in loads.iter().rev().take_while(|(load, _)| *load > least + 1) {
        // Of one topic all partitions have the same readers: one is as good as another.
        let mut seen = BTreeSet::new();
        for part in shares[*from].iter().rev().filter(|part| seen.insert(part.0)) {
            let lighter = loads.iter().take_while(|(other, _)| other + 1 < *load);
            let to = lighter.copied().find(|(_, at)| readers[*at].topics.contains(&part.0));
            if let Some(to) = to {
                return Some((*from, *part, to));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(counts: &[i32]) -> BTreeMap<Uuid, i32> {
        (1..).zip(counts).map(|(id, count)| (Uuid::from_u128(id), *count)).collect()
    }

    /// Shares among members that read the topics with these numbers, from nothing or from what they had.
    fn share(assignor: Assignor, reads: &[&[u128]], had: &[Parts], topics: &BTreeMap<Uuid, i32>) -> Vec<Parts> {
        let ids: Vec<String> = (0..reads.len()).map(|at| format!("m{at}")).collect();
        let reads: Vec<BTreeSet<Uuid>> =
            reads.iter().map(|ids| ids.iter().map(|id| Uuid::from_u128(*id)).collect()).collect();
        let nothing = Parts::new();
        let readers: Vec<Reader<'_>> = (0..ids.len())
            .map(|at| Reader { id: &ids[at], topics: &reads[at], target: had.get(at).unwrap_or(&nothing) })
            .collect();
        let shares = assignor.share(&readers, topics);
        let all: Parts = shares.iter().flatten().copied().collect();
        assert_eq!(all.len(), shares.iter().map(Parts::len).sum::<usize>(), "nobody shares a partition");
        for (share, reader) in shares.iter().zip(&readers) {
            assert!(share.iter().all(|part| reader.topics.contains(&part.0)));
        }
        shares
    }

    fn loads(shares: &[Parts]) -> Vec<usize> {
        shares.iter().map(Parts::len).collect()
    }

    #[test]
    fn ranges_of_every_topic_begin_with_the_first_member() {
        let shares = share(Assignor::Range, &[&[1, 2], &[1, 2], &[2]], &[], &topics(&[3, 4]));
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(shares[0], Parts::from([(one, 0), (one, 1), (two, 0), (two, 1)]));
        assert_eq!(shares[1], Parts::from([(one, 2), (two, 2)]));
        assert_eq!(shares[2], Parts::from([(two, 3)]));
    }

    #[test]
    fn uniform_is_even_and_moves_no_more_than_it_must() {
        let topics = topics(&[5, 7]);
        let all: &[u128] = &[1, 2];
        let two = share(Assignor::Uniform, &[all, all], &[], &topics);
        assert_eq!(loads(&two), [6, 6]);
        let three = share(Assignor::Uniform, &[all, all, all], &two, &topics);
        assert_eq!(loads(&three), [4, 4, 4]);
        assert!(three[0].is_subset(&two[0]) && three[1].is_subset(&two[1]), "who stays gets nothing new");
        let again = share(Assignor::Uniform, &[all, all], &three[..2], &topics);
        assert_eq!(loads(&again), [6, 6]);
        assert!(again[0].is_superset(&three[0]) && again[1].is_superset(&three[1]), "who stays keeps what it has");
    }

    #[test]
    fn uniform_is_as_even_as_different_subscriptions_let_it() {
        let shares = share(Assignor::Uniform, &[&[1], &[1, 2], &[2]], &[], &topics(&[4, 2]));
        assert_eq!(loads(&shares), [2, 2, 2]);
        let shares = share(Assignor::Uniform, &[&[1], &[2], &[]], &[], &topics(&[9, 1]));
        assert_eq!(loads(&shares), [9, 1, 0]);
        let had = vec![Parts::from([(Uuid::from_u128(9), 0)])];
        assert_eq!(loads(&share(Assignor::Uniform, &[&[1]], &had, &topics(&[2]))), [2], "a topic that is gone");
    }
}
