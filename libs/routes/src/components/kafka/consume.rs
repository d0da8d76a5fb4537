//! Records go through the route: in order for each key, and otherwise at the same time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::{Instant, sleep_until};

use crate::components::Consumer;
use crate::exchange::{Body, Exception, Exchange, Message, Text, Value, class};
use crate::run::{BoxFuture, Inlet};

use super::ledger::Ledger;
use super::send::KEY;
use super::{InRecord, Reader, Subscription, Transport};

/// How long offsets that may be committed wait for others.
const COMMIT_EVERY: Duration = Duration::from_millis(100);

/// The first wait after the client could not do something, and the longest.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Source {
    pub(super) wanted: Subscription,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) in_flight_max: usize,
}

impl Consumer for Source {
    fn start(&self, inlet: Inlet) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let reader = self.transport.subscribe(self.wanted.clone()).await?;
            let lanes = Lanes {
                inlet: inlet.clone(),
                transport: Arc::clone(&self.transport),
                in_flight_max: self.in_flight_max,
                waiting: HashMap::new(),
                steps: FuturesUnordered::new(),
                ends: FuturesUnordered::new(),
                ledger: Ledger::default(),
                in_flight: 0,
            };
            inlet.spawn(lanes.run(reader));
            Ok(())
        })
    }
}

/// What has to be in order: records of one key, or of one partition if they have none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Lane(Text, i32, Option<Bytes>);

type Passed = (Lane, Arc<InRecord>, Exchange);

struct Lanes {
    inlet: Inlet,
    transport: Arc<dyn Transport>,
    in_flight_max: usize,
    /// Records whose lane is busy; a lane stands here as long as one of its records is in the steps.
    waiting: HashMap<Lane, VecDeque<Arc<InRecord>>>,
    /// Records in the steps.
    steps: FuturesUnordered<BoxFuture<'static, Passed>>,
    /// Records that have been through the steps, and wait for acknowledgements.
    ends: FuturesUnordered<BoxFuture<'static, (Option<Lane>, Arc<InRecord>)>>,
    ledger: Ledger,
    in_flight: usize,
}

impl Lanes {
    async fn run(mut self, mut reader: Box<dyn Reader>) {
        let mut commit_at: Option<Instant> = None;
        let mut retry = RETRY_FIRST;
        let mut read_at = Instant::now();
        let mut is_stopping = false;
        while !(is_stopping && self.in_flight == 0) {
            let room = self.in_flight_max.saturating_sub(self.in_flight);
            let inlet = self.inlet.clone();
            tokio::select! {
                biased;
                Some(passed) = self.steps.next() => self.passed(passed),
                Some((lane, record)) = self.ends.next() => {
                    self.ended(lane, &record);
                    commit_at.get_or_insert_with(|| Instant::now() + COMMIT_EVERY);
                }
                () = until(commit_at) => {
                    commit_at = None;
                    self.commit(&mut *reader).await;
                }
                () = inlet.stopped(), if !is_stopping => is_stopping = true,
                records = read(&mut *reader, read_at, room), if room > 0 && !is_stopping => match records {
                    Ok(records) => {
                        retry = RETRY_FIRST;
                        for record in records {
                            self.begin(record);
                        }
                    }
                    Err(reason) => {
                        tracing::warn!(route = %self.inlet.route().id(), reason, "records cannot be read yet");
                        read_at = Instant::now() + retry;
                        retry = (retry * 2).min(RETRY_MAX);
                    }
                },
            }
        }
        self.commit(&mut *reader).await;
    }

    async fn commit(&mut self, reader: &mut dyn Reader) {
        let due = self.ledger.due();
        if due.is_empty() {
            return;
        }
        if let Err(reason) = reader.commit(due).await {
            // The records come again, or the next commit has them too.
            tracing::warn!(route = %self.inlet.route().id(), reason, "offsets were not committed");
        }
    }

    fn begin(&mut self, record: InRecord) {
        self.ledger.begin(&record.topic, record.partition, record.offset);
        self.in_flight += 1;
        let lane = Lane(record.topic.clone(), record.partition, record.key.clone());
        let record = Arc::new(record);
        match self.waiting.get_mut(&lane) {
            Some(waiting) => waiting.push_back(record),
            None => {
                self.waiting.insert(lane.clone(), VecDeque::new());
                self.step(lane, record);
            }
        }
    }

    fn step(&mut self, lane: Lane, record: Arc<InRecord>) {
        let inlet = self.inlet.clone();
        self.steps.push(Box::pin(async move {
            let mut exchange = exchange(&inlet, &record);
            inlet.call(&mut exchange).await;
            (lane, record, exchange)
        }));
    }

    /// A record has been through the steps: the next of its key may go, unless this one failed.
    fn passed(&mut self, (lane, record, mut exchange): Passed) {
        let (inlet, transport) = (self.inlet.clone(), Arc::clone(&self.transport));
        let holds = exchange.is_failed();
        let held = holds.then(|| lane.clone());
        self.ends.push(Box::pin(async move {
            inlet.end(&mut exchange).await;
            if let Some(failure) = exchange.exception().cloned() {
                bury(&inlet, &*transport, &record, &failure).await;
            }
            (held, record)
        }));
        if !holds {
            self.free(lane);
        }
    }

    fn ended(&mut self, held: Option<Lane>, record: &InRecord) {
        self.ledger.end(&record.topic, record.partition, record.offset);
        self.in_flight -= 1;
        if let Some(lane) = held {
            self.free(lane);
        }
    }

    fn free(&mut self, lane: Lane) {
        match self.waiting.get_mut(&lane).and_then(VecDeque::pop_front) {
            Some(next) => self.step(lane, next),
            None => {
                self.waiting.remove(&lane);
            }
        }
    }
}

async fn read(reader: &mut dyn Reader, not_before: Instant, room: usize) -> Result<Vec<InRecord>, String> {
    sleep_until(not_before).await;
    reader.next(room).await
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Sends a record to the dead letters, again and again until it is there.
async fn bury(inlet: &Inlet, transport: &dyn Transport, record: &InRecord, failure: &Exception) {
    let mut wait = RETRY_FIRST;
    loop {
        let sent = match transport.send(transport.dead_letter(record, failure)).await {
            Ok(acknowledged) => acknowledged.await,
            Err(exception) => Err(exception),
        };
        let Err(exception) = sent else { return };
        debug_assert!(exception.class().is_a(&class::THROWABLE), "the table says so");
        tracing::error!(
            route = %inlet.route().id(), topic = %record.topic, partition = record.partition, offset = record.offset,
            class = exception.class().name, "dead letter was not acknowledged, its key stands still"
        );
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
}

fn exchange(inlet: &Inlet, record: &InRecord) -> Exchange {
    let text = |bytes: &Bytes| Value::Text(Text::from(&*String::from_utf8_lossy(bytes)));
    let mut message = Message::new(Body::new(record.value.as_ref().map_or(Value::Null, text)));
    let headers = &mut message.headers;
    headers.extend(record.headers.iter().map(|(name, value)| (name.clone(), Value::Bytes(value.clone()))));
    if let Some(key) = &record.key {
        headers.set(Text::fixed(KEY), text(key));
    }
    headers.set(Text::fixed("kafka.TOPIC"), Value::Text(record.topic.clone()));
    headers.set(Text::fixed("kafka.PARTITION"), Value::Integer(i64::from(record.partition)));
    headers.set(Text::fixed("kafka.OFFSET"), Value::Integer(record.offset));
    headers.set(Text::fixed("kafka.TIMESTAMP"), Value::Integer(record.timestamp_ms));
    inlet.exchange(message)
}
