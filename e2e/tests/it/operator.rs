//! The operator's commands on the real program: following an event, telling stored events again, letting go on what waits.

use e2e::program::Ran;
use e2e::stage::eventually;
use e2e::system::{Layout, System};
use eventkit::transport::Record;
use eventkit::transport::kafka::{KafkaConfig, KafkaWriter};
use serde_json::{Value, json};

use crate::topics::{read_until, value};

/// A user whose request has a known id.
async fn create_user(system: &System, number: usize) {
    let body = json!({"firstName": "An", "lastName": "Tran", "email": format!("u{number}@example.com")});
    let answer = chassis::net::client()
        .post(format!("{}/api/v1/users", system.url("user-service")))
        .bearer_auth(system.operator_token("user-service").unwrap())
        .header("x-request-id", format!("request-{number}"))
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .json(&body)
        .send();
    assert_eq!(answer.await.unwrap().status(), 201);
}

async fn run(system: &System, args: &[&str]) -> Ran {
    let ran = system.run("user-service", args).await.unwrap();
    assert!(ran.status.success(), "{args:?}: {}{}", ran.stdout, ran.stderr);
    ran
}

async fn json(system: &System, args: &[&str]) -> Value {
    let ran = run(system, &[args, &["--format", "json"]].concat()).await;
    serde_json::from_str(ran.stdout.trim()).unwrap()
}

fn of_type<'a>(nodes: &'a Value, event_type: &str) -> Option<&'a Value> {
    nodes.as_array()?.iter().find(|node| node["eventType"] == event_type)
}

