//! The audit trail as an operator sees it: what the system itself did, and whether anybody laid hands on the trail.

use std::path::Path;

use e2e::stage::eventually;
use e2e::system::{Layout, PARTS, System, UP};
use rusqlite::Connection;
use serde_json::Value;

/// What each part did, in the order of the trail; `None` until the trail has `records` of it for every part.
async fn occurrences(system: &System, records: usize) -> Option<Vec<Vec<String>>> {
    let listed = system.run("container", &["audit", "list", "--limit", "100000", "--format", "json"]).await.ok()?;
    let listed: Vec<Value> = listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_part = |part: &str| -> Vec<String> {
        let ours = listed
            .iter()
            .filter(|record| record["eventType"] == "audit.system" && record["entity"] == format!("part-{part}"));
        ours.map(|record| record["envelope"]["data"]["occurrence"].as_str().unwrap().to_owned()).collect()
    };
    let told: Vec<Vec<String>> = PARTS.iter().map(|(part, _)| of_part(part)).collect();
    told.iter().all(|of_part| of_part.len() >= records).then_some(told)
}

/// Waits until every part is said to have done this, and nothing else.
async fn assert_told(system: &System, expected: &[&str]) {
    let told = eventually("every part's records are chained", async || occurrences(system, expected.len()).await).await;
    for ((part, _), told) in PARTS.iter().zip(told) {
        assert_eq!(told, expected, "{part}");
    }
}

async fn verify(system: &System) -> e2e::program::Ran {
    system.run("container", &["audit", "verify"]).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_stops_and_changes_of_configuration_are_told_and_a_broken_trail_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut system = System::start(Layout::Together, folder.path()).await.unwrap();
    assert_told(&system, &["started"]).await;
    system.interrupt(UP).await.unwrap();
    system.start_process(UP).await.unwrap();
    assert_told(&system, &["started", "stopping", "started"]).await;
    // Whoever is killed says nothing, and is found to have changed when it is back.
    system.kill(UP).await.unwrap();
    system.configure("http.body_bytes_max=2097152");
    system.start_process(UP).await.unwrap();
    assert_told(&system, &["started", "stopping", "started", "started", "reconfigured"]).await;
    system.interrupt(UP).await.unwrap();
    system.start_process(UP).await.unwrap();
    let all = ["started", "stopping", "started", "started", "reconfigured", "stopping", "started"];
    assert_told(&system, &all).await;
    let listed = system.run("container", &["audit", "list"]).await.unwrap().stdout;
    assert!(listed.contains("\taudit.system\treconfigured\tpart-container\t-\n"), "{listed}");
    let whole = verify(&system).await;
    assert!(whole.status.success() && whole.stdout.starts_with("whole: "), "{whole:?}");

    system.interrupt(UP).await.unwrap();
    let at = lay_hands_on(&folder.path().join("container/container.db"));
    system.start_process(UP).await.unwrap();
    let broken = verify(&system).await;
    assert_eq!(broken.status.code(), Some(4), "{broken:?}");
    let lines: Vec<&str> = broken.stdout.lines().collect();
    let expected = [
        format!("record {at}: changed after it was chained"),
        format!("record {}: one or more records before it are gone", at + 3),
        format!("record {}: not chained to the record before it", at + 3),
    ];
    assert_eq!(lines[..3], expected);
    assert!(lines[3].starts_with("BROKEN: ") && lines.len() == 4, "{lines:?}");
    assert_eq!(broken.stderr, "techleet: the audit trail is broken in 3 places\n");
    system.stop().await.unwrap();
}

/// As somebody does who can write into the container's database: changes the record whose number is answered, and takes
/// the one after the next away.
fn lay_hands_on(file: &Path) -> i64 {
    let database = Connection::open(file).unwrap();
    let first = "select min(sequence) from audit_records where envelope like '%\"started\"%'";
    let at: i64 = database.query_row(first, [], |row| row.get(0)).unwrap();
    let changed = "update audit_records set envelope = replace(envelope, 'started', 'stopped') where sequence = ?1";
    assert_eq!(database.execute(changed, [at]).unwrap(), 1);
    assert_eq!(database.execute("delete from audit_records where sequence = ?1", [at + 2]).unwrap(), 1);
    at
}
