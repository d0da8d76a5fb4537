//! On what a test stands: which broker, which database, and where requests ask about sessions. A run says so in one
//! variable; `cargo xtask matrix` goes through all of them.

use std::path::Path;

use anyhow::{Context, bail};
use uuid::Uuid;

use crate::infrastructure::{Infrastructure, Metadata, POSTGRES_VARIABLE};
use crate::program::variable;

/// What the run stands on: `embedded`, `kafka-3` or `kafka-4`; `sqlite` or `postgres`; `database` or `redis`; with commas
/// between them.
pub const VARIABLE: &str = "TECHLEET_TEST_GROUND";
/// What it stands on if nothing is said.
const USUAL: &str = "embedded,sqlite,database";
/// The variable that names a Redis server.
const REDIS_VARIABLE: &str = "TECHLEET_TEST_REDIS_URL";

/// What one test stands on; its Kafka is gone when this is dropped.
#[derive(Debug)]
pub struct Ground {
    kafka: Option<Infrastructure>,
    settings: Vec<String>,
}

impl Ground {
    /// What this run asks for, with a Kafka, a schema and keys that nobody else has. Kafka's programs are kept in
    /// `libraries`.
    ///
    /// # Errors
    /// Nobody knows what is asked for, or it is not there.
    pub async fn of_run(libraries: &Path) -> anyhow::Result<Self> {
        let asked = variable(VARIABLE).unwrap_or_else(|| USUAL.to_owned());
        let [broker, database, sessions] = asked.split(',').collect::<Vec<_>>()[..] else {
            bail!("{VARIABLE} is a broker, a database and a place of sessions, not {asked:?}");
        };
        let kafka = match broker {
            "embedded" => None,
            "kafka-3" => Some(Infrastructure::new(Metadata::ZooKeeper, libraries)?),
            "kafka-4" => Some(Infrastructure::new(Metadata::KRaft, libraries)?),
            other => bail!("{VARIABLE}: no broker is called {other:?}"),
        };
        let run = Uuid::now_v7().simple().to_string();
        let mut settings = match database {
            "sqlite" => Vec::new(),
            "postgres" => {
                let url = variable(POSTGRES_VARIABLE).with_context(|| format!("{POSTGRES_VARIABLE} is not set"))?;
                vec![
                    format!("database.url={url}"),
                    format!("database.schema=e2e_{run}_{{part}}"),
                    "database.connections_max=4".to_owned(),
                ]
            }
            other => bail!("{VARIABLE}: no database is called {other:?}"),
        };
        match sessions {
            "database" => settings.push("user_service.sessions=database".to_owned()),
            "redis" => settings.extend(redis(&run)?),
            other => bail!("{VARIABLE}: sessions are not in {other:?}"),
        }
        if let Some(kafka) = &kafka {
            kafka.start_kafka().await?;
        }
        Ok(Self { kafka, settings })
    }

    /// The settings that lead there, without the broker's address.
    pub fn settings(&self) -> &[String] {
        &self.settings
    }

    /// `host:port` of Apache Kafka; none where the program has a broker of its own.
    pub fn brokers(&self) -> Option<String> {
        self.kafka.as_ref().map(Infrastructure::brokers)
    }
}

fn redis(run: &str) -> anyhow::Result<[String; 5]> {
    let url = variable(REDIS_VARIABLE).with_context(|| format!("{REDIS_VARIABLE} is not set"))?;
    let login = url.strip_prefix("redis://:").and_then(|rest| rest.split_once('@'));
    let (password, address) = login.with_context(|| format!("{REDIS_VARIABLE} is not redis://:PASSWORD@HOST:PORT"))?;
    let (host, port) = address.split_once(':').context("no port of Redis")?;
    Ok([
        "user_service.sessions=redis".to_owned(),
        format!("redis.host={host}"),
        format!("redis.port={port}"),
        format!("redis.password={password}"),
        format!("redis.key_prefix=e2e-{run}"),
    ])
}
