//! eventkit's outbox and inbox keep their contracts on SQLite and PostgreSQL; what breaks a contract is caught.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use db::{Config, Db};
use eventkit::testing::store_suites::{DbInbox, DbOutbox, InboxUnderTest, OutboxUnderTest, Told};
use eventkit::testing::{Fault, Faults, FaultyInbox, FaultyOutbox, inbox_suite, outbox_suite};
use eventkit::{Clock, EventPublisher};
use tempfile::TempDir;

use crate::support::{complaint, postgres};

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
    IgnoresTheLimit,
    GivesPlacesBeforeTheCommit,
    LosesWhatWasOpenMeanwhile,
}

/// An outbox in memory with one flaw.
struct BrokenOutbox(OutboxFlaw, Mutex<Vec<Told>>, AtomicI64);

impl BrokenOutbox {
    fn new(flaw: OutboxFlaw) -> Self {
        Self(flaw, Mutex::default(), AtomicI64::new(0))
    }

    fn next_position(&self) -> i64 {
        self.2.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn keep(&self, unit: OpenUnit) {
        let mut told = self.1.lock().unwrap();
        if self.0 == OutboxFlaw::LosesWhatWasOpenMeanwhile && told.len() > unit.began_after {
            return;
        }
        for (key, event_id, position) in unit.events {
            let before = told.iter().filter(|told| told.key == key).count();
            let before = if self.0 == OutboxFlaw::RepeatsSequences { 0 } else { before };
            let position = position.unwrap_or_else(|| self.next_position());
            told.push(Told { position, key, sequence: i64::try_from(before).unwrap() + 1, event_id });
        }
        told.sort_by_key(|told| told.position);
    }
}

/// A unit of an outbox in memory.
struct OpenUnit {
    /// How many events there were when it began.
    began_after: usize,
    /// Key, identity, and position where it has one already.
    events: Vec<(String, String, Option<i64>)>,
}

#[async_trait]
impl OutboxUnderTest for BrokenOutbox {
    type Unit = OpenUnit;

    async fn begin(&self) -> OpenUnit {
        OpenUnit { began_after: self.1.lock().unwrap().len(), events: Vec::new() }
    }

    async fn append(&self, unit: &mut OpenUnit, key: &str) -> String {
        let event_id = uuid::Uuid::now_v7().to_string();
        let has_place = self.0 == OutboxFlaw::GivesPlacesBeforeTheCommit;
        let position = has_place.then(|| self.next_position());
        unit.events.push((key.to_owned(), event_id.clone(), position));
        if self.0 == OutboxFlaw::TellsTooEarly && unit.events.len() == 1 && self.1.lock().unwrap().is_empty() {
            // The suite's first unit is undone, its second one is looked at while it is open.
            static SECOND: AtomicBool = AtomicBool::new(false);
            if SECOND.swap(true, Ordering::SeqCst) {
                let events = std::mem::take(&mut unit.events);
                self.keep(OpenUnit { events, ..*unit });
            }
        }
        event_id
    }

    async fn commit(&self, mut unit: OpenUnit) {
        if self.0 == OutboxFlaw::MixesUpAUnit && unit.events.len() > 1 {
            unit.events.swap(0, 1);
        }
        self.keep(unit);
    }

