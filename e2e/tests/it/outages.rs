//! What is taken away from running processes for a while: the broker, the database, the disk, their own time and the right
//! one. Requests go on or are refused with a clear answer, no event is lost, no effect is had twice, and poison harms
//! nobody else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use e2e::infrastructure::is_required;
use e2e::load::{Answers, Load};
use e2e::promises::{self, arrived};
use e2e::soak;
use e2e::system::{BROKER, CONTAINER_COPY, Layout, System};
use e2e::wall_clock::WallClock;
use eventkit::Clock;
use eventkit::dead_letter::REDRIVE_GROUP;
use eventkit::transport::kafka::admin::KafkaAdmin;
use eventkit::transport::kafka::{KafkaConfig, KafkaWriter};
use eventkit::transport::{ConsumedRecord, Record};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::copies::assert_divided;
use crate::topics::read_until;

const USERS: &str = "user-service";
const CONTAINER: &str = "container";
/// Requests that succeed or are refused while something is away.
const REQUESTS: usize = 20;
const REFUSALS: usize = 5;
/// Pages that a full disk still has.
const PAGES_LEFT: i64 = 8;
/// How often the container is frozen until that was outside of a unit.
const FREEZES_MAX: usize = 20;
/// How much more memory the user-service and the container may use while the broker is away: some queues, and pages of
/// their files.
const AWAY_GROWTH_MAX: u64 = 64 * 1024 * 1024;
/// How much more they may use than after their first requests, whatever was taken away: caches and queues fill up once, and
/// what grows with what waits goes on beyond that.
const GROWTH_MAX: u64 = 64 * 1024 * 1024;
const HUGE_BYTES: usize = 10 * 1024 * 1024;
/// How much more the poison may take on top: each of the container's three groups that read it has it as it came and as a
/// dead letter.
const POISON_GROWTH_MAX: u64 = 6 * HUGE_BYTES as u64;
/// The groups of the container, each of whose members is a client of its own.
const CONTAINER_GROUPS: [&str; 5] =
    ["container-audit", "container-directory", "container-mail", "container-router", "container-router-directory"];
const HOUR_SECONDS: i64 = 3_600;

/// The system and what it answered so far.
struct Scene {
    system: System,
    folder: PathBuf,
    answers: Answers,
    clock: Option<WallClock>,
    /// What was in use after the first requests.
    memory_bytes: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn outages_lose_no_event_and_repeat_no_effect() {
    let folder = tempfile::tempdir().unwrap();
    let mut scene = Scene::begin(folder.path()).await;
    scene.broker_stands_still().await;
    scene.assert_memory_is_bounded("the broker stood still and was away");
    scene.broker_answers_with_errors().await;
    scene.assert_memory_is_bounded("the broker answered with errors");
    scene.database_is_locked().await;
    scene.assert_memory_is_bounded("the database was locked");
    scene.disk_is_full().await;
    scene.assert_memory_is_bounded("the database was full");
    scene.database_of_a_consumer_is_locked_and_full().await;
    scene.assert_memory_is_bounded("a consumer's database was locked and full");
    scene.clock_steps_forth_and_back().await;
    scene.assert_memory_is_bounded("the clock stepped forth and back");
    scene.zombie_comes_back().await;
    scene.assert_memory_is_bounded("the container stood still");
    promises::check_all(&scene.system, &scene.answers.acknowledged).await.unwrap();
    promises::check_projections(&scene.system).await.unwrap();
    poison_becomes_letters(&scene.system).await;
    scene.assert_grown_less_than(GROWTH_MAX + POISON_GROWTH_MAX, scene.memory_bytes, "the poison");
    scene.mail_to_a_full_disk_becomes_a_letter_and_is_redriven().await;
    let load = scene.load("last");
    load.more_acknowledged(REQUESTS).await.unwrap();
    scene.answers.extend(load.end().await);
    promises::check_all(&scene.system, &scene.answers.acknowledged).await.unwrap();
    let away = usize::try_from(soak::away().as_secs()).unwrap();
    soak::report("Apart, outages", away, scene.answers.acknowledged.len());
    scene.system.stop().await.unwrap();
}

impl Scene {
    async fn begin(folder: &Path) -> Self {
        let folder = folder.to_owned();
        std::fs::create_dir(folder.join("shared")).unwrap();
        let shared = folder.join("shared").display().to_string();
        let settings = [
            // Two copies of a part share its database and its mailbox.
            format!("database.url=sqlite:{shared}/{{part}}.db"),
            format!("container.mailbox_dir={}", folder.join("container/mailbox").display()),
            "database.busy_timeout_ms=200".to_owned(),
            "kafka.session_timeout_ms=6000".to_owned(),
            "kafka.delivery_timeout_ms=2000".to_owned(),
            "eventkit.held_retry_interval_ms=500".to_owned(),
            "eventkit.retry_attempts_max=3".to_owned(),
            "auth.operator_token=an operator token for all the parts".to_owned(),
            format!("broker.message_bytes_max={}", 2 * HUGE_BYTES),
        ];
        let mut system = System::prepare(Layout::Apart, &folder, &settings).await.unwrap();
        let clock = clock_of_its_own(&folder);
        if let Some(clock) = &clock {
            system.go_by(clock);
        }
        system.start_all().await.unwrap();
        let mut scene = Self { system, folder, answers: Answers::default(), clock, memory_bytes: 0 };
        let load = scene.load("first");
        load.more_acknowledged(REQUESTS).await.unwrap();
        scene.answers.extend(load.end().await);
        scene.memory_bytes = scene.memory_bytes();
        scene
    }