/// The groups that have handled the user's creation, if everything that follows from it is there.
fn complete(trace: &Value) -> Option<Vec<&str>> {
    let created = of_type(&trace["events"], "user.created")?;
    let welcome = of_type(&created["caused"], "notification.email")?;
    let invitation = of_type(&trace["events"], "notification.email")?;
    let is_sent = |mail: &Value| mail["notification"]["outcome"] == "sent";
    let audited = of_type(&trace["events"], "audit.data")?["auditSequence"].is_i64();
    let groups: Vec<&str> = created["handled"].as_array()?.iter().filter_map(|by| by["group"].as_str()).collect();
    (is_sent(welcome) && is_sent(invitation) && audited && groups.len() == 5).then_some(groups)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_followed_from_its_request_to_every_mail_and_audit_record() {
    followed_everywhere(Layout::Together, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_followed_across_processes_with_one_operator_token() {
    let settings = ["auth.operator_token=an operator token for all that is followed".to_owned()];
    followed_everywhere(Layout::Apart, &settings).await;
}

async fn followed_everywhere(layout: Layout, settings: &[String]) {
    let folder = tempfile::tempdir().unwrap();
    let system = System::start_with(layout, folder.path(), settings).await.unwrap();
    create_user(&system, 1).await;
    create_user(&system, 2).await;
    let records = read_until(&system.broker(), "user-events", |records| records.len() == 2).await;
    let event = value(records.iter().find(|record| value(record)["correlationId"] == "request-1").unwrap());
    let id = event["eventId"].as_str().unwrap();
    let trace = eventually("the whole path", async || {
        let trace = json(&system, &["events", "trace", id]).await;
        complete(&trace).is_some().then_some(trace)
    })
    .await;
    let mut groups = complete(&trace).unwrap();
    groups.sort_unstable();
    let readers = ["company-service", "container-directory", "container-router", "container-router-directory"];
    assert_eq!(groups, [&readers[..], &["recruitment-service"]].concat());
    assert_eq!(trace["correlationId"], "request-1");
    assert!(trace["traceparent"].as_str().unwrap().contains("0af7651916cd43dd8448eb211c80319c"), "{trace}");
    assert_eq!(trace["notes"], json!([]));
    let created = of_type(&trace["events"], "user.created").unwrap();
    let record = records.iter().find(|record| value(record)["eventId"] == id).unwrap();
    let place = json!([{
        "topic": "user-events", "partition": record.partition, "offset": record.offset, "onlyFor": null,
    }]);
    assert_eq!((&created["records"], &created["service"]), (&place, &json!("user-service")));
    let stored = &created["stored"];
    assert_eq!(stored["state"], "published");
    assert!(stored["sequence"].is_i64() && stored["position"].is_i64() && stored["publishedAtMs"].is_i64(), "{stored}");
    // Asked for one of the effects, the same path is shown, with another mark.
    let mail = of_type(&created["caused"], "notification.email").unwrap()["eventId"].as_str().unwrap();
    let from_effect = run(&system, &["events", "trace", mail]).await.stdout;
    assert!(from_effect.starts_with("request request-1  traceparent 00-0af7"), "{from_effect}");
    assert!(from_effect.contains(&format!("user.created {id}\n")), "{from_effect}");
    assert!(from_effect.contains(&format!("notification.email {mail} *\n")), "{from_effect}");
    assert!(!from_effect.contains("user-2"), "another request's: {from_effect}");
    let missing = system.run("user-service", &["events", "trace", "no-such-event"]).await.unwrap();
    assert_eq!(missing.status.code(), Some(2), "{}", missing.stderr);
    system.stop().await.unwrap();
}

/// What a counter of consumed events stands at.
async fn consumed(system: &System, labels: [&str; 2]) -> u64 {
    let url = format!("{}/metrics", system.url("user-service"));
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    let lines = text.lines().filter(|line| line.starts_with("eventkit_consumed_total{"));
    let ours = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
    ours.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_events_are_told_again_to_a_topic_or_to_one_group_alone() {
    let folder = tempfile::tempdir().unwrap();
    let system = System::start(Layout::Together, folder.path()).await.unwrap();
    for number in 1..=4 {
        create_user(&system, number).await;
    }
    let told = read_until(&system.broker(), "user-events", |records| records.len() == 4).await;
    let mut ids: Vec<_> = told.iter().map(|record| value(record)["eventId"].clone()).collect();
    ids.sort_by_key(Value::to_string);
    run(&system, &["topics", "create", "trials", "--partitions", "2"]).await;
    let users = ["events", "replay", "--service", "user-service", "--type", "user.created"];
    let to_topic = [&users[..], &["--to-topic", "trials"]].concat();
    let preview = json(&system, &to_topic).await;
    assert_eq!(preview["byType"], json!([["user.created", 4]]));
    assert_eq!(preview["sample"].as_array().unwrap().len(), 4, "{preview}");
    assert_eq!(preview["firstPosition"], preview["sample"][0]["position"]);
    let replayed = json(&system, &[&to_topic[..], &["--rate", "50", "--yes"]].concat()).await;
    assert_eq!(replayed["events"], 4);
    let again = read_until(&system.broker(), "trials", |records| records.len() == 4).await;
    let mut same: Vec<_> = again.iter().map(|record| value(record)["eventId"].clone()).collect();
    same.sort_by_key(Value::to_string);
    assert_eq!(same, ids, "nothing was told by the preview, and each keeps its identity");

    // From the second on, for one group: it knows them already, the others do not even ask.
    let second = preview["sample"][1]["position"].to_string();
    let key = preview["sample"][2]["key"].as_str().unwrap();
    let to_group = [&users[..], &["--group", "company-service", "--from", &second, "--yes"]].concat();
    assert_eq!(json(&system, &to_group).await["events"], 3);
    let of_one = [&to_group[..], &["--entity", key, "--to", "100000"]].concat();
    assert_eq!(json(&system, &of_one).await["events"], 1);
    eventually("the group has met its four", async || {
        (consumed(&system, ["group=\"company-service\"", "outcome=\"duplicate\""]).await == 4).then_some(())
    })
    .await;
    eventually("the others have passed them over", async || {
        (consumed(&system, ["group=\"recruitment-service\"", "event_type=\"redriven\""]).await == 4).then_some(())
    })
    .await;
    assert_eq!(consumed(&system, ["group=\"recruitment-service\"", "outcome=\"duplicate\""]).await, 0);

    let nowhere = system.run("user-service", &users).await.unwrap();
    assert_eq!(nowhere.status.code(), Some(2), "without a target it is refused: {}", nowhere.stderr);
    let stranger = chassis::net::client()
        .post(format!("{}/operator/v1/events/replay", system.url("user-service")))
        .bearer_auth("somebody")
        .json(&json!({}))
        .send();
    assert_eq!(stranger.await.unwrap().status(), 401);
    system.stop().await.unwrap();
}

/// Writes an event about user 42 by hand.
async fn tell(system: &System, event_id: &str, data: &Value) {
    let envelope = json!({"eventId": event_id, "eventType": "user.updated", "schemaVersion": 1, "data": data,
        "timestamp": "2026-11-24T02:05:27.123Z", "service": "somebody"});
    let record = Record {
        topic: "user-events".to_owned(),
        key: Some("user-42".into()),
        value: Some(envelope.to_string().into()),
        headers: Vec::new(),
        timestamp_ms: None,
    };
    let config = KafkaConfig { brokers: system.broker(), ..KafkaConfig::default() };
    let writer = KafkaWriter::new(&config, &[]).unwrap();
    writer.send(&record, None).await.unwrap().acknowledged().await.unwrap();
    tokio::task::spawn_blocking(move || drop(writer)).await.unwrap();
}

/// How many events are parked behind user 42, by group.
async fn parked(system: &System) -> Vec<(String, i64)> {
    let listed = run(system, &["events", "parked", "list", "--format", "json"]).await.stdout;
    let keys = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_user = keys.filter(|key| key["key"] == "user-42" && key["blocker"] == "bad-1");
    of_user.map(|key| (key["group"].as_str().unwrap().to_owned(), key["events"].as_i64().unwrap())).collect()
}

fn waiting(parked: &[(String, i64)], group: &str) -> Option<i64> {
    parked.iter().find(|(of, _)| of == group).map(|(_, events)| *events)
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_keys_are_shown_released_and_skipped_and_their_letters_purged() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ["eventkit.after_dead_letter=park_key".to_owned()];
    let system = System::start_with(Layout::Together, folder.path(), &settings).await.unwrap();
    tell(&system, "bad-1", &json!({})).await;
    let sample = include_str!("../../../crates/contracts/samples/user.updated/v1.json");
    let data = serde_json::from_str::<Value>(sample).unwrap()["data"].take();
    for event_id in ["good-1", "good-2"] {
        tell(&system, event_id, &data).await;
    }
    let groups = ["company-service", "recruitment-service"];
    eventually("both wait in both groups", async || {
        let parked = parked(&system).await;
        groups.iter().all(|group| waiting(&parked, group) == Some(2)).then_some(())
    })
    .await;
    let of_company = ["company-service", "user-events", "user-42"];
    run(&system, &[&["events", "parked", "release"][..], &of_company].concat()).await;
    let handled = eventually("the released group has handled both", async || {
        let trace = json(&system, &["events", "trace", "good-2"]).await;
        let handled = trace["events"][0]["handled"].clone();
        handled.to_string().contains("company-service").then_some(trace)
    })
    .await;
    assert!(handled["events"][0]["parked"].to_string().contains("recruitment-service"), "{handled}");
    let letters = run(&system, &["dlq", "list", "--key", "user-42", "--format", "json"]).await.stdout;
    assert!(letters.lines().count() >= 2, "{letters}");

    let of_recruitment = ["recruitment-service", "user-events", "user-42"];
    let skip = [&["events", "parked", "skip"][..], &of_recruitment].concat();
    let asked = run(&system, &skip).await;
    assert!(asked.stderr.contains("2 parked events would never be handled by recruitment-service"), "{asked:?}");
    assert_eq!(waiting(&parked(&system).await, "recruitment-service"), Some(2), "without --yes nothing is done");
    run(&system, &[&skip[..], &["--yes"]].concat()).await;
    let left = parked(&system).await;
    assert_eq!(waiting(&left, "recruitment-service"), None);
    eventually("the released key is free", async || {
        waiting(&parked(&system).await, "company-service").is_none().then_some(())
    })
    .await;
    let again = system.run("user-service", &skip).await.unwrap();
    assert_eq!(again.status.code(), Some(2), "{}", again.stderr);

    run(&system, &["dlq", "purge", "--key", "user-42", "--yes"]).await;
    assert_eq!(run(&system, &["dlq", "list", "--key", "user-42", "--format", "json"]).await.stdout, "");
    assert_eq!(run(&system, &["events", "held", "list", "--format", "json"]).await.stdout, "");
    system.stop().await.unwrap();
}
