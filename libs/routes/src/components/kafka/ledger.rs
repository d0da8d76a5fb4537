//! Which records are finished: an offset may be committed when everything before it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::exchange::Text;

/// The records under way of each partition.
#[derive(Debug, Default)]
pub(super) struct Ledger(HashMap<(Text, i32), Partition>);

#[derive(Debug, Default)]
struct Partition {
    /// Records that have come and are not finished.
    open: BTreeSet<i64>,
    /// The highest record that has come.
    highest: i64,
    /// What was committed last.
    committed: i64,
}

impl Ledger {
    /// A record has come.
    pub(super) fn begin(&mut self, topic: &Text, partition: i32, offset: i64) {
        let partition = self.0.entry((topic.clone(), partition)).or_default();
        if partition.open.is_empty() && offset < partition.highest {
            // The partition has been away and is read again from an older record.
            partition.committed = partition.committed.min(offset);
        }
        partition.open.insert(offset);
        partition.highest = partition.highest.max(offset);
    }

    /// A record is finished.
    pub(super) fn end(&mut self, topic: &Text, partition: i32, offset: i64) {
        if let Some(partition) = self.0.get_mut(&(topic.clone(), partition)) {
            partition.open.remove(&offset);
        }
    }

    /// What may be committed now and was not yet: of each partition the next record to read.
    pub(super) fn due(&mut self) -> Vec<(Text, i32, i64)> {
        let mut due = BTreeMap::new();
        for ((topic, number), partition) in &mut self.0 {
            let next = partition.open.first().copied().unwrap_or(partition.highest + 1);
            if next > partition.committed {
                partition.committed = next;
                due.insert((topic.clone(), *number), next);
            }
        }
        due.into_iter().map(|((topic, partition), next)| (topic, partition, next)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_waits_for_everything_before_it() {
        let topic = Text::fixed("t");
        let mut ledger = Ledger::default();
        for offset in 5..9 {
            ledger.begin(&topic, 0, offset);
        }
        ledger.end(&topic, 0, 6);
        ledger.end(&topic, 0, 7);
        assert_eq!(ledger.due(), [(topic.clone(), 0, 5)]);
        assert_eq!(ledger.due(), []);
        ledger.end(&topic, 0, 5);
        assert_eq!(ledger.due(), [(topic.clone(), 0, 8)]);
        ledger.end(&topic, 0, 8);
        assert_eq!(ledger.due(), [(topic, 0, 9)]);
    }
}