    async fn roll_back(&self, unit: OpenUnit) {
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
        let limit = if self.0 == OutboxFlaw::IgnoresTheLimit { usize::MAX } else { limit };
        told.into_iter().filter(|told| told.position > position).take(limit).collect()
    }
}

const NOT_IN_ORDER: &str = "events are told once each, in the order in which they were kept";

#[tokio::test(start_paused = true)]
async fn every_broken_outbox_is_caught() {
    use OutboxFlaw as Flaw;
    outbox_suite(&BrokenOutbox::new(Flaw::None)).await;
    for (flaw, expected) in [
        (Flaw::KeepsWhatWasUndone, "an event of a transaction that was undone is told"),
        (Flaw::TellsTooEarly, "an event is told before its transaction is kept"),
        (Flaw::TellsLatestFirst, NOT_IN_ORDER),
        (Flaw::RepeatsSequences, "an entity's events are numbered from 1 without holes"),
        (Flaw::MixesUpAUnit, NOT_IN_ORDER),
        (Flaw::StartsOverWhenReading, "reading goes on after the position that is given"),
        (Flaw::IgnoresTheLimit, "more is told than was asked for"),
        (Flaw::GivesPlacesBeforeTheCommit, "a reader goes on after what it was told and sees every event once"),
        (Flaw::LosesWhatWasOpenMeanwhile, "events of units that were open together may be read"),
    ] {
        let said = complaint(outbox_suite(&BrokenOutbox::new(flaw))).await;
        let said = said.unwrap_or_else(|| panic!("an outbox passed that {flaw:?}"));
        assert!(said.contains(expected), "of one that {flaw:?} it is said: {said}");
    }
}

/// What the suite says of an outbox whose nth call is disturbed, for each nth.
async fn outbox_verdicts(fault: Fault) -> Vec<Option<String>> {
    let mut verdicts = Vec::new();
    for nth in 1.. {
        let outbox = FaultyOutbox::new(BrokenOutbox::new(OutboxFlaw::None), Faults::nth(nth, fault));
        let said = complaint(outbox_suite(&outbox)).await;
        if outbox.calls() < nth {
            break;
        }
        verdicts.push(said);
    }
    verdicts
}

#[tokio::test(start_paused = true)]
async fn whichever_call_of_an_outbox_goes_wrong_the_suite_tells_what_is_broken() {
    let said_of = async |fault| outbox_verdicts(fault).await.into_iter().flatten().collect::<Vec<_>>();
    let tells = |said: &[String], expected: &str| {
        assert!(said.iter().any(|said| said.contains(expected)), "nothing of {expected:?}: {said:#?}");
    };
    let late = said_of(Fault::Delay(Duration::from_millis(50))).await;
    assert!(late.is_empty(), "an outbox may take its time: {late:#?}");
    for fault in [Fault::Lose, Fault::Fail] {
        let lost = said_of(fault).await;
        // A read that sees too little once is no fault: another's transaction may hold back what can be read.
        tells(&lost, "all events may be read");
        tells(&lost, "events of units that were open together may be read");
    }
    let twice = said_of(Fault::Duplicate).await;
    tells(&twice, NOT_IN_ORDER);
    tells(&twice, "more is told than was asked for");
    tells(&twice, "Duplicate has no meaning for a commit");
    let reordered = said_of(Fault::Reorder).await;
    tells(&reordered, NOT_IN_ORDER);
    tells(&reordered, "Reorder has no meaning for an append");
}

#[tokio::test]
async fn an_event_that_is_handled_twice_or_late_has_its_effect_once() {
    for (publisher, _folder) in publishers().await {
        let faults = [Fault::Duplicate, Fault::LieAboutFailure, Fault::Delay(Duration::from_millis(1))];
        inbox_suite(&FaultyInbox::new(DbInbox(publisher), Faults::cycle(faults.map(Some)))).await;
    }
}

#[tokio::test]
async fn whichever_call_of_an_inbox_goes_wrong_the_suite_tells_what_is_broken() {
    let expected = [
        (Fault::Lose, "an attempt that failed keeps the next one from its effect"),
        (Fault::Fail, "what was expired is forgotten"),
        (Fault::FailHalfway, "groups, handlers and events are told apart"),
        (Fault::Reorder, "groups, handlers and events are told apart"),
    ];
    for (fault, expected) in expected {
        let mut said = Vec::new();
        for nth in 1.. {
            let inbox = FaultyInbox::new(BrokenInbox::new(InboxFlaw::None), Faults::nth(nth, fault));
            said.extend(complaint(inbox_suite(&inbox)).await);
            if inbox.calls() < nth {
                break;
            }
        }
        assert!(said.iter().any(|said| said.contains(expected)), "nothing of {expected:?}: {said:#?}");
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
    NeverForgets,
    ChecksAndThenInserts,
}

/// An inbox in memory with one flaw: what is recorded, and the effects.
struct BrokenInbox(InboxFlaw, Mutex<(Vec<[String; 3]>, Vec<String>)>);

impl BrokenInbox {
    fn new(flaw: InboxFlaw) -> Self {
        Self(flaw, Mutex::default())
    }
}

#[async_trait]
impl InboxUnderTest for BrokenInbox {
    async fn handle(&self, group: &str, handler: &'static str, identity: &str, fails: bool) {
        let name = [
            if self.0 == InboxFlaw::MixesUpGroups { "" } else { group }.to_owned(),
            if self.0 == InboxFlaw::MixesUpHandlers { "" } else { handler }.to_owned(),
            identity.to_owned(),
        ];
        if self.0 == InboxFlaw::ChecksAndThenInserts {
            if self.1.lock().unwrap().0.contains(&name) {
                return;
            }
            tokio::task::yield_now().await;
        }
        let mut state = self.1.lock().unwrap();
        if state.0.contains(&name) && self.0 != InboxFlaw::ChecksAndThenInserts {
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
        let none = self.0 == InboxFlaw::NeverForgets;
        self.1.lock().unwrap().0.retain(|name| none || (!all && name[0] != group));
    }
}

#[tokio::test]
async fn every_broken_inbox_is_caught() {
    use InboxFlaw as Flaw;
    inbox_suite(&BrokenInbox::new(Flaw::None)).await;
    const TOLD_APART: &str = "groups, handlers and events are told apart";
    for (flaw, expected) in [
        (Flaw::RecordsBeforeTheEffect, "an attempt that failed keeps the next one from its effect"),
        (Flaw::RecordsNothing, "a redelivery had a second effect"),
        (Flaw::MixesUpGroups, TOLD_APART),
        (Flaw::MixesUpHandlers, TOLD_APART),
        (Flaw::KeepsEffectsOfFailures, "an attempt that failed left its effect"),
        (Flaw::ForgetsOtherGroups, "a group forgot what another one handled"),
        (Flaw::NeverForgets, "what was expired is forgotten"),
        (Flaw::ChecksAndThenInserts, "an event that is handled twice at a time has one effect"),
    ] {
        let said = complaint(inbox_suite(&BrokenInbox::new(flaw))).await;
        let said = said.unwrap_or_else(|| panic!("an inbox passed that {flaw:?}"));
        assert!(said.contains(expected), "of one that {flaw:?} it is said: {said}");
    }
}
