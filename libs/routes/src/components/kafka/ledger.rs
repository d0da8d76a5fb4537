//! Which records are finished: an offset may be committed when everything before it is.

use std::collections::{BTreeMap, HashMap};

use super::Place;
use crate::exchange::Text;

/// The records under way of each partition.
#[derive(Debug, Default)]
pub(super) struct Ledger(HashMap<Place, Partition>);

#[derive(Debug, Default)]
struct Partition {
    /// Records that have come and are not finished, and how large each is.
    open: BTreeMap<i64, usize>,
    /// How large they are together.
    bytes: usize,
    /// The next record after the highest that has come.
    next: i64,
    /// What was committed last.
    committed: i64,
    /// Whether it is not read for a while, since too many records wait.
    is_paused: bool,
}

impl Ledger {
    /// A record of so many bytes has come.
    pub(super) fn begin(&mut self, place: &Place, offset: i64, bytes: usize) {
        let partition = self.0.entry(place.clone()).or_default();
        if partition.open.is_empty() && offset < partition.committed {
            // The partition has been away and is read again from an older record.
            partition.committed = offset;
            partition.next = offset;
        }
        let before = partition.open.insert(offset, bytes);
        partition.bytes = partition.bytes + bytes - before.unwrap_or(0);
        partition.next = partition.next.max(offset + 1);
    }

    /// A record is finished.
    pub(super) fn end(&mut self, place: &Place, offset: i64) {
        if let Some(partition) = self.0.get_mut(place) {
            partition.bytes -= partition.open.remove(&offset).unwrap_or(0);
        }
    }

    /// A partition is somebody else's, or begins anew.
    pub(super) fn forget(&mut self, place: &Place) {
        self.0.remove(place);
    }

    /// Partitions of which more records are open than may be, or larger ones, and paused ones that have room again; each
    /// once.
    pub(super) fn pauses(&mut self, open_max: usize, bytes_max: usize) -> Vec<(Place, bool)> {
        let mut changed = Vec::new();
        for (place, partition) in &mut self.0 {
            let is_full = partition.open.len() >= open_max || partition.bytes >= bytes_max;
            let has_room = partition.open.len() <= open_max / 2 && partition.bytes <= bytes_max / 2;
            if partition.is_paused && has_room || !partition.is_paused && is_full {
                partition.is_paused = is_full;
                changed.push((place.clone(), is_full));
            }
        }
        changed
    }

    /// What may be committed now and was not yet: of each partition the next record to read.
    pub(super) fn due(&self) -> Vec<(Text, i32, i64)> {
        let mut due = BTreeMap::new();
        for ((topic, number), partition) in &self.0 {
            let next = partition.open.keys().next().copied().unwrap_or(partition.next);
            if next > partition.committed {
                due.insert((topic.clone(), *number), next);
            }
        }
        due.into_iter().map(|((topic, partition), next)| (topic, partition, next)).collect()
    }

    /// This has been committed.
    pub(super) fn committed(&mut self, offsets: &[(Text, i32, i64)]) {
        for (topic, number, next) in offsets {
            if let Some(partition) = self.0.get_mut(&(topic.clone(), *number)) {
                partition.committed = *next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_waits_for_everything_before_it() {
        let place = (Text::fixed("t"), 0);
        let due = |offset| [(Text::fixed("t"), 0, offset)];
        let mut ledger = Ledger::default();
        for offset in 5..9 {
            ledger.begin(&place, offset, 1);
        }
        ledger.end(&place, 6);
        ledger.end(&place, 7);
        assert_eq!(ledger.due(), due(5));
        ledger.committed(&due(5));
        assert_eq!(ledger.due(), []);
        ledger.end(&place, 5);
        // What could not be committed is due again.
        assert_eq!(ledger.due(), due(8));
        assert_eq!(ledger.due(), due(8));
        ledger.end(&place, 8);
        assert_eq!(ledger.due(), due(9));
        ledger.committed(&due(9));
        ledger.begin(&place, 3, 1);
        ledger.end(&place, 3);
        assert_eq!(ledger.due(), due(4));
    }

    #[test]
    fn a_partition_with_too_many_open_records_pauses_alone() {
        let (full, free) = ((Text::fixed("t"), 0), (Text::fixed("t"), 1));
        let mut ledger = Ledger::default();
        for offset in 0..4 {
            ledger.begin(&full, offset, 1);
        }
        ledger.begin(&free, 0, 1);
        assert_eq!(ledger.pauses(4, 100), [(full.clone(), true)]);
        assert_eq!(ledger.pauses(4, 100), []);
        ledger.end(&full, 3);
        assert_eq!(ledger.pauses(4, 100), []);
        ledger.end(&full, 2);
        assert_eq!(ledger.pauses(4, 100), [(full, false)]);
    }

    #[test]
    fn a_partition_with_large_records_pauses_by_their_bytes() {
        let place = (Text::fixed("t"), 0);
        let mut ledger = Ledger::default();
        ledger.begin(&place, 0, 60);
        assert_eq!(ledger.pauses(4, 100), []);
        ledger.begin(&place, 1, 60);
        // The same record again is no other.
        ledger.begin(&place, 1, 60);
        assert_eq!(ledger.pauses(4, 100), [(place.clone(), true)]);
        ledger.end(&place, 0);
        assert_eq!(ledger.pauses(4, 100), []);
        ledger.end(&place, 1);
        assert_eq!(ledger.pauses(4, 100), [(place, false)]);
    }
}
