//! What clients were told, and whether what a broker shows afterwards goes with it; it knows nothing of the broker.
//!
//! After Jepsen's Kafka workload: a lost write, a duplicate, a record at another offset than was told, sends out of order,
//! an aborted read, a precommitted read, polls that go back or leave something out, a hole, a high watermark or a group's
//! position that fell. A history is of one partition.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

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

/// What the topic lets go of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Keeps {
    #[default]
    All,
    /// What is below the first readable offset is gone.
    FromLogStart,
    /// Of each key (a value up to its first `/`) the last record.
    LastOfKey,
}

/// A value that was sent, by whom, and how that ended.
#[derive(Debug, Clone)]
struct Send {
    by: usize,
    value: String,
    sent: Sent,
}

/// Everything that clients were told, in order.
#[derive(Debug, Default)]
pub(crate) struct History {
    keeps: Keeps,
    sends: Vec<Told<Send>>,
    positions: Vec<Told<i64>>,
    /// Positions whose commit was asked for; empty where nobody notes them.
    tried_positions: BTreeSet<i64>,
    high_watermarks: Vec<Told<i64>>,
    log_starts: Vec<Told<i64>>,
    /// By the value of its record.
    transactions: BTreeMap<String, Transaction>,
    /// For each reader of committed records the offsets that it got, from one start of reading on.
    polls: BTreeMap<usize, Vec<i64>>,
}

/// What a broker shows.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) log_start: i64,
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
    /// Of the records of one transaction some are committed.
    TornTransaction(String),
    /// A later send of the same sender came to stand before an earlier one.
    NonMonotonicSend(String),
    /// A reader got this offset after one that is not below it.
    NonMonotonicPoll(i64),
    /// A reader got what is behind this committed record, and not the record.
    SkippedPoll(i64),
    Hole(i64),
    HighWatermarkFell {
        from: i64,
        to: i64,
    },
    LogStartFell {
        from: i64,
        to: i64,
    },
    PositionFell {
        from: i64,
        to: i64,
    },
    /// A position that nobody committed.
    InventedPosition(i64),
}

impl History {
    pub(crate) fn of(keeps: Keeps) -> Self {
        Self { keeps, ..Self::default() }
    }

    pub(crate) fn sent(&mut self, at: usize, value: &str, sent: Sent) {
        self.sent_by(0, at, value, sent);
    }

    /// A send of one of several senders, each of which waits for an answer before it sends the next.
    pub(crate) fn sent_by(&mut self, by: usize, at: usize, value: &str, sent: Sent) {
        self.sends.push(Told { at, what: Send { by, value: value.to_owned(), sent } });
    }

