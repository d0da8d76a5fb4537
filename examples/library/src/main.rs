//! A lending library in one file: state and events in one transaction, a consumer with an inbox, retries and dead letters,
//! a look at what a replay would send, and tests without a server.
//!
//! ```text
//! library 127.0.0.1:9092 ./data ada grace ada
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use eventkit::db::{self, Db, Migration, params};
use eventkit::relay::{self, RelayConfig};
use eventkit::replay::{self, Selection};
use eventkit::transport::kafka::admin::{TopicSpec, ensure_topics};
use eventkit::transport::kafka::{KafkaConfig, KafkaTransport};
use eventkit::{
    Clock, Consumer, Event, EventPublisher, Handle, HandlerError, HandlerResult, Origin, Received, RetryPolicy,
    UnitOfWork, publish_event,
};
use serde::{Deserialize, Serialize};

const LOANS: &str = "loans";
/// How long the loans may take to come back as events.
const COUNTED_MAX: Duration = Duration::from_secs(30);

const TABLES: &[Migration] = &[Migration {
    version: 1,
    name: "loans",
    sql: "create table loans (id {{identity}}, reader text not null);
          create table readers (reader text primary key, books bigint not null)",
}];

/// A book went out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Event)]
#[event(type = "book.lent", topic = LOANS, key = "reader-{reader}")]
struct BookLent {
    loan: i64,
    reader: String,
}

/// Writes the loan and tells of it: both are committed, or neither is.
#[publish_event(event_type = BookLent, data_extractor = BookLent::clone)]
async fn lend(work: &mut UnitOfWork, reader: &str) -> eventkit::Result<BookLent> {
    let row = work.query_one("insert into loans (reader) values ($1) returning id", &params![reader]).await?;
    Ok(BookLent { loan: row.get("id")?, reader: reader.to_owned() })
}

/// Counts the books of each reader: once each, however often their events come.
struct CountBooks;

impl Handle<BookLent> for CountBooks {
    async fn handle(&self, received: &Received<BookLent>, work: &mut UnitOfWork) -> HandlerResult {
        let reader = received.event.reader.as_str();
        if reader == "nobody" {
            return Err(HandlerError::permanent("nobody borrows no books"));
        }
        let sql = "insert into readers (reader, books) values ($1, 1)
                   on conflict (reader) do update set books = readers.books + 1";
        work.execute(sql, &params![reader]).await?;
        Ok(())
    }
}

fn consumer() -> Consumer {
    Consumer::new("library-readers").on::<BookLent>(CountBooks).retry(RetryPolicy::default()).dead_letters()
}

async fn books(db: &Db) -> Result<BTreeMap<String, i64>> {
    let rows = db.query("select reader, books from readers", &[]).await?;
    rows.iter().map(|row| Ok((row.get("reader")?, row.get("books")?))).collect()
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, folder, readers @ ..] = arguments.as_slice() else { bail!("say: library BROKERS FOLDER READER…") };
    run(brokers, Path::new(folder), readers).await
}

#[allow(clippy::print_stdout, reason = "what it has to say")]
async fn run(brokers: &str, folder: &Path, readers: &[String]) -> Result<()> {
    let kafka = KafkaConfig { brokers: brokers.to_owned(), ..KafkaConfig::default() };
    let topic = |name: &str| TopicSpec { name: name.to_owned(), partitions: 3, settings: BTreeMap::new() };
    ensure_topics(&kafka, &[topic(LOANS), topic("loans.dlq")]).await.context("the topics cannot be made")?;
    let url = format!("sqlite:{}", folder.join("library.db").display());
    let db = Db::open(&db::Config::new(url)).await?;
    eventkit::outbox::migrate(&db).await?;
    db.migrate("library", TABLES).await?;
    let publisher = EventPublisher::new(db.clone(), "library", Clock::system());
    let transport = Arc::new(KafkaTransport::new(kafka)?);
    let relay = relay::start(RelayConfig::new("library", "copy-1"), publisher.clone(), transport.clone());
    let consumer = consumer().start(publisher.clone(), transport);

    let mut expected = books(&db).await?;
    for reader in readers {
        let mut work = publisher.begin(Origin::default());
        lend(&mut work, reader).await?;
        work.commit().await?;
        if reader != "nobody" {
            *expected.entry(reader.clone()).or_default() += 1;
        }
    }
    let counted = async {
        while books(&db).await? != expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(COUNTED_MAX, counted).await.context("the loans are not counted")??;
    for (reader, books) in expected {
        println!("{reader} has {books}");
    }
    for (event_type, events) in replay::preview(&db, &Selection::default()).await?.by_type {
        println!("a replay would send {events} of {event_type}");
    }
    consumer.stop().await;
    relay.stop(Duration::from_secs(5)).await;
    db.close().await;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;
    use eventkit::published;
    use eventkit::testing::Harness;

    async fn lent_to(harness: &Harness, reader: &str) -> BookLent {
        let mut work = harness.publisher().begin(Origin::default());
        let lent = lend(&mut work, reader).await.unwrap();
        work.commit().await.unwrap();
        lent
    }

    #[tokio::test]
    async fn a_loan_is_counted_once_however_often_it_comes() {
        let mut harness = Harness::new(TABLES).await;
        harness.start(consumer());
        let lent = lent_to(&harness, "ada").await;
        harness.run_until_idle().await;
        published!(harness, BookLent, [lent]);
        let record = harness.transport().records(LOANS).remove(0).record;
        harness.receive(record).await;
        harness.run_until_idle().await;
        assert_eq!(books(harness.db()).await.unwrap(), BTreeMap::from([("ada".to_owned(), 1)]));
        harness.stop().await;
    }

    #[tokio::test]
    async fn a_loan_to_nobody_becomes_a_dead_letter() {
        let mut harness = Harness::new(TABLES).await;
        harness.start(consumer());
        lent_to(&harness, "nobody").await;
        lent_to(&harness, "ada").await;
        harness.run_until_idle().await;
        assert_eq!(harness.dead_letters::<BookLent>().len(), 1);
        assert_eq!(books(harness.db()).await.unwrap(), BTreeMap::from([("ada".to_owned(), 1)]));
        harness.stop().await;
    }
}
