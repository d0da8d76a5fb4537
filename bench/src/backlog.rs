//! The user-service, started on a backlog of events that nobody has published yet: how soon it is ready, how fast it
//! works them off, and how long what happens meanwhile has to wait.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use contracts::USER_EVENTS;
use contracts::user::UserCreated;
use db::Db;
use e2e::system::{BROKER, Layout, System};
use eventkit::transport::kafka::{KafkaConfig, KafkaReader, Start};
use eventkit::{Clock, EventPublisher, Origin};
use serde::Serialize;

use crate::load::{Connection, Service};
use crate::peer::{Server, make_topics, say};
use crate::process;
use crate::report::Rows;
use crate::summary::percentile;

const USER_SERVICE: &str = "user-service";
const SCHEMA: &str = "user_service";
/// The backlog is about as many employees, whose numbers nobody else has.
const KEYS: u32 = 1_000;
const FIRST_OF_BACKLOG: i64 = 1_000_000;
const EVENTS_PER_UNIT: u32 = 500;
/// How often somebody is taken on while the backlog is worked off.
const CREATE_EVERY: Duration = Duration::from_millis(100);
/// How long the reader waits for the next event.
const READ_MAX: Duration = Duration::from_secs(60);

/// What was seen on each database.
#[derive(Debug, Serialize)]
pub(crate) struct Backlogs {
    events: u32,
    databases: Vec<Backlog>,
}

#[derive(Debug, Serialize)]
struct Backlog {
    database: &'static str,
    /// From the start of the process until it answers.
    ready_ms: f64,
    /// From the first event of the backlog on its topic to the last one.
    events_per_second: f64,
    /// Employees that were created meanwhile.
    created: usize,
    /// From the answer until the event is on its topic.
    wait_p50_ms: f64,
    wait_max_ms: f64,
    rss_mib: f64,
}

/// Starts it on `events` stored ones, on SQLite and on PostgreSQL.
pub(crate) async fn measure(events: u32) -> anyhow::Result<Backlogs> {
    let mut databases = Vec::new();
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite:{}", folder.path().join("users.db").display());
    databases.push(measure_on("SQLite", &url, folder.path(), events).await?);
    match Server::start().await {
        Ok(server) => {
            let folder = tempfile::tempdir()?;
            databases.push(measure_on("PostgreSQL", &server.database_url(), folder.path(), events).await?);
        }
        Err(why) => say(&format!("left out: PostgreSQL: {why:#}"))?,
    }
    Ok(Backlogs { events, databases })
}

async fn measure_on(database: &'static str, url: &str, folder: &Path, events: u32) -> anyhow::Result<Backlog> {
    fill(url, events).await?;
    let mut system = System::prepare(Layout::Apart, folder, &[format!("database.url={url}")]).await?;
    system.start_process(BROKER).await?;
    make_topics(&system.broker()).await?;
    let config = KafkaConfig { brokers: system.broker(), ..KafkaConfig::default() };
    let progress = Arc::new(Progress::default());
    let reader = tokio::task::spawn_blocking({
        let progress = progress.clone();
        move || read(&config, events, &progress)
    });

    let began = Instant::now();
    system.start_process(USER_SERVICE).await?;
    let ready_ms = began.elapsed().as_secs_f64() * 1000.0;
    let process_id = system.process_id(USER_SERVICE)?;
    let service =
        Service { process_id, url: system.url(USER_SERVICE), token: Some(system.operator_token(USER_SERVICE)?) };
    let answered = create_until_done(&service, &progress).await?;
    let rss_mib = process::rss_mib(process_id)?;
    let seen = reader.await??;
    system.stop().await?;

    let waits = answered.iter().map(|(id, answered)| {
        let on_topic =
            seen.created.get(id).with_context(|| format!("the event of employee {id} is not on its topic"))?;
        Ok(on_topic.saturating_duration_since(*answered).as_secs_f64() * 1000.0)
    });
    let mut waits = waits.collect::<anyhow::Result<Vec<f64>>>()?;
    waits.sort_by(f64::total_cmp);
    let wait = |percent| percentile(&waits, percent).context("nobody was created meanwhile");
    Ok(Backlog {
        database,
        ready_ms,
        events_per_second: f64::from(events) / (seen.last - seen.first).as_secs_f64(),
        created: waits.len(),
        wait_p50_ms: wait(50)?,
        wait_max_ms: wait(100)?,
        rss_mib,
    })
}