    fn load(&self, name: &str) -> Load {
        Load::begin_unhurried(&self.system, name).unwrap()
    }

    fn users_file(&self) -> PathBuf {
        self.folder.join("shared/user-service.db")
    }

    async fn broker_stands_still(&mut self) {
        let load = self.load("broker");
        load.more_acknowledged(1).await.unwrap();
        self.system.freeze(BROKER).await.unwrap();
        load.more_acknowledged(REQUESTS).await.unwrap();
        self.system.thaw(BROKER).unwrap();
        // And gone altogether, for so long that records are given up on again and again.
        let before = self.memory_bytes();
        self.system.kill(BROKER).await.unwrap();
        let away = Instant::now();
        while away.elapsed() < soak::away() {
            load.more_acknowledged(REQUESTS).await.unwrap();
            self.assert_grown_less_than(AWAY_GROWTH_MAX, before, "the broker is away");
        }
        self.system.start_process(BROKER).await.unwrap();
        load.more_acknowledged(1).await.unwrap();
        self.answers.extend(unrefused(load).await);
    }

    /// What the user-service and the container have in use together.
    fn memory_bytes(&self) -> u64 {
        [USERS, CONTAINER].iter().map(|process| self.system.memory_bytes(process).unwrap()).sum()
    }

    fn assert_memory_is_bounded(&self, act: &str) {
        self.assert_grown_less_than(GROWTH_MAX, self.memory_bytes, act);
    }

    fn assert_grown_less_than(&self, growth_max: u64, before: u64, act: &str) {
        let grown = self.memory_bytes().saturating_sub(before);
        soak::progress(&format!("{act}: {grown} bytes more in use"));
        assert!(grown < growth_max, "{act}: {grown} bytes more are in use");
    }

    /// The broker refuses every event of the users; they are held, and follow in order when it takes them again.
    async fn broker_answers_with_errors(&mut self) {
        let load = self.load("errors");
        load.more_acknowledged(1).await.unwrap();
        self.limit_user_events(1).await;
        load.more_acknowledged(REQUESTS).await.unwrap();
        let metrics = format!("{}/metrics", self.system.url(USERS));
        arrived("events are held", async || {
            let text = reqwest::get(&metrics).await?.text().await?;
            let held = text.lines().find_map(|line| line.strip_prefix("eventkit_held_events{")?.split(' ').nth(1));
            Ok(held.filter(|held| *held != "0").map(drop))
        })
        .await
        .unwrap();
        self.limit_user_events(2 * HUGE_BYTES).await;
        load.more_acknowledged(REQUESTS).await.unwrap();
        self.answers.extend(unrefused(load).await);
    }

