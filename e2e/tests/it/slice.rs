//! One request all the way through: answer, topic, mail, audit trail, command line.

use e2e::Backbone;
use eventkit::testing::eventually;
use serde_json::json;

use crate::topics::{read_until, value};

#[tokio::test(flavor = "multi_thread")]
async fn one_request_goes_all_the_way_through() {
    let data_dir = tempfile::tempdir().unwrap();
    let backbone = Backbone::start(data_dir.path()).await.unwrap();
    let request = json!({"firstName": "An", "lastName": "Tran", "email": "an@example.com", "address": "1 Secret St"});
    let answer = backbone.post_user(&request).header("x-request-id", "first-request").send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let employee: serde_json::Value = answer.json().await.unwrap();
    let id = employee["employeeId"].as_i64().unwrap();

    let records = read_until(backbone.broker(), "user-events", |records| !records.is_empty()).await;
    let record = &records[0].record;
    assert_eq!(record.key.as_deref(), Some(format!("user-{id}").as_bytes()));
    let event = value(&records[0]);
    assert_eq!(event["eventType"], "user.created");
    assert_eq!(
        event["data"],
        json!({"employeeId": id, "email": "an@example.com", "firstName": "An", "lastName": "Tran", "status": "invited"})
    );
    assert_eq!(event["service"], "user-service");
    assert_eq!(event["correlationId"], "first-request");
    assert_eq!(record.header("ce_type"), Some("user.created"));
    assert_eq!(record.header("ce_id"), event["eventId"].as_str());
    assert_eq!(record.header("ce_subject"), Some(format!("user-{id}").as_str()));

    let notifications = read_until(backbone.broker(), "notification-events", |records| !records.is_empty()).await;
    let notification = value(&notifications[0]);
    assert_eq!(notification["eventType"], "notification.email");
    assert_eq!(notification["recipientId"], id);
    assert_eq!(notification["causationId"], event["eventId"]);
    assert_eq!(notifications[0].record.key.as_deref(), Some(format!("notification-{id}").as_bytes()));
    let mail = eventually("one mail", async || backbone.mails().unwrap().pop()).await;
    assert_eq!(json!(mail.id), notification["eventId"]);
    assert_eq!(mail.to, "an@example.com");
    assert!(mail.text.contains("Hello An Tran"), "{}", mail.text);

    eventually("the audit record is chained", async || (backbone.audited().await.unwrap().len() == 1).then_some(()))
        .await;
    let verified = backbone.run(&["audit", "verify"]).await.unwrap();
    assert!(verified.stdout.starts_with("whole: "), "{verified:?}");
    assert!(verified.status.success());
    let listed = backbone.run(&["audit", "list"]).await.unwrap();
    assert!(listed.stdout.contains(&format!("audit.data\tcreate\tuser-{id}\t{{\"type\":\"operator\"}}")), "{listed:?}");
    assert!(backbone.interrupt().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_shows_the_event() {
    let data_dir = tempfile::tempdir().unwrap();
    let backbone = Backbone::start(data_dir.path()).await.unwrap();
    let request = json!({"firstName": "Binh", "lastName": "Le", "email": "binh@example.com"});
    assert_eq!(backbone.post_user(&request).send().await.unwrap().status(), 201);
    let args = ["consume", "user-events", "--from-beginning", "--max-messages", "1", "--timeout-ms", "20000"];
    let shown = backbone.run(&args).await.unwrap();
    let event: serde_json::Value = serde_json::from_str(shown.stdout.trim()).unwrap();
    assert_eq!(event["data"]["email"], "binh@example.com");
    let shown = backbone.run(&[&args[..], &["--format", "json"]].concat()).await.unwrap();
    let record: serde_json::Value = serde_json::from_str(shown.stdout.trim()).unwrap();
    assert_eq!((&record["topic"], &record["value"]), (&json!("user-events"), &event));
    let missing = backbone.run(&["consume", "no-such-topic", "--from-beginning"]).await.unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(missing.stderr.contains("there is no topic no-such-topic"), "{}", missing.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_problems_and_leave_nothing_behind() {
    let data_dir = tempfile::tempdir().unwrap();
    let backbone = Backbone::start(data_dir.path()).await.unwrap();
    let unknown = backbone.get_user_service("/api/v1/users/1").send().await.unwrap();
    assert_eq!(unknown.status(), 401);
    let bad = backbone.post_user(&json!({"firstName": "", "lastName": "Le", "email": "x"})).send().await.unwrap();
    assert_eq!(bad.status(), 422);
    let problem: serde_json::Value = bad.json().await.unwrap();
    let mut fields: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, [Some("email"), Some("firstName")]);
    let request = json!({"firstName": "Chi", "lastName": "Vo", "email": "chi@example.com"});
    assert_eq!(backbone.post_user(&request).send().await.unwrap().status(), 201);
    let again = json!({"firstName": "Chi", "lastName": "Vo", "email": "CHI@example.com"});
    let taken = backbone.post_user(&again).send().await.unwrap();
    assert_eq!(taken.status(), 409);
    let problem: serde_json::Value = taken.json().await.unwrap();
    assert_eq!(problem["errors"][0]["field"], "email");
    eventually("one audit record and no more", async || (backbone.audited().await.unwrap().len() == 1).then_some(()))
        .await;
    let verified = backbone.run(&["audit", "verify", "--format", "json"]).await.unwrap();
    let verified: serde_json::Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!(verified["faults"], json!([]));
}
