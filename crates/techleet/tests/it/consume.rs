//! From where `consume` reads, and what of it is shown.

use eventkit::transport::Record;
use eventkit::transport::kafka::KafkaWriter;

use crate::support::Fixture;

/// 2023-11-14T22:13:20Z.
const FIRST_MS: i64 = 1_700_000_000_000;
const PARTITIONS: i32 = 2;

/// Two partitions, each with records a second apart: `N-0` … `N-3`, of which every other one is an event.
async fn filled() -> Fixture {
    let fixture = Fixture::start().await;
    let partitions = PARTITIONS.to_string();
    assert_eq!(fixture.techleet(&["topics", "create", "trials", "--partitions", &partitions], "").await.code, 0);
    let writer = KafkaWriter::new(&fixture.config, &[]).unwrap();
    for partition in 0..PARTITIONS {
        for number in 0..4 {
            let name = format!("{partition}-{number}");
            let event = format!(r#"{{"eventType":"user.created","service":"{name}"}}"#);
            let record = Record {
                topic: "trials".to_owned(),
                key: None,
                value: Some(if number % 2 == 0 { name } else { event }.into()),
                headers: Vec::new(),
                timestamp_ms: Some(FIRST_MS + 1_000 * number),
            };
            writer.send(&record, Some(partition)).await.unwrap().acknowledged().await.unwrap();
        }
    }
    tokio::task::spawn_blocking(move || drop(writer)).await.unwrap();
    fixture
}

/// The names of the records that are shown, in order of their partitions.
async fn shown(fixture: &Fixture, options: &[&str]) -> Vec<String> {
    let ran = fixture.techleet(&[&["consume", "trials", "--no-follow"], options].concat(), "").await;
    assert_eq!(ran.code, 0, "{options:?}: {}", ran.stderr);
    let name = |line: &str| match serde_json::from_str::<serde_json::Value>(line) {
        Ok(event) => event["service"].as_str().unwrap().to_owned(),
        Err(_) => line.to_owned(),
    };
    let mut names: Vec<String> = ran.stdout.lines().map(name).collect();
    names.sort();
    names
}

#[tokio::test]
async fn reading_begins_at_an_offset_or_a_time_and_shows_one_type_alone() {
    let fixture = filled().await;
    for (options, names) in [
        (&["--from-beginning"][..], &["0-0", "0-1", "0-2", "0-3", "1-0", "1-1", "1-2", "1-3"][..]),
        (&[], &[]),
        (&["--from-offset", "3"], &["0-3", "1-3"]),
        (&["--from-offset", "2", "--partition", "1"], &["1-2", "1-3"]),
        (&["--from-time", "2023-11-14T22:13:22Z"], &["0-2", "0-3", "1-2", "1-3"]),
        (&["--from-time", "2023-11-14T22:13:22.001Z", "--partition", "0"], &["0-3"]),
        (&["--from-time", "1h"], &[]),
        (&["--from-time", "2020-01-01T00:00:00Z", "--partition", "0"], &["0-0", "0-1", "0-2", "0-3"]),
        (&["--from-beginning", "--event-type", "user.created"], &["0-1", "0-3", "1-1", "1-3"]),
        (&["--from-offset", "2", "--event-type", "user.created"], &["0-3", "1-3"]),
        (&["--from-beginning", "--event-type", "user.deleted"], &[]),
        (&["--from-beginning", "--partition", "0", "--event-type", "user.created", "--max-messages", "1"], &["0-1"]),
    ] {
        assert_eq!(shown(&fixture, options).await, names, "{options:?}");
    }
}

#[tokio::test]
async fn beginnings_that_exclude_each_other_or_cannot_be_are_refused() {
    let fixture = filled().await;
    for (options, said) in [
        (&["--from-beginning", "--from-offset", "1"][..], "cannot be used with"),
        (&["--from-offset", "1", "--from-time", "1h"], "cannot be used with"),
        (&["--from-offset", "1", "--group", "readers"], "cannot be used with"),
        (&["--from-offset", "one"], "invalid value"),
        (&["--from-time", "yesterday"], "invalid value"),
    ] {
        let ran = fixture.techleet(&[&["consume", "trials"], options].concat(), "").await;
        assert_eq!(ran.code, 2, "{options:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said) && ran.stdout.is_empty(), "{options:?}: {}", ran.stderr);
    }
}
