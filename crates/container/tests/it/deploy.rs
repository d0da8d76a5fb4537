//! Route files that are written, spoiled, changed and taken away while the container runs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::http::{Request, StatusCode};
use contracts::AUDIT_EVENTS;
use eventkit::testing::eventually;
use eventkit::transport::{Record, Transport};
use serde_json::{Value, json};

use crate::support::House;
use crate::web::{text, web};

/// A route that marks what it passes on with its version.
pub(crate) fn version(mark: &str) -> String {
    format!(
        r#"- route:
    id: copy
    from:
      uri: kafka:orders
      parameters: {{ groupId: copying, autoOffsetReset: earliest }}
      steps:
        - setBody: {{ simple: "{mark} ${{body}}" }}
        - to: kafka:copies
"#
    )
}

pub(crate) async fn put(house: &House, topic: &str, key: &str, value: &str) {
    let record = Record {
        topic: topic.to_owned(),
        key: Some(key.to_owned().into()),
        value: Some(value.to_owned().into()),
        headers: vec![("ce_id".into(), format!("id-of-{value}").into())],
        timestamp_ms: Some(1),
    };
    house.transport.publish(vec![record]).await.unwrap();
}

pub(crate) fn values(house: &House, topic: &str) -> Vec<String> {
    let text = |record: eventkit::transport::ConsumedRecord| {
        String::from_utf8(record.record.value.unwrap_or_default().to_vec()).unwrap()
    };
    house.transport.records(topic).into_iter().map(text).collect()
}

pub(crate) async fn arrives(house: &House, topic: &str, value: &str) {
    eventually(&format!("{value} on {topic}"), async || values(house, topic).contains(&value.to_owned()).then_some(()))
        .await;
}

/// Writes a file as most programs do: opened, written, closed.
pub(crate) fn write(house: &House, name: &str, text: &str) {
    std::fs::write(house.routes_dir().join(name), text).unwrap();
}

pub(crate) async fn listed(house: &House) -> Value {
    let (status, body) = house.call("operator", "GET", "/operator/v1/routes", None).await;
    assert_eq!(status, StatusCode::OK);
    body
}

pub(crate) async fn file(house: &House, name: &str) -> Option<Value> {
    let listed = listed(house).await;
    listed["files"].as_array().unwrap().iter().find(|file| file["file"] == name).cloned()
}

pub(crate) async fn until_state(house: &House, name: &str, state: &str) -> Value {
    eventually(&format!("{name} is {state}"), async || file(house, name).await.filter(|file| file["state"] == state))
        .await
}

pub(crate) async fn until_revision(house: &House, name: &str, revision: i64) -> Value {
    eventually(&format!("{name} has revision {revision}"), async || {
        file(house, name).await.filter(|file| file["revision"] == revision)
    })
    .await
}

