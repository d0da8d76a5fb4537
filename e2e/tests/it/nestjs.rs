// A service on NestJS and KafkaJS and ours take each other's events, and put a key in the same partition.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use db::Db;
use e2e::Backbone;
use e2e::infrastructure::{Infrastructure, Metadata, REQUIRED, is_required, postgres_url};
use e2e::nestjs::{self, NestjsService, Publish};
use eventkit::testing::eventually;
use serde_json::{Value, json};

use crate::background::LIBRARIES;
use crate::topics::{read_until, value};

/// Enough that every partition has some.
const EMPLOYEES: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn a_nestjs_service_and_ours_take_each_others_events_on_the_embedded_broker() {
    on_the_embedded_broker(Publish::AfterSuccess).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nestjs_service_with_an_outbox_and_ours_take_each_others_events_on_the_embedded_broker() {
    on_the_embedded_broker(Publish::Outbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nestjs_service_and_ours_take_each_others_events_on_kafka_with_zookeeper() {
    on_apache_kafka(Metadata::ZooKeeper, Publish::AfterSuccess).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nestjs_service_with_an_outbox_and_ours_take_each_others_events_on_kafka_with_kraft() {
    on_apache_kafka(Metadata::KRaft, Publish::Outbox).await;
}

async fn on_the_embedded_broker(publish: Publish) {
    let Some((folder, url)) = nestjs_service().zip(postgres_url()) else { return };
    let data_dir = tempfile::tempdir().unwrap();
    let backbone = Backbone::start(data_dir.path()).await.unwrap();
    exchange(&folder, &backbone, &url, publish).await;
    assert!(backbone.interrupt().await.unwrap().success());
}

async fn on_apache_kafka(metadata: Metadata, publish: Publish) {
    let Some((folder, url)) = nestjs_service().zip(postgres_url()) else { return };
    if !is_required() {
        left_out(&format!("no {REQUIRED}"));
        return;
    }
    let infrastructure = Infrastructure::new(metadata, Path::new(LIBRARIES)).unwrap();
    infrastructure.start_kafka().await.unwrap();
    let data_dir = tempfile::tempdir().unwrap();
    let brokers = format!("kafka.brokers={}", infrastructure.brokers());
    let backbone = Backbone::start_with(data_dir.path(), &[brokers]).await.unwrap();
    exchange(&folder, &backbone, &url, publish).await;
    assert!(backbone.interrupt().await.unwrap().success());
}

async fn exchange(folder: &Path, backbone: &Backbone, url: &str, publish: Publish) {
    let schema = Schema::create(url).await;
    let service = start(folder, backbone, &schema.url, publish).await;
    both_ways(backbone, &service).await;
    service.stop().await.unwrap();
    schema.drop().await;
}

async fn start(folder: &Path, backbone: &Backbone, database_url: &str, publish: Publish) -> NestjsService {
    NestjsService::start(folder, backbone.broker(), database_url, publish).await.unwrap()
}

async fn both_ways(backbone: &Backbone, service: &NestjsService) {
    let theirs = format!("{}/api/v1/users", service.url());
    for number in 1..=EMPLOYEES {
        assert_eq!(create(backbone, &theirs, &employee("nest", number)).await["employeeId"], number);
    }
    their_events_are_as_the_seed_has_them(backbone).await;
    eventually("the welcome of their first employee", async || mail(backbone, "welcome to TechLeet")).await;
    create(backbone, &format!("{theirs}/1/notifications"), &json!({"message": "hello from NestJS"})).await;
    eventually("their notification", async || mail(backbone, "hello from NestJS")).await;

    let department_id = department(backbone).await;
    let learned = eventually("they know the department", async || {
        let answer = reqwest::get(format!("{}/api/v1/departments", service.url())).await.unwrap();
        let departments: Value = answer.json().await.unwrap();
        departments.as_array().is_some_and(|found| !found.is_empty()).then_some(departments)
    })
    .await;
    assert_eq!(learned, json!([{"departmentId": department_id, "name": "Engineering"}]));

    let ours = format!("{}/api/v1/users", backbone.user_service());
    for number in 1..=EMPLOYEES {
        assert_eq!(create(backbone, &ours, &employee("ours", number)).await["employeeId"], number);
    }
    a_key_has_one_partition(backbone).await;
}

async fn their_events_are_as_the_seed_has_them(backbone: &Backbone) {
    let records = read_until(backbone.broker(), "user-events", |records| records.len() >= EMPLOYEES).await;
    assert_eq!(records.len(), EMPLOYEES);
    for record in &records {
        let event = value(record);
        let id = event["data"]["employeeId"].as_u64().unwrap();
        assert_eq!(record.record.key.as_deref(), Some(format!("user-{id}").as_bytes()));
        let fields: BTreeSet<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, BTreeSet::from(["data", "eventType", "service", "timestamp"]));
        assert_eq!((&event["eventType"], &event["service"]), (&json!("user.created"), &json!("user-service")));
    }
}

/// Both created employees with the same numbers, and so published under the same keys.
async fn a_key_has_one_partition(backbone: &Backbone) {
    let is_enough = |records: &[_]| records.len() >= 2 * EMPLOYEES;
    let records = read_until(backbone.broker(), "user-events", is_enough).await;
    let mut places: BTreeMap<String, Vec<(bool, i32)>> = BTreeMap::new();
    for record in &records {
        let key = String::from_utf8(record.record.key.as_deref().unwrap().to_vec()).unwrap();
        let is_ours = value(record)["eventId"].is_string();
        places.entry(key).or_default().push((is_ours, record.partition));
    }
    assert_eq!(places.len(), EMPLOYEES, "{places:?}");
    for (key, found) in &places {
        let [(false, theirs), (true, ours)] = found[..] else { panic!("{key}: {found:?}") };
        assert_eq!(theirs, ours, "{key}");
    }
    let partitions: BTreeSet<i32> = places.values().map(|found| found[0].1).collect();
    assert_eq!(partitions, BTreeSet::from([0, 1, 2]), "keys are spread");
}

fn employee(name: &str, number: usize) -> Value {
    json!({"firstName": "An", "lastName": "Tran", "email": format!("{name}{number}@example.com")})
}

/// A company with a department; the department's number.
async fn department(backbone: &Backbone) -> i64 {
    let api = format!("{}/api/v1", backbone.company_service());
    let company = create(backbone, &format!("{api}/companies"), &json!({"name": "Hoa Sen"})).await;
    let headquarters = json!({
        "companyId": company["companyId"], "name": "Main office", "address": "1 Dinh Tien Hoang",
        "phone": "+84900000000", "email": "office@example.com", "city": "Hanoi",
    });
    let headquarters = create(backbone, &format!("{api}/headquarters"), &headquarters).await;
    let department = json!({"headquarterId": headquarters["headquarterId"], "name": "Engineering"});
    let department = create(backbone, &format!("{api}/departments"), &department).await;
    department["departmentId"].as_i64().unwrap()
}

async fn create(backbone: &Backbone, url: &str, body: &Value) -> Value {
    let answer = backbone.post(url, body).send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert_eq!(status, 201, "{url}: {text}");
    serde_json::from_str(&text).unwrap_or_default()
}

/// Whether their first employee has got a mail with these words.
fn mail(backbone: &Backbone, words: &str) -> Option<()> {
    let mails = backbone.mails().unwrap();
    mails.iter().any(|mail| mail.to == "nest1@example.com" && mail.text.contains(words)).then_some(())
}

fn nestjs_service() -> Option<PathBuf> {
    let folder = nestjs::folder();
    if folder.is_none() {
        left_out(&format!("{} names no folder that examples/nestjs-service/build.sh has made", nestjs::FOLDER));
    }
    folder
}

#[allow(clippy::print_stderr, reason = "a test that is left out says so")]
fn left_out(why: &str) {
    assert!(!is_required(), "{why}");
    eprintln!("{why}: this test is left out");
}

/// Tables of this test alone.
struct Schema {
    db: Db,
    name: String,
    url: String,
}

impl Schema {
    async fn create(url: &str) -> Self {
        let db = Db::open(&db::Config::new(url.to_owned())).await.unwrap();
        let name = format!("nestjs_{}", uuid::Uuid::now_v7().simple());
        let schema = Self { db, url: format!("{url}?options=-csearch_path%3D{name}"), name };
        schema.execute(&format!("create schema {}", schema.name)).await;
        schema
    }

    async fn drop(self) {
        self.execute(&format!("drop schema {} cascade", self.name)).await;
        self.db.close().await;
    }

    async fn execute(&self, statement: &str) {
        let mut tx = self.db.begin().await.unwrap();
        tx.execute(statement, &[]).await.unwrap();
        tx.commit().await.unwrap();
    }
}