    async fn limit_user_events(&self, bytes: usize) {
        let kafka = KafkaConfig { brokers: self.system.broker(), ..KafkaConfig::default() };
        let limit = BTreeMap::from([("max.message.bytes".to_owned(), bytes.to_string())]);
        KafkaAdmin::new(kafka).unwrap().alter_topic_settings("user-events", &limit).await.unwrap();
    }

    async fn database_is_locked(&mut self) {
        let load = self.load("locked");
        load.more_acknowledged(1).await.unwrap();
        let locker = Connection::open(self.users_file()).unwrap();
        arrived("the lock", async || Ok(locker.execute_batch("begin immediate").ok())).await.unwrap();
        load.more_refused(REFUSALS).await.unwrap();
        locker.execute_batch("rollback").unwrap();
        load.more_acknowledged(REQUESTS).await.unwrap();
        self.answers.extend(load.end().await);
    }

    async fn disk_is_full(&mut self) {
        let pages = pages(&self.users_file()) + PAGES_LEFT;
        self.restart(USERS, &format!("database.file_pages_max={pages}")).await;
        let load = self.load("full");
        load.more_refused(REFUSALS).await.unwrap();
        self.answers.extend(load.end().await);
        self.restart(USERS, "database.file_pages_max=0").await;
        let load = self.load("roomy");
        load.more_acknowledged(REQUESTS).await.unwrap();
        self.answers.extend(load.end().await);
    }

    async fn restart(&mut self, process: &'static str, setting: &str) {
        self.system.kill(process).await.unwrap();
        self.system.configure(setting);
        self.system.start_process(process).await.unwrap();
    }

    /// Handlers wait for their database however long, nothing becomes a letter for it, and requests notice nothing.
    async fn database_of_a_consumer_is_locked_and_full(&mut self) {
        let file = self.folder.join("shared/container.db");
        let load = self.load("consumer");
        load.more_acknowledged(1).await.unwrap();
        let locker = Connection::open(&file).unwrap();
        arrived("the lock", async || Ok(locker.execute_batch("begin immediate").ok())).await.unwrap();
        load.more_acknowledged(REQUESTS).await.unwrap();
        locker.execute_batch("rollback").unwrap();
        drop(locker);
        let limit = pages(&file) + PAGES_LEFT;
        self.restart(CONTAINER, &format!("database.file_pages_max={limit}")).await;
        arrived("the disk is full", async || {
            load.more_acknowledged(1).await?;
            Ok((pages(&file) >= limit).then_some(()))
        })
        .await
        .unwrap();
        load.more_acknowledged(REQUESTS).await.unwrap();
        self.restart(CONTAINER, "database.file_pages_max=0").await;
        self.answers.extend(unrefused(load).await);
    }

    /// Only its own key waits, and what it says is why.
    async fn mail_to_a_full_disk_becomes_a_letter_and_is_redriven(&self) {
        let (id, mailbox) = (uuid::Uuid::now_v7().to_string(), self.folder.join("container/mailbox"));
        // Whatever is written there finds no space left.
        let unfinished = mailbox.join(format!(".{id}.eml.tmp"));
        std::os::unix::fs::symlink("/dev/full", &unfinished).unwrap();
        let mail = |id: &str| {
            json!({
                "eventId": id, "eventType": "notification.email",
                "data": {
                    "to": "full@example.com", "subject": "News", "template": "user-notification",
                    "variables": {"firstName": "An", "message": "hello"},
                },
            })
        };
        send_to(&self.system, "notification-events", "notification-full", mail(&id).to_string()).await;
        let other = uuid::Uuid::now_v7().to_string();
        send_to(&self.system, "notification-events", "notification-other", mail(&other).to_string()).await;
        let is_there = async |id: &str| {
            let mails = e2e::mailbox::read(&mailbox)?;
            Ok(mails.iter().any(|mail| mail.id == id).then_some(()))
        };
        arrived("mails of other keys go out", async || is_there(&other).await).await.unwrap();
        let key = b"notification-full".as_slice();
        let is_enough =
            move |letters: &[ConsumedRecord]| letters.iter().any(|letter| letter.record.key.as_deref() == Some(key));
        let letters = read_until(&self.system.broker(), "notification-events.dlq", is_enough).await;
        let letter = letters.iter().find(|letter| letter.record.key.as_deref() == Some(key)).unwrap();
        let error = letter.record.header("dlq-error").unwrap();
        assert!(error.contains("No space left on device"), "{error}");
        std::fs::remove_file(&unfinished).unwrap();
        let redrive = ["dlq", "redrive", "--topic", "notification-events", "--execute"];
        let ran = self.system.run(CONTAINER, &redrive).await.unwrap();
        assert!(ran.status.success(), "{}{}", ran.stdout, ran.stderr);
        arrived("the mail goes out", async || is_there(&id).await).await.unwrap();
    }

