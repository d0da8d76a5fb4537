//! Employees created by the NestJS service of `examples/` and by ours, in turn on the same machine: the ratio between
//! them is what counts, since both drift with the machine.

use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use contracts::topics;
use e2e::infrastructure::{Infrastructure, Metadata};
use e2e::nestjs::{self, NestjsService, Publish};
use e2e::system::{BROKER, Layout, System, UP};
use eventkit::transport::kafka::{KafkaConfig, TopicSpec, ensure_topics};
use serde::Serialize;

use crate::load::{self, Created, Load, Service};
use crate::report::Rows;
use crate::summary::Spread;

const USER_SERVICE: &str = "user-service";

/// Where the employees are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Database {
    Sqlite,
    Postgres,
}

/// Who is measured; each has a broker of ours, and an empty database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Contender {
    /// The NestJS service as the seed has it.
    NestjsAfterSuccess,
    /// The NestJS service with an outbox.
    NestjsOutbox,
    /// Our user-service in a process of its own.
    UserService,
    /// Everything of ours in one process, broker included.
    Up,
}

const CONTENDERS: [(Contender, &str); 4] = [
    (Contender::NestjsAfterSuccess, "NestJS, after success"),
    (Contender::NestjsOutbox, "NestJS, outbox"),
    (Contender::UserService, "user-service"),
    (Contender::Up, "techleet up"),
];

/// One run of one contender.
#[derive(Debug, Serialize)]
struct Run {
    database: Database,
    contender: Contender,
    /// From the start of the process until it answers.
    start_ms: f64,
    #[serde(flatten)]
    created: Created,
}

/// All runs, in the order in which they were.
#[derive(Debug, Serialize)]
pub(crate) struct Compared {
    #[serde(flatten)]
    load: Load,
    rounds: u16,
    runs: Vec<Run>,
}

/// Puts the load on each contender in turn, `rounds` times, on SQLite and on PostgreSQL; what cannot run here is said
/// and left out.
pub(crate) async fn compare(load: Load, rounds: u16) -> anyhow::Result<Compared> {
    let peer = nestjs::build()?;
    if let Err(why) = &peer {
        say(&format!("left out: the NestJS service: {why}"))?;
    }
    let mut runs = Vec::new();
    for database in [Database::Sqlite, Database::Postgres] {
        if database == Database::Postgres
            && let Err(why) = Server::start().await
        {
            say(&format!("left out: PostgreSQL: {why:#}"))?;
            continue;
        }
        for round in 1..=rounds {
            for (contender, name) in CONTENDERS {
                say(&format!("{database:?}, round {round} of {rounds}: {name}"))?;
                let folder = tempfile::tempdir()?;
                let server = if database == Database::Postgres { Some(Server::start().await?) } else { None };
                let url = server.as_ref().map(|server| server.database_url());
                let run = match (contender, &peer) {
                    (Contender::UserService, _) => ours(USER_SERVICE, folder.path(), url, load).await,
                    (Contender::Up, _) => ours(UP, folder.path(), url, load).await,
                    (_, Err(_)) => continue,
                    (Contender::NestjsAfterSuccess, Ok(peer)) => {
                        theirs(peer, Publish::AfterSuccess, folder.path(), url, load).await
                    }
                    (Contender::NestjsOutbox, Ok(peer)) => {
                        theirs(peer, Publish::Outbox, folder.path(), url, load).await
                    }
                };
                let (start_ms, created) = run?;
                runs.push(Run { database, contender, start_ms, created });
            }
        }
    }
    Ok(Compared { load, rounds, runs })
}

/// A new PostgreSQL server with the settings that it comes with; killed when this is dropped.
pub(crate) struct Server(Infrastructure);

impl Server {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let infrastructure = Infrastructure::new(Metadata::KRaft, Path::new("unused"))?;
        infrastructure.start_postgres().await?;
        Ok(Self(infrastructure))
    }

    /// How its database is reached.
    pub(crate) fn database_url(&self) -> String {
        self.0.database_url()
    }
}

async fn ours(process: &'static str, folder: &Path, url: Option<String>, load: Load) -> anyhow::Result<(f64, Created)> {
    let settings: Vec<String> = url.map(|url| format!("database.url={url}")).into_iter().collect();
    let layout = if process == UP { Layout::Together } else { Layout::Apart };
    let mut system = System::prepare(layout, folder, &settings).await?;
    if layout == Layout::Apart {
        system.start_process(BROKER).await?;
        make_topics(&system.broker()).await?;
    }
    let began = Instant::now();
    system.start_process(process).await?;
    let start_ms = began.elapsed().as_secs_f64() * 1000.0;
    let service = Service {
        process_id: system.process_id(process)?,
        url: system.url(USER_SERVICE),
        token: Some(system.operator_token(USER_SERVICE)?),
    };
    let created = load::put(load, &service).await?;
    system.stop().await?;
    Ok((start_ms, created))
}

