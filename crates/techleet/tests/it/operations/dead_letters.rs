//! Dead letters and sending them back.

use bytes::Bytes;
use eventkit::Clock;
use eventkit::dead_letter::{Cause, REDRIVE_GROUP, letter};
use eventkit::transport::kafka::{KafkaReader, Start};
use eventkit::transport::{ConsumedRecord, Record};
use ops::Error;
use ops::dead_letters::{Filter, Letter};

use crate::operations::support::{Fixture, record};

const EVENT: &str = r#"{"eventId":"id-1","eventType":"user.created"}"#;

/// A topic with dead letters: three of two groups, in two partitions.
async fn with_letters() -> Fixture {
    let fixture = Fixture::start().await;
    fixture.create("trials", 2).await;
    fixture.create("trials.dlq", 2).await;
    for (key, partition, group, kind) in
        [("user-1", 1, "audit", "permanent"), ("user-2", 0, "audit", "timeout"), ("user-1", 1, "mail", "permanent")]
    {
        let failed = ConsumedRecord { record: record("trials", key, EVENT), partition, offset: 7 };
        let (first_failed_at_ms, failed_at_ms) = (1_700_000_000_000, 1_700_000_009_000);
        let cause = Cause { group, error: "broken", kind, attempts: 3, first_failed_at_ms, failed_at_ms };
        fixture.write(&letter(&failed, &cause), partition).await;
    }
    fixture
}

async fn places(fixture: &Fixture, filter: &Filter) -> Vec<String> {
    let found = fixture.kafka.find_letters(filter, false, 100).await.unwrap();
    found.letters.iter().map(Letter::place).collect()
}