#[tokio::test]
async fn a_file_is_deployed_changed_and_taken_away_while_records_come() {
    let house = House::open(&[]).await;
    put(&house, "orders", "k", "1").await;
    write(&house, "copy.yaml", &version("v1"));
    arrives(&house, "copies", "v1 1").await;
    assert_eq!(until_revision(&house, "copy.yaml", 1).await["state"], "running");
    write(&house, "copy.yaml", &version("v2"));
    until_revision(&house, "copy.yaml", 2).await;
    put(&house, "orders", "k", "2").await;
    arrives(&house, "copies", "v2 2").await;
    std::fs::remove_file(house.routes_dir().join("copy.yaml")).unwrap();
    eventually("it is gone", async || file(&house, "copy.yaml").await.is_none().then_some(())).await;
    assert!(!listed(&house).await["routes"].as_array().unwrap().iter().any(|route| route["id"] == "copy"));
    // Each deployment is told on the audit trail, with the digests.
    let told = eventually("three records", async || {
        let stored = eventkit::outbox::read_after(house.publisher.db(), 0, i64::MAX, 1_000).await.unwrap();
        let told = stored.iter().filter(|event| event.topic == AUDIT_EVENTS && event.key == "route-file-copy.yaml");
        let told: Vec<Value> =
            told.map(|event| serde_json::from_str::<Value>(&event.envelope).unwrap()["data"].clone()).collect();
        (told.len() == 3).then_some(told)
    })
    .await;
    let actions: Vec<_> = told.iter().map(|record| record["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["create", "update", "delete"]);
    assert_eq!((&told[0]["after"], &told[1]["after"]), (&told[1]["before"], &told[2]["before"]));
}

#[tokio::test]
async fn a_bad_file_leaves_what_runs_and_says_why() {
    let house = House::open(&[]).await;
    write(&house, "copy.yaml", &version("v1"));
    until_revision(&house, "copy.yaml", 1).await;
    write(&house, "copy.yaml", &version("v2").replace("setBody", "setBodi"));
    let refused = until_state(&house, "copy.yaml", "old-running").await;
    assert_eq!(refused["revision"], 1);
    let reason = refused["reasons"][0].as_str().unwrap();
    assert!(reason.contains("copy.yaml:7:") && reason.contains("`setBody`"), "{reason}");
    // Another file is taken all the same, and one that was never right is only refused.
    write(&house, "other.yaml", &version("other").replace("id: copy", "id: other").replace("copying", "othering"));
    write(&house, "broken.yaml", "- from: { uri: \"nowhere:x\", steps: [] }\n");
    until_revision(&house, "other.yaml", 1).await;
    assert_eq!(until_state(&house, "broken.yaml", "refused").await["revision"], Value::Null);
    put(&house, "orders", "k", "1").await;
    arrives(&house, "copies", "v1 1").await;
    arrives(&house, "copies", "other 1").await;
    // Mended, it runs.
    write(&house, "copy.yaml", &version("v3"));
    let mended = until_revision(&house, "copy.yaml", 2).await;
    assert_eq!((&mended["state"], &mended["reasons"]), (&json!("running"), &json!([])));
}

#[tokio::test]
async fn a_half_written_file_is_not_looked_at() {
    let house = House::open(&[]).await;
    let path = house.routes_dir().join("copy.yaml");
    let whole = version("whole");
    let (first, rest) = whole.split_at(whole.find("        - to:").unwrap());
    let mut writing = std::fs::File::create(&path).unwrap();
    writing.write_all(first.as_bytes()).unwrap();
    writing.sync_all().unwrap();
    // What has been written so far is a route that is right; something else is deployed meanwhile.
    write(&house, "other.yaml", &version("other").replace("id: copy", "id: other").replace("copying", "othering"));
    until_revision(&house, "other.yaml", 1).await;
    assert!(file(&house, "copy.yaml").await.is_none());
    writing.write_all(rest.as_bytes()).unwrap();
    drop(writing);
    until_revision(&house, "copy.yaml", 1).await;
    put(&house, "orders", "k", "1").await;
    arrives(&house, "copies", "whole 1").await;
    // By renaming it is there at once.
    let beside = house.routes_dir().join(".copy.new");
    std::fs::write(&beside, version("renamed")).unwrap();
    std::fs::rename(beside, path).unwrap();
    until_revision(&house, "copy.yaml", 2).await;
}

#[tokio::test]
async fn an_earlier_revision_comes_back_by_one_command() {
    let house = House::open(&[]).await;
    for n in 1..=3 {
        write(&house, "copy.yaml", &version(&format!("v{n}")));
        until_revision(&house, "copy.yaml", n).await;
    }
    let wanted = json!({"file": "copy.yaml", "revision": 1});
    let (status, body) = house.call("operator", "POST", "/operator/v1/routes/rollback", Some(wanted)).await;
    assert_eq!((status, &body["revision"], &body["state"]), (StatusCode::OK, &json!(4), &json!("running")));
    put(&house, "orders", "k", "1").await;
    arrives(&house, "copies", "v1 1").await;
    assert_eq!(std::fs::read_to_string(house.routes_dir().join("copy.yaml")).unwrap(), version("v1"));
    let asked = json!({"file": "copy.yaml"});
    let (_, revisions) = house.call("operator", "POST", "/operator/v1/routes/revisions", Some(asked)).await;
    let numbers: Vec<_> =
        revisions.as_array().unwrap().iter().map(|revision| revision["revision"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [4, 3, 2, 1]);
    let unknown = json!({"file": "copy.yaml", "revision": 9});
    let (status, _) = house.call("operator", "POST", "/operator/v1/routes/rollback", Some(unknown)).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = house.call("7", "GET", "/operator/v1/routes", None).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_route_is_stopped_started_suspended_and_resumed() {
    let house = House::open(&[]).await;
    write(&house, "copy.yaml", &version("v1"));
    until_revision(&house, "copy.yaml", 1).await;
    let control = async |action: &str| {
        let request = json!({"route": "copy", "action": action});
        house.call("operator", "POST", "/operator/v1/routes/control", Some(request)).await
    };
    for (away, back, word) in [("stop", "start", "stopped"), ("suspend", "resume", "suspended")] {
        let (status, body) = control(away).await;
        assert_eq!((status, body["state"].as_str()), (StatusCode::OK, Some(word)));
        put(&house, "orders", "k", word).await;
        let (status, body) = control(back).await;
        assert_eq!((status, body["state"].as_str()), (StatusCode::OK, Some("started")));
        arrives(&house, "copies", &format!("v1 {word}")).await;
    }
    assert_eq!(control("resume").await.0, StatusCode::CONFLICT);
}

/// The step of a route on the web that answers with a number.
fn answering(n: usize) -> String {
    format!("        - setBody: {{ constant: \"{n}\" }}\n")
}

/// What callers are answered who ask one after the other until all is over, and once more; each time with success.
async fn callers(house: &House, is_over: &AtomicBool) -> Vec<Vec<usize>> {
    const CALLERS: usize = 4;
    let calling = (0..CALLERS).map(|_| async {
        let mut answers = Vec::new();
        loop {
            let is_last = is_over.load(Ordering::Relaxed);
            let response = house.ask("7", Request::get("/routes/web"), "").await;
            assert_eq!(response.status(), StatusCode::OK, "after {} answers", answers.len());
            answers.push(text(response).await.parse::<usize>().unwrap());
            if is_last {
                return answers;
            }
            tokio::task::yield_now().await;
        }
    });
    futures::future::join_all(calling).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_deployments_under_load_lose_nothing_and_double_nothing() {
    const DEPLOYMENTS: usize = 100;
    const RECORDS_EACH: usize = 50;
    const RECORDS: usize = DEPLOYMENTS * RECORDS_EACH;
    let house = House::open(&[]).await;
    write(&house, "copy.yaml", &version("v0"));
    write(&house, "web.yaml", &web(&answering(0)));
    until_revision(&house, "copy.yaml", 1).await;
    until_revision(&house, "web.yaml", 1).await;
    let transport = house.transport.clone();
    let deployments = Arc::new(AtomicUsize::new(0));
    let deployed = Arc::clone(&deployments);
    let load = tokio::spawn(async move {
        for n in 0..RECORDS {
            let record = Record {
                topic: "orders".to_owned(),
                key: Some(format!("k{}", n % 17).into()),
                value: Some(n.to_string().into()),
                headers: Vec::new(),
                timestamp_ms: Some(1),
            };
            transport.publish(vec![record]).await.unwrap();
            // Each deployment gets its share, so that every one is under load.
            while n >= RECORDS_EACH * (1 + deployed.load(Ordering::Relaxed)) {
                tokio::task::yield_now().await;
            }
        }
    });
    let is_over = AtomicBool::new(false);
    let deploying = async {
        for n in 1..=DEPLOYMENTS {
            write(&house, "copy.yaml", &version(&format!("v{n}")));
            write(&house, "web.yaml", &web(&answering(n)));
            let revision = i64::try_from(n).unwrap() + 1;
            until_revision(&house, "copy.yaml", revision).await;
            until_revision(&house, "web.yaml", revision).await;
            deployments.store(n, Ordering::Relaxed);
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let ((), answers) = tokio::join!(deploying, callers(&house, &is_over));
    assert!(answers.iter().all(|answers| answers.is_sorted()), "an old text answered after a new one");
    assert!(answers.iter().all(|answers| answers.last() == Some(&DEPLOYMENTS)));
    load.await.unwrap();
    eventually("everything is copied", async || (values(&house, "copies").len() >= RECORDS).then_some(())).await;
    let copied: Vec<usize> =
        values(&house, "copies").iter().map(|copy| copy.split_once(' ').unwrap().1.parse().unwrap()).collect();
    assert_eq!(copied.len(), RECORDS, "doubled");
    assert_eq!(copied.iter().collect::<BTreeSet<_>>().len(), RECORDS);
    // In order for each key.
    let mut of_keys: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for record in house.transport.records("copies") {
        let value = String::from_utf8(record.record.value.unwrap().to_vec()).unwrap();
        let number: usize = value.split_once(' ').unwrap().1.parse().unwrap();
        of_keys.entry(number % 17).or_default().push(number);
    }
    assert!(of_keys.values().all(|numbers| numbers.is_sorted()));
    let stats =
        listed(&house).await["routes"].as_array().unwrap().iter().find(|route| route["id"] == "copy").cloned().unwrap();
    assert_eq!((&stats["failed"], &stats["deadLettered"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn what_ran_last_goes_on_after_a_restart_with_a_spoiled_file() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::open_in(folder.path()).await;
    write(&house, "copy.yaml", &version("v1"));
    until_revision(&house, "copy.yaml", 1).await;
    house.stop_routes().await;
    std::fs::write(folder.path().join("routes/copy.yaml"), "- from: {").unwrap();
    let house = House::open_in(folder.path()).await;
    let state = until_state(&house, "copy.yaml", "old-running").await;
    assert_eq!(state["revision"], 1);
    put(&house, "orders", "k", "1").await;
    arrives(&house, "copies", "v1 1").await;
}

#[tokio::test]
async fn a_poison_record_becomes_a_dead_letter_and_holds_up_only_its_key() {
    let house = House::open(&[]).await;
    let route = version("v1").replace(
        "        - to: kafka:copies",
        "        - filter: { simple: \"${body} contains 'bad'\", steps: [ { throwException: { exceptionType: java.lang.IllegalStateException, message: spoiled } } ] }\n        - to: kafka:copies",
    );
    write(&house, "copy.yaml", &route);
    until_revision(&house, "copy.yaml", 1).await;
    for (key, value) in [("a", "1"), ("a", "bad"), ("a", "2"), ("b", "3")] {
        put(&house, "orders", key, value).await;
    }
    for value in ["v1 1", "v1 2", "v1 3"] {
        arrives(&house, "copies", value).await;
    }
    let letters = house.transport.records("orders.dlq");
    assert_eq!(letters.len(), 1);
    let letter = &letters[0].record;
    assert_eq!(letter.value.as_deref(), Some(&b"bad"[..]));
    assert_eq!((letter.header("dlq-group"), letter.header("dlq-error-kind")), (Some("copying"), Some("permanent")));
    assert!(letter.header("dlq-error").unwrap().contains("spoiled"));
    // Sent back for another group, it is none of this one's business; what is committed goes past it.
    let mut back = eventkit::dead_letter::redriven(letter).unwrap();
    back.headers.retain(|(name, _)| name != eventkit::dead_letter::REDRIVE_GROUP);
    back.headers.push((eventkit::dead_letter::REDRIVE_GROUP.into(), "another".into()));
    house.transport.publish(vec![back]).await.unwrap();
    house.through("copying", "orders", "a").await;
    assert_eq!(house.transport.records("orders.dlq").len(), 1);
}

#[tokio::test]
async fn a_web_request_goes_through_a_route_and_out_to_a_web_server() {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let echo = axum::Router::new().route(
        "/greet",
        axum::routing::post(|headers: axum::http::HeaderMap, body: String| async move {
            let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned());
            axum::Json(json!({"said": body, "key": key}))
        }),
    );
    tokio::spawn(async move { axum::serve(server, echo).await.unwrap() });
    let house = House::open(&[]).await;
    let route = format!(
        r#"- route:
    id: web
    from:
      uri: platform-http:/hello
      parameters: {{ httpMethodRestrict: POST }}
      steps:
        - setBody: {{ jq: {{ expression: '"hello " + .name', resultType: String }} }}
        - to: http://{address}/greet?bridgeEndpoint=true
        - setBody: {{ jq: '{{said: .said, hasKey: (.key != null)}}' }}
        - marshal: {{ json: {{}} }}
"#
    );
    write(&house, "web.yaml", &route);
    until_revision(&house, "web.yaml", 1).await;
    let (status, body) = house.call("operator", "POST", "/routes/hello", Some(json!({"name": "Nga"}))).await;
    assert_eq!((status, body), (StatusCode::OK, json!({"said": "hello Nga", "hasKey": false})));
    assert_eq!(house.call("operator", "GET", "/routes/hello", None).await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(house.call("7", "POST", "/routes/hello", Some(json!({}))).await.0, StatusCode::FORBIDDEN);
    assert_eq!(house.call("nobody", "POST", "/routes/hello", Some(json!({}))).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(house.call("operator", "POST", "/routes/elsewhere", None).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_route_of_ones_own_has_somebody_told_and_something_recorded() {
    let house = House::open(&[]).await;
    let route = r#"- route:
    id: orders
    from:
      uri: kafka:orders
      parameters: { groupId: ordering, autoOffsetReset: earliest }
      steps:
        - setHeader: { name: audit.entity, simple: "order-${body}" }
        - to: audit:create
        - setHeader: { name: notify.employee, constant: "7" }
        - setHeader: { name: notify.to, constant: a@example.com }
        - setHeader: { name: notify.subject, constant: An order }
        - setBody: { jq: '{firstName: "An", lastName: "T", employeeId: 7}' }
        - to: notify:email?name=order-came&template=user-welcome
"#;
    write(&house, "orders.yaml", route);
    until_revision(&house, "orders.yaml", 1).await;
    put(&house, "orders", "k", "1").await;
    let told = eventually("both are stored", async || {
        let stored = eventkit::outbox::read_after(house.publisher.db(), 0, i64::MAX, 1_000).await.unwrap();
        let told: Vec<_> =
            stored.into_iter().filter(|event| ["order-1", "notification-7"].contains(&event.key.as_str())).collect();
        (told.len() == 2).then_some(told)
    })
    .await;
    assert_eq!((told[0].event_type.as_str(), told[1].event_type.as_str()), ("audit.data", "notification.email"));
    // The same record again is told once.
    put(&house, "orders", "k", "1").await;
    house.through("ordering", "orders", "k").await;
    let stored = eventkit::outbox::read_after(house.publisher.db(), 0, i64::MAX, 1_000).await.unwrap();
    assert_eq!(stored.iter().filter(|event| event.key == "notification-7").count(), 1);
}

#[test]
fn the_files_that_techleet_brings_pass_their_cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/routes/cases");
    let cases = routes::cases::folders(&[folder]).unwrap();
    assert!(cases.len() >= 4, "{cases:?}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for case in cases {
        let outcome = runtime.block_on(routes::cases::run_with(&case, container::component_specs())).unwrap();
        assert!(outcome.differences.is_empty(), "{}: {:#?}", outcome.name, outcome.differences);
    }
}
