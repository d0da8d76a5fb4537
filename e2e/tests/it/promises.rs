//! Whoever looks whether promises were kept has to see it when one was not: each kind of fault is planted in a run that
//! went well, in its answers, its trail, its mails, its projections and its topics, and has to be named.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use e2e::load::Load;
use e2e::promises;
use e2e::system::{Layout, System};
use eventkit::testing::checker::Fact;
use eventkit::transport::Record;
use eventkit::transport::kafka::{KafkaConfig, KafkaWriter};
use rusqlite::{Connection, params};
use serde_json::json;

/// The run that goes well has so many answers.
const REQUESTS: usize = 20;
/// Everything is there already: what is planted to be missing stays so.
const ARRIVE_MAX: Duration = Duration::from_millis(1);

/// A run that went well.
struct Run {
    system: System,
    folder: PathBuf,
    acknowledged: Vec<Fact>,
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_planted_in_a_good_run_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::that_went_well(folder.path()).await;
    run.faults_in_answers_are_named().await;
    run.faults_in_the_trail_are_named().await;
    run.faults_in_mails_are_named().await;
    run.faults_in_projections_are_named().await;
    // What was planted so far was taken back; what is on a topic stays there.
    promises::check_all(&run.system, &run.acknowledged).await.unwrap();
    run.faults_on_topics_are_named().await;
    run.system.stop().await.unwrap();
}

impl Run {
    async fn that_went_well(folder: &Path) -> Self {
        let system = System::start(Layout::Together, folder).await.unwrap();
        let load = Load::begin(&system, "good").unwrap();
        load.more_acknowledged(REQUESTS).await.unwrap();
        let acknowledged = load.end().await.acknowledged;
        promises::check_all(&system, &acknowledged).await.unwrap();
        promises::check_projections(&system).await.unwrap();
        Self { system, folder: folder.to_owned(), acknowledged }
    }

    /// Two answers about one employee, the earlier one first.
    fn two_of_a_key(&self) -> (&Fact, &Fact) {
        let first = &self.acknowledged[0];
        let second = self.acknowledged[1..].iter().find(|fact| fact.key == first.key).unwrap();
        (first, second)
    }

    /// The run is found to be broken, and these words say where.
    async fn assert_named(&self, acknowledged: &[Fact], words: &[&str]) {
        let broken = promises::check_all_within(ARRIVE_MAX, &self.system, acknowledged).await;
        let told = format!("{:#}", broken.expect_err("what was planted is not found"));
        assert!(words.iter().all(|word| told.contains(word)), "{words:?}: {told}");
    }

    async fn assert_named_with(&self, more: &[Fact], words: &[&str]) {
        self.assert_named(&[&self.acknowledged, more].concat(), words).await;
    }

    async fn faults_in_answers_are_named(&self) {
        let (first, second) = self.two_of_a_key();
        let nobody = Fact::new("user-999999", "load-nobody-create");
        self.assert_named_with(&[nobody], &["user-999999"]).await;
        let never = Fact::new(&first.key, "load-never");
        self.assert_named_with(&[never], &["user-events", "Lost(\"load-never\")"]).await;
        let other = self.acknowledged.iter().find(|fact| fact.key != first.key).unwrap();
        let elsewhere = Fact::new(&other.key, &first.event_id);
        self.assert_named_with(&[elsewhere], &[&format!("WrongKey({:?})", first.event_id)]).await;
        let swapped = [second.clone(), first.clone()];
        self.assert_named(&swapped, &[&format!("Overtook({:?})", first.event_id)]).await;
    }

    async fn faults_in_the_trail_are_named(&self) {
        let trail = Connection::open(self.folder.join("container/container.db")).unwrap();
        let (first, second) = self.two_of_a_key();
        let (at, later) = (row(&trail, first), row(&trail, second));
        let named = |verdict: &str, fact: &Fact| format!("{verdict}({:?})", fact.event_id);
        let change = |sql: &str, at: i64| assert_eq!(trail.execute(sql, [at]).unwrap(), 1, "{sql}");

        trail
            .execute_batch(&format!("create temp table kept as select * from audit_records where sequence = {at}"))
            .unwrap();
        let put_back = "insert or replace into audit_records select * from kept where sequence = ?1";
        change("delete from audit_records where sequence = ?1", at);
        self.assert_named(&self.acknowledged, &["audit-events", &named("NoEffect", first)]).await;
        change(put_back, at);

        let copy = "create temp table copy as select * from kept;
                    update copy set sequence = sequence + 1000000, event_id = event_id || '-again';
                    insert into audit_records select * from copy;";
        trail.execute_batch(copy).unwrap();
        self.assert_named(&self.acknowledged, &[&named("DoubleEffect", first)]).await;
        change("delete from audit_records where sequence = ?1 + 1000000", at);

        let swap = || {
            for (from, to) in [(at, -1), (later, at), (-1, later)] {
                let sql = "update audit_records set sequence = ?2 where sequence = ?1";
                assert_eq!(trail.execute(sql, [from, to]).unwrap(), 1);
            }
        };
        swap();
        self.assert_named(&self.acknowledged, &[&named("EffectOvertook", second)]).await;
        swap();

        let invented = "json_set(envelope, '$.correlationId', 'load-invented')";
        change(&format!("update audit_records set envelope = {invented} where sequence = ?1"), at);
        let words = [&*named("NoEffect", first), "Invented(\"load-invented\")"];
        self.assert_named(&self.acknowledged, &words).await;
        change(put_back, at);

        let forged = "json_set(envelope, '$.service', 'somebody')";
        change(&format!("update audit_records set envelope = {forged} where sequence = ?1"), at);
        self.assert_named(&self.acknowledged, &[&format!("record {at}: changed after it was chained")]).await;
        change(put_back, at);
    }

