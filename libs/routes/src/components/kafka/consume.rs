//! A route reads topics: joins its group, hands records to their lanes, commits what is finished.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::components::Consumer;
use crate::run::{BoxFuture, Inlet};

use super::lanes::Lanes;
use super::transacted::Transacted;
use super::{Incoming, Place, Reader, Subscription, Transaction, Transport};

/// How long offsets that may be committed wait for others.
const COMMIT_EVERY: Duration = Duration::from_millis(100);

/// How long partitions that go to somebody else are held back for what is under way in them.
const LET_GO_MAX: Duration = Duration::from_secs(5);

/// The first wait after the client could not do something, and the longest.
pub(super) const RETRY_FIRST: Duration = Duration::from_millis(50);
pub(super) const RETRY_MAX: Duration = Duration::from_secs(5);

/// Partitions that go to somebody else as soon as it is dropped; `until` is the latest time for that.
pub(super) struct Leaving {
    pub(super) places: Vec<Place>,
    pub(super) until: Instant,
    _done: Box<dyn Send>,
}

impl Leaving {
    pub(super) fn new(places: Vec<Place>, done: Box<dyn Send>) -> Self {
        Self { places, until: Instant::now() + LET_GO_MAX, _done: done }
    }
}

#[derive(Debug)]
pub(super) struct Source {
    pub(super) wanted: Subscription,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) in_flight_max: usize,
    pub(super) open_max: usize,
    pub(super) open_bytes_max: usize,
    pub(super) body_bytes_max: usize,
}

impl Consumer for Source {
    fn start(&self, inlet: Inlet) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let wanted = Subscription { route: inlet.route().id().clone(), ..self.wanted.clone() };
            let reader = self.transport.subscribe(wanted.clone()).await?;
            if wanted.transacted && reader.transaction().is_none() {
                reader.close().await;
                return Err("`transacted`: there are no transactions here".to_owned());
            }
            let group = wanted.group.clone();
            let lanes = Lanes::new(inlet.clone(), Arc::clone(&self.transport), group, self.body_bytes_max);
            let reading = Reading {
                wanted,
                inlet: inlet.clone(),
                transport: Arc::clone(&self.transport),
                in_flight_max: self.in_flight_max,
                open_max: self.open_max,
                open_bytes_max: self.open_bytes_max,
                lanes,
                leaving: Vec::new(),
                commit_at: None,
                is_commit_failing: false,
            };
            inlet.spawn(reading.run(reader));
            Ok(())
        })
    }
}

struct Reading {
    wanted: Subscription,
    inlet: Inlet,
    transport: Arc<dyn Transport>,
    in_flight_max: usize,
    /// How many records of a partition may be unfinished, and how large they may be together, before it is not read for
    /// a while.
    open_max: usize,
    open_bytes_max: usize,
    lanes: Lanes,
    leaving: Vec<Leaving>,
    commit_at: Option<Instant>,
    is_commit_failing: bool,
}

impl Reading {
    /// Reads until the route stops; a membership that ends is followed by another.
    async fn run(mut self, mut reader: Box<dyn Reader>) {
        let mut retry = RETRY_FIRST;
        loop {
            let began = Instant::now();
            let outcome = match reader.transaction() {
                None => self.read(&mut *reader).await,
                Some(transaction) => self.transact(transaction, &mut *reader).await,
            };
            // Whoever reads the partitions next begins where this one ended.
            self.drain(&mut *reader).await;
            reader.close().await;
            let Err(reason) = outcome else { return };
            tracing::warn!(route = %self.inlet.route().id(), reason, "membership in the group ended, and is begun anew");
            if began.elapsed() > RETRY_MAX {
                retry = RETRY_FIRST;
            }
            loop {
                tokio::select! {
                    () = self.inlet.stopped() => return,
                    () = tokio::time::sleep(retry) => {}
                }
                retry = (retry * 2).min(RETRY_MAX);
                match self.transport.subscribe(self.wanted.clone()).await {
                    Ok(next) => {
                        reader = next;
                        break;
                    }
                    Err(reason) => tracing::warn!(route = %self.inlet.route().id(), reason, "group cannot be joined"),
                }
            }
        }
    }

