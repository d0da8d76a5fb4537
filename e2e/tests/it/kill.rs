//! kill -9 at any moment: what was answered is on the topic, is mailed once, and the audit trail is whole.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use e2e::Backbone;
use e2e::ground::Ground;
use eventkit::testing::eventually;
use eventkit::transport::ConsumedRecord;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::task::JoinSet;

use crate::background::LIBRARIES;
use crate::topics::{read_until, value};

const KILLS: usize = 10;
const CLIENTS: usize = 8;
/// The kill comes somewhere within this time under load.
const LOAD_MAX_MS: u64 = 400;
const SEED: u64 = 7;

/// Employees: address and number.
type Users = HashMap<String, i64>;

#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_at_any_moment_loses_nothing_and_repeats_nothing() {
    let data_dir = tempfile::tempdir().unwrap();
    let ground = Ground::of_run(Path::new(LIBRARIES)).await.unwrap();
    let brokers = ground.brokers().map(|brokers| format!("kafka.brokers={brokers}"));
    let settings: Vec<String> = ground.settings().iter().cloned().chain(brokers).collect();
    let mut random = StdRng::seed_from_u64(SEED);
    let mut answered = Users::new();
    for round in 0..KILLS {
        let backbone = Backbone::start_with(data_dir.path(), &settings).await.unwrap();
        let load = Duration::from_millis(random.random_range(1..LOAD_MAX_MS));
        answered.extend(load_and_kill(backbone, round, load).await);
    }
    assert!(answered.len() > KILLS, "the load was answered: {}", answered.len());
    let backbone = Backbone::start_with(data_dir.path(), &settings).await.unwrap();
    let users = backbone.users().await.unwrap();
    for (email, id) in &answered {
        assert_eq!(users.get(email), Some(id), "the answered {email} is gone");
    }
    assert_events(&backbone, &users).await;
    assert_mails(&backbone, &users).await;
    assert_audit(&backbone, &users).await;
    assert!(backbone.interrupt().await.unwrap().success());
}

/// Creates users from several clients and kills the backbone in the middle; tells which were answered.
async fn load_and_kill(backbone: Backbone, round: usize, load: Duration) -> Users {
    let backbone = Arc::new(backbone);
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(create_until_killed(backbone.clone(), format!("r{round}c{client}")));
    }
    let ended = tokio::time::timeout(load, clients.join_next()).await;
    assert!(ended.is_err(), "a client ended before the kill: {ended:?}");
    backbone.kill().unwrap();
    let answered = clients.join_all().await.into_iter().flatten().collect();
    Arc::into_inner(backbone).unwrap().wait().await.unwrap();
    answered
}

async fn create_until_killed(backbone: Arc<Backbone>, name: String) -> Users {
    let mut answered = Users::new();
    for number in 0.. {
        let email = format!("{name}n{number}@example.com");
        let request = json!({"firstName": "An", "lastName": "Tran", "email": email});
        // An error means that it was in flight at the kill: it may have happened or not.
        let Ok(answer) = backbone.post_user(&request).send().await else { break };
        let status = answer.status();
        let Ok(employee) = answer.json::<serde_json::Value>().await else { break };
        assert_eq!(status, 201, "{employee}");
        answered.insert(email, employee["employeeId"].as_i64().unwrap());
    }
    answered
}

/// Everybody is told of on the topic, under the right key; redeliveries are the same event.
async fn assert_events(backbone: &Backbone, users: &Users) {
    let everybody = users.len();
    let is_enough = move |records: &[ConsumedRecord]| {
        let keys: HashSet<_> = records.iter().map(|record| record.record.key.clone()).collect();
        keys.len() == everybody
    };
    let records = read_until(backbone.broker(), "user-events", is_enough).await;
    let mut told: HashMap<String, (i64, String)> = HashMap::new();
    for record in &records {
        let event = value(record);
        let (email, id) = (event["data"]["email"].as_str().unwrap(), event["data"]["employeeId"].as_i64().unwrap());
        assert_eq!(record.record.key.as_deref(), Some(format!("user-{id}").as_bytes()));
        let event_id = event["eventId"].as_str().unwrap().to_owned();
        let before = told.insert(email.to_owned(), (id, event_id.clone()));
        assert!(before.is_none_or(|before| before == (id, event_id)), "{email} is told of by two events");
    }
    let told: Users = told.into_iter().map(|(email, (id, _))| (email, id)).collect();
    assert_eq!(&told, users);
}

async fn assert_mails(backbone: &Backbone, users: &Users) {
    let mails = eventually("a mail for everybody", async || {
        let mails = backbone.mails().unwrap();
        // The invitation and the welcome.
        (mails.len() >= 2 * users.len()).then_some(mails)
    })
    .await;
    let addressed: HashSet<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
    let expected: HashSet<&str> = users.keys().map(String::as_str).collect();
    assert_eq!(addressed, expected);
    assert_eq!(mails.len(), 2 * users.len(), "somebody got a mail twice");
}

async fn assert_audit(backbone: &Backbone, users: &Users) {
    let audited = eventually("an audit record for everybody", async || {
        let audited = backbone.audited().await.unwrap();
        (audited.len() >= users.len()).then_some(audited)
    })
    .await;
    assert_eq!(audited.len(), users.len(), "an audit record is doubled");
    let verified = backbone.run(&["audit", "verify", "--format", "json"]).await.unwrap();
    let report: serde_json::Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!(report["faults"], json!([]));
}
