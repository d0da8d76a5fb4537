//! `seda:`: a queue in memory between routes.

mod queue;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::check::Takes;
use crate::exchange::{Exception, Exchange, Pattern, class};
use crate::run::{BoxFuture, Core, Cx, Inlet, Limits, Sending};

use super::{Component, ComponentSpec, Consumer, Endpoint, EndpointOption, Producer, Side};
use queue::{Queue, Waiting};

pub(super) static SPEC: ComponentSpec = ComponentSpec {
    name: "seda",
    about: "Puts exchanges into a queue in memory, from which another route takes them; what waits there is lost \
            when the process ends",
    path: "name",
    side: Side::Both,
    options: &[
        EndpointOption::new("size", Takes::Integer(1, 1_000_000), Side::Both, "how many may wait (1000)"),
        EndpointOption::new(
            "concurrentConsumers",
            Takes::Integer(1, 500),
            Side::From,
            "how many exchanges the route takes at a time (1)",
        ),
        EndpointOption::new(
            "waitForTaskToComplete",
            Takes::OneOf(&["Never", "IfReplyExpected", "Always"]),
            Side::To,
            "when the sender waits for the other route (IfReplyExpected)",
        ),
        EndpointOption::new("timeout", Takes::Duration, Side::To, "how long the sender waits then (30s)"),
        EndpointOption::new(
            "blockWhenFull",
            Takes::Bool,
            Side::To,
            "whether the sender waits while the queue is full (false: it fails)",
        ),
        EndpointOption::new(
            "offerTimeout",
            Takes::Duration,
            Side::To,
            "how long the sender waits while the queue is full",
        ),
        EndpointOption::new(
            "discardWhenFull",
            Takes::Bool,
            Side::To,
            "whether exchanges are dropped while the queue is full (false)",
        ),
        EndpointOption::new(
            "failIfNoConsumers",
            Takes::Bool,
            Side::To,
            "whether an exchange fails when no route takes from the queue (false)",
        ),
        EndpointOption::new(
            "discardIfNoConsumers",
            Takes::Bool,
            Side::To,
            "whether exchanges are dropped when no route takes from the queue (false)",
        ),
        EndpointOption::meaningless("pollTimeout", "the queue wakes the route"),
        EndpointOption::meaningless("purgeWhenStopping", "what waits is taken before the route stops"),
        EndpointOption::new(
            "multipleConsumers",
            Takes::Refused("use `multicast` before the queues"),
            Side::Both,
            "use `multicast` before the queues",
        ),
    ],
};

pub(super) fn make(limits: &Limits) -> Arc<dyn Component> {
    let (queue_max, queues_max) = (limits.queue_max, limits.endpoints_max * 2);
    Arc::new(Seda { queue_max, queues_max, queues: Arc::default() })
}

#[derive(Debug)]
struct Seda {
    queue_max: usize,
    /// More than are kept for addresses that depend on the message, so that those can go.
    queues_max: usize,
    queues: Queues,
}

type Queues = Arc<Mutex<HashMap<String, Known>>>;

/// A queue, and the size that the files say which were read last.
#[derive(Debug)]
struct Known {
    queue: Queue,
    said: Option<usize>,
}

impl Seda {
    /// The queue of an endpoint; whatever names its size names the same.
    fn queue(&self, endpoint: &Endpoint) -> Result<Queue, String> {
        let wanted = endpoint.count("size");
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if queues.len() >= self.queues_max && !queues.contains_key(&endpoint.text.path) {
            queues.retain(|_, known| known.queue.is_of_use());
            if queues.len() >= self.queues_max {
                let (queues_max, name) = (self.queues_max, &endpoint.text.path);
                return Err(format!("there are {queues_max} queues already, and `seda:{name}` would be one more"));
            }
        }
        let known = queues
            .entry(endpoint.text.path.clone())
            .or_insert_with(|| Known { queue: Queue::new(wanted.unwrap_or(self.queue_max)), said: None });
        match (known.said, wanted) {
            (Some(said), Some(wanted)) if said != wanted => Err(format!(
                "queue `seda:{}` has the size {said} already: write the same size wherever it stands",
                endpoint.text.path,
            )),
            (said, wanted) => {
                known.said = said.or(wanted);
                Ok(known.queue.clone())
            }
        }
    }
}

impl Component for Seda {
    fn spec(&self) -> &'static ComponentSpec {
        &SPEC
    }

    /// The files that are read now say anew how large queues are.
    fn begin(&self) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.values_mut().for_each(|known| known.said = None);
    }

    fn producer(&self, endpoint: Endpoint, _: &Core) -> Result<Arc<dyn Producer>, String> {
        let offer_ms = endpoint.duration_ms("offerTimeout");
        Ok(Arc::new(Offer {
            queue: self.queue(&endpoint)?,
            size: endpoint.count("size"),
            waits: endpoint.word("waitForTaskToComplete").unwrap_or_else(|| "IfReplyExpected".to_owned()),
            timeout: Duration::from_millis(endpoint.duration_ms("timeout").unwrap_or(30_000)),
            blocks: endpoint.flag("blockWhenFull").unwrap_or(false) || offer_ms.is_some(),
            offer_timeout: offer_ms.map(Duration::from_millis),
            discards: endpoint.flag("discardWhenFull").unwrap_or(false),
            needs_consumer: endpoint.flag("failIfNoConsumers").unwrap_or(false),
            discards_without_consumer: endpoint.flag("discardIfNoConsumers").unwrap_or(false),
            name: endpoint.text.path,
        }))
    }

    fn consumer(&self, endpoint: Endpoint, _: &Core) -> Result<Box<dyn Consumer>, String> {
        let takers = endpoint.count("concurrentConsumers").unwrap_or(1);
        Ok(Box::new(Takers {
            queue: self.queue(&endpoint)?,
            size: endpoint.count("size"),
            queue_max: self.queue_max,
            queues: Arc::clone(&self.queues),
            name: endpoint.text.path,
            takers,
        }))
    }
}