    /// How many sends were answered with an offset.
    pub(crate) fn acknowledged(&self) -> usize {
        self.sends.iter().filter(|told| matches!(told.what.sent, Sent::At(_))).count()
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

    /// A position is about to be committed. Once this was called, only positions of which it was may be shown.
    pub(crate) fn tried_position(&mut self, position: i64) {
        self.tried_positions.insert(position);
    }

    pub(crate) fn saw_high_watermark(&mut self, at: usize, high_watermark: i64) {
        self.high_watermarks.push(Told { at, what: high_watermark });
    }

    pub(crate) fn saw_log_start(&mut self, at: usize, log_start: i64) {
        self.log_starts.push(Told { at, what: log_start });
    }

    /// A reader of committed records begins at this offset: none from there on may be left out.
    pub(crate) fn began(&mut self, reader: usize, at: i64) -> &mut Self {
        self.polls.insert(reader, vec![at - 1]);
        self
    }

    /// A reader of committed records got these offsets, after those it got before; a new start is another reader.
    pub(crate) fn polled(&mut self, reader: usize, offsets: impl IntoIterator<Item = i64>) {
        self.polls.entry(reader).or_default().extend(offsets);
    }

    /// What of it was told before `at`; sends of later are not known to anybody, but may have been on their way.
    pub(crate) fn check(&self, at: usize, shown: &Shown) -> Vec<Anomaly> {
        let mut anomalies = Vec::new();
        let mut places: HashMap<&str, Vec<i64>> = HashMap::new();
        for (offset, value) in &shown.everything {
            places.entry(value).or_default().push(*offset);
        }
        let known: HashSet<&str> = self.sends.iter().map(|told| told.what.value.as_str()).collect();
        for (value, offsets) in &places {
            if !known.contains(value) {
                anomalies.push(Anomaly::Invented((*value).to_owned()));
            }
            if offsets.len() > 1 {
                anomalies.push(Anomaly::Duplicate((*value).to_owned()));
            }
        }
        let mut last_of_sender: HashMap<usize, i64> = HashMap::new();
        for Told { what: Send { by, value, sent }, .. } in self.sends.iter().filter(|told| told.at <= at) {
            let Sent::At(offset) = sent else { continue };
            match places.get(value.as_str()) {
                None if self.may_be_gone(value, *offset, shown) => {}
                None => anomalies.push(Anomaly::LostWrite(value.clone())),
                Some(places) if !places.contains(offset) => anomalies.push(Anomaly::InconsistentOffset(value.clone())),
                Some(_) => {}
            }
            if last_of_sender.insert(*by, *offset).is_some_and(|before| before >= *offset) {
                anomalies.push(Anomaly::NonMonotonicSend(value.clone()));
            }
        }
        self.check_transactions(at, shown, &mut anomalies);
        self.check_polls(shown, &mut anomalies);
        self.check_offsets(at, shown, &mut anomalies);
        anomalies
    }

    /// Whether the topic may have let go of a record.
    fn may_be_gone(&self, value: &str, offset: i64, shown: &Shown) -> bool {
        let key = key_of(value);
        match self.keeps {
            Keeps::All => false,
            Keeps::FromLogStart => offset < shown.log_start,
            Keeps::LastOfKey => shown.everything.iter().any(|(later, other)| *later > offset && key_of(other) == key),
        }
    }

    fn check_offsets(&self, at: usize, shown: &Shown, anomalies: &mut Vec<Anomaly>) {
        for pair in shown.offsets.windows(2) {
            let follows = pair[1] == pair[0] + 1 || self.keeps == Keeps::LastOfKey && pair[1] > pair[0];
            if !follows {
                anomalies.push(Anomaly::Hole(pair[0] + 1));
            }
        }
        let last = |told: &[Told<i64>]| told.iter().filter(|told| told.at <= at).map(|told| told.what).max();
        if let Some(from) = last(&self.high_watermarks).filter(|from| *from > shown.high_watermark) {
            anomalies.push(Anomaly::HighWatermarkFell { from, to: shown.high_watermark });
        }
        if let Some(from) = last(&self.log_starts).filter(|from| *from > shown.log_start) {
            anomalies.push(Anomaly::LogStartFell { from, to: shown.log_start });
        }
        if let Some(from) = last(&self.positions).filter(|from| *from > shown.position) {
            anomalies.push(Anomaly::PositionFell { from, to: shown.position });
        }
        let is_known = shown.position == -1 || self.tried_positions.contains(&shown.position);
        if !self.tried_positions.is_empty() && !is_known {
            anomalies.push(Anomaly::InventedPosition(shown.position));
        }
    }

    fn check_polls(&self, shown: &Shown, anomalies: &mut Vec<Anomaly>) {
        let committed: BTreeSet<i64> = shown.committed.iter().map(|(offset, _)| *offset).collect();
        for polled in self.polls.values() {
            for pair in polled.windows(2) {
                if pair[1] <= pair[0] {
                    anomalies.push(Anomaly::NonMonotonicPoll(pair[1]));
                } else if self.keeps == Keeps::All {
                    anomalies.extend(committed.range(pair[0] + 1..pair[1]).map(|offset| Anomaly::SkippedPoll(*offset)));
                }
            }
        }
    }

    /// Whether transactions of several records, in this partition and others, are seen as a whole: `readable` are the
    /// values that readers of committed records get, of all partitions.
    pub(crate) fn check_whole(transactions: &[Vec<String>], readable: &HashSet<&str>) -> Vec<Anomaly> {
        let is_torn = |values: &&Vec<String>| {
            let count = values.iter().filter(|value| readable.contains(value.as_str())).count();
            count > 0 && count < values.len()
        };
        transactions.iter().filter(is_torn).map(|values| Anomaly::TornTransaction(values[0].clone())).collect()
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

/// Up to its first `/` a value is its record's key, where that counts.
fn key_of(value: &str) -> &str {
    value.split('/').next().unwrap_or(value)
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
        history.tried_position(2);
        history.saw_high_watermark(5, 5);
        history.saw_log_start(5, 0);
        history.polled(1, [0, 1]);
        let record = |offset: i64, value: &str| (offset, value.to_owned());
        let shown = Shown {
            log_start: 0,
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
            (|history, _| history.saw_log_start(1, 3), Anomaly::LogStartFell { from: 3, to: 0 }),
            (|_, shown| shown.position = -1, Anomaly::PositionFell { from: 2, to: -1 }),
            (|_, shown| shown.position = 3, Anomaly::InventedPosition(3)),
            (|history, _| history.sent(5, "no", Sent::At(1)), Anomaly::NonMonotonicSend(no())),
            (|history, _| history.polled(1, [0]), Anomaly::NonMonotonicPoll(0)),
            (|history, _| history.polled(2, [0, 3]), Anomaly::SkippedPoll(1)),
            (|history, _| history.began(2, 0).polled(2, [1]), Anomaly::SkippedPoll(0)),
        ];
        for (plant, anomaly) in plants {
            let (mut history, mut shown) = fine();
            plant(&mut history, &mut shown);
            assert!(history.check(9, &shown).contains(&anomaly), "{anomaly:?}");
        }
    }
    #[test]
    fn of_a_topic_that_lets_go_only_what_it_may_let_go_of_may_be_missing() {
        let record = |offset: i64, value: &str| (offset, value.to_owned());
        for (keeps, log_start, offsets) in [(Keeps::FromLogStart, 1, [1, 2]), (Keeps::LastOfKey, 0, [1, 3])] {
            let mut history = History::of(keeps);
            let sent = [("k/0", 0), ("l/0", offsets[0]), ("k/1", offsets[1])];
            sent.iter().for_each(|(value, offset)| history.sent(1, value, Sent::At(*offset)));
            let everything = vec![record(offsets[0], "l/0"), record(offsets[1], "k/1")];
            let offsets = offsets.to_vec();
            let mut shown =
                Shown { log_start, high_watermark: 4, everything, offsets, position: -1, ..Shown::default() };
            shown.committed.clone_from(&shown.everything);
            assert_eq!(history.check(1, &shown), [], "{keeps:?}");
            let lost = shown.everything.remove(0).1;
            assert!(history.check(1, &shown).contains(&Anomaly::LostWrite(lost)), "{keeps:?}");
        }
    }

    #[test]
    fn a_transaction_of_which_a_part_is_read_is_found() {
        let transactions = [["a", "b"], ["c", "d"], ["e", "f"]].map(|values| values.map(str::to_owned).to_vec());
        let anomalies = History::check_whole(&transactions, &HashSet::from(["a", "b", "d"]));
        assert_eq!(anomalies, [Anomaly::TornTransaction("c".to_owned())]);
    }
}