    async fn faults_in_mails_are_named(&self) {
        let mailbox = self.system.data_dir("container").join("mailbox");
        let request = self.acknowledged[0].event_id.strip_suffix("-create").unwrap();
        let address = format!("{request}@example.com");
        let mail = e2e::mailbox::read(&mailbox).unwrap().into_iter().find(|mail| mail.to == address).unwrap();
        let file = mailbox.join(format!("{}.eml", mail.id));
        let copy = mailbox.join("copy.eml");
        std::fs::copy(&file, &copy).unwrap();
        self.assert_named(&self.acknowledged, &[&format!("{address} got 3 mails")]).await;
        std::fs::remove_file(&copy).unwrap();
        let elsewhere = self.folder.join("mail");
        std::fs::rename(&file, &elsewhere).unwrap();
        self.assert_named(&self.acknowledged, &[&format!("{address} got 1 mails")]).await;
        std::fs::rename(&elsewhere, &file).unwrap();
    }

    async fn faults_in_projections_are_named(&self) {
        let companies = Connection::open(self.folder.join("company-service/company-service.db")).unwrap();
        let employee: i64 = self.acknowledged[0].key.strip_prefix("user-").unwrap().parse().unwrap();
        let kept = format!("create temp table kept as select * from employees where employee_id = {employee}");
        companies.execute_batch(&kept).unwrap();
        let plants = [
            ("missing", "delete from employees where employee_id = ?1"),
            ("different", "update employees set last_name = 'Nobody' where employee_id = ?1"),
            ("surplus", "update employees set employee_id = 999999 where employee_id = ?1"),
        ];
        for (what, plant) in plants {
            assert_eq!(companies.execute(plant, [employee]).unwrap(), 1, "{plant}");
            let broken = promises::check_projections_within(ARRIVE_MAX, &self.system, 0).await;
            let told = format!("{:#}", broken.expect_err(what));
            assert!(told.contains("company-service") && told.contains("employees"), "{what}: {told}");
            assert!(told.contains(&format!("\\\"{what}\\\":1")), "{what}: {told}");
            let put_back = "delete from employees where employee_id = 999999;
                            insert or replace into employees select * from kept;";
            companies.execute_batch(put_back).unwrap();
        }
        promises::check_projections(&self.system).await.unwrap();
    }

    async fn faults_on_topics_are_named(&self) {
        let (first, second) = self.two_of_a_key();
        // Later than it was answered, and so behind the other.
        for request in ["load-behind", "load-before"] {
            self.tell(&first.key, request).await;
        }
        let answered = ["load-before", "load-behind"].map(|request| Fact::new(&first.key, request));
        self.assert_named_with(&answered, &["user-events", "Overtook(\"load-behind\")"]).await;
        self.tell(&second.key, &second.event_id).await;
        let words = ["user-events", &*second.event_id, "is told of by two events"];
        self.assert_named(&self.acknowledged, &words).await;
    }

    /// Writes an event that nobody handles, as one that follows from a request.
    async fn tell(&self, key: &str, request: &str) {
        let envelope = json!({
            "eventId": format!("planted-{request}"), "eventType": "user.promoted", "correlationId": request, "data": {},
        });
        let record = Record {
            topic: "user-events".to_owned(),
            key: Some(Bytes::from(key.to_owned())),
            value: Some(Bytes::from(envelope.to_string())),
            headers: Vec::new(),
            timestamp_ms: None,
        };
        let kafka = KafkaConfig { brokers: self.system.broker(), ..KafkaConfig::default() };
        let writer = KafkaWriter::new(&kafka, &[]).unwrap();
        writer.send(&record, None).await.unwrap().acknowledged().await.unwrap();
        tokio::task::spawn_blocking(move || drop(writer)).await.unwrap();
    }
}

/// Where the trail has what a request did.
fn row(trail: &Connection, fact: &Fact) -> i64 {
    let sql = "select sequence from audit_records where entity = ?1 and event_type <> 'audit.security'
               and json_extract(envelope, '$.correlationId') = ?2";
    trail.query_row(sql, params![fact.key, fact.event_id], |row| row.get(0)).unwrap()
}