#[derive(Debug)]
struct Offer {
    name: String,
    queue: Queue,
    size: Option<usize>,
    waits: String,
    timeout: Duration,
    blocks: bool,
    offer_timeout: Option<Duration>,
    discards: bool,
    needs_consumer: bool,
    discards_without_consumer: bool,
}

impl Producer for Offer {
    fn send<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Sending<'e> {
        if let Some(size) = self.size {
            self.queue.resize(size);
        }
        if !self.queue.has_takers() {
            if self.discards_without_consumer {
                return Sending::Done(Ok(()));
            }
            if self.needs_consumer {
                let message = format!("No consumers available on endpoint: seda://{}", self.name);
                return Sending::Done(Err(Exception::new(&class::SEDA_CONSUMER_NOT_AVAILABLE, message)));
            }
        }
        let waits = match self.waits.as_str() {
            "Always" => true,
            "Never" => false,
            _ => exchange.pattern == Pattern::InOut,
        };
        let copy = copy_of(exchange);
        if waits {
            return Sending::Later(Box::pin(self.ask(copy, exchange)));
        }
        match self.queue.try_place() {
            Some(place) => {
                place.fill(copy, None);
                Sending::Done(Ok(()))
            }
            None if self.blocks => Sending::Later(Box::pin(async move { self.offer(copy, None).await })),
            None if self.discards => Sending::Done(Ok(())),
            None => Sending::Done(Err(self.full())),
        }
    }
}

impl Offer {
    async fn offer(&self, copy: Exchange, answer: Option<oneshot::Sender<Exchange>>) -> crate::exchange::Result<()> {
        let place = match self.offer_timeout {
            Some(timeout) => tokio::time::timeout(timeout, self.queue.place()).await.ok().flatten(),
            None => self.queue.place().await,
        };
        place.ok_or_else(|| self.full())?.fill(copy, answer);
        Ok(())
    }

    async fn ask(&self, copy: Exchange, exchange: &mut Exchange) -> crate::exchange::Result<()> {
        let (answer, answered) = oneshot::channel();
        self.offer(copy, Some(answer)).await?;
        let answer = match self.timeout.is_zero() {
            true => answered.await.ok(),
            false => tokio::time::timeout(self.timeout, answered).await.ok().and_then(Result::ok),
        };
        let Some(mut answer) = answer else {
            let message = format!("no answer from seda:{} within {} ms", self.name, self.timeout.as_millis());
            return Err(Exception::new(&class::EXCHANGE_TIMED_OUT, message));
        };
        exchange.message = std::mem::take(&mut answer.message);
        exchange.properties = std::mem::take(&mut answer.properties);
        match answer.clear_exception() {
            Some(exception) => Err(exception),
            None => Ok(()),
        }
    }

    fn full(&self) -> Exception {
        Exception::new(&class::ILLEGAL_STATE, format!("queue seda:{} is full", self.name))
    }
}

/// A copy that begins anew: the other route is its first, and it is part of nothing that the exchange is part of.
fn copy_of(exchange: &Exchange) -> Exchange {
    let mut copy = exchange.copy();
    copy.go_alone();
    copy.position = crate::exchange::Position::default();
    copy.resume();
    copy
}

#[derive(Debug)]
struct Takers {
    name: String,
    queue: Queue,
    /// The size that its own address says, and that of a queue of which nobody says any.
    size: Option<usize>,
    queue_max: usize,
    queues: Queues,
    takers: usize,
}

impl Takers {
    fn size(&self) -> usize {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let said = queues.get(&self.name).and_then(|known| known.said);
        self.size.or(said).unwrap_or(self.queue_max)
    }
}

impl Consumer for Takers {
    fn start(&self, inlet: Inlet) -> BoxFuture<'_, Result<(), String>> {
        self.queue.resize(self.size());
        self.queue.add_taker();
        for _ in 0..self.takers {
            let (task, queue) = (inlet.clone(), self.queue.clone());
            inlet.spawn(async move { take(&task, &queue).await });
        }
        Box::pin(async { Ok(()) })
    }

    fn is_called(&self) -> bool {
        true
    }

    fn shares(&self) -> bool {
        true
    }

    fn waiting(&self) -> usize {
        self.queue.open()
    }

    fn stop(&self) {
        self.queue.remove_taker();
    }
}

/// Takes exchanges until the route stops.
async fn take(inlet: &Inlet, queue: &Queue) {
    loop {
        let Some(Waiting { exchange, answer, open }) = next(inlet, queue).await else { return };
        let exchange = inlet.deliver(exchange).await;
        drop(open);
        inlet.core().tell_ended();
        if let Some(answer) = answer {
            // Who asked may have gone.
            let _ = answer.send(exchange);
        }
    }
}

/// The next exchange; once the route is to stop, only what waits already, and nothing if another route takes it.
async fn next(inlet: &Inlet, queue: &Queue) -> Option<Waiting> {
    tokio::select! {
        biased;
        () = inlet.stopped() => {}
        next = queue.next() => return next,
    }
    if queue.has_takers() { None } else { queue.try_next() }
}