async fn on_topic(fixture: &Fixture, topic: &str) -> Vec<ConsumedRecord> {
    let (config, topic) = (fixture.config.clone(), topic.to_owned());
    let read = move || {
        let reader = KafkaReader::open(&config, &topic, None, Start::Beginning).unwrap();
        let mut records = Vec::new();
        loop {
            match reader.next_or_end(std::time::Duration::from_millis(100)).unwrap() {
                eventkit::transport::kafka::Next::Record(record) => records.push(record),
                eventkit::transport::kafka::Next::Nothing => {}
                eventkit::transport::kafka::Next::End => return records,
            }
        }
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

#[tokio::test]
async fn letters_are_found_by_topic_group_kind_key_and_time() {
    let fixture = with_letters().await;
    let by = |change: fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        filter
    };
    let cases: [(Filter, &[&str]); 9] = [
        (by(|_| {}), &["trials.dlq/0/0", "trials.dlq/1/0", "trials.dlq/1/1"]),
        (by(|filter| filter.topic = Some("trials".into())), &["trials.dlq/0/0", "trials.dlq/1/0", "trials.dlq/1/1"]),
        (by(|filter| filter.group = Some("mail".into())), &["trials.dlq/1/1"]),
        (by(|filter| filter.kind = Some("timeout".into())), &["trials.dlq/0/0"]),
        (by(|filter| filter.key = Some("user-1".into())), &["trials.dlq/1/0", "trials.dlq/1/1"]),
        (by(|filter| filter.until = "2023-11-14T22:13:29Z".parse().ok()), &[]),
        (by(|filter| filter.place = Some((1, 0))), &["trials.dlq/1/0"]),
        (by(|filter| filter.error = Some("roke".into())), &["trials.dlq/0/0", "trials.dlq/1/0", "trials.dlq/1/1"]),
        (by(|filter| filter.error = Some("other".into())), &[]),
    ];
    for (filter, expected) in cases {
        assert_eq!(places(&fixture, &filter).await, expected, "{filter:?}");
    }
    let found = fixture.kafka.find_letters(&Filter::default(), false, 1).await.unwrap();
    assert_eq!((found.letters.len(), found.matching), (1, 3));
    assert_eq!(found.letters[0].event_id.as_deref(), Some("id-1"));
}

#[tokio::test]
async fn a_letter_is_sent_back_untouched_for_its_group_and_only_once() {
    let fixture = with_letters().await;
    let filter = Filter { group: Some("audit".to_owned()), ..Filter::default() };
    let found = fixture.kafka.find_letters(&filter, false, 100).await.unwrap();
    assert_eq!(fixture.kafka.redrive(&found.letters, &Clock::system()).await.unwrap(), 2);
    let back = on_topic(&fixture, "trials").await;
    let first = back.iter().find(|record| record.partition == 1).unwrap();
    let Record { key, value, headers, .. } = &first.record;
    assert_eq!((key, value), (&Some(Bytes::from("user-1")), &Some(Bytes::from(EVENT))));
    let group = (REDRIVE_GROUP.into(), Bytes::from("audit"));
    assert_eq!(headers, &[("h".into(), Bytes::from("kept")), group]);
    assert_eq!(back.len(), 2);
    // The letter of the other group is left, and nothing of the first.
    assert_eq!(places(&fixture, &Filter::default()).await, ["trials.dlq/1/1"]);
    assert_eq!(places(&fixture, &filter).await, Vec::<String>::new());
    let all = fixture.kafka.find_letters(&Filter::default(), true, 100).await.unwrap();
    assert_eq!(all.letters.iter().filter(|letter| letter.redriven_at.is_some()).count(), 2);
}

#[tokio::test]
async fn a_redriven_record_is_as_young_as_its_redrive() {
    let fixture = with_letters().await;
    let before = Clock::system().now_ms();
    let found = fixture.kafka.find_letters(&Filter::default(), false, 100).await.unwrap();
    fixture.kafka.redrive(&found.letters, &Clock::system()).await.unwrap();
    for record in on_topic(&fixture, "trials").await {
        assert!(record.record.timestamp_ms.unwrap() >= before, "retention must not take it before it is read");
    }
}

/// Dying between a letter's record and its marker leaves just that: the record is there, the marker is not.
#[tokio::test]
async fn a_letter_whose_marker_was_not_written_is_sent_back_again() {
    let fixture = with_letters().await;
    let filter = Filter { place: Some((0, 0)), ..Filter::default() };
    let letter = fixture.kafka.find_letters(&filter, false, 1).await.unwrap().letters.remove(0);
    let sent = eventkit::dead_letter::redriven(&letter.record).unwrap();
    fixture.write(&sent, 0).await;
    assert_eq!(places(&fixture, &filter).await, ["trials.dlq/0/0"]);
    fixture.kafka.redrive(&[letter], &Clock::system()).await.unwrap();
    let back = on_topic(&fixture, "trials").await;
    let values: Vec<_> = back.iter().map(|record| record.record.value.clone().unwrap()).collect();
    assert_eq!(values, [EVENT, EVENT], "twice, with one identity");
    assert_eq!(places(&fixture, &filter).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_letter_without_its_group_is_refused_before_any_is_sent() {
    let fixture = with_letters().await;
    fixture.write(&record("trials.dlq", "user-9", EVENT), 0).await;
    let found = fixture.kafka.find_letters(&Filter::default(), false, 100).await.unwrap();
    let refused = fixture.kafka.redrive(&found.letters, &Clock::system()).await;
    assert!(matches!(refused, Err(Error::IncompleteLetter { header: "dlq-topic", .. })));
    assert!(on_topic(&fixture, "trials").await.is_empty());
}

#[tokio::test]
async fn a_letter_whose_value_was_left_out_is_refused_before_any_is_sent() {
    let fixture = with_letters().await;
    let place = Filter { place: Some((1, 0)), ..Filter::default() };
    let whole = fixture.kafka.find_letters(&place, false, 1).await.unwrap().letters.remove(0);
    fixture.write(&eventkit::dead_letter::without_value(&whole.record), 0).await;
    let found = fixture.kafka.find_letters(&Filter::default(), false, 100).await.unwrap();
    let left_out: Vec<_> = found.letters.iter().filter_map(|letter| letter.left_out_bytes).collect();
    assert_eq!(left_out, [u64::try_from(EVENT.len()).unwrap()]);
    let refused = fixture.kafka.redrive(&found.letters, &Clock::system()).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "dead letter trials.dlq/0/1 cannot be sent back: its value was too large for a letter; replay its event instead"
    );
    assert!(on_topic(&fixture, "trials").await.is_empty());
}

#[tokio::test]
async fn a_letter_that_was_given_up_is_not_listed_and_never_sent_back() {
    let fixture = with_letters().await;
    let filter = Filter { group: Some("audit".to_owned()), ..Filter::default() };
    let found = fixture.kafka.find_letters(&filter, false, 100).await.unwrap();
    assert_eq!(fixture.kafka.purge(&found.letters, &Clock::system()).await.unwrap(), 2);
    assert_eq!(places(&fixture, &Filter::default()).await, ["trials.dlq/1/1"]);
    let rest = fixture.kafka.find_letters(&Filter::default(), false, 100).await.unwrap();
    assert_eq!(fixture.kafka.redrive(&rest.letters, &Clock::system()).await.unwrap(), 1);
    assert_eq!(on_topic(&fixture, "trials").await.len(), 1);
    let all = fixture.kafka.find_letters(&Filter::default(), true, 100).await.unwrap();
    let purged = all.letters.iter().filter(|letter| letter.purged_at.is_some()).map(Letter::place);
    assert_eq!(purged.collect::<Vec<_>>(), ["trials.dlq/0/0", "trials.dlq/1/0"]);
}

/// The real order of things: the letter's record is acknowledged, and the process dies before it can say so.
#[cfg(debug_assertions)]
#[tokio::test]
async fn a_redrive_that_dies_before_its_markers_sends_again_and_loses_nothing() {
    use eventkit::failpoint::{self, Action};
    let fixture = with_letters().await;
    fixture.create("deaths", 1).await;
    fixture.create("deaths.dlq", 1).await;
    for number in 1..=3 {
        let event = format!(r#"{{"eventType":"user.created","eventId":"id-{number}"}}"#);
        let failed = ConsumedRecord { record: record("deaths", "user-1", &event), partition: 0, offset: number };
        let cause = Cause {
            group: "audit",
            error: "broken",
            kind: "permanent",
            attempts: 1,
            first_failed_at_ms: 1_700_000_000_000,
            failed_at_ms: 1_700_000_000_000,
        };
        fixture.write(&letter(&failed, &cause), 0).await;
    }
    let filter = Filter { topic: Some("deaths".to_owned()), ..Filter::default() };
    let found = fixture.kafka.find_letters(&filter, false, 100).await.unwrap();
    let armed = failpoint::arm(failpoint::AFTER_REDRIVE, "deaths.dlq", 1, Action::Hang);
    let clock = Clock::system();
    tokio::select! {
        _ = fixture.kafka.redrive(&found.letters, &clock) => panic!("it did not stop before the markers"),
        () = armed.reached() => {}
    }
    let again = fixture.kafka.find_letters(&filter, false, 100).await.unwrap();
    assert_eq!(again.letters, found.letters, "none is taken for sent back");
    assert_eq!(fixture.kafka.redrive(&again.letters, &Clock::system()).await.unwrap(), 3);
    assert_eq!(places(&fixture, &filter).await, Vec::<String>::new());
    let back = on_topic(&fixture, "deaths").await;
    let ids: Vec<_> = back.iter().map(|record| ops::events::event(record).unwrap().id.unwrap()).collect();
    assert_eq!(ids, ["id-1", "id-2", "id-3", "id-1", "id-2", "id-3"], "first occurrences in their order");
}
