//! Records go through the route: in order for each key, and otherwise at the same time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt as _};

use crate::exchange::{Body, Exception, Exchange, Headers, Message, Text, Value, class};
use crate::run::{BoxFuture, Inlet};

use super::consume::{RETRY_FIRST, RETRY_MAX};
use super::ledger::Ledger;
use super::outbox::{Outbox, Scope};
use super::send::KEY;
use super::{Failure, InRecord, Place, Transport};

/// What has to be in order: records of one key, or of one partition if they have none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Lane(Place, Option<Bytes>);

type Passed = (Lane, Arc<InRecord>, Exchange);

/// What became of a record, and the lane that waited for it.
type Ended = (Place, i64, Option<Lane>);

pub(super) struct Lanes {
    inlet: Inlet,
    transport: Arc<dyn Transport>,
    group: Arc<str>,
    /// The largest value that goes through the steps.
    body_bytes_max: usize,
    /// Records whose lane is busy; a lane stands here as long as one of its records is in the steps.
    waiting: HashMap<Lane, VecDeque<Arc<InRecord>>>,
    /// Records in the steps.
    steps: FuturesUnordered<BoxFuture<'static, Passed>>,
    /// Records that have been through the steps, and wait for acknowledgements.
    ends: FuturesUnordered<BoxFuture<'static, Ended>>,
    /// How many records of each partition are in the steps or wait for acknowledgements.
    busy: HashMap<Place, usize>,
    pub(super) ledger: Ledger,
    /// The transaction that is open.
    scope: Option<Scope>,
}

impl Lanes {
    pub(super) fn new(inlet: Inlet, transport: Arc<dyn Transport>, group: String, body_bytes_max: usize) -> Self {
        Self {
            inlet,
            transport,
            group: Arc::from(group),
            body_bytes_max,
            waiting: HashMap::new(),
            steps: FuturesUnordered::new(),
            ends: FuturesUnordered::new(),
            busy: HashMap::new(),
            ledger: Ledger::default(),
            scope: None,
        }
    }

    /// Has what begins from now on be part of a transaction, or of none.
    pub(super) fn transact(&mut self, scope: Option<Scope>) {
        self.scope = scope;
    }

    /// Gives up all that is under way.
    pub(super) fn cut_off(&mut self) {
        self.waiting.clear();
        self.steps.clear();
        self.ends.clear();
        self.busy.clear();
        self.ledger = Ledger::default();
    }

    /// How many records are in the steps or wait for acknowledgements; those that wait for their key are not.
    pub(super) fn under_way(&self) -> usize {
        self.steps.len() + self.ends.len()
    }

    /// Whether nothing of these partitions is under way.
    pub(super) fn is_idle(&self, places: &[Place]) -> bool {
        places.iter().all(|place| !self.busy.contains_key(place))
    }

    /// Takes a record; true if it is finished at once.
    pub(super) fn begin(&mut self, record: InRecord) -> bool {
        let place = (record.topic.clone(), record.partition);
        self.ledger.begin(&place, record.offset, record.bytes());
        if !self.transport.is_for(&record, &self.group) {
            self.ledger.end(&place, record.offset);
            return true;
        }
        let lane = Lane(place, record.key.clone());
        let record = Arc::new(record);
        match self.waiting.get_mut(&lane) {
            Some(waiting) => waiting.push_back(record),
            None => {
                self.waiting.insert(lane.clone(), VecDeque::new());
                self.enter(lane, record);
            }
        }
        false
    }

    /// Forgets the records of partitions that have not entered the steps: somebody else reads them.
    pub(super) fn drop_waiting(&mut self, places: &[Place]) {
        for (Lane(place, _), waiting) in &mut self.waiting {
            if places.contains(place) {
                waiting.clear();
            }
        }
    }

    /// Forgets all records that have not entered the steps; they stay open, so that no commit passes them.
    pub(super) fn drop_all_waiting(&mut self) {
        self.waiting.values_mut().for_each(VecDeque::clear);
    }

    /// Waits until something that is under way comes further; true if a record is finished.
    pub(super) async fn step(&mut self) -> bool {
        tokio::select! {
            biased;
            Some(passed) = self.steps.next() => {
                self.passed(passed);
                false
            }
            Some((place, offset, lane)) = self.ends.next() => {
                self.ended(&place, offset, lane);
                true
            }
            else => false,
        }
    }

    fn enter(&mut self, lane: Lane, record: Arc<InRecord>) {
        *self.busy.entry(lane.0.clone()).or_default() += 1;
        let (inlet, identity) = (self.inlet.clone(), self.transport.identity(&record));
        let (bytes, bytes_max) = (record.value.as_ref().map_or(0, Bytes::len), self.body_bytes_max);
        let outbox = self.scope.clone().map(|scope| Arc::new(Outbox::new(scope)));
        self.steps.push(Box::pin(async move {
            let mut exchange = exchange(&inlet, &record);
            exchange.follow(identity);
            exchange.came_from(record.place());
            exchange.answer_for();
            if let Some(outbox) = outbox.clone() {
                exchange.accompany(outbox);
            }
            if bytes > bytes_max {
                let message = format!("the record has {bytes} bytes, and a body has {bytes_max} at the most");
                exchange.fail(Exception::new(&class::ILLEGAL_ARGUMENT, message));
            } else {
                inlet.call(&mut exchange).await;
            }
            if let Some(outbox) = outbox {
                let _waiting = inlet.route().stats.wait();
                // Before the next of its key, so that what both send is in order.
                outbox.hand_over(exchange.is_failed()).await;
            }
            (lane, record, exchange)
        }));
    }