/// Stores events as the user-service would have, had it been unable to publish them.
async fn fill(url: &str, events: u32) -> anyhow::Result<()> {
    let db = Db::open(&db::Config { schema: Some(SCHEMA.to_owned()), ..db::Config::new(url) }).await?;
    eventkit::outbox::migrate(&db).await?;
    let publisher = EventPublisher::new(db.clone(), USER_SERVICE, Clock::system());
    let mut stored = 0;
    while stored < events {
        let until = (stored + EVENTS_PER_UNIT).min(events);
        let mut work = publisher.begin(Origin::default());
        for number in stored..until {
            let employee_id = FIRST_OF_BACKLOG + i64::from(number % KEYS);
            let (first_name, last_name) = ("An".to_owned(), "Tran".to_owned());
            let email = format!("an{number}@example.com");
            work.publish(&UserCreated { employee_id, email, first_name, last_name, ..UserCreated::default() }).await?;
        }
        work.commit().await?;
        stored = until;
    }
    db.close().await;
    Ok(())
}

/// What the reader and the one who creates tell each other.
#[derive(Debug, Default)]
struct Progress {
    is_worked_off: AtomicBool,
    /// How many employees were created, once it is known; until then nothing.
    created: AtomicUsize,
}

/// Takes somebody on from time to time, until the backlog is worked off; when each was answered, by number.
async fn create_until_done(service: &Service, progress: &Progress) -> anyhow::Result<HashMap<i64, Instant>> {
    let mut connection = Connection::to(service).await?;
    let mut answered = HashMap::new();
    let mut ticks = tokio::time::interval(CREATE_EVERY);
    while !progress.is_worked_off.load(Ordering::Relaxed) || answered.is_empty() {
        ticks.tick().await;
        let body = connection.create(&format!("new{}@example.com", answered.len())).await?;
        let employee: serde_json::Value = serde_json::from_slice(&body)?;
        let id = employee["employeeId"].as_i64().context("an employee has a number")?;
        answered.insert(id, Instant::now());
    }
    connection.close().await?;
    progress.created.store(answered.len(), Ordering::Relaxed);
    Ok(answered)
}

/// What was on the topic, and when.
struct Seen {
    first: Instant,
    last: Instant,
    created: HashMap<i64, Instant>,
}

fn read(config: &KafkaConfig, events: u32, progress: &Progress) -> anyhow::Result<Seen> {
    let reader = KafkaReader::open(config, USER_EVENTS, None, Start::Beginning)?;
    let (mut backlog, mut first, mut last, mut created) = (0, None, None, HashMap::new());
    loop {
        if backlog == events {
            progress.is_worked_off.store(true, Ordering::Relaxed);
            let all = progress.created.load(Ordering::Relaxed);
            if all > 0 && created.len() >= all {
                break;
            }
        }
        let wait = if backlog == events { CREATE_EVERY } else { READ_MAX };
        let Some(record) = reader.next(wait)? else {
            anyhow::ensure!(backlog == events, "{backlog} of {events} events came");
            continue;
        };
        let now = Instant::now();
        let key = record.record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
        let id: i64 = key.and_then(|key| key.strip_prefix("user-")?.parse().ok()).context("a key of an employee")?;
        if id < FIRST_OF_BACKLOG {
            created.entry(id).or_insert(now);
        } else if backlog < events {
            backlog += 1;
            first.get_or_insert(now);
            last = Some(now);
        }
    }
    let (first, last) = first.zip(last).context("no event came")?;
    Ok(Seen { first, last, created })
}

impl Rows for Backlogs {
    fn headings(&self) -> Vec<&'static str> {
        self.databases.iter().fold(vec!["started on a backlog"], |mut headings, database| {
            headings.push(database.database);
            headings
        })
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |name: &str, digits: usize, number: fn(&Backlog) -> f64| {
            let numbers = self.databases.iter().map(|database| format!("{:.digits$}", number(database)));
            [name.to_owned()].into_iter().chain(numbers).collect()
        };
        let created = self.databases.iter().map(|database| database.created.to_string());
        vec![
            row("ready, ms", 0, |database| database.ready_ms),
            row("backlog, events/s", 0, |database| database.events_per_second),
            ["created meanwhile".to_owned()].into_iter().chain(created).collect(),
            row("from answer to topic, p50, ms", 1, |database| database.wait_p50_ms),
            row("from answer to topic, max, ms", 1, |database| database.wait_max_ms),
            row("RSS, MiB", 1, |database| database.rss_mib),
        ]
    }
}