async fn theirs(
    built: &Path,
    publish: Publish,
    folder: &Path,
    url: Option<String>,
    load: Load,
) -> anyhow::Result<(f64, Created)> {
    let mut system = System::prepare(Layout::Apart, folder, &[]).await?;
    system.start_process(BROKER).await?;
    make_topics(&system.broker()).await?;
    let url = url.unwrap_or_else(|| format!("sqlite:{}", folder.join("users.db").display()));
    let began = Instant::now();
    let nestjs = NestjsService::start(built, &system.broker(), &url, publish).await?;
    let start_ms = began.elapsed().as_secs_f64() * 1000.0;
    let service = Service { process_id: nestjs.process_id()?, url: nestjs.url().to_owned(), token: None };
    let created = load::put(load, &service).await?;
    nestjs.stop().await?;
    system.stop().await?;
    Ok((start_ms, created))
}

/// The topics as `techleet` makes them, before anybody starts.
pub(crate) async fn make_topics(brokers: &str) -> anyhow::Result<()> {
    let config = KafkaConfig { brokers: brokers.to_owned(), ..KafkaConfig::default() };
    let spec = |topic: topics::TopicSpec| TopicSpec {
        name: topic.name,
        partitions: topic.partitions,
        settings: topic.settings,
    };
    let topics: Vec<TopicSpec> = topics::required_topics().into_iter().map(spec).collect();
    ensure_topics(&config, &topics).await?;
    Ok(())
}

/// How far it is, for whoever waits.
pub(crate) fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stderr(), "{line}")?)
}

/// A number of a run; some runs have none.
type Number = fn(&Run) -> Option<f64>;

/// What is compared, and how many digits of it are shown.
const NUMBERS: [(&str, usize, Number); 9] = [
    ("requests/s", 0, |run| Some(run.created.requests_per_second)),
    ("p50, ms", 2, |run| Some(run.created.p50_ms)),
    ("p99, ms", 2, |run| Some(run.created.p99_ms)),
    ("CPU s per 10,000 requests, under load", 2, |run| Some(run.created.cpu_seconds_per_10000_requests)),
    ("CPU s per 10,000 requests, until at rest", 2, |run| run.created.cpu_seconds_per_10000_requests_at_rest),
    ("RSS idle, MiB", 1, |run| Some(run.created.rss_idle_mib)),
    ("RSS loaded, MiB", 1, |run| Some(run.created.rss_loaded_mib)),
    ("RSS at the most, MiB", 1, |run| Some(run.created.rss_peak_mib)),
    ("start, ms", 0, |run| Some(run.start_ms)),
];

impl Compared {
    /// The median over the rounds; nothing where the contender did not run, or never came to rest.
    fn median(&self, database: Database, contender: Contender, number: Number) -> Option<f64> {
        let runs = self.runs.iter().filter(|run| run.database == database && run.contender == contender);
        Spread::of(runs.filter_map(number).collect()).map(|spread| spread.median)
    }
}

impl Rows for Compared {
    fn headings(&self) -> Vec<&'static str> {
        let names = CONTENDERS.map(|(_, name)| name);
        ["medians"].into_iter().chain(names).chain(["user-service / outbox", "up / outbox"]).collect()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for (database, name) in [(Database::Sqlite, "SQLite"), (Database::Postgres, "PostgreSQL")] {
            if !self.runs.iter().any(|run| run.database == database) {
                continue;
            }
            for (what, digits, number) in NUMBERS {
                let [success, outbox, service, up] =
                    CONTENDERS.map(|(contender, _)| self.median(database, contender, number));
                let show = |number: Option<f64>, digits| number.map_or_else(String::new, |n| format!("{n:.digits$}"));
                let ratio = |ours: Option<f64>| ours.zip(outbox).map(|(ours, theirs)| ours / theirs);
                let numbers = [success, outbox, service, up].map(|number| show(number, digits));
                let ratios = [ratio(service), ratio(up)].map(|ratio| show(ratio, 3));
                rows.push([format!("{name}: {what}")].into_iter().chain(numbers).chain(ratios).collect());
            }
        }
        rows
    }
}
