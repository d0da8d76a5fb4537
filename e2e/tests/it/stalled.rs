//! A partition that stands still: seen at `/health/ready`, in the metrics and by `doctor`, while requests are answered.

use e2e::stage::eventually;
use e2e::system::{Layout, System};
use serde_json::{Value, json};

const GROUP: &str = "container-mail";

async fn take_on(system: &System, number: usize) -> reqwest::StatusCode {
    let body = json!({"firstName": "An", "lastName": "Tran", "email": format!("an{number}@example.com")});
    let request = chassis::net::client().post(format!("{}/api/v1/users", system.url("user-service"))).json(&body);
    request.bearer_auth(system.operator_token("user-service").unwrap()).send().await.unwrap().status()
}

/// What `/health/ready` of a part answers.
async fn ready(system: &System, part: &str) -> (u16, Value) {
    let answer = reqwest::get(format!("{}/health/ready", system.url(part))).await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// The sum of a metric over all its series of the group.
async fn told(system: &System, metric: &str) -> f64 {
    let text = reqwest::get(format!("{}/metrics", system.url("container"))).await.unwrap().text().await.unwrap();
    let group = format!("group=\"{GROUP}\"");
    let ours = text.lines().filter(|line| line.starts_with(&format!("{metric}{{")) && line.contains(&group));
    ours.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_partition_is_told_everywhere_while_requests_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens there, so mails wait.
    let settings = [
        "container.smtp.host=127.0.0.1",
        "container.smtp.port=1",
        "container.smtp.tls=none",
        "eventkit.uncommitted_window_max=1",
    ]
    .map(str::to_owned);
    let system = System::start_with(Layout::Together, folder.path(), &settings).await.unwrap();
    assert_eq!(take_on(&system, 1).await, 201);

    let (body, reason) = eventually("the partition stands still", async || {
        let (status, body) = ready(&system, "container").await;
        assert_eq!(status, 200, "healthy HTTP is not taken away: {body}");
        // With a window of one record others stand still too, until theirs is through.
        let reason = body["checks"]["consumers"]["reason"].as_str().unwrap_or_default().to_owned();
        reason.starts_with(&format!("stalled: {GROUP} on notification-events-")).then_some((body, reason))
    })
    .await;
    assert_eq!(body["status"], "degraded", "{reason}");
    assert_eq!(ready(&system, "user-service").await.1["status"], "ready", "the others are as they should be");
    assert_eq!(take_on(&system, 2).await, 201);
    let preferences = format!("{}/api/v1/preferences/employee/1", system.url("container"));
    let token = system.operator_token("container").unwrap();
    let asked = chassis::net::client().get(preferences).bearer_auth(token).send().await.unwrap();
    assert_eq!(asked.status(), 200, "the degraded part answers requests too");

    assert!(told(&system, "eventkit_stalled_partitions").await >= 1.0);
    assert!(told(&system, "eventkit_handler_failures_total").await >= 1.0);
    // Four mails: an invitation and a welcome for each of two.
    eventually("the lag is told", async || (told(&system, "eventkit_consumer_lag_records").await == 4.0).then_some(()))
        .await;
    doctor_says_so(&system).await;
    system.stop().await.unwrap();
}

async fn doctor_says_so(system: &System) {
    let ran = system.run("container", &["doctor", "--watch-ms", "500", "--format", "json"]).await.unwrap();
    assert_eq!(ran.status.code(), Some(4), "{ran:?}");
    let findings: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of =
        |check: String| findings.iter().find(|finding| finding["check"] == check).unwrap_or_else(|| panic!("{check}"));
    let group = of(format!("group {GROUP}"));
    assert_eq!(group["status"], "wrong");
    let message = group["message"].as_str().unwrap();
    assert!(message.starts_with("is behind by 4 and did not get on for 500ms in notification-events-"), "{message}");
    assert!(group["advice"].as_str().unwrap().contains("/health/ready"), "{group}");
    let port = |part: &str| of(format!("port {}", system.url(part).trim_start_matches("http://")));
    assert_eq!((&port("container")["status"], &port("container")["message"]), (&json!("warning"), &json!("degraded")));
    assert_eq!(port("user-service")["message"], "ready");
    let wrong = findings.iter().filter(|finding| finding["status"] == "wrong").count();
    assert_eq!(wrong, 1, "nothing else: {findings:#?}");
}