    /// Takes records and lets them end. Comes back when the route is to stop, or when the membership is over.
    async fn read(&mut self, reader: &mut dyn Reader) -> Result<(), String> {
        loop {
            self.let_go(reader).await;
            for (place, is_paused) in self.lanes.ledger.pauses(self.open_max, self.open_bytes_max) {
                reader.pause(&place, is_paused);
            }
            let room = self.in_flight_max.saturating_sub(self.lanes.under_way());
            let let_go_at = self.leaving.iter().map(|leaving| leaving.until).min();
            let inlet = self.inlet.clone();
            tokio::select! {
                biased;
                is_finished = self.lanes.step(), if self.lanes.under_way() > 0 => {
                    if is_finished {
                        self.commit_at.get_or_insert_with(|| Instant::now() + COMMIT_EVERY);
                    }
                }
                () = until(self.commit_at) => self.commit(reader).await,
                () = until(let_go_at) => {}
                () = inlet.stopped() => return Ok(()),
                incoming = reader.next(room) => self.take(incoming?),
            }
        }
    }

    /// As [`Self::read`], in transactions; what has not been committed by them is left to whoever reads next.
    async fn transact(&mut self, transaction: Arc<dyn Transaction>, reader: &mut dyn Reader) -> Result<(), String> {
        let inlet = self.inlet.clone();
        let outcome = Transacted::new(inlet, transaction, self.in_flight_max, &mut self.lanes).read(reader).await;
        self.lanes.cut_off();
        outcome
    }

    fn take(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Records(records) => {
                for record in records {
                    if self.lanes.begin(record) {
                        self.commit_at.get_or_insert_with(|| Instant::now() + COMMIT_EVERY);
                    }
                }
            }
            Incoming::Assigned(places) => places.iter().for_each(|place| self.lanes.ledger.forget(place)),
            Incoming::Revoked { places, done } => {
                self.lanes.drop_waiting(&places);
                self.leaving.push(Leaving::new(places, done));
            }
        }
    }

    /// Lets go of partitions in which nothing is under way any more, or whose time is over.
    async fn let_go(&mut self, reader: &mut dyn Reader) {
        let now = Instant::now();
        let (gone, still): (Vec<_>, Vec<_>) = std::mem::take(&mut self.leaving)
            .into_iter()
            .partition(|leaving| leaving.until <= now || self.lanes.is_idle(&leaving.places));
        self.leaving = still;
        if gone.is_empty() {
            return;
        }
        self.commit(reader).await;
        for place in gone.iter().flat_map(|leaving| &leaving.places) {
            self.lanes.ledger.forget(place);
        }
    }

    /// Lets everything end that has begun, and commits it. What only waits for its key has not begun: it comes again.
    async fn drain(&mut self, reader: &mut dyn Reader) {
        self.lanes.drop_all_waiting();
        while self.lanes.under_way() > 0 {
            tokio::select! {
                biased;
                is_finished = self.lanes.step() => {
                    if is_finished {
                        self.commit_at.get_or_insert_with(|| Instant::now() + COMMIT_EVERY);
                    }
                }
                () = until(self.commit_at) => self.commit(reader).await,
            }
            self.let_go(reader).await;
        }
        self.commit(reader).await;
        self.leaving.clear();
        self.lanes.ledger = Default::default();
    }

    async fn commit(&mut self, reader: &mut dyn Reader) {
        self.commit_at = None;
        let due = self.lanes.ledger.due();
        if due.is_empty() {
            return;
        }
        match reader.commit(due.clone()).await {
            Ok(()) => {
                self.is_commit_failing = false;
                self.lanes.ledger.committed(&due);
            }
            // The next commit has them too; if there is none, the records come again.
            Err(reason) => {
                if !std::mem::replace(&mut self.is_commit_failing, true) {
                    tracing::warn!(route = %self.inlet.route().id(), reason, "offsets are not committed yet");
                }
                self.commit_at = Some(Instant::now() + RETRY_FIRST * 10);
            }
        }
    }
}

pub(super) async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
