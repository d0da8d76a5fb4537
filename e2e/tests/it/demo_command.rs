//! `techleet demo` as people run it: how large the story is, how fast it went, and what is said when an event is too many.

use contracts::COMPANY_EVENTS;
use demo::story::Told;
use e2e::system::System;
use eventkit::Clock;
use eventkit::transport::kafka::{KafkaConfig, KafkaReader, KafkaTransport, Start};
use eventkit::transport::{Record, Transport};
use serde_json::Value;

/// Told with one company, so that a person can follow it.
const SMALL: [&str; 9] = ["demo", "--companies", "1", "--employees", "4", "--jobs", "1", "--applications", "3"];
/// Entities, as progress counts them: an application is submitted, and comes to its end.
const STEPS: &str = "/12";
/// What a story of this size makes happen, with the end of its administrator.
const EVENTS: u64 = 32;
/// A check found something wrong.
const CHECK_FAILED: i32 = 4;
/// How far ahead of the story's beginning the event stands that is too many.
const AHEAD_MS: i64 = 5 * 60 * 1_000;

/// Everything that is asked for comes into being, and is reported.
pub(crate) async fn tells_all(system: &System, told: &Told) {
    let lists = [
        ("company-service", "companies", 1),
        // Four employees and whoever was hired, without the one who was removed; the administrator is gone.
        ("user-service", "users", 4),
        ("recruitment-service", "job-postings", 1),
        ("recruitment-service", "applications", 3),
    ];
    let mut before = Vec::new();
    for (service, list, _) in lists {
        before.push(items(system, told, service, list).await.len());
    }
    let options = [&SMALL[..], &["--concurrency", "2", "--format", "json"]].concat();
    let ran = system.run("user-service", &options).await.unwrap();
    assert!(ran.status.success(), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stderr, "", "progress is for people alone");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["events"], EVENTS, "{report}");
    assert_eq!(report["differences"], serde_json::json!([]), "{report}");
    assert!(report["requests"].as_u64().unwrap() > EVENTS / 2, "{report}");
    let (seconds, events_per_s) = (report["seconds"].as_f64().unwrap(), report["eventsPerSecond"].as_f64().unwrap());
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let events = EVENTS as f64;
    assert!((seconds * events_per_s - events).abs() < 1e-6, "{report}");
    for ((service, list, more), before) in lists.into_iter().zip(before) {
        assert_eq!(items(system, told, service, list).await.len(), before + more, "{list}");
    }
}

/// A second event of the company that comes next lies on its topic: the story is told and the check fails.
pub(crate) async fn one_event_too_many(system: &System, told: &Told) {
    let companies = items(system, told, "company-service", "companies").await;
    let newest = companies.iter().filter_map(|company| company["companyId"].as_i64()).max().unwrap();
    let key = format!("company-{}", newest + 1);
    let kafka = KafkaConfig { brokers: system.broker(), ..KafkaConfig::default() };
    let record = founding_of(&kafka, &key).await;
    KafkaTransport::new(kafka).unwrap().publish(vec![record]).await.unwrap();
    let ran = system.run_on_terminal("user-service", &SMALL).await.unwrap();
    assert_eq!(ran.status.code(), Some(CHECK_FAILED), "{}{}", ran.stdout, ran.stderr);
    let (first, difference) = ran.stdout.trim_end().split_once('\n').unwrap();
    assert!(first.starts_with("told in ") && first.ends_with(" events/s"), "{first}");
    assert!(first.contains(&format!("; {EVENTS} events on their topics after ")), "{first}");
    let twice = ["company.created"; 2];
    assert_eq!(difference, format!("{COMPANY_EVENTS} {key}: expected {:?}, found {twice:?}", &twice[1..]));
    assert!(ran.stderr.contains(STEPS), "no progress: {}", ran.stderr);
    assert!(ran.stderr.contains("1 key does not have the events that it should have"), "{}", ran.stderr);
}

async fn items(system: &System, told: &Told, service: &str, list: &str) -> Vec<Value> {
    let url = format!("{}/api/v1/{list}?limit=200", system.url(service));
    let answer = chassis::net::client().get(url).bearer_auth(&told.admin_token).send().await.unwrap();
    let page: Value = answer.error_for_status().unwrap().json().await.unwrap();
    page["items"].as_array().unwrap().clone()
}

/// A company's event, as if it were another company's and happened after everything that is yet to come.
async fn founding_of(kafka: &KafkaConfig, key: &str) -> Record {
    let reader = KafkaReader::open(kafka, COMPANY_EVENTS, None, Start::Beginning).unwrap();
    let found = tokio::task::spawn_blocking(move || {
        loop {
            let record = reader.next(std::time::Duration::from_secs(30)).unwrap().unwrap().record;
            if record.header("ce_type") == Some("company.created") {
                return record;
            }
        }
    });
    let mut record = found.await.unwrap();
    let id = uuid::Uuid::now_v7().to_string();
    let mut event: Value = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
    event["eventId"] = id.clone().into();
    record.value = Some(event.to_string().into());
    record.key = Some(key.to_owned().into());
    for (name, value) in &mut record.headers {
        match name.as_ref() {
            "ce_id" => *value = id.clone().into(),
            "ce_subject" => *value = key.to_owned().into(),
            _ => {}
        }
    }
    record.timestamp_ms = Some(Clock::system().now_ms() + AHEAD_MS);
    record
}