    /// The container stands still until another copy has taken over, and then goes on as if nothing had been.
    async fn zombie_comes_back(&mut self) {
        let load = self.load("zombie");
        load.more_acknowledged(1).await.unwrap();
        self.system.start_process(CONTAINER_COPY).await.unwrap();
        load.more_acknowledged(REQUESTS).await.unwrap();
        self.freeze_container_outside_of_units().await;
        load.more_acknowledged(1).await.unwrap();
        let answers = load.end().await;
        // Its session is over, and it does not know.
        for group in CONTAINER_GROUPS {
            assert_divided(&self.system, group, 1).await;
        }
        self.effects_are_there(&answers).await;
        self.answers.extend(answers);
        self.system.thaw(CONTAINER).unwrap();
        let load = self.load("woken");
        load.more_acknowledged(REQUESTS).await.unwrap();
        self.answers.extend(load.end().await);
        for group in CONTAINER_GROUPS {
            assert_divided(&self.system, group, 2).await;
        }
    }

    /// Every process is told at once that it is an hour later, two hours earlier, and an hour later again.
    async fn clock_steps_forth_and_back(&mut self) {
        let Some(mut clock) = self.clock.take() else { return };
        let load = self.load("clock");
        load.more_acknowledged(REQUESTS).await.unwrap();
        for hours in [1, -2, 1] {
            clock.step(hours * HOUR_SECONDS).unwrap();
            load.more_acknowledged(REQUESTS).await.unwrap();
            let off = self.seconds_off().await;
            assert!((off - clock.seconds()).abs() < HOUR_SECONDS / 2, "{off} and not {}", clock.seconds());
            // Nobody waits for a time that is far away now: not the relay, and no consumer.
            let in_between = self.load(&format!("clock{}", clock.seconds()));
            in_between.more_acknowledged(REQUESTS).await.unwrap();
            let answers = unrefused(in_between).await;
            self.effects_are_there(&answers).await;
            self.answers.extend(answers);
        }
        self.answers.extend(unrefused(load).await);
        self.clock = Some(clock);
    }

    /// How far the user-service's clock is from that of this process.
    async fn seconds_off(&self) -> i64 {
        let email = format!("{}@example.org", uuid::Uuid::now_v7());
        let body = json!({"firstName": "An", "lastName": "Tran", "email": email});
        let users = format!("{}/api/v1/users", self.system.url(USERS));
        let token = self.system.operator_token(USERS).unwrap();
        let answer = chassis::net::client().post(users).bearer_auth(token).json(&body).send().await.unwrap();
        let created: Value = answer.json().await.unwrap();
        let created_at: jiff::Timestamp = created["createdAt"].as_str().unwrap().parse().unwrap();
        created_at.as_second() - Clock::system().now().as_second()
    }