    /// A record has been through the steps: the next of its key may go, unless this one failed.
    fn passed(&mut self, (lane, record, mut exchange): Passed) {
        let (inlet, transport, group) = (self.inlet.clone(), Arc::clone(&self.transport), Arc::clone(&self.group));
        let holds = exchange.is_failed();
        let held = holds.then(|| lane.clone());
        self.ends.push(Box::pin(async move {
            let outbox = exchange.companion::<Outbox>();
            if let Some(outbox) = &outbox {
                let _waiting = inlet.route().stats.wait();
                if let Err(exception) = outbox.settle().await {
                    exchange.pending.add(std::future::ready(Err(exception)));
                }
            }
            let lost = outbox.as_ref().and_then(|outbox| outbox.lost());
            if let Some(why) = lost.filter(|_| !exchange.is_failed()) {
                // However satisfied error handling is: what the steps keep for one that is through is not kept.
                exchange.resume();
                exchange.fail(why.clone());
            }
            inlet.end(&mut exchange).await;
            let lost = outbox.as_ref().and_then(|outbox| outbox.lost());
            let failed = exchange.exception().filter(|_| exchange.is_failed());
            if let Some(exception) = failed.or(lost) {
                let _waiting = inlet.route().stats.wait();
                let scope = outbox.as_ref().map(|outbox| outbox.scope());
                bury(&inlet, &*transport, &group, &record, (&exchange, exception), scope).await;
            }
            if let Some(outbox) = outbox {
                outbox.close();
            }
            ((record.topic.clone(), record.partition), record.offset, held)
        }));
        if !holds {
            self.free(lane);
        }
    }

    fn ended(&mut self, place: &Place, offset: i64, held: Option<Lane>) {
        self.ledger.end(place, offset);
        if let Some(busy) = self.busy.get_mut(place) {
            *busy -= 1;
            if *busy == 0 {
                self.busy.remove(place);
            }
        }
        if let Some(lane) = held {
            self.free(lane);
        }
    }

    fn free(&mut self, lane: Lane) {
        match self.waiting.get_mut(&lane).and_then(VecDeque::pop_front) {
            Some(next) => self.enter(lane, next),
            None => {
                self.waiting.remove(&lane);
            }
        }
    }
}

const COUNTER: &str = "CamelRedeliveryCounter";

/// Sends a record to the dead letters, again and again until it is there or its transaction is lost.
async fn bury(
    inlet: &Inlet,
    transport: &dyn Transport,
    group: &str,
    record: &InRecord,
    (exchange, exception): (&Exchange, &Exception),
    scope: Option<&Scope>,
) {
    let tried = exchange.message.header(COUNTER).and_then(Value::to_integer).and_then(|n| u32::try_from(n).ok());
    let failure = Failure {
        exception,
        group,
        attempts: tried.unwrap_or(0).saturating_add(1),
        first_ms: exchange.created_ms,
        last_ms: inlet.core().surroundings.clock.now_ms(),
    };
    match scope {
        None => send_letter(inlet, transport, record, &failure).await,
        Some(scope) => {
            scope.bury(&transport.dead_letter(record, &failure)).await;
            if scope.is_doomed() {
                return;
            }
        }
    }
    inlet.route().bury(inlet.route().failed_step(exchange).as_deref());
    tracing::error!(
        route = %inlet.route().id(), topic = %record.topic, partition = record.partition, offset = record.offset,
        class = exception.class().name, "record became a dead letter"
    );
}

async fn send_letter(inlet: &Inlet, transport: &dyn Transport, record: &InRecord, failure: &Failure<'_>) {
    let mut wait = RETRY_FIRST;
    loop {
        let sent = match transport.send(transport.dead_letter(record, failure)).await {
            Ok(acknowledged) => acknowledged.await,
            Err(exception) => Err(exception),
        };
        let Err(refused) = sent else { return };
        tracing::error!(
            route = %inlet.route().id(), topic = %record.topic, partition = record.partition, offset = record.offset,
            class = refused.class().name, "dead letter was not acknowledged, its key stands still"
        );
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
}

fn exchange(inlet: &Inlet, record: &InRecord) -> Exchange {
    // What is no text goes through as it is.
    let text = |bytes: &Bytes| match std::str::from_utf8(bytes) {
        Ok(text) => Value::Text(Text::from(text)),
        Err(_) => Value::Bytes(bytes.clone()),
    };
    let mut message = Message::new(Body::new(record.value.as_ref().map_or(Value::Null, text)));
    let headers = &mut message.headers;
    // Whoever may write to the topic does not say what the route's steps do.
    let said = record.headers.iter().filter(|(name, _)| !Headers::is_reserved(name));
    headers.extend(said.map(|(name, value)| (name.clone(), Value::Bytes(value.clone()))));
    if let Some(key) = &record.key {
        headers.set(Text::fixed(KEY), text(key));
    }
    headers.set(Text::fixed("kafka.TOPIC"), Value::Text(record.topic.clone()));
    headers.set(Text::fixed("kafka.PARTITION"), Value::Integer(i64::from(record.partition)));
    headers.set(Text::fixed("kafka.OFFSET"), Value::Integer(record.offset));
    headers.set(Text::fixed("kafka.TIMESTAMP"), Value::Integer(record.timestamp_ms));
    inlet.exchange(message)
}
