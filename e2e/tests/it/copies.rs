//! Two copies of each service share the work on one PostgreSQL, and when one dies the other finishes it.

use std::sync::Arc;
use std::time::Duration;

use demo::{Plan, Story};
use e2e::end_state;
use e2e::infrastructure::postgres_url;
use e2e::stage::{self, Stage, eventually};
use e2e::system::{Layout, System};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// Each service, and the process of it that dies.
const SERVICES: [(&str, &str); 3] = [
    ("user-service", "user-service"),
    ("company-service", "company-service-2"),
    ("recruitment-service", "recruitment-service"),
];
const TOKEN: &str = "an operator token for all the copies";

#[tokio::test(flavor = "multi_thread")]
async fn two_copies_share_the_work_and_one_finishes_it_alone() {
    let Some(url) = postgres_url() else { return };
    stage::within_time(Duration::ZERO, async |stage| {
        let folder = tempfile::tempdir().unwrap();
        let mut system = System::start_with(Layout::Copies, folder.path(), &settings(&url)).await.unwrap();
        for (service, _) in SERVICES {
            stage.enter(format!("the group {service} divides its partitions"));
            assert_divided(&system, service, 2).await;
        }
        stage.enter("the first story");
        let first = demo::tell(story(&system, Arc::new(|_, _| {}))).await.unwrap();
        for (service, _) in SERVICES {
            let answered = system.answered(service);
            assert!(answered.iter().all(|count| *count > 0), "{service} answered {answered:?}");
            stage.enter(format!("both copies of {service} consume"));
            assert_both_consume(&system, service).await;
        }

        stage.enter("the second story, until the middle");
        let middle = Arc::new(Notify::new());
        let reached = middle.clone();
        let progress = Arc::new(move |done: usize, all: usize| {
            if 2 * done >= all {
                reached.notify_one();
            }
        });
        let telling = tokio::spawn(demo::tell(story(&system, progress)));
        middle.notified().await;
        for (_, victim) in SERVICES {
            system.kill(victim).await.unwrap();
        }
        stage.enter("the second story, after the deaths");
        let second = telling.await.unwrap().unwrap();
        for (service, _) in SERVICES {
            stage.enter(format!("one copy of {service} has all partitions"));
            assert_divided(&system, service, 1).await;
        }
        stage.enter("the end state");
        end_state::check(&system, &mut [first, second]).await.unwrap();

        for (service, victim) in SERVICES {
            stage.enter(format!("{victim} comes back"));
            system.start_process(victim).await.unwrap();
            assert_divided(&system, service, 2).await;
        }
        assert_shared(&system, stage).await;
        system.stop().await.unwrap();
    })
    .await;
}

/// What one copy answered under a key, the other repeats; a session that one began lives and ends at the other.
async fn assert_shared(system: &System, stage: &Stage) {
    stage.enter("one key at two copies");
    let client = chassis::net::client();
    let copies = ["user-service", "user-service-2"].map(|process| system.url_of_process(process));
    let mut made = Vec::new();
    for copy in &copies {
        let request = client.post(format!("{copy}/api/v1/users")).bearer_auth(TOKEN).header("idempotency-key", "twice");
        let body = json!({"firstName": "An", "lastName": "Tran", "email": "twice@example.com"});
        let answer = request.json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        made.push(answer.json::<Value>().await.unwrap());
    }
    assert_eq!(made[0], made[1]);

    stage.enter("one session at two copies");
    let token = demo::log_in_without_roles(&system.addresses(), &system.broker(), TOKEN).await.unwrap();
    let session = copies.map(|copy| format!("{copy}/api/v1/sessions/current"));
    for copy in &session {
        assert_eq!(client.get(format!("{copy}/access")).bearer_auth(&token).send().await.unwrap().status(), 200);
    }
    assert_eq!(client.delete(&session[1]).bearer_auth(&token).send().await.unwrap().status(), 204);
    for copy in &session {
        eventually("the session ends at every copy", async || {
            let refused = client.get(format!("{copy}/access")).bearer_auth(&token).send().await.ok()?;
            (refused.status() == 401).then_some(())
        })
        .await;
    }
}

/// Schemas of its own, few connections for each of many processes, and leases that a dead copy does not hold for long.
fn settings(url: &str) -> Vec<String> {
    let run = uuid::Uuid::now_v7().simple().to_string();
    vec![
        format!("database.url={url}"),
        format!("database.schema=e2e_{run}_{{part}}"),
        "database.connections_max=4".to_owned(),
        format!("auth.operator_token={TOKEN}"),
        "eventkit.relay_lease_ms=3000".to_owned(),
        "kafka.session_timeout_ms=6000".to_owned(),
    ]
}

fn story(system: &System, progress: demo::Progress) -> Story {
    let plan = Plan { companies: 2, employees: 9, jobs: 2, applications: 9, ..Plan::default() };
    Story { progress, ..stage::story(system, plan).unwrap() }
}

/// Waits until the group has so many members, and each of them partitions.
pub(crate) async fn assert_divided(system: &System, group: &str, members: usize) {
    eventually("the group's partitions are divided", async || {
        let ran = system.run("container", &["groups", "describe", group, "--format", "json"]).await.ok()?;
        let described: Value = serde_json::from_str(&ran.stdout).ok()?;
        let shares = described["members"].as_array()?.iter().map(|member| member["partitions"].as_u64());
        let shares: Vec<u64> = shares.collect::<Option<_>>()?;
        let is_whole = described["partitions"].as_array()?.iter().all(|place| place["member"].is_string());
        (is_whole && shares.len() == members && shares.iter().all(|share| *share > 0)).then_some(())
    })
    .await;
}

/// Waits until each of two copies has handled an event.
async fn assert_both_consume(system: &System, service: &str) {
    for process in [service.to_owned(), format!("{service}-2")] {
        eventually("each copy has handled an event", async || {
            let url = format!("{}/metrics", system.url_of_process(&process));
            let text = reqwest::get(url).await.ok()?.text().await.ok()?;
            let is_handled = |line: &&str| line.starts_with("eventkit_consumed_total") && line.contains("\"handled\"");
            text.lines().any(|line| is_handled(&line)).then_some(())
        })
        .await;
    }
}