    /// Waits until everybody whose creation was answered has their mails, the last effects of all.
    async fn effects_are_there(&self, answers: &Answers) {
        let created = answers.acknowledged.iter().filter_map(|fact| fact.event_id.strip_suffix("-create"));
        let addresses: Vec<String> = created.map(|name| format!("{name}@example.com")).collect();
        let mailbox = self.folder.join("container/mailbox");
        arrived("the mails of everybody", async || {
            let mails = e2e::mailbox::read(&mailbox)?;
            let is_there = |address: &String| mails.iter().filter(|mail| mail.to == *address).count() >= 2;
            Ok(addresses.iter().all(is_there).then_some(()))
        })
        .await
        .unwrap();
    }
}

impl Scene {
    /// On SQLite whoever stands still inside a unit holds the file's lock, and then nobody can take over.
    async fn freeze_container_outside_of_units(&self) {
        let probe = Connection::open(self.folder.join("shared/container.db")).unwrap();
        let is_free = |within| {
            probe.busy_timeout(within).unwrap();
            probe.execute_batch("begin immediate; rollback").is_ok()
        };
        for _ in 0..FREEZES_MAX {
            self.system.freeze(CONTAINER).await.unwrap();
            if is_free(Duration::from_secs(1)) {
                return;
            }
            self.system.thaw(CONTAINER).unwrap();
            assert!(is_free(Duration::from_secs(30)), "the container's unit ends when it goes on");
        }
        panic!("the container is inside a unit whenever it is frozen");
    }
}

/// What was answered to a load that nothing has to be refused to: it needs neither the broker nor the container.
async fn unrefused(load: Load) -> Answers {
    let answers = load.end().await;
    assert_eq!(answers.refused, 0, "requests are refused");
    answers
}

/// A clock for all processes, where there can be one.
#[allow(clippy::print_stderr, reason = "an act that is left out says so")]
fn clock_of_its_own(folder: &Path) -> Option<WallClock> {
    match WallClock::new(folder) {
        Ok(clock) => Some(clock),
        Err(why) => {
            assert!(!is_required(), "no clock that can be set: {why:#}");
            eprintln!("no clock that can be set: {why:#}; its stepping is left out");
            None
        }
    }
}

fn pages(file: &Path) -> i64 {
    let connection = Connection::open(file).unwrap();
    connection.query_row("pragma page_count", [], |row| row.get(0)).unwrap()
}

/// Poison of each kind becomes letters that say why, for every group that cannot take it; what follows goes on.
async fn poison_becomes_letters(system: &System) {
    let newer = json!({"eventId": "poison-newer", "eventType": "user.created", "schemaVersion": 99, "data": {}});
    let unfit = json!({"eventId": "poison-unfit", "eventType": "user.created", "data": {"employeeId": "x"}});
    let unknown = json!({"eventId": "poison-unknown", "eventType": "user.promoted", "data": {}});
    send(system, "poison-text", "this is no JSON".to_owned()).await;
    send(system, "poison-huge", "x".repeat(HUGE_BYTES)).await;
    for envelope in [newer, unfit, unknown] {
        send(system, envelope["eventId"].as_str().unwrap(), envelope.to_string()).await;
    }
    // The three groups that read employees' lives for themselves, and the two of the router.
    let groups = 5;
    let is_enough = move |letters: &[ConsumedRecord]| {
        ["poison-text", "poison-huge", "poison-newer", "poison-unfit"].iter().all(|key| {
            letters.iter().filter(|letter| letter.record.key.as_deref() == Some(key.as_bytes())).count() >= groups
        })
    };
    let letters = read_until(&system.broker(), "user-events.dlq", is_enough).await;
    for letter in &letters {
        let key = String::from_utf8_lossy(letter.record.key.as_deref().unwrap()).into_owned();
        let error = letter.record.header("dlq-error").unwrap();
        let says = match key.as_str() {
            "poison-text" | "poison-huge" => "envelope could not be read",
            "poison-newer" => "99",
            "poison-unfit" => "expected i64",
            other => panic!("a letter of {other}: {error}"),
        };
        assert!(error.contains(says), "{key}: {error}");
        assert_eq!(letter.record.header("dlq-error-kind"), Some("undecodable"), "{key}");
        assert!(letter.record.header(REDRIVE_GROUP).is_none());
    }
    assert_eq!(letters.len(), 4 * groups);
}

async fn send(system: &System, key: &str, value: String) {
    send_to(system, "user-events", key, value).await;
}

async fn send_to(system: &System, topic: &str, key: &str, value: String) {
    let kafka = KafkaConfig { brokers: system.broker(), ..KafkaConfig::default() };
    let record = Record {
        topic: topic.to_owned(),
        key: Some(Bytes::from(key.to_owned())),
        value: Some(Bytes::from(value)),
        headers: Vec::new(),
        timestamp_ms: None,
    };
    let writer = KafkaWriter::new(&kafka, &[]).unwrap();
    writer.send(&record, None).await.unwrap().acknowledged().await.unwrap();
    tokio::task::spawn_blocking(move || drop(writer)).await.unwrap();
}
