//! eventkit's outbox and inbox keep their contracts on SQLite and PostgreSQL; what breaks a contract is caught.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use db::{Config, Db};
use eventkit::testing::store_suites::{DbInbox, DbOutbox, InboxUnderTest, OutboxUnderTest, Told};
use eventkit::testing::{inbox_suite, outbox_suite};
use eventkit::{Clock, EventPublisher};
use futures::FutureExt;
use tempfile::TempDir;

use crate::support::postgres;

async fn publishers() -> Vec<(EventPublisher, TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Config::new(format!("sqlite:{}", folder.path().join("test.db").display()));
    let mut publishers = Vec::new();
    for (config, folder) in [(Some(sqlite), folder), (postgres(), tempfile::tempdir().unwrap())] {
        let Some(config) = config else { continue };
        let db = Db::open(&config).await.unwrap();
        eventkit::outbox::migrate(&db).await.unwrap();
        db.migrate("suite", &[DbInbox::MIGRATION]).await.unwrap();
        publishers.push((EventPublisher::new(db, "suite", Clock::system()), folder));
    }
    publishers
}

#[tokio::test]
async fn the_outbox_keeps_its_contract() {
    for (publisher, _folder) in publishers().await {
        outbox_suite(&DbOutbox(publisher)).await;
    }
}

#[tokio::test]
async fn the_inbox_keeps_its_contract() {
    for (publisher, _folder) in publishers().await {
        inbox_suite(&DbInbox(publisher)).await;
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum OutboxFlaw {
    None,
    KeepsWhatWasUndone,
    TellsTooEarly,
    TellsLatestFirst,
    RepeatsSequences,
    MixesUpAUnit,
    StartsOverWhenReading,
}

/// An outbox in memory with one flaw.
struct BrokenOutbox(OutboxFlaw, Mutex<Vec<Told>>);

impl BrokenOutbox {
    fn keep(&self, keys: Vec<(String, String)>) {
        let mut told = self.1.lock().unwrap();
        for (key, event_id) in keys {
            let before = told.iter().filter(|told| told.key == key).count();
            let before = if self.0 == OutboxFlaw::RepeatsSequences { 0 } else { before };
            let position = i64::try_from(told.len()).unwrap() + 1;
            told.push(Told { position, key, sequence: i64::try_from(before).unwrap() + 1, event_id });
        }
    }
}

#[async_trait]
impl OutboxUnderTest for BrokenOutbox {
    type Unit = Vec<(String, String)>;

    async fn begin(&self) -> Self::Unit {
        Vec::new()
    }

    async fn append(&self, unit: &mut Self::Unit, key: &str) -> String {
        let event_id = uuid::Uuid::now_v7().to_string();
        unit.push((key.to_owned(), event_id.clone()));
        if self.0 == OutboxFlaw::TellsTooEarly && unit.len() == 1 && self.1.lock().unwrap().is_empty() {
            // The suite's first unit is undone, its second one is looked at while it is open.
            static SECOND: AtomicBool = AtomicBool::new(false);
            if SECOND.swap(true, Ordering::SeqCst) {
                self.keep(std::mem::take(unit));
            }
        }
        event_id
    }

    async fn commit(&self, mut unit: Self::Unit) {
        if self.0 == OutboxFlaw::MixesUpAUnit && unit.len() > 1 {
            unit.swap(0, 1);
        }
        self.keep(unit);
    }

    async fn roll_back(&self, unit: Self::Unit) {
        if self.0 == OutboxFlaw::KeepsWhatWasUndone {
            self.keep(unit);
        }
    }

    async fn read_after(&self, position: i64, limit: usize) -> Vec<Told> {
        let position = if self.0 == OutboxFlaw::StartsOverWhenReading { 0 } else { position };
        let mut told = self.1.lock().unwrap().clone();
        if self.0 == OutboxFlaw::TellsLatestFirst {
            told.reverse();
        }
        told.into_iter().filter(|told| told.position > position).take(limit).collect()
    }
}

#[tokio::test]
async fn every_broken_outbox_is_caught() {
    use OutboxFlaw as Flaw;
    let broken = |flaw| BrokenOutbox(flaw, Mutex::default());
    outbox_suite(&broken(Flaw::None)).await;
    for flaw in [
        Flaw::KeepsWhatWasUndone,
        Flaw::TellsTooEarly,
        Flaw::TellsLatestFirst,
        Flaw::RepeatsSequences,
        Flaw::MixesUpAUnit,
        Flaw::StartsOverWhenReading,
    ] {
        let outbox = broken(flaw);
        let run = std::panic::AssertUnwindSafe(outbox_suite(&outbox)).catch_unwind().await;
        assert!(run.is_err(), "an outbox passed that {flaw:?}");
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum InboxFlaw {
    None,
    RecordsBeforeTheEffect,
    RecordsNothing,
    MixesUpGroups,
    MixesUpHandlers,
    KeepsEffectsOfFailures,
    ForgetsOtherGroups,
}

/// An inbox in memory with one flaw: what is recorded, and the effects.
struct BrokenInbox(InboxFlaw, Mutex<(Vec<[String; 3]>, Vec<String>)>);

#[async_trait]
impl InboxUnderTest for BrokenInbox {
    async fn handle(&self, group: &str, handler: &'static str, identity: &str, fails: bool) {
        let name = [
            if self.0 == InboxFlaw::MixesUpGroups { "" } else { group }.to_owned(),
            if self.0 == InboxFlaw::MixesUpHandlers { "" } else { handler }.to_owned(),
            identity.to_owned(),
        ];
        let mut state = self.1.lock().unwrap();
        if state.0.contains(&name) {
            return;
        }
        let records = self.0 != InboxFlaw::RecordsNothing;
        if records && (!fails || self.0 == InboxFlaw::RecordsBeforeTheEffect) {
            state.0.push(name);
        }
        if !fails || self.0 == InboxFlaw::KeepsEffectsOfFailures {
            state.1.push(format!("{group}/{handler}/{identity}"));
        }
    }

    async fn effects(&self) -> Vec<String> {
        self.1.lock().unwrap().1.clone()
    }

    async fn expire(&self, group: &str) {
        let all = self.0 == InboxFlaw::ForgetsOtherGroups;
        self.1.lock().unwrap().0.retain(|name| !all && name[0] != group);
    }
}

#[tokio::test]
async fn every_broken_inbox_is_caught() {
    use InboxFlaw as Flaw;
    let broken = |flaw| BrokenInbox(flaw, Mutex::default());
    inbox_suite(&broken(Flaw::None)).await;
    for flaw in [
        Flaw::RecordsBeforeTheEffect,
        Flaw::RecordsNothing,
        Flaw::MixesUpGroups,
        Flaw::MixesUpHandlers,
        Flaw::KeepsEffectsOfFailures,
        Flaw::ForgetsOtherGroups,
    ] {
        let inbox = broken(flaw);
        let run = std::panic::AssertUnwindSafe(inbox_suite(&inbox)).catch_unwind().await;
        assert!(run.is_err(), "an inbox passed that {flaw:?}");
    }
}
