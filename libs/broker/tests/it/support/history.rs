//! What clients were told, and whether what a broker shows afterwards goes with it; it knows nothing of the broker.
//!
//! After Jepsen's Kafka workload: a lost write, a duplicate, a record at another offset than was told, an aborted read, a
//! precommitted read, a hole, a high watermark or a group's position that fell.

use std::collections::{BTreeMap, HashMap, HashSet};

/// How a send ended for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It was told this offset.
    At(i64),
    /// It was told of an error, or of nothing: the record may be there or not.
    Unknown,
}

/// A transaction with one record.
#[derive(Debug, Clone, Copy, Default)]
struct Transaction {
    /// When its end was asked for, and whether it was to be committed.
    asked: Option<(usize, bool)>,
    /// When that was answered.
    answered: Option<usize>,
}

/// Something that a client was told, with the time at which it was.
#[derive(Debug, Clone)]
struct Told<T> {
    at: usize,
    what: T,
}

/// Everything that clients were told, in order.
#[derive(Debug, Default)]
pub(crate) struct History {
    sends: Vec<Told<(String, Sent)>>,
    positions: Vec<Told<i64>>,
    high_watermarks: Vec<Told<i64>>,
    /// By the value of its record.
    transactions: BTreeMap<String, Transaction>,
}

/// What a broker shows.
#[derive(Debug, Default, Clone)]
pub(crate) struct Shown {
    pub(crate) high_watermark: i64,
    /// Offset and value of every record, markers left out.
    pub(crate) everything: Vec<(i64, String)>,
    /// The same as a reader of committed records sees it.
    pub(crate) committed: Vec<(i64, String)>,
    /// Offsets at which there is a record or a marker.
    pub(crate) offsets: Vec<i64>,
    /// The group's position, -1 for none.
    pub(crate) position: i64,
}

/// What must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Anomaly {
    LostWrite(String),
    Duplicate(String),
    InconsistentOffset(String),
    /// A value that nobody sent.
    Invented(String),
    AbortedRead(String),
    /// A record of a transaction that was never committed is read as committed.
    PrecommittedRead(String),
    /// A committed record is missing for readers of committed records only.
    HiddenCommit(String),
    Hole(i64),
    HighWatermarkFell {
        from: i64,
        to: i64,
    },
    PositionFell {
        from: i64,
        to: i64,
    },
}

impl History {
    pub(crate) fn sent(&mut self, at: usize, value: &str, sent: Sent) {
        self.sends.push(Told { at, what: (value.to_owned(), sent) });
    }

    /// A value is part of a transaction that is open.
    pub(crate) fn opened(&mut self, value: &str) {
        self.transactions.insert(value.to_owned(), Transaction::default());
    }

    /// The end of a value's transaction is asked for: from now on it may have happened.
    pub(crate) fn asked(&mut self, at: usize, value: &str, commits: bool) {
        self.transactions.entry(value.to_owned()).or_default().asked = Some((at, commits));
    }

    pub(crate) fn answered(&mut self, at: usize, value: &str) {
        self.transactions.entry(value.to_owned()).or_default().answered = Some(at);
    }

    pub(crate) fn committed_position(&mut self, at: usize, position: i64) {
        self.positions.push(Told { at, what: position });
    }

    pub(crate) fn saw_high_watermark(&mut self, at: usize, high_watermark: i64) {
        self.high_watermarks.push(Told { at, what: high_watermark });
    }

    /// What of it was told before `at`; sends of later are not known to anybody, but may have been on their way.
    pub(crate) fn check(&self, at: usize, shown: &Shown) -> Vec<Anomaly> {
        let mut anomalies = Vec::new();
        let mut places: HashMap<&str, Vec<i64>> = HashMap::new();
        for (offset, value) in &shown.everything {
            places.entry(value).or_default().push(*offset);
        }
        let known: HashSet<&str> = self.sends.iter().map(|told| told.what.0.as_str()).collect();
        for (value, offsets) in &places {
            if !known.contains(value) {
                anomalies.push(Anomaly::Invented((*value).to_owned()));
            }
            if offsets.len() > 1 {
                anomalies.push(Anomaly::Duplicate((*value).to_owned()));
            }
        }
        for Told { what: (value, sent), .. } in self.sends.iter().filter(|told| told.at <= at) {
            let Sent::At(offset) = sent else { continue };
            match places.get(value.as_str()) {
                None => anomalies.push(Anomaly::LostWrite(value.clone())),
                Some(places) if !places.contains(offset) => anomalies.push(Anomaly::InconsistentOffset(value.clone())),
                Some(_) => {}
            }
        }
        self.check_transactions(at, shown, &mut anomalies);
        for pair in shown.offsets.windows(2) {
            if pair[1] != pair[0] + 1 {
                anomalies.push(Anomaly::Hole(pair[0] + 1));
            }
        }
        let last = |told: &[Told<i64>]| told.iter().filter(|told| told.at <= at).map(|told| told.what).max();
        if let Some(from) = last(&self.high_watermarks).filter(|from| *from > shown.high_watermark) {
            anomalies.push(Anomaly::HighWatermarkFell { from, to: shown.high_watermark });
        }
        if let Some(from) = last(&self.positions).filter(|from| *from > shown.position) {
            anomalies.push(Anomaly::PositionFell { from, to: shown.position });
        }
        anomalies
    }

    fn check_transactions(&self, at: usize, shown: &Shown, anomalies: &mut Vec<Anomaly>) {
        let readable: HashSet<&str> = shown.committed.iter().map(|(_, value)| value.as_str()).collect();
        for (value, transaction) in &self.transactions {
            let is_readable = readable.contains(value.as_str());
            match (transaction.asked, transaction.answered) {
                (Some((_, false)), _) if is_readable => anomalies.push(Anomaly::AbortedRead(value.clone())),
                (None, _) if is_readable => anomalies.push(Anomaly::PrecommittedRead(value.clone())),
                (Some((asked, true)), _) if is_readable && asked > at => {
                    anomalies.push(Anomaly::PrecommittedRead(value.clone()));
                }
                (Some((_, true)), Some(answered)) if answered <= at && !is_readable => {
                    anomalies.push(Anomaly::HiddenCommit(value.clone()));
                }
                _ => {}
            }
        }
        // What is in no transaction is readable unless an open transaction stands before it.
        let everything = shown.everything.iter().map(|(offset, value)| (value.as_str(), *offset));
        let everything: HashMap<&str, i64> = everything.collect();
        for (offset, value) in &shown.committed {
            if everything.get(value.as_str()) != Some(offset) {
                anomalies.push(Anomaly::InconsistentOffset(value.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three records, the second and third in transactions of which one was committed and one aborted.
    fn fine() -> (History, Shown) {
        let mut history = History::default();
        history.sent(1, "plain", Sent::At(0));
        for (value, offset, commits) in [("yes", 1, true), ("no", 3, false)] {
            history.opened(value);
            history.sent(2, value, Sent::At(offset));
            history.asked(2, value, commits);
            history.answered(3, value);
        }
        history.sent(4, "perhaps", Sent::Unknown);
        history.committed_position(5, 2);
        history.saw_high_watermark(5, 5);
        let record = |offset: i64, value: &str| (offset, value.to_owned());
        let shown = Shown {
            high_watermark: 5,
            everything: vec![record(0, "plain"), record(1, "yes"), record(3, "no")],
            committed: vec![record(0, "plain"), record(1, "yes")],
            offsets: (0..5).collect(),
            position: 2,
        };
        (history, shown)
    }

    #[test]
    fn what_goes_together_has_no_anomaly() {
        let (history, mut shown) = fine();
        assert_eq!(history.check(9, &shown), []);
        shown.everything.push((5, "perhaps".to_owned()));
        assert_eq!(history.check(9, &shown), [], "what nobody was told of may be there");
        let empty = Shown { position: -1, ..Shown::default() };
        assert_eq!(history.check(0, &empty), [], "before anybody was told of anything nothing has to be there");
    }

    #[test]
    fn every_planted_anomaly_is_found() {
        type Plant = fn(&mut History, &mut Shown);
        let no = || "no".to_owned();
        let plants: Vec<(Plant, Anomaly)> = vec![
            (|_, shown| drop(shown.everything.remove(0)), Anomaly::LostWrite("plain".to_owned())),
            (|_, shown| shown.everything.push((4, "no".to_owned())), Anomaly::Duplicate(no())),
            (|_, shown| shown.everything[2].0 = 4, Anomaly::InconsistentOffset(no())),
            (|_, shown| shown.everything.push((4, "x".to_owned())), Anomaly::Invented("x".to_owned())),
            (|_, shown| shown.committed.push((3, "no".to_owned())), Anomaly::AbortedRead(no())),
            (|history, _| history.opened("yes"), Anomaly::PrecommittedRead("yes".to_owned())),
            (|history, _| history.asked(10, "yes", true), Anomaly::PrecommittedRead("yes".to_owned())),
            (|_, shown| drop(shown.committed.remove(1)), Anomaly::HiddenCommit("yes".to_owned())),
            (|_, shown| shown.offsets.retain(|offset| *offset != 2), Anomaly::Hole(2)),
            (|_, shown| shown.high_watermark = 4, Anomaly::HighWatermarkFell { from: 5, to: 4 }),
            (|_, shown| shown.position = -1, Anomaly::PositionFell { from: 2, to: -1 }),
        ];
        for (plant, anomaly) in plants {
            let (mut history, mut shown) = fine();
            plant(&mut history, &mut shown);
            assert!(history.check(9, &shown).contains(&anomaly), "{anomaly:?}");
        }
    }
}
